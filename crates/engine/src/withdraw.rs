//! Taking messages back: what was not handed over ends here.

use mmsgw_domain::{Address, Code, Event, InstanceId, Message, State};
use mmsgw_store::{Batch, Lease, StoreError, Write};

use crate::engine::Engine;
use crate::settle::{Change, MOST_CONFLICTS};

impl Engine {
    /// Ends the TX job of a message whose order was withdrawn: its unsent numbers are cancelled.
    pub(crate) async fn end_withdrawn(
        &self,
        mut message: Message,
        instance: &InstanceId,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let _turn = self.turns.take(message.id).await;
        for _ in 0..MOST_CONFLICTS {
            let finish = Write::Finish(lease.clone());
            let batch = if message.is_unsent() {
                let mut change = Change::new(self, &message);
                change.record(withdrawn(&message, self.now(), Some(instance)));
                change.commit_with(finish)
            } else {
                Batch::new().with(finish)
            };
            match self.store.commit(batch).await {
                Err(StoreError::Conflict(_)) => {}
                other => return other,
            }
            let again = self.store.message(message.id).await?;
            message = again.ok_or_else(|| StoreError::Corrupt(format!("message {} is gone", message.id)))?;
        }
        Err(StoreError::Conflict(format!("message {} changes all the time", message.id)))
    }
}

/// The event with which the unsent numbers of a message end.
pub(crate) fn withdrawn(
    message: &Message,
    now: mmsgw_domain::Timestamp,
    instance: Option<&InstanceId>,
) -> Event {
    let unsent: Vec<Address> = message.unsent().map(|r| r.address.clone()).collect();
    let all = unsent.len() == message.recipients.len();
    Event {
        sequence: 0,
        state: State::Cancelled,
        code: Code::OK,
        description: "withdrawn by the application before it was sent".into(),
        carrier_status: None,
        at: now,
        instance: instance.cloned(),
        destinations: if all { Vec::new() } else { unsent },
    }
}
