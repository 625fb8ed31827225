//! What a process does: one or more of the gateway's roles.

use std::fmt;
use std::str::FromStr;

/// One thing that a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// The REST API for applications.
    Api,
    /// Hands messages and reports to carriers, and reads what came from them.
    Gateway,
    /// Takes mails from carriers, over SMTP and from spool directories.
    Mm4rx,
    /// Takes HTTP requests from carriers.
    Mm7rx,
    /// Posts callbacks to applications.
    Callout,
}

impl Role {
    pub(crate) const ALL: [Self; 5] = [Self::Api, Self::Gateway, Self::Mm4rx, Self::Mm7rx, Self::Callout];

    fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Gateway => "gateway",
            Self::Mm4rx => "mm4rx",
            Self::Mm7rx => "mm7rx",
            Self::Callout => "callout",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| format!("`{text}` is no role; the roles are {}", known()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The roles of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(Vec<Role>);

impl Roles {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self(Role::ALL.to_vec())
    }

    /// Those given; each counts once.
    pub(crate) fn of(roles: &[Role]) -> Self {
        let mut roles = roles.to_vec();
        roles.sort();
        roles.dedup();
        Self(roles)
    }

    pub(crate) fn include(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// What the process is called where instances are listed.
    pub(crate) fn name(&self) -> String {
        if self.0 == Role::ALL {
            return "serve".to_owned();
        }
        self.0.iter().map(|role| role.name()).collect::<Vec<_>>().join("+")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_names_and_count_once() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        let fault = "gate".parse::<Role>().unwrap_err();
        assert!(fault.contains("api, gateway, mm4rx, mm7rx, callout"), "{fault}");
        assert_eq!(Roles::of(&[Role::Callout, Role::Api, Role::Callout]).name(), "api+callout");
        assert_eq!(Roles::all().name(), "serve");
    }
}
