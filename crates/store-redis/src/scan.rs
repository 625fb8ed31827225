//! Looking through messages: each group has the ids of its messages in order; what they lead to is read here, and
//! judged here.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use mmsgw_domain::{GroupName, Message, MessageId};
use mmsgw_store::{Scan, Scanned, StoreError};

use crate::RedisStore;
use crate::call::{Answer, Call};
use crate::record;

impl RedisStore {
    /// Looks at a slice of the messages: of all groups together the newest ones.
    pub(crate) async fn look_through(&self, scan: &Scan) -> Result<Scanned, StoreError> {
        let groups = match &scan.group {
            Some(group) => vec![group.clone()],
            None => self.all_groups().await?,
        };
        let slice = scan.effort.clamp(1, SLICE);
        let ids = try_join_all(groups.iter().map(|group| self.ids_of(group, scan, slice))).await?;
        let mut ids: Vec<(MessageId, &GroupName)> = ids
            .into_iter()
            .zip(&groups)
            .flat_map(|(ids, group)| ids.into_iter().map(move |id| (id, group)))
            .collect();
        ids.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        ids.truncate(slice);
        let mut scanned = Scanned::default();
        for some in ids.chunks(AT_ONCE) {
            let mut found = self.messages_at(some).await?;
            for (id, _) in some {
                if scanned.note(scan, *id, found.remove(id)) {
                    return Ok(scanned);
                }
            }
        }
        if ids.len() < slice {
            scanned.next = None;
        }
        Ok(scanned)
    }

    /// The newest ids of a group within the bounds of a scan.
    async fn ids_of(
        &self,
        group: &GroupName,
        scan: &Scan,
        most: usize,
    ) -> Result<Vec<MessageId>, StoreError> {
        let key = self.messages.layout.ids(group);
        let bound = |sign: u8, id: MessageId| [&[sign], &id.as_bytes()[..]].concat();
        let words = vec![
            b"ZREVRANGEBYLEX".to_vec(),
            key.clone().into_bytes(),
            scan.before.map_or_else(|| b"+".to_vec(), |before| bound(b'(', before)),
            bound(b'[', MessageId::first_at(scan.since)),
            b"LIMIT".to_vec(),
            b"0".to_vec(),
            most.to_string().into_bytes(),
        ];
        let ids = self.messages.link.ask(&key, Call::Plain(words)).await?.list()?;
        ids.into_iter().map(Answer::id).collect()
    }

    /// The messages that are there, by id, in a call for each group. One that cannot be read is reported to the log and
    /// left out.
    async fn messages_at(
        &self,
        ids: &[(MessageId, &GroupName)],
    ) -> Result<HashMap<MessageId, Message>, StoreError> {
        let mut groups: HashMap<&GroupName, Vec<MessageId>> = HashMap::new();
        for (id, group) in ids {
            groups.entry(group).or_default().push(*id);
        }
        let found = try_join_all(groups.into_iter().map(|(group, ids)| self.messages_of(group, ids))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn messages_of(
        &self,
        group: &GroupName,
        ids: Vec<MessageId>,
    ) -> Result<Vec<(MessageId, Message)>, StoreError> {
        let keys = ids.iter().map(|id| self.messages.layout.message(group, *id).into_bytes());
        let words = std::iter::once(b"MGET".to_vec()).chain(keys).collect();
        let place = self.messages.layout.group(group);
        let answers = self.messages.link.ask(&place, Call::Plain(words)).await?.list()?;
        let now = self.clock.now();
        let mut messages = Vec::with_capacity(ids.len());
        for (id, answer) in ids.into_iter().zip(answers) {
            let Some(octets) = answer.octets()? else { continue };
            match record::read_message(&octets, now) {
                Ok(message) => messages.extend(message.map(|message| (id, message))),
                Err(error) => tracing::error!(%error, message = %id, "a message cannot be read"),
            }
        }
        Ok(messages)
    }
}

/// Messages looked at in one scan.
const SLICE: usize = 500;
/// Messages read at once: a message to very many numbers is large.
const AT_ONCE: usize = 50;
