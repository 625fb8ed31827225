//! Media, and a server that has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

/// Octets that pass for a picture: a JPEG head, then every octet value, lines of dots, bare CR and LF, long runs.
pub(crate) fn picture(size: usize, seed: u32) -> Bytes {
    let mut octets = b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00".to_vec();
    octets.extend(0..=255u8);
    octets.extend_from_slice(b"\r\n.\r\n..\r\nFrom here\n.\n\r\r\r\n--=_boundary--\r\n");
    let mut state = seed | 1;
    while octets.len() < size {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(size.max(2));
    octets.into()
}

/// An HTTP server on loopback that has one medium.
#[derive(Debug)]
pub(crate) struct MediaServer {
    /// Where the medium is.
    pub(crate) url: String,
    fetches: Arc<AtomicUsize>,
    _drain: mmsgw_net::Drain,
}

impl MediaServer {
    pub(crate) fn start(content_type: &'static str, octets: Bytes) -> Self {
        let fetches = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&fetches);
        let give = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let octets = octets.clone();
            async move { ([(CONTENT_TYPE, content_type)], octets) }
        };
        let router = axum::Router::new().route("/medium", axum::routing::get(give));
        let (address, drain) = super::application::serve(router);
        Self { url: format!("http://{address}/medium"), fetches, _drain: drain }
    }

    /// How often the medium was asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}
