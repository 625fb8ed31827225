//! The API in process: a real engine over the memory store, requests as applications make them.

mod access;
mod admission;
mod batches;
mod find;
mod hostile;
mod idempotency;
mod journeys;
mod reports;
mod world;
