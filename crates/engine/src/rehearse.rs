//! The dry run: everything that sending does up to the point where something would be kept.

use std::sync::Arc;

use mmsgw_domain::{Message, MessageId, TemplateId};

use crate::accept::check_times;
use crate::content::{Content, ContentError};
use crate::draft::Submission;
use crate::engine::Engine;
use crate::refusal::{Field, Refusal};

/// What would have been sent.
#[derive(Debug)]
pub struct Rehearsal {
    /// The message; it is kept nowhere.
    pub message: Message,
    /// What it would say, with its variables put in; none where a part cannot be had.
    pub content: Option<Arc<Content>>,
    /// What does not hinder sending now, but looks like a mistake, or will hinder delivery.
    pub warnings: Vec<String>,
}

impl Engine {
    /// Does all that [`Engine::submit`] does, and fetches and renders what it says, but queues nothing. Media that were
    /// fetched stay, as sending would need them.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn rehearse(&self, template: TemplateId, submission: Submission) -> Result<Rehearsal, Refusal> {
        let template = self.template(template).await?;
        let group = self.pick_group(submission.group.as_ref())?;
        check_times(&template.content, self.now())?;
        let id = MessageId::generate(self.now());
        let (message, _) = self.make_message(&template, &group, submission, id)?;
        if let Some(unfit) = self.check_fit(&template, &message).await? {
            return Err(Refusal::Unfit { part: None, unfit });
        }
        let mut warnings = Vec::new();
        let personal = self.personal(&template);
        let used = personal.ok().flatten().map(|personal| personal.names()).unwrap_or_default();
        let unused = message.variables.keys().filter(|name| !used.contains(*name));
        warnings.extend(unused.map(|name| format!("the template has no variable `{name}`")));
        let content = match self.content(template.revision).await {
            Ok(content) => Some(content),
            Err(ContentError::Store(error)) => return Err(error.into()),
            Err(error) => {
                warnings.push(format!("{error}; if that stays so the message will fail"));
                None
            }
        };
        let content = content.map(|content| self.personalised(&message, content)).transpose();
        let content = content.map_err(|error| Refusal::invalid(Field::Variables, error.to_string()))?;
        Ok(Rehearsal { message, content, warnings })
    }
}
