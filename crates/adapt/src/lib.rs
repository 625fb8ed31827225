//! Content made to fit what a carrier takes: pictures by octets, pixels and types; presentations of parts.
//!
//! Rung 0 of the ladder: octets in, octets out. No I/O, no async, no clock; the same picture and the same
//! limits give the same octets. Decoding and encoding take long and are for a thread that nobody waits on.
//!
//! * What fits already is left alone, to the octet.
//! * Else the picture is turned as its orientation says, scaled and encoded again. The largest scale wins at
//!   which the quality is still good, and there the best quality that fits; see [`fit`].
//! * Metadata (EXIF with its places and times, comments) are gone then. A small colour profile stays, since
//!   without it the colours would change.
//! * Of an animation that has to be changed the first frame remains, as a still picture.
//! * Transparency stays as PNG down to half the width and height; what is still too large then is put on
//!   white as JPEG.
//! * Memory is bounded: the size of a picture is read from its first octets, and what has more pixels than
//!   allowed is refused before anything is decoded.

mod encode;
mod fit;
mod format;
pub mod presentation;
mod probe;
mod source;

#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

pub use fit::{Fitted, Limits, Picture, fit};
pub use format::{Format, Formats};
pub use probe::{Probe, probe};

/// Why a picture cannot be made to fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdaptError {
    /// It is of no type that is understood here, or its first octets are damaged.
    #[error("it cannot be read as a JPEG, PNG, GIF or WebP picture")]
    NotAPicture,
    /// It has more pixels than are decoded.
    #[error("a picture of {width} by {height} pixels has {}, at most {limit} are decoded", u64::from(*.width) * u64::from(*.height))]
    TooManyPixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The most pixels that are decoded.
        limit: u64,
    },
    /// Its octets make no picture.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// None of the types that are wanted can be written here.
    #[error("none of the types that are taken can be made of a picture")]
    NoFormat,
    /// Even small and of low quality it is too large.
    #[error("the picture does not fit {octets} octets even when small")]
    TooSmall {
        /// The octets that there are for it.
        octets: usize,
    },
}
