//! Tables and texts for a terminal.

use mmsgw_domain::Timestamp;
use serde_json::Value;

/// Lines of a table: its head, and rows of as many cells. The last column is not padded.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Vec<String> {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = widths.iter().zip(row).map(|(width, cell)| format!("{cell:<width$}", width = *width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Prints lines.
pub(crate) fn print(lines: &[String]) {
    lines.iter().for_each(|line| println!("{line}"));
}

/// A text member; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number as text; empty where there is none.
pub(crate) fn number(value: &Value, key: &str) -> String {
    value.get(key).filter(|v| !v.is_null()).map(Value::to_string).unwrap_or_default()
}

/// A list member; empty where there is none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A point in time; empty where there is none.
pub(crate) fn time(value: &Value, key: &str) -> String {
    let seconds = value.get(key).and_then(Value::as_i64);
    seconds.map(|seconds| Timestamp::from_secs(seconds).to_jiff().to_string()).unwrap_or_default()
}

/// One line; what a stranger wrote must not steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text with its line ends and tabs, and without what steers a terminal.
pub(crate) fn readable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        '\r' => String::new(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A number of seconds as people say it: `59s`, `3m 4s`, `2h 5m`, `3d 1h`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_does_not_steer_the_terminal() {
        assert_eq!(readable("a\r\n\u{1b}[2Jb\tc"), "a\n\\u{1b}[2Jb\tc");
        assert_eq!(plain("a\u{1b}\r\nb"), "a   b");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![["long name".into(), "x".into()], ["é".into(), String::new()]];
        assert_eq!(table(["A", "B"], rows), ["A          B", "long name  x", "é"]);
    }

    #[test]
    fn spans_are_said_in_two_units() {
        let said = [5, 184, 7_500, 262_800].map(span);
        assert_eq!(said, ["5s", "3m 4s", "2h 5m", "3d 1h"]);
    }
}
