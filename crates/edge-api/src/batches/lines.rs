//! Cutting a body into lines as it comes: NDJSON, or one JSON list. Memory is that of a line.

use mmsgw_contract::{Problem, ProblemCode};

/// How a body is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object in each line.
    Ndjson,
    /// One list of objects.
    List,
}

/// A line, not looked into yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawLine {
    /// Its number, from 1: lines of the text, empty ones too; or elements of the list.
    pub(super) number: u64,
    /// Its octets; cut off where it is too long.
    pub(super) octets: Vec<u8>,
    pub(super) too_long: bool,
}

/// Cuts what it is fed.
pub(super) struct Cutter {
    form: Form,
    most: usize,
    line: Vec<u8>,
    too_long: bool,
    /// Lines begun so far.
    number: u64,
    list: ListState,
}

/// Where in a list the cutter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListState {
    Before,
    /// An element or the end may come.
    Open,
    /// An element must come.
    Comma,
    Inside {
        depth: u32,
        text: bool,
        escape: bool,
    },
    /// A comma or the end must come.
    Between,
    After,
}

impl Cutter {
    /// A cutter for lines of at most so many octets.
    pub(super) fn new(form: Form, most: usize) -> Self {
        Self { form, most, line: Vec::new(), too_long: false, number: 0, list: ListState::Before }
    }

    /// Lines that were begun, done or not.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Cuts the next piece of the body.
    pub(super) fn feed(&mut self, piece: &[u8], lines: &mut Vec<RawLine>) -> Result<(), Problem> {
        match self.form {
            Form::Ndjson => {
                let mut rest = piece;
                while let Some(end) = memchr::memchr(b'\n', rest) {
                    self.add(&rest[..end]);
                    self.end_line(lines);
                    rest = &rest[end + 1..];
                }
                self.add(rest);
                Ok(())
            }
            Form::List => piece.iter().try_for_each(|octet| self.step(*octet, lines)),
        }
    }

    /// The body is at its end.
    pub(super) fn finish(&mut self, lines: &mut Vec<RawLine>) -> Result<(), Problem> {
        match (self.form, self.list) {
            (Form::Ndjson, _) if self.line.is_empty() => Ok(()),
            (Form::Ndjson, _) => {
                self.end_line(lines);
                Ok(())
            }
            (Form::List, ListState::After) => Ok(()),
            (Form::List, _) => Err(self.broken("the body ends within it")),
        }
    }

    fn add(&mut self, octets: &[u8]) {
        let room = self.most - self.line.len();
        self.too_long |= octets.len() > room;
        self.line.extend_from_slice(&octets[..octets.len().min(room)]);
    }

    fn end_line(&mut self, lines: &mut Vec<RawLine>) {
        self.number += 1;
        let (octets, too_long) = (std::mem::take(&mut self.line), std::mem::take(&mut self.too_long));
        if too_long || octets.iter().any(|octet| !octet.is_ascii_whitespace()) {
            lines.push(RawLine { number: self.number, octets, too_long });
        }
    }

    fn step(&mut self, octet: u8, lines: &mut Vec<RawLine>) -> Result<(), Problem> {
        use ListState::{After, Before, Between, Comma, Inside, Open};
        let blank = matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
        self.list = match (self.list, octet) {
            (Inside { depth, text, escape }, _) => {
                self.add(&[octet]);
                let next = inside((depth, text, escape), octet);
                if next == Between {
                    self.end_line(lines);
                }
                next
            }
            (state, _) if blank => state,
            (Before, b'[') => Open,
            (Before, _) => return Err(self.broken("a list of objects is wanted")),
            (Open | Comma, b'{') => {
                self.add(&[octet]);
                Inside { depth: 1, text: false, escape: false }
            }
            (Open | Between, b']') => After,
            (Between, b',') => Comma,
            (Open | Comma, _) => return Err(self.broken("an object is wanted")),
            (Between, _) => return Err(self.broken("a comma is wanted")),
            (After, _) => return Err(self.broken("something comes after its end")),
        };
        Ok(())
    }

    fn broken(&self, why: &str) -> Problem {
        let detail = format!("the list breaks after {} elements: {why}", self.number);
        Problem::new(ProblemCode::MalformedJson, detail)
    }
}

/// The state after one more octet of an element.
fn inside((depth, text, escape): (u32, bool, bool), octet: u8) -> ListState {
    let stay = |depth, text, escape| ListState::Inside { depth, text, escape };
    match (text, octet) {
        (true, _) if escape => stay(depth, true, false),
        (true, b'\\') => stay(depth, true, true),
        (true, b'"') => stay(depth, false, false),
        (true, _) => stay(depth, true, false),
        (false, b'"') => stay(depth, true, false),
        (false, b'{' | b'[') => stay(depth.saturating_add(1), false, false),
        (false, b'}' | b']') if depth == 1 => ListState::Between,
        (false, b'}' | b']') => stay(depth - 1, false, false),
        (false, _) => stay(depth, false, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a body that comes in pieces of `size` octets.
    fn cut(form: Form, body: &str, size: usize) -> Result<Vec<(u64, String, bool)>, Problem> {
        let (mut cutter, mut lines) = (Cutter::new(form, 40), Vec::new());
        for piece in body.as_bytes().chunks(size) {
            cutter.feed(piece, &mut lines)?;
        }
        cutter.finish(&mut lines)?;
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        Ok(lines.into_iter().map(|line| (line.number, text(line.octets), line.too_long)).collect())
    }

    #[test]
    fn lines_are_cut_wherever_the_pieces_end_and_empty_ones_count() {
        let body = "{\"a\":1}\r\n\n  \n{\"b\":\"{\"}\n{\"c\":2}";
        for size in 1..body.len() {
            let lines = cut(Form::Ndjson, body, size).unwrap();
            let expected = [
                (1, "{\"a\":1}\r".into(), false),
                (4, "{\"b\":\"{\"}".into(), false),
                (5, "{\"c\":2}".into(), false),
            ];
            assert_eq!(lines, expected, "{size}");
        }
        assert_eq!(cut(Form::Ndjson, "", 1).unwrap(), []);
    }

    #[test]
    fn elements_are_cut_out_of_a_list() {
        let body = " [ {\"a\":\"]}\\\"{\"} ,\n{\"b\":[{\"c\":[]}]},{}]\n ";
        for size in 1..body.len() {
            let lines = cut(Form::List, body, size).unwrap();
            let texts: Vec<&str> = lines.iter().map(|line| line.1.as_str()).collect();
            assert_eq!(texts, ["{\"a\":\"]}\\\"{\"}", "{\"b\":[{\"c\":[]}]}", "{}"], "{size}");
            assert_eq!(lines.iter().map(|line| line.0).collect::<Vec<_>>(), [1, 2, 3]);
        }
        assert_eq!(cut(Form::List, "[]", 1).unwrap(), []);
        for broken in ["", "{}", "[{}", "[{},]", "[{}{}]", "[1]", "[{}]x", "[[]]", "[{\"a\":\"]}"] {
            assert!(cut(Form::List, broken, 1).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_the_next_one_is_whole() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000));
        let lines = cut(Form::Ndjson, &format!("{long}\n{{}}\n"), 7).unwrap();
        assert_eq!((lines[0].1.len(), lines[0].2), (40, true));
        assert_eq!(lines[1], (2, "{}".into(), false));
        let lines = cut(Form::List, &format!("[{long},{{}}]"), 7).unwrap();
        assert_eq!((lines[0].1.len(), lines[0].2), (40, true));
        assert_eq!(lines[1], (2, "{}".into(), false));
    }
}
