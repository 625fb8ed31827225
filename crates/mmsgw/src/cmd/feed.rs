//! The stream of live events, as pieces of it come in.

/// Server-sent events that are put together from pieces.
#[derive(Debug, Default)]
pub(super) struct Feed {
    buffer: Vec<u8>,
}

/// One event of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// Something happened to a message; as JSON.
    Message(String),
    /// So many events were missed.
    Missed(u64),
}

impl Feed {
    /// The events that a piece completes. Comments, which only show that the stream is there, are left out.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<Fed> {
        self.buffer.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
            events.extend(read(&String::from_utf8_lossy(&event)));
        }
        events
    }
}

fn read(event: &str) -> Option<Fed> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    match (field("event: "), field("data: ")) {
        ("message", data) => Some(Fed::Message(data.to_owned())),
        ("missed", count) => Some(Fed::Missed(count.parse().unwrap_or(0))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_they_came_in() {
        let stream =
            b": listening\n\nevent: message\ndata: {\"state\": \"SENT\"}\n\nevent: missed\ndata: 3\n\n";
        for size in [1, 7, stream.len()] {
            let mut feed = Feed::default();
            let events: Vec<Fed> = stream.chunks(size).flat_map(|piece| feed.take(piece)).collect();
            assert_eq!(events, [Fed::Message("{\"state\": \"SENT\"}".to_owned()), Fed::Missed(3)]);
        }
    }
}
