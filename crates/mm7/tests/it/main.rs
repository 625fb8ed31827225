//! Whole envelopes: written ones against expectations and the schema, received ones from `corpus/mm7`,
//! round trips, and hostile ones.

mod corpus;
mod examples;
mod hostile;
mod round_trip;
mod samples;
mod written;
