//! Names of keys. What changes together has the same hash tag, the part in braces, by which a Cluster tells where a
//! key lives: `{group/0}` for all of a group, `{:meta/n}` for templates, parts and blobs, which are of no group.
//! A group's name has neither colon nor slash, so that names never meet.

use mmsgw_domain::{Digest, GroupName, MessageId, PartId, RevisionId, TemplateId};
use mmsgw_store::{Reference, ReferenceKind};

/// The key layout under a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    prefix: String,
}

impl Layout {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Where all of a group is. Its queues, jobs and the like are kept under names that begin so. The number is for
    /// groups that are split one day.
    pub(crate) fn group(&self, group: &GroupName) -> String {
        format!("{}:{{{group}/0}}", self.prefix)
    }

    pub(crate) fn message(&self, group: &GroupName, id: MessageId) -> String {
        format!("{}:m:{id}", self.group(group))
    }

    /// The ids of a group's messages, in order.
    pub(crate) fn ids(&self, group: &GroupName) -> String {
        format!("{}:ids", self.group(group))
    }

    pub(crate) fn reference(&self, reference: &Reference) -> String {
        let kind = match reference.kind {
            ReferenceKind::Outbound => "o",
            ReferenceKind::Inbound => "i",
        };
        format!("{}:{kind}:{}", self.group(&reference.group), reference.value)
    }

    /// Where records without a group are whose id ends (or whose digest begins) with that octet.
    pub(crate) fn meta(&self, octet: u8) -> String {
        format!("{}:{{:meta/{}}}", self.prefix, usize::from(octet) % METAS)
    }

    /// All places of records without a group.
    pub(crate) fn metas(&self) -> impl Iterator<Item = String> {
        (0_u8..).take(METAS).map(|octet| self.meta(octet))
    }

    /// Which revision of a template is the latest.
    pub(crate) fn template(&self, id: TemplateId) -> (String, String) {
        self.of(*id.as_bytes(), |meta| format!("{meta}:t:{id}"))
    }

    pub(crate) fn revision(&self, id: RevisionId) -> (String, String) {
        self.of(*id.as_bytes(), |meta| format!("{meta}:r:{id}"))
    }

    pub(crate) fn part(&self, id: PartId) -> (String, String) {
        self.of(*id.as_bytes(), |meta| format!("{meta}:p:{id}"))
    }

    /// The index of claims that a blob is in.
    pub(crate) fn blobs(&self, digest: &Digest) -> (String, String) {
        let meta = self.meta(digest.as_bytes()[0]);
        let key = format!("{meta}:blobs");
        (meta, key)
    }

    /// Where a small record or a tally is: with its group, or by its owner.
    pub(crate) fn owned(&self, group: Option<&GroupName>, owner: &str) -> String {
        let octet = owner.bytes().fold(0_u8, |sum, octet| sum.wrapping_mul(31).wrapping_add(octet));
        group.map_or_else(|| self.meta(octet), |group| self.group(group))
    }

    /// All instances.
    pub(crate) fn instances(&self) -> String {
        format!("{}:{{:instances}}", self.prefix)
    }

    /// The names of all groups there are.
    pub(crate) fn groups(&self) -> String {
        format!("{}:{{:groups}}", self.prefix)
    }

    /// Where a server keeps everything in one place.
    pub(crate) fn everything(&self) -> String {
        format!("{}:{{:all}}", self.prefix)
    }

    /// The channel on which queues ring.
    pub(crate) fn rings(&self) -> String {
        format!("{}:rings", self.prefix)
    }

    /// The queue that a ring names, as group and kind.
    pub(crate) fn rung<'a>(&self, ring: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = ring.strip_prefix(&self.prefix)?.strip_prefix(":{")?;
        rest.split_once("/0}:")
    }

    /// The place and the key of a record by the last octet of its id.
    fn of(&self, id: [u8; 16], key: impl FnOnce(&str) -> String) -> (String, String) {
        let meta = self.meta(id[15]);
        let key = key(&meta);
        (meta, key)
    }
}

/// Places for records without a group: enough that a Cluster of some dozen nodes shares them out.
const METAS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use mmsgw_domain::Id;

    #[test]
    fn what_changes_together_has_the_same_hash_tag() {
        let layout = Layout::new("mmsgw");
        let group: GroupName = "a.b".parse().unwrap();
        let reference =
            Reference { group: group.clone(), kind: ReferenceKind::Outbound, value: "{x}".to_owned() };
        let keys = [
            layout.message(&group, Id::generate(mmsgw_domain::Timestamp::from_secs(1))),
            layout.reference(&reference),
            layout.ids(&group),
        ];
        assert!(keys.iter().all(|key| key.starts_with("mmsgw:{a.b/0}:")), "{keys:?}");
        assert_eq!(layout.rung("mmsgw:{a.b/0}:tx"), Some(("a.b", "tx")));
        assert_eq!(layout.rung("other:{a.b/0}:tx"), None);
    }
}
