//! The store against real servers, which each test starts for itself in a directory of its own and ends by its own
//! hand: one server, a cluster of three, a master with replicas and sentinels.

mod access;
mod bench;
mod cluster;
mod costs;
mod sentinel;
mod server;
mod single;
mod two;
