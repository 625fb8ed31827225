//! How large a message is as the body of an HTTP request, told without encoding its media.

use mmsgw_engine::{Outbound, Scales};
use mmsgw_mm7::{self as mm7, Charset, WriteOptions};

use crate::config::Mm7Settings;
use crate::render::Renderer;
use crate::send::{Unwritable, enclose, options};
use crate::translate::Translator;

/// The scales of a gateway with these settings.
pub struct Mm7Scales {
    options: WriteOptions,
    charset: Charset,
    translator: Translator,
    renderer: Renderer,
}

impl Mm7Scales {
    /// Scales by settings that have no faults; no file of theirs is read but that of a password which stands in
    /// each request.
    pub fn new(settings: &Mm7Settings) -> Self {
        let dialect = &settings.dialect;
        let translator = Translator::new(settings).stating(settings.stated_vaspid().unwrap_or_default());
        let (options, charset) = (options(dialect), dialect.charset());
        Self { options, charset, translator, renderer: Renderer::new(dialect, 0) }
    }

    fn weigh(&self, outbound: &Outbound) -> Result<u64, Unwritable> {
        let content = self.renderer.measure(&outbound.content)?;
        let content_id = content.as_ref().map(|(hollow, _)| hollow.content_id.as_str());
        let to = (outbound.recipients.as_slice(), outbound.transaction_id.as_str());
        let message = self.translator.submit(outbound, to, content_id);
        let envelope = self.charset.encode(mm7::write_envelope(&message, &self.options)?);
        let Some((hollow, octets)) = content else { return Ok(envelope.len() as u64) };
        let round = enclose((&envelope, self.charset), &hollow, &outbound.content)?.content_length();
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
