//! The engine over the memory store, with a gateway and an application whose answers the test owns.
//! Real carriers and real applications are in the end-to-end tests; here every turn of the rules is.

mod bulk;
mod callbacks;
mod content;
mod delivery;
mod fit;
mod inbound;
mod instances;
mod isolation;
mod personal;
mod reports;
mod rig;
mod slow_store;
mod withdraw;
