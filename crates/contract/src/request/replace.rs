//! Replacing what a message says.

use mmsgw_domain::{TemplateId, Timestamp, Variables};

use super::variables::variables;
use crate::reader::{Context, Object};
use crate::scalar::template_id;
use crate::{Problem, Rules};

/// What `PUT /mmsgw/v1/mms/outbound/<id>` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplaceRequest {
    /// The template whose latest revision takes the place of the content; the message's own where absent.
    pub template: Option<TemplateId>,
    /// The values of its variables; those of the message where absent.
    pub variables: Option<Variables>,
}

impl ReplaceRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read(body: &[u8], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Context::read(body, rules, now, |json, at, context| {
            let mut object = Object::open(json, at, context)?;
            let template = object.optional("template", template_id);
            let variables = object.optional("variables", variables);
            object.finish();
            Some(Self { template, variables })
        })
    }
}
