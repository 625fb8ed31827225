//! Settings that the engine owns: `[general]` of the main file, `[gateway]`, `[features]` and
//! `[content]` of each gateway file. The binary and the edges put them into their own whole.

mod gateway;
mod general;

pub use gateway::{ContentSection, FeaturesSection, GatewaySection, Protocol, Urls, group_settings};
pub use general::{GENERAL_DEFAULT, GeneralSection};
