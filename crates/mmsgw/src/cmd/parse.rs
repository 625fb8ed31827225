//! `mmsgw parse`: shows how a capture is understood: what is recognised, what is tolerated, and what would be
//! answered.
//!
//! What was understood is written again as the standard has it. Its fields are the recognised ones, and where
//! they differ from those of the capture something was tolerated.

use std::io::Read as _;

use anyhow::Context;
use bytes::Bytes;
use mmsgw_edge_mm4::Reading;
use serde_json::{Value, json};

use crate::cli::{CaptureKind, ParseArgs};
use crate::exit::Ended;

pub(crate) fn run(args: &ParseArgs) -> anyhow::Result<()> {
    let octets = octets(args)?;
    let kind = args.kind.unwrap_or_else(|| guess(&octets));
    let reading = match kind {
        CaptureKind::Mm4 => mmsgw_edge_mm4::parse(octets),
        CaptureKind::Mm7 => mmsgw_edge_mm7::parse(octets, args.content_type.as_deref()),
    };
    if args.json {
        println!("{:#}", json(kind, &reading));
    } else {
        print!("{}", text(kind, &reading));
    }
    match reading.fault {
        Some(_) => Err(Ended::Failed("it is not understood").into()),
        None => Ok(()),
    }
}

fn octets(args: &ParseArgs) -> anyhow::Result<Bytes> {
    let mut octets = Vec::new();
    let source: Box<dyn std::io::Read> = match args.file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(
            std::fs::File::open(&args.file)
                .with_context(|| format!("cannot read {}", args.file.display()))?,
        ),
    };
    source.take(MOST_OCTETS).read_to_end(&mut octets)?;
    Ok(octets.into())
}

/// MM4 where headers of it come before any XML.
fn guess(octets: &[u8]) -> CaptureKind {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(64 << 10)]).to_ascii_lowercase();
    let mail = text.find("x-mms-");
    let soap = text.find("envelope").or_else(|| text.find("http/1."));
    match (mail, soap) {
        (Some(mail), Some(soap)) if mail < soap => CaptureKind::Mm4,
        (Some(_), None) => CaptureKind::Mm4,
        _ => CaptureKind::Mm7,
    }
}

fn name(kind: CaptureKind) -> &'static str {
    match kind {
        CaptureKind::Mm4 => "MM4",
        CaptureKind::Mm7 => "MM7",
    }
}

fn json(kind: CaptureKind, reading: &Reading) -> Value {
    let fields = reading.fields.iter().map(|field| json!({"name": field.name, "value": field.value}));
    let parts = reading.parts.iter().map(|part| {
        json!({"name": part.name, "content_type": part.content_type, "content_id": part.content_id,
               "octets": part.octets})
    });
    json!({
        "protocol": name(kind), "pdu": reading.pdu, "fault": reading.fault, "fields": fields.collect::<Vec<_>>(),
        "parts": parts.collect::<Vec<_>>(), "tolerated": reading.tolerated, "answer": reading.answer,
    })
}

fn text(kind: CaptureKind, reading: &Reading) -> String {
    let mut lines = vec![format!("{} {}", name(kind), reading.pdu.as_deref().unwrap_or("(not understood)"))];
    lines.extend(reading.fault.iter().map(|fault| format!("  fault: {fault}")));
    lines.extend(reading.fields.iter().map(|field| format!("  {} = {}", field.name, field.value)));
    lines.extend(reading.parts.iter().map(|part| {
        let name = part.name.as_deref().unwrap_or("(no name)");
        format!("  part {name}: {}, {} octets", part.content_type, part.octets)
    }));
    if !reading.tolerated.is_empty() {
        lines.push("tolerated".into());
        lines.extend(reading.tolerated.iter().map(|line| format!("  {line}")));
    }
    if let Some(answer) = &reading.answer {
        lines.push("answer".into());
        lines.extend(answer.lines().map(|line| format!("  {line}")));
    }
    lines.join("\n") + "\n"
}

/// Octets of the largest capture.
const MOST_OCTETS: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn corpus(name: &str) -> (CaptureKind, Reading) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(name);
        let octets = Bytes::from(std::fs::read(file).unwrap());
        let kind = guess(&octets);
        let reading = match kind {
            CaptureKind::Mm4 => mmsgw_edge_mm4::parse(octets),
            CaptureKind::Mm7 => mmsgw_edge_mm7::parse(octets, None),
        };
        assert!(text(kind, &reading).starts_with(super::name(kind)));
        (kind, reading)
    }

    fn value<'a>(reading: &'a Reading, name: &str) -> Option<&'a str> {
        reading.fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }

    #[test]
    fn each_capture_of_the_corpus_is_known_for_what_it_is() {
        for (directory, end, protocol) in
            [("mm4", "eml", CaptureKind::Mm4), ("mm7", "http", CaptureKind::Mm7)]
        {
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(directory);
            let mut seen = 0;
            for file in std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()) {
                if file.extension().is_some_and(|found| found == end) {
                    let name = format!("{directory}/{}", file.file_name().unwrap().to_str().unwrap());
                    let (kind, reading) = corpus(&name);
                    assert_eq!(kind, protocol, "{name}");
                    assert!(reading.fault.is_some() == reading.fields.is_empty(), "{name}: {reading:?}");
                    seen += 1;
                }
            }
            assert!(seen > 10, "{seen}");
        }
    }

    #[test]
    fn what_is_tolerated_is_told() {
        let (_, reading) = corpus("mm4/report-other-status-name.eml");
        assert_eq!(reading.pdu.as_deref(), Some("MM4_delivery_report.REQ"));
        assert!(value(&reading, "X-Mms-MM-Status-Code").is_some());
        assert!(reading.tolerated.iter().any(|line| line.contains("X-Mms-MM-Status-Code")), "{reading:?}");
        let (_, reading) = corpus("mm7/request-misspellings.http");
        assert!(!reading.tolerated.is_empty(), "{reading:?}");
        assert!(reading.answer.as_deref().unwrap().contains("<StatusCode>1000</StatusCode>"));
    }

    #[test]
    fn what_goes_out_ourselves_needs_no_tolerance() {
        for name in ["standard-6.8.0", "standard-5.3.0", "nokia", "china-mobile", "skt"] {
            let (_, reading) = corpus(&format!("dialects/mm7/{name}.http"));
            assert_eq!(reading.pdu.as_deref(), Some("SubmitReq"), "{name}");
            assert_eq!(reading.parts.len(), 3, "{name}");
            // These write what others have to tolerate.
            let known =
                |line: &str| line.contains("TYPE=PLMN") || name == "china-mobile" && line.contains("54321");
            let odd: Vec<_> = reading.tolerated.iter().filter(|line| !known(line)).collect();
            assert!(odd.is_empty(), "{name}: {odd:?}");
            assert_eq!(value(&reading, "Subject"), Some("Fish & chips"));
        }
        let (_, whole) = corpus("dialects/mm4/standard-6.10.0.eml");
        assert_eq!((whole.fault, whole.pdu.as_deref()), (None, Some("MM4_forward.REQ")));
    }
}
