//! The codec from outside: mails of the field, round trips, hostile input.

mod corpus;
mod hostile;
mod round_trip;
