//! Telephone numbers in log lines, made unreadable save for their last digits.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Writes lines to standard error, with numbers masked where that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub(super) mask_numbers: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Lines {
    /// The subscriber writes a line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut out = io::stderr().lock();
        if self.mask_numbers {
            out.write_all(masked(&String::from_utf8_lossy(line)).as_bytes())?;
        } else {
            out.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
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
}
