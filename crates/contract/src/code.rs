//! Every code that the API uses to say no, with its HTTP status, title and advice. They are stable:
//! applications compare them, so a code is never renamed and never changes its meaning.

use std::fmt;

use serde::{Serialize, Serializer};

/// What kind of problem a whole request met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemCode {
    /// The body is no JSON.
    MalformedJson,
    /// The request could not be read.
    BadRequest,
    /// No key, or a wrong one.
    Unauthorized,
    /// The key does not permit it.
    Forbidden,
    /// There is no such template, part, message or medium.
    NotFound,
    /// There is no such path.
    NoSuchPath,
    /// The path is there, but not for this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// Somebody else changed the same thing.
    Conflict,
    /// The `Idempotency-Key` is none.
    BadIdempotencyKey,
    /// The `Idempotency-Key` belongs to another request.
    IdempotencyKeyReused,
    /// The same request is being carried out.
    RequestInProgress,
    /// The batch was cancelled.
    BatchCancelled,
    /// The message has come to an end.
    TooLate,
    /// The carrier has the message and its protocol cannot change that.
    NotAmendable,
    /// The message is being handed to the carrier.
    BeingSent,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The body is of another type than JSON.
    UnsupportedMediaType,
    /// Fields do not hold what they must; the list of errors says which.
    InvalidRequest,
    /// The configuration that was to be taken over has faults.
    InvalidConfiguration,
    /// Too much waits already.
    Overloaded,
    /// The key is used more often than it may be.
    RateLimited,
    /// Too much is in hand at this moment.
    Busy,
    /// A fault of mmsgw.
    Internal,
    /// The store does not answer.
    StoreUnavailable,
    /// The answer was not ready in time.
    AnswerTimeout,
}

impl ProblemCode {
    /// Every code.
    pub const ALL: [Self; 26] = [
        Self::MalformedJson,
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::NoSuchPath,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::BadIdempotencyKey,
        Self::IdempotencyKeyReused,
        Self::RequestInProgress,
        Self::BatchCancelled,
        Self::TooLate,
        Self::NotAmendable,
        Self::BeingSent,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::InvalidConfiguration,
        Self::Overloaded,
        Self::RateLimited,
        Self::Busy,
        Self::Internal,
        Self::StoreUnavailable,
        Self::AnswerTimeout,
    ];

    /// The code as applications see it.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// The HTTP status it goes with.
    pub fn status(self) -> u16 {
        self.facts().1
    }

    /// A short summary, the same for each occurrence.
    pub fn title(self) -> &'static str {
        self.facts().2
    }

    /// What the application can do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::MalformedJson => "Correct the body at the place that detail names.",
            Self::BadRequest => "Send the request again, whole.",
            Self::Unauthorized => {
                "Send `Authorization: Bearer` with a key that is configured under [[api.key]]."
            }
            Self::Forbidden => "Use another key, or have the key's scopes, gateways or origins widened.",
            Self::NotFound => {
                "Check the id. Templates, parts and messages are forgotten when their time is over."
            }
            Self::NoSuchPath => "Check the path against /mmsgw/v1/openapi.json.",
            Self::MethodNotAllowed => "Use one of the methods in the Allow header.",
            Self::RequestTimeout => "Send it again over a faster connection; nothing was changed.",
            Self::Conflict => "Read it again and repeat the change.",
            Self::BadIdempotencyKey => "Send a key such as a UUID, a new one for each new request.",
            Self::IdempotencyKeyReused => "Use a new key for a new request; repeat a request as it was.",
            Self::RequestInProgress => "Send it again after the time in the Retry-After header.",
            Self::BatchCancelled => "Begin another batch under another Idempotency-Key.",
            Self::TooLate => "Look at the message: its numbers tell how each of them ended.",
            Self::NotAmendable => {
                "Nothing can be done: only messages sent over MM7 can be changed at the carrier."
            }
            Self::BeingSent => "Send the request again after the time in the Retry-After header.",
            Self::BodyTooLarge => "Give large media by content_url, or have api.max_body raised.",
            Self::UnsupportedMediaType => {
                "Send JSON with `Content-Type: application/json`; a batch also as application/x-ndjson."
            }
            Self::InvalidRequest => "Correct the fields that errors names.",
            Self::InvalidConfiguration => {
                "Correct the files at the places that detail names, and reload again."
            }
            Self::Overloaded => "Send the request again after the time in the Retry-After header.",
            Self::RateLimited => {
                "Send it again after the time in the Retry-After header; send many messages as a batch."
            }
            Self::Busy => "Send the request again after the time in the Retry-After header.",
            Self::Internal => "Report the instance to the operator, who finds it in the log.",
            Self::StoreUnavailable => "Send the request again after the time in the Retry-After header.",
            Self::AnswerTimeout => {
                "It is not known whether the request was carried out; look before repeating it."
            }
        }
    }

    fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::MalformedJson => ("malformed_json", 400, "The body is not JSON"),
            Self::BadRequest => ("bad_request", 400, "The request could not be read"),
            Self::Unauthorized => ("unauthorized", 401, "An API key is needed"),
            Self::Forbidden => ("forbidden", 403, "The API key does not permit this"),
            Self::NotFound => ("not_found", 404, "There is no such thing"),
            Self::NoSuchPath => ("no_such_path", 404, "There is no such path"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "The path does not take this method"),
            Self::RequestTimeout => ("request_timeout", 408, "The request did not arrive in time"),
            Self::Conflict => ("conflict", 409, "Changed by another request at the same time"),
            Self::BadIdempotencyKey => ("bad_idempotency_key", 400, "The Idempotency-Key is none"),
            Self::IdempotencyKeyReused => {
                ("idempotency_key_reused", 422, "The Idempotency-Key belongs to another request")
            }
            Self::RequestInProgress => ("request_in_progress", 409, "The same request is being carried out"),
            Self::BatchCancelled => ("batch_cancelled", 409, "The batch was cancelled"),
            Self::TooLate => ("too_late", 409, "The message has come to an end"),
            Self::NotAmendable => {
                ("not_amendable", 409, "The carrier has the message and cannot give it back")
            }
            Self::BeingSent => ("being_sent", 409, "The message is being handed to the carrier"),
            Self::BodyTooLarge => ("body_too_large", 413, "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", 415, "The body is of a type that is not taken")
            }
            Self::InvalidRequest => ("invalid_request", 422, "Some fields do not hold what they must"),
            Self::InvalidConfiguration => {
                ("invalid_configuration", 422, "The configuration has faults; nothing was changed")
            }
            Self::Overloaded => ("overloaded", 429, "Too many messages wait already"),
            Self::RateLimited => ("rate_limited", 429, "Too many requests in too short a time"),
            Self::Busy => ("busy", 503, "Too many requests are in hand"),
            Self::Internal => ("internal", 500, "Something went wrong in mmsgw"),
            Self::StoreUnavailable => ("store_unavailable", 503, "The store does not answer"),
            Self::AnswerTimeout => ("answer_timeout", 504, "The answer was not ready in time"),
        }
    }
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    /// It must be given.
    Required,
    /// There is no such field.
    UnknownField,
    /// It is given more than once.
    DuplicateField,
    /// It is of another JSON type.
    WrongType,
    /// It may not be empty.
    Empty,
    /// It is longer than allowed.
    TooLong,
    /// There are more of them than allowed.
    TooMany,
    /// It holds characters that may not stand there.
    BadCharacter,
    /// It is none of the words that may stand there.
    UnknownWord,
    /// It is no number, short code or mail address.
    BadNumber,
    /// It is no point in time.
    BadTime,
    /// It lies in the past.
    NotInFuture,
    /// It is too small or too large.
    OutOfRange,
    /// It is no id.
    BadId,
    /// It is no cursor that an answer gave.
    BadCursor,
    /// It is no URL that could be used.
    BadUrl,
    /// It cannot name a part.
    BadName,
    /// It is no base64.
    BadEncoding,
    /// It is no media type.
    BadMediaType,
    /// The media type is not among the configured ones.
    UnsupportedType,
    /// It cannot stand beside another field.
    Exclusive,
    /// It does not go together with another field.
    Disagrees,
    /// A message needs a number in at least one of its lists.
    NoRecipient,
    /// The template needs a variable that is not given.
    MissingVariable,
    /// There is no such gateway group.
    UnknownGateway,
    /// No gateway group is given and none is the default.
    NoGateway,
    /// The API key may not use this value.
    NotPermitted,
    /// The content is too large for the gateway: octets on the wire.
    ContentTooLarge,
    /// The picture has too many pixels for the gateway.
    PictureTooLarge,
    /// The gateway does not take parts of this type.
    TypeNotTaken,
    /// The picture cannot be read, or not be made to fit.
    BadPicture,
    /// The presentation refers to a part that is not there.
    NoSuchPart,
    /// It is not acceptable for the reason in the detail.
    NotAcceptable,
}

impl FaultCode {
    /// The code as applications see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownField => "unknown_field",
            Self::DuplicateField => "duplicate_field",
            Self::WrongType => "wrong_type",
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::BadCharacter => "bad_character",
            Self::UnknownWord => "unknown_word",
            Self::BadNumber => "bad_number",
            Self::BadTime => "bad_time",
            Self::NotInFuture => "not_in_future",
            Self::OutOfRange => "out_of_range",
            Self::BadId => "bad_id",
            Self::BadCursor => "bad_cursor",
            Self::BadUrl => "bad_url",
            Self::BadName => "bad_name",
            Self::BadEncoding => "bad_encoding",
            Self::BadMediaType => "bad_media_type",
            Self::UnsupportedType => "unsupported_type",
            Self::Exclusive => "exclusive",
            Self::Disagrees => "disagrees",
            Self::NoRecipient => "no_recipient",
            Self::MissingVariable => "missing_variable",
            Self::UnknownGateway => "unknown_gateway",
            Self::NoGateway => "no_gateway",
            Self::NotPermitted => "not_permitted",
            Self::ContentTooLarge => "content_too_large",
            Self::PictureTooLarge => "picture_too_large",
            Self::TypeNotTaken => "type_not_taken",
            Self::BadPicture => "bad_picture",
            Self::NoSuchPart => "no_such_part",
            Self::NotAcceptable => "not_acceptable",
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for FaultCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_told_apart_and_say_what_to_do() {
        let names: HashSet<_> = ProblemCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), ProblemCode::ALL.len());
        for code in ProblemCode::ALL {
            assert!((400..600).contains(&code.status()), "{code}");
            assert!(code.advice().ends_with('.') && !code.title().ends_with('.'), "{code}");
        }
    }
}
