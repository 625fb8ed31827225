//! How large a message is as the body of an HTTP request, told without encoding its media.

use mmsgw_engine::{Outbound, Scales};
use mmsgw_mm7::{self as mm7, WriteOptions};

use crate::config::Mm7Settings;
use crate::render::{CONTENT_ID, Renderer};
use crate::send::{Unwritable, options};
use crate::translate::Translator;

/// The scales of a gateway with these settings.
pub struct Mm7Scales {
    options: WriteOptions,
    translator: Translator,
    renderer: Renderer,
}

impl Mm7Scales {
    /// Scales by settings that have no faults; no file of theirs is read.
    pub fn new(settings: &Mm7Settings) -> Self {
        let dialect = &settings.dialect;
        let translator = Translator::new(settings);
        Self { options: options(dialect), translator, renderer: Renderer::new(dialect, 0) }
    }

    fn weigh(&self, outbound: &Outbound) -> Result<u64, Unwritable> {
        let content = self.renderer.measure(&outbound.content)?;
        let message = self.translator.submit(outbound, content.is_some().then_some(CONTENT_ID));
        let envelope = mm7::write_envelope(&message, &self.options)?;
        let Some((hollow, octets)) = content else { return Ok(envelope.len() as u64) };
        let boundary = format!("mm7-{}", outbound.content.revision());
        let round = mm7::package(&envelope, &hollow, CONTENT_ID, &boundary)?.content_length();
        Ok(round as u64 + octets)
    }
}

impl Scales for Mm7Scales {
    fn wire_octets(&self, outbound: &Outbound) -> u64 {
        self.weigh(outbound).unwrap_or(0)
    }

    fn media_octets(&self, wire: u64) -> u64 {
        self.renderer.media_octets(wire)
    }
}
