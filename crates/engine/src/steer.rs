//! Doors for operators: a group's way to its carrier is closed and opened.

use mmsgw_domain::{GroupName, QueueKind};
use mmsgw_store::{Batch, Pause, Write};

use crate::engine::Engine;
use crate::refusal::Refusal;

impl Engine {
    /// Hands nothing more of a group to its carrier, in any process, until [`Engine::resume`]. What is under way
    /// goes on; messages are accepted and reports are taken as ever.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where this process does not know the group.
    pub async fn pause(&self, group: &GroupName, by: &str, reason: &str) -> Result<(), Refusal> {
        let pause = Pause { reason: reason.to_owned(), by: by.to_owned(), since: self.now() };
        tracing::warn!(gateway.group = %group, by, reason, "paused");
        self.set_pause(group, Some(pause)).await
    }

    /// Goes on after [`Engine::pause`]. A group that is not paused stays so.
    ///
    /// # Errors
    /// As there.
    pub async fn resume(&self, group: &GroupName, by: &str, reason: &str) -> Result<(), Refusal> {
        tracing::warn!(gateway.group = %group, by, reason, "goes on");
        self.set_pause(group, None).await
    }

    async fn set_pause(&self, group: &GroupName, pause: Option<Pause>) -> Result<(), Refusal> {
        let group = self.group(group).ok_or(Refusal::Unknown("gateway group"))?;
        let mut batch = Batch::new();
        for kind in [QueueKind::Tx, QueueKind::Ev] {
            batch.push(Write::Pause { queue: group.queue(kind), pause: pause.clone() });
        }
        Ok(self.commit(batch).await?)
    }
}
