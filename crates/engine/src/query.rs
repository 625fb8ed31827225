//! Doors for those who only look.

use mmsgw_domain::{JobId, Message, MessageId, Part, PartId, RevisionId, Template, TemplateId};
use mmsgw_store::{DeadJob, QueueStatus};

use crate::engine::Engine;
use crate::refusal::Refusal;

impl Engine {
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

    /// Octets of media by digest; `None` where they are not there.
    pub async fn media(&self, digest: &mmsgw_domain::Digest) -> Result<Option<bytes::Bytes>, Refusal> {
        Ok(self.blobs.get(digest).await?)
    }
}
