//! How large a message is as a mail, told without encoding its media.

use mmsgw_engine::{Outbound, Scales};

use crate::config::{ContentLayout, Mm4Settings};
use crate::render;
use crate::translate::Translator;

/// The scales of a gateway with these settings.
pub struct Mm4Scales(Translator, ContentLayout);

impl Mm4Scales {
    /// Scales by settings that have no faults; no file of theirs is read.
    pub fn new(settings: &Mm4Settings) -> Self {
        Self(Translator::new(settings), settings.dialect.content_layout)
    }
}

impl Scales for Mm4Scales {
    fn wire_octets(&self, outbound: &Outbound) -> u64 {
        let Ok((entity, octets)) = render::measure(&outbound.content, self.1) else { return 0 };
        // The heads differ by the number of the batch in their ids at most.
        let batches = self.0.batches(outbound);
        let head = batches
            .last()
            .and_then(|batch| self.0.request(outbound, batch).write_head(&entity, &self.0.options).ok());
        octets + head.map_or(0, |head| head.len() as u64)
    }

    /// Base64 in lines of 76 columns: 57 octets in 78.
    fn media_octets(&self, wire: u64) -> u64 {
        wire / 78 * 57
    }
}
