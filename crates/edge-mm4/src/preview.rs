//! What would go out, without sending it.

use mmsgw_domain::Address;
use mmsgw_engine::{Delivery, Outbound};

use crate::send::Mm4Gateway;

/// A mail as it would go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Its numbers.
    pub recipients: Vec<Address>,
    /// MAIL FROM, without angle brackets.
    pub mail_from: String,
    /// RCPT TO, without angle brackets.
    pub rcpt_to: Vec<String>,
    /// The mail, before dots are doubled for DATA.
    pub mail: Vec<u8>,
}

impl Mm4Gateway {
    /// What [`Gateway::send`](mmsgw_engine::Gateway::send) would hand over, octet for octet, without doing so.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub async fn preview(&self, outbound: &Outbound) -> Result<Vec<Preview>, String> {
        let body = self.renderings.body(&outbound.content).await.map_err(|error| error.to_string())?;
        let mut previews = Vec::new();
        for batch in self.translator.batches(outbound) {
            let mail = self.mail(outbound, &body, &batch).map_err(|delivery| match delivery {
                Delivery::Fail { answer } => answer.description,
                other => format!("{other:?}"),
            })?;
            previews.push(Preview {
                recipients: batch.recipients.iter().map(|recipient| recipient.address.clone()).collect(),
                mail_from: mail.envelope.mail_from,
                rcpt_to: mail.envelope.rcpt_to,
                mail: [&mail.head[..], &body.plain()[..]].concat(),
            });
        }
        Ok(previews)
    }
}
