//! Log lines as they are written: one event is one line whatever strangers wrote into it, and telephone numbers are made
//! unreadable save for their last digits where that is wanted.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::fmt::MakeWriter;

/// Writes lines to standard error, with numbers masked where that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) mask_numbers: Arc<AtomicBool>,
    /// The subscriber colours its lines, and takes escapes out of what it is told itself.
    pub(super) colours: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// The subscriber writes a line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = one_line(line, self.colours);
        let is_masked = self.mask_numbers.load(Ordering::Relaxed);
        let text = if is_masked { masked(&text).into() } else { text };
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The line with control characters written as escapes, so that no value begins a line of its own or steers a
/// terminal. The line end that the subscriber put there stays.
fn one_line(line: &[u8], colours: bool) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(line);
    let inner = text.strip_suffix('\n').unwrap_or(&text);
    let steers = |c: char| steers_a_terminal(c) && !(colours && c == '\u{1b}');
    if !inner.contains(steers) {
        return text;
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in inner.chars() {
        if steers(c) {
            let _ = write!(plain, "{}", c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain.push('\n');
    plain.into()
}

/// Control characters, ends of lines and paragraphs, and what turns the direction of writing.
fn steers_a_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The line with every word of 7 to 15 digits cut to its last four, which leaves ids and times as they are.
fn masked(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (token, after) = rest.split_at(word);
        if (7..=15).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_digit()) {
            text.push_str("***");
            text.push_str(&token[token.len() - 4..]);
        } else {
            text.push_str(token);
        }
        let next = after.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(after.len());
        text.push_str(&after[..next]);
        rest = &after[next..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_masked_and_ids_and_times_are_not() {
        let line = "2026-11-25T10:19:00.892696Z INFO to +15555550102, 15555550102/TYPE=PLMN@mms.example: \
                    message 019a0000000070008000000000000020 code=200 +1 (555) 555-0102 é\n";
        let expected = "2026-11-25T10:19:00.892696Z INFO to +***0102, ***0102/TYPE=PLMN@mms.example: \
                        message 019a0000000070008000000000000020 code=200 +1 (555) 555-0102 é\n";
        assert_eq!(masked(line), expected);
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let line = "INFO a\r\nERROR forged \u{1b}[2J \u{9b}31m \u{202e}gnp.exe é 你\n";
        let plain = r"INFO a\r\nERROR forged \u{1b}[2J \u{9b}31m \u{202e}gnp.exe é 你";
        assert_eq!(one_line(line.as_bytes(), false), format!("{plain}\n"));
        let coloured = one_line("\u{1b}[32mINFO\u{1b}[0m a\nb\n".as_bytes(), true);
        assert_eq!(coloured, "\u{1b}[32mINFO\u{1b}[0m a\\nb\n");
        assert!(matches!(one_line(b"INFO fine\n", false), Cow::Borrowed("INFO fine\n")));
    }
}
