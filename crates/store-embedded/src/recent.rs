//! Records that were written lately, in memory as they stand on disk: what is read soon after it was written, as
//! nearly all messages are, costs neither a look into the database nor a parse.
//!
//! One process owns the store, so this can be right: only the writer thread puts records here, when they are durable
//! and before their writer is told, so that whoever heard of a change reads it. A record that is not here is on disk.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use mmsgw_domain::{Message, MessageId, Template, TemplateId, Timestamp};
use mmsgw_store::Write;
use parking_lot::Mutex;

use crate::commit::Encoded;

/// Messages and latest revisions of templates.
pub(crate) struct Recent {
    messages: Shelf<MessageId, Message>,
    templates: Shelf<TemplateId, Template>,
}

impl Recent {
    /// Room for so many octets of records.
    pub(crate) fn new(octets: usize) -> Self {
        Self { messages: Shelf::new(octets / 4 * 3), templates: Shelf::new(octets / 4) }
    }

    /// A message. The inner `None` says that its time is over.
    pub(crate) fn message(&self, id: MessageId, now: Timestamp) -> Option<Option<Message>> {
        self.messages.look(&id, |m| m.expires.is_none_or(|expires| expires > now))
    }

    /// The latest revision of a template. The inner `None` says that its time is over.
    pub(crate) fn template(&self, id: TemplateId, now: Timestamp) -> Option<Option<Template>> {
        self.templates.look(&id, |template| template.expires > now)
    }

    /// Takes over what a durable batch wrote.
    pub(crate) fn take_over(&self, encoded: Encoded) {
        for (write, record) in encoded.into_parts() {
            match write {
                // A line of a batch is read when its turn comes, behind very many others: it would only push out what
                // is read soon.
                Write::NewMessage(message) if message.batch.is_some() => {}
                Write::NewMessage(message)
                | Write::ChangedMessage(message)
                | Write::MovedMessage { message, .. } => {
                    self.messages.put(message.id, message, record);
                }
                Write::Template { template, .. } => self.templates.put(template.id, template, record),
                // It may concern a revision that is not the latest one.
                Write::Revision(template) => self.templates.remove(&template.id),
                Write::ForgetTemplate(id) => self.templates.remove(&id),
                _ => {}
            }
        }
    }
}

/// Records by id, up to a weight; those written longest ago go first.
struct Shelf<K, V> {
    limit: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    slots: HashMap<K, Slot<V>>,
    /// Ids in the order in which they were put; one that was put again has an older entry that says nothing.
    order: VecDeque<(K, u64)>,
    weight: usize,
    puts: u64,
}

struct Slot<V> {
    value: V,
    weight: usize,
    put: u64,
}

impl<K: Hash + Eq + Copy, V: Clone> Shelf<K, V> {
    fn new(limit: usize) -> Self {
        let inner = Inner { slots: HashMap::new(), order: VecDeque::new(), weight: 0, puts: 0 };
        Self { limit, inner: Mutex::new(inner) }
    }

    fn look(&self, id: &K, is_live: impl FnOnce(&V) -> bool) -> Option<Option<V>> {
        let inner = self.inner.lock();
        let slot = inner.slots.get(id)?;
        Some(is_live(&slot.value).then(|| slot.value.clone()))
    }

    /// Puts a record whose written form has `octets`.
    fn put(&self, id: K, value: V, octets: usize) {
        let weight = octets * FOLD + SLOT;
        let mut inner = self.inner.lock();
        inner.puts += 1;
        let put = inner.puts;
        let before = inner.slots.insert(id, Slot { value, weight, put });
        inner.weight = inner.weight + weight - before.map_or(0, |slot| slot.weight);
        inner.order.push_back((id, put));
        while inner.weight > self.limit || inner.order.len() > 2 * inner.slots.len() + SPARE {
            let Some((id, put)) = inner.order.pop_front() else { break };
            if inner.slots.get(&id).is_some_and(|slot| slot.put == put) {
                inner.remove(&id);
            }
        }
    }

    fn remove(&self, id: &K) {
        self.inner.lock().remove(id);
    }
}

impl<K: Hash + Eq, V> Inner<K, V> {
    fn remove(&mut self, id: &K) {
        self.weight -= self.slots.remove(id).map_or(0, |slot| slot.weight);
    }
}

/// A record takes about so many times its written form.
const FOLD: usize = 2;
/// What a slot costs beside its record.
const SLOT: usize = 128;
/// Outdated entries of the order that are put up with in an empty shelf.
const SPARE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_it_was_put_last_and_the_oldest_give_way() {
        let shelf: Shelf<u32, u32> = Shelf::new(4 * (10 * FOLD + SLOT));
        for id in 0..4 {
            shelf.put(id, id, 10);
        }
        shelf.put(0, 100, 10);
        shelf.put(4, 4, 10);
        let found: Vec<_> = (0..5).map(|id| shelf.look(&id, |_| true)).collect();
        assert_eq!(found, [Some(Some(100)), None, Some(Some(2)), Some(Some(3)), Some(Some(4))]);
        assert_eq!(shelf.look(&2, |_| false), Some(None), "its time is over");
        shelf.remove(&2);
        assert_eq!(shelf.look(&2, |_| true), None);
        shelf.put(9, 9, 10_000);
        assert_eq!(shelf.look(&9, |_| true), None, "larger than the shelf");
        assert_eq!(shelf.inner.lock().weight, 0);
    }

    #[test]
    fn memory_is_bounded_whatever_is_put_again_and_again() {
        let shelf: Shelf<u32, u32> = Shelf::new(1 << 20);
        for round in 0..10_000 {
            shelf.put(round % 3, round, 10);
        }
        assert!(shelf.inner.lock().order.len() <= SPARE + 6);
        assert_eq!(shelf.look(&0, |_| true), Some(Some(9_999)));
    }
}
