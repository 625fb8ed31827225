//! Settings that the engine owns: `[general]` of the main file, `[gateway]`, `[features]` and
//! `[content]` of each gateway file, and what all dialects have in common. The binary and the edges put them into
//! their own whole.

mod dialect;
mod gateway;
mod general;

pub use dialect::{
    DialectFault, DialectFile, OwnDialects, Switches, dialect_file, dialect_switches, dialect_text,
};
pub use gateway::{ContentSection, FeaturesSection, GatewaySection, Protocol, Urls, group_settings};
pub use general::{GENERAL_DEFAULT, GeneralSection};
