//! Files of lines: CSV or NDJSON, read as often as needed and never whole.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use aws_lc_rs::digest::{Context as Digest, SHA256};
use bytes::Bytes;
use futures_util::{Stream, stream};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

/// A file that was looked through once.
pub(super) struct LineFile {
    path: PathBuf,
    format: Format,
    lines: u64,
    digest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
}

/// The column of a CSV file that holds the numbers.
const DESTINATION: &str = "destination";
/// Octets handed over at once, roughly.
const PIECE: usize = 64 << 10;
/// Pieces read ahead.
const AHEAD: usize = 4;

impl LineFile {
    /// Looks through a file: counts its lines, and finds every fault that would stop it half way.
    pub(super) fn open(path: &Path, format: Option<&str>) -> anyhow::Result<Self> {
        let format = match format.or_else(|| path.extension()?.to_str()) {
            Some("csv") => Format::Csv,
            Some("ndjson" | "jsonl") => Format::Ndjson,
            _ => bail!("{}: say with --format whether it is csv or ndjson", path.display()),
        };
        let mut file = Self { path: path.to_owned(), format, lines: 0, digest: Vec::new() };
        let (mut digest, mut lines) = (Digest::new(&SHA256), 0);
        file.each(|line| {
            digest.update(line);
            lines += 1;
            true
        })?;
        ensure!(lines > 0, "{} has no lines", path.display());
        (file.lines, file.digest) = (lines, digest.finish().as_ref().to_vec());
        Ok(file)
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// A key that the same lines to the same address always have, and others never.
    pub(super) fn key(&self, path: &str) -> String {
        let mut digest = Digest::new(&SHA256);
        digest.update(&self.digest);
        digest.update(path.as_bytes());
        let octets: Vec<String> =
            digest.finish().as_ref()[..16].iter().map(|octet| format!("{octet:02x}")).collect();
        format!("file-{}", octets.concat())
    }

    /// The lines as NDJSON, read while they are taken; `bar` follows.
    pub(super) fn pieces(
        self: &Arc<Self>,
        bar: ProgressBar,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let file = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let (mut piece, mut count) = (Vec::with_capacity(PIECE + 1_024), 0);
            let read = file.each(|line| {
                piece.extend_from_slice(line);
                count += 1;
                if piece.len() < PIECE {
                    return true;
                }
                bar.inc(std::mem::take(&mut count));
                sender.blocking_send(Ok(std::mem::take(&mut piece).into())).is_ok()
            });
            bar.inc(count);
            let last = read
                .map(|()| Bytes::from(piece))
                .map_err(|error| std::io::Error::other(format!("{error:#}")));
            // Who does not listen any more has no connection.
            let _ = sender.blocking_send(last);
        });
        stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
    }

    /// Gives each line, as NDJSON with its line end, to `take` until that says no.
    fn each(&self, take: impl FnMut(&[u8]) -> bool) -> anyhow::Result<()> {
        let file = File::open(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let read = match self.format {
            Format::Csv => each_record(file, take),
            Format::Ndjson => each_line(file, take),
        };
        read.with_context(|| format!("{}", self.path.display()))
    }
}

fn each_line(file: File, mut take: impl FnMut(&[u8]) -> bool) -> anyhow::Result<()> {
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        if !take(&line) {
            break;
        }
        line.clear();
    }
    Ok(())
}

/// Each record as a line: the column `destination`, and the others as variables. An empty field is no value, so that
/// the template's default stands in.
fn each_record(file: File, mut take: impl FnMut(&[u8]) -> bool) -> anyhow::Result<()> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let names = reader.headers()?.clone();
    ensure!(names.iter().any(|name| name == DESTINATION), "the first line names no column `{DESTINATION}`");
    if let Some(name) = names.iter().find(|name| !is_variable(name)) {
        bail!("the column `{name}` cannot be a variable: use letters, digits and _, no digit first");
    }
    for record in reader.records() {
        let (mut destination, mut variables) = ("", Map::new());
        let record = record?;
        for (name, value) in names.iter().zip(&record) {
            if name == DESTINATION {
                destination = value;
            } else if !value.is_empty() {
                variables.insert(name.to_owned(), Value::from(value));
            }
        }
        let mut line = json!({DESTINATION: destination, "variables": variables}).to_string();
        line.push('\n');
        if !take(line.as_bytes()) {
            break;
        }
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.is_empty() && name.bytes().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(extension: &str, text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(extension).tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn lines(file: &LineFile) -> Vec<Value> {
        let mut lines = Vec::new();
        file.each(|line| {
            assert!(line.ends_with(b"\n"));
            lines.push(serde_json::from_slice(line).unwrap());
            true
        })
        .unwrap();
        lines
    }

    #[test]
    fn columns_are_variables_and_empty_fields_are_none() {
        let csv = file(".csv", "name,destination,city\n\"O\"\"Neil, A\", +15555550101 ,\nZoë,54322,Rome\n");
        let read = LineFile::open(csv.path(), None).unwrap();
        assert_eq!(read.lines(), 2);
        assert_eq!(
            lines(&read),
            [
                json!({"destination": "+15555550101", "variables": {"name": "O\"Neil, A"}}),
                json!({"destination": "54322", "variables": {"name": "Zoë", "city": "Rome"}}),
            ]
        );
    }

    #[test]
    fn faults_are_found_before_anything_is_sent() {
        let fault = |extension: &str, text: &str| match LineFile::open(file(extension, text).path(), None) {
            Ok(_) => panic!("{text} is taken"),
            Err(error) => format!("{error:#}"),
        };
        assert!(fault(".csv", "number\n1\n").contains("no column `destination`"));
        assert!(fault(".csv", "destination,first name\n1,2\n").contains("`first name`"));
        assert!(fault(".csv", "destination,name\n1,2\n3\n").contains("line: 3"));
        assert!(fault(".csv", "destination\n").contains("no lines"));
        assert!(fault(".txt", "x").contains("--format"));
    }

    #[tokio::test]
    async fn a_file_is_read_again_the_same_and_has_its_own_key() {
        let text = (0..5_000).map(|n| format!("{{\"destination\": \"+1555{n:07}\"}}\n")).collect::<String>();
        let text = text.trim_end();
        let ndjson = file(".ndjson", text);
        let read = Arc::new(LineFile::open(ndjson.path(), None).unwrap());
        assert_eq!(read.lines(), 5_000);
        for _ in 0..2 {
            let bar = ProgressBar::hidden();
            let pieces: Vec<_> = futures_util::StreamExt::collect(read.pieces(bar.clone())).await;
            let whole: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
            assert_eq!(String::from_utf8(whole).unwrap(), format!("{text}\n"));
            assert_eq!(bar.position(), 5_000);
        }
        let other = LineFile::open(file(".ndjson", "{}").path(), None).unwrap();
        assert_eq!(read.key("/a"), read.key("/a"));
        assert!(read.key("/a") != read.key("/b") && read.key("/a") != other.key("/a"));
    }
}
