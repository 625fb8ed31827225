//! What the client said, line by line, for people who watch the conversation. Secrets are left out.

use super::{ServerSession, State};
use crate::command::{self, Command};

/// The lines since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Heard {
    lines: Vec<String>,
    /// After AUTH: a line that is no command may be a secret that came unasked.
    is_secret: bool,
}

impl ServerSession {
    /// Keeps the lines that the client says, or stops keeping them.
    pub fn keep_heard(&mut self, wanted: bool) {
        match (&self.heard, wanted) {
            (None, true) => self.heard = Some(Heard::default()),
            (Some(_), false) => self.heard = None,
            _ => {}
        }
    }

    /// The lines that were kept since this was asked last, without their ends. What AUTH hides is `***`; octets of a
    /// mail are no lines.
    pub fn take_heard(&mut self) -> Vec<String> {
        self.heard.as_mut().map(|heard| std::mem::take(&mut heard.lines)).unwrap_or_default()
    }

    pub(super) fn hear(&mut self, line: &[u8]) {
        let in_auth = matches!(self.state, State::AuthPlain | State::AuthUser | State::AuthPassword(_));
        let Some(heard) = &mut self.heard else { return };
        let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        let mut words = text.split_whitespace();
        let is_auth = words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"));
        let shown = if in_auth {
            "***".to_owned()
        } else if is_auth {
            // The mechanism is no secret; an initial response is.
            let mechanism = words.next().map(|mechanism| format!(" {mechanism}")).unwrap_or_default();
            let rest = if words.next().is_some() { " ***" } else { "" };
            format!("AUTH{mechanism}{rest}")
        } else {
            let is_command = command::read(line).is_ok_and(|read| !matches!(read, Command::Auth { .. }));
            heard.is_secret &= !is_command;
            if heard.is_secret { "***".to_owned() } else { text }
        };
        heard.is_secret |= is_auth || in_auth;
        heard.lines.push(shown);
    }

    /// Octets that are not believed to be a line.
    pub(super) fn hear_no_line(&mut self, why: &str) {
        if let Some(heard) = &mut self.heard {
            heard.lines.push(format!("[not taken: {why}]"));
        }
    }
}
