//! Doors for those who only look.

use std::collections::BTreeSet;

use mmsgw_domain::{
    GroupName, GroupStatus, JobId, Message, MessageId, Part, PartId, RevisionId, Template, TemplateId,
};
use mmsgw_store::{DeadJob, QueueStatus, Reference, ReferenceKind};

use crate::engine::Engine;
use crate::refusal::Refusal;

impl Engine {
    /// Every group that this process knows or that has an instance, by name.
    pub async fn overview(&self) -> Result<Vec<GroupStatus>, Refusal> {
        let mut instances = self.instances().await?;
        let mut queues = self.queues().await?;
        queues.sort_by(|a, b| a.queue.cmp(&b.queue));
        let known = self.groups();
        let of_instances = instances.iter().filter_map(|known| known.record.group.clone());
        let names: BTreeSet<GroupName> =
            known.iter().map(|group| group.settings.name.clone()).chain(of_instances).collect();
        let all = names.into_iter().map(|name| {
            let group = known.iter().find(|group| group.settings.name == name);
            GroupStatus {
                settings: group.map(|group| group.settings.clone()),
                counts: group.map(|group| group.counts()),
                queues: queues.extract_if(.., |status| status.queue.group == name).collect(),
                instances: instances.extract_if(.., |i| i.record.group.as_ref() == Some(&name)).collect(),
                name,
            }
        });
        Ok(all.collect())
    }

    /// A message with the revision of the template that it was made from.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such message.
    pub async fn message(&self, id: MessageId) -> Result<(Message, Template), Refusal> {
        let message = self.store.message(id).await?.ok_or(Refusal::Unknown("message"))?;
        let template = self.revision(message.revision).await?;
        Ok((message, template))
    }

    /// The latest revision of a template.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such template.
    pub async fn template(&self, id: TemplateId) -> Result<Template, Refusal> {
        self.store.template(id).await?.ok_or(Refusal::Unknown("template"))
    }

    /// A part that was created on its own.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such part.
    pub async fn part(&self, id: PartId) -> Result<Part, Refusal> {
        self.store.part(id).await?.ok_or(Refusal::Unknown("part"))
    }

    pub(crate) async fn revision(&self, id: RevisionId) -> Result<Template, Refusal> {
        self.store.revision(id).await?.ok_or(Refusal::Unknown("revision of the template"))
    }

    /// What an operator should know about that which keeps the data, a sentence each.
    pub async fn warnings(&self) -> Result<Vec<String>, Refusal> {
        Ok(self.registry.warnings().await?)
    }

    /// What waits where.
    pub async fn queues(&self) -> Result<Vec<QueueStatus>, Refusal> {
        Ok(self.store.queues().await?)
    }

    /// Jobs of a queue that were given up, oldest first, from after the id `after`.
    pub async fn dead(
        &self,
        queue: &mmsgw_domain::Queue,
        after: Option<JobId>,
        max: usize,
    ) -> Result<Vec<DeadJob>, Refusal> {
        Ok(self.store.dead(queue, after, max).await?)
    }

    /// A job that was given up, whatever its queue.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such job.
    pub async fn dead_job(&self, id: JobId) -> Result<DeadJob, Refusal> {
        for status in self.store.queues().await?.into_iter().filter(|status| status.dead > 0) {
            let first = self.store.dead(&status.queue, id.before(), 1).await?.into_iter().next();
            if let Some(found) = first.filter(|dead| dead.id == id) {
                return Ok(found);
            }
        }
        Err(Refusal::Unknown("dead job"))
    }

    /// The messages that a carrier's id names, in whatever group and direction; more than one where carriers
    /// happen to give the same id.
    pub async fn messages_of(&self, peer_ref: &str) -> Result<Vec<MessageId>, Refusal> {
        let mut found = Vec::new();
        for group in self.groups.all() {
            for kind in [ReferenceKind::Outbound, ReferenceKind::Inbound] {
                let (group, value) = (group.settings.name.clone(), peer_ref.to_owned());
                found.extend(self.store.find(&Reference { group, kind, value }).await?);
            }
        }
        Ok(found)
    }

    /// Octets of media by digest; `None` where they are not there.
    pub async fn media(&self, digest: &mmsgw_domain::Digest) -> Result<Option<bytes::Bytes>, Refusal> {
        Ok(self.blobs.get(digest).await?)
    }
}
