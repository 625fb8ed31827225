//! The doors for applications: templates, parts and messages. What they answer is durable.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{
    BlobRef, Code, Direction, Event, GroupName, Job, JobId, Message, MessageId, Part, PartContent, PartId,
    Priority, QueueKind, Recipient, RecipientKind, RevisionId, State, Template, TemplateContent, TemplateId,
    Timestamp, TransmitJob,
};
use mmsgw_store::{Batch, Lane, NewJob, Write};

use crate::draft::{DraftContent, PartDraft, Submission, TemplateChange, TemplateDraft};
use crate::engine::{CLAIM_SLACK, Engine};
use crate::fit::{is_smil, warn_of_unshown};
use crate::group::{Group, count};
use crate::idempotency::{Claim, KeptResult};
use crate::personal::is_personal;
use crate::refusal::{Field, Refusal};

/// A template that is not in the store yet.
struct Drafted {
    template: Template,
    /// What puts it there.
    batch: Batch,
    /// Names of its parts in the order of the request.
    order: Vec<String>,
}

impl Engine {
    /// Creates a template.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] where a part or a time is not acceptable.
    pub async fn create_template(&self, draft: TemplateDraft) -> Result<Template, Refusal> {
        self.create_template_once(draft, None).await
    }

    /// The same, once for each claim.
    ///
    /// # Errors
    /// As [`Engine::create_template`]; [`Refusal::Conflict`] where another took the claim over.
    pub async fn create_template_once(
        &self,
        draft: TemplateDraft,
        claim: Option<&Claim>,
    ) -> Result<Template, Refusal> {
        let id = claim.map_or_else(|| TemplateId::generate(self.now()), Claim::id);
        let Drafted { template, mut batch, .. } = self.draft_template(draft, id).await?;
        if let Some(claim) = claim {
            batch.push(Write::KeepRevision { id: template.revision, until: claim.until() });
            batch.push(claim.closed(KeptResult::Template(template.revision)));
        }
        self.commit(batch).await?;
        Ok(template)
    }

    /// Changes a template: makes a new revision. Messages keep the one they were made with.
    ///
    /// # Errors
    /// As [`Engine::create_template`]; [`Refusal::Conflict`] where another change came between.
    pub async fn change_template(&self, id: TemplateId, change: TemplateChange) -> Result<Template, Refusal> {
        let mut template = self.template(id).await?;
        let (before, now) = (template.revision, self.now());
        (change.set)(&mut template.content);
        check_times(&template.content, now)?;
        if change.clear_parts {
            template.content.parts.clear();
        }
        let mut batch = Batch::new();
        let appended = self.make_parts(change.parts, &mut batch).await?;
        self.check_personal(template.content.subject.as_deref(), &appended)?;
        let kept = template.content.parts.len();
        template.content.parts.extend(appended);
        self.arrange(&mut template.content.parts, kept)?;
        template.content.personal = is_personal(&template.content);
        self.finish_template(&mut template, Some(before), batch).await
    }

    async fn finish_template(
        &self,
        template: &mut Template,
        replaces: Option<RevisionId>,
        mut batch: Batch,
    ) -> Result<Template, Refusal> {
        template.revision = RevisionId::generate(self.now());
        template.expires = self.template_end(&template.content);
        self.claim_blobs(template, self.keep_until(template.expires), &mut batch);
        batch.push(Write::Template { template: template.clone(), replaces });
        warn_of_unshown(template);
        self.commit(batch).await?;
        Ok(template.clone())
    }

    /// Makes a template unknown to applications. What queued messages need of it stays.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such template.
    pub async fn forget_template(&self, id: TemplateId) -> Result<(), Refusal> {
        self.template(id).await?;
        Ok(self.commit(Batch::new().with(Write::ForgetTemplate(id))).await?)
    }

    /// Creates a part on its own.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] where it is not acceptable.
    pub async fn create_part(&self, draft: PartDraft) -> Result<Part, Refusal> {
        self.create_part_once(draft, None).await
    }

    /// The same, once for each claim.
    ///
    /// # Errors
    /// As [`Engine::create_part`]; [`Refusal::Conflict`] where another took the claim over.
    pub async fn create_part_once(&self, draft: PartDraft, claim: Option<&Claim>) -> Result<Part, Refusal> {
        let mut batch = Batch::new();
        let mut part = self.make_part(0, draft, &mut batch).await?;
        let expires = self.now().after(self.settings.template_ttl);
        if let Some(claim) = claim {
            part.id = claim.id();
            batch.push(claim.closed_until(KeptResult::Part, expires));
        }
        batch.push(Write::Part { part: part.clone(), expires });
        self.commit(batch).await?;
        Ok(part)
    }

    /// Queues a message made from the latest revision of a template.
    ///
    /// # Errors
    /// [`Refusal`] in all its forms.
    pub async fn submit(
        &self,
        template: TemplateId,
        submission: Submission,
    ) -> Result<(Message, Template), Refusal> {
        self.submit_once(template, submission, None).await
    }

    /// The same, once for each claim.
    ///
    /// # Errors
    /// As [`Engine::submit`]; [`Refusal::Conflict`] where another took the claim over.
    pub async fn submit_once(
        &self,
        template: TemplateId,
        submission: Submission,
        claim: Option<&Claim>,
    ) -> Result<(Message, Template), Refusal> {
        let template = self.template(template).await?;
        let message = self.queue_message(&template, submission, claim, (Batch::new(), &[])).await?;
        Ok((message, template))
    }

    /// Creates a template and queues a message made from it, in one step.
    ///
    /// # Errors
    /// As [`Engine::create_template`] and [`Engine::submit`].
    pub async fn submit_new(
        &self,
        draft: TemplateDraft,
        submission: Submission,
    ) -> Result<(Message, Template), Refusal> {
        self.submit_new_once(draft, submission, None).await
    }

    /// The same, once for each claim.
    ///
    /// # Errors
    /// As [`Engine::submit_new`]; [`Refusal::Conflict`] where another took the claim over.
    pub async fn submit_new_once(
        &self,
        draft: TemplateDraft,
        submission: Submission,
        claim: Option<&Claim>,
    ) -> Result<(Message, Template), Refusal> {
        let drafted = self.draft_template(draft, TemplateId::generate(self.now())).await?;
        let Drafted { template, batch, order } = drafted;
        let message = self.queue_message(&template, submission, claim, (batch, &order)).await?;
        Ok((message, template))
    }

    /// Makes a message and commits it with what `batch` holds already; `order` has the names of the request's parts.
    async fn queue_message(
        &self,
        template: &Template,
        submission: Submission,
        claim: Option<&Claim>,
        (batch, order): (Batch, &[String]),
    ) -> Result<Message, Refusal> {
        let id = claim.map_or_else(|| MessageId::generate(self.now()), Claim::id);
        let (message, mut batch) = self.draft_message(template, submission, id, batch)?;
        if let Some(unfit) = self.check_fit(template, &message).await? {
            let part = unfit.part().and_then(|name| order.iter().position(|given| given == name));
            return Err(Refusal::Unfit { part, unfit });
        }
        if let Some(claim) = claim {
            batch.push(Write::KeepRevision { id: template.revision, until: claim.until() });
            batch.push(claim.closed(KeptResult::Message(Box::new(message.clone()))));
        }
        self.commit_message(&message, batch).await?;
        self.note_claim(template, &message);
        Ok(message)
    }

    async fn draft_template(&self, draft: TemplateDraft, id: TemplateId) -> Result<Drafted, Refusal> {
        let now = self.now();
        check_times(&draft.content, now)?;
        let mut batch = Batch::new();
        let mut content = draft.content;
        content.parts = self.make_parts(draft.parts, &mut batch).await?;
        self.check_personal(content.subject.as_deref(), &content.parts)?;
        let order = content.parts.iter().map(|part| part.name.clone()).collect();
        self.arrange(&mut content.parts, 0)?;
        content.personal = is_personal(&content);
        let revision = RevisionId::generate(now);
        let template = Template { id, revision, created: now, expires: self.template_end(&content), content };
        self.claim_blobs(&template, self.keep_until(template.expires), &mut batch);
        batch.push(Write::Template { template: template.clone(), replaces: None });
        warn_of_unshown(&template);
        Ok(Drafted { template, batch, order })
    }

    /// When a template may be forgotten: not before the last moment at which it may be delivered.
    fn template_end(&self, content: &TemplateContent) -> Timestamp {
        let usual = self.now().after(self.settings.template_ttl);
        usual.max(content.latest_delivery.unwrap_or(usual)).max(content.earliest_delivery.unwrap_or(usual))
    }

    async fn make_parts(&self, drafts: Vec<PartDraft>, batch: &mut Batch) -> Result<Vec<Part>, Refusal> {
        if drafts.len() > self.settings.max_parts {
            return Err(self.too_many_parts());
        }
        let mut parts = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.into_iter().enumerate() {
            parts.push(self.make_part(index, draft, batch).await?);
        }
        Ok(parts)
    }

    fn too_many_parts(&self) -> Refusal {
        let why = format!("a template has at most {} parts", self.settings.max_parts);
        Refusal::invalid(Field::Parts, why)
    }

    async fn make_part(&self, index: usize, draft: PartDraft, batch: &mut Batch) -> Result<Part, Refusal> {
        let (name, content_type, content) = match draft {
            PartDraft::Existing(id) => {
                let gone = || Refusal::invalid(Field::Part(index), format!("there is no part `{id}`"));
                return self.store.part(id).await?.ok_or_else(gone);
            }
            PartDraft::New { name, content_type, content } => (name, content_type, content),
        };
        let content = match content {
            DraftContent::Text(text) => {
                self.check_size(index, text.len())?;
                PartContent::Text(text)
            }
            DraftContent::Octets(octets) => {
                self.check_size(index, octets.len())?;
                PartContent::Blob(self.keep_octets(octets, batch).await?)
            }
            DraftContent::Url(url) => {
                self.fetcher.check(&url).map_err(|error| Refusal::url(index, &error))?;
                PartContent::Url(url)
            }
        };
        Ok(Part { id: PartId::generate(self.now()), name, content_type, content })
    }

    fn check_size(&self, index: usize, octets: usize) -> Result<(), Refusal> {
        let most = self.settings.max_part_octets;
        let why = || format!("the part has {octets} octets, at most {most} are taken");
        if octets > most { Err(Refusal::invalid(Field::Part(index), why())) } else { Ok(()) }
    }

    async fn keep_octets(&self, octets: Bytes, batch: &mut Batch) -> Result<BlobRef, Refusal> {
        let size = octets.len() as u64;
        let digest = self.blobs.put(octets).await?;
        let until = self.keep_until(self.now().after(self.settings.template_ttl));
        batch.push(Write::KeepBlob { digest, until });
        Ok(BlobRef { digest, size, source: None })
    }

    /// SMIL goes first; names are told apart, because SMIL refers to them. The first `kept` parts were
    /// there before the request, so that a fault is counted from after them.
    fn arrange(&self, parts: &mut [Part], kept: usize) -> Result<(), Refusal> {
        if parts.len() > self.settings.max_parts {
            return Err(self.too_many_parts());
        }
        let mut names = HashSet::new();
        if let Some(twice) = parts.iter().position(|part| !names.insert(part.name.as_str())) {
            let why = format!("two parts are named `{}`", parts[twice].name);
            return Err(Refusal::invalid(Field::Part(twice.saturating_sub(kept)), why));
        }
        parts.sort_by_key(|part| !is_smil(part));
        Ok(())
    }

    pub(crate) fn claim_blobs(&self, template: &Template, until: Timestamp, batch: &mut Batch) {
        for part in &template.content.parts {
            if let PartContent::Blob(blob) = &part.content {
                batch.push(Write::KeepBlob { digest: blob.digest, until });
            }
        }
    }

    fn draft_message(
        &self,
        template: &Template,
        submission: Submission,
        id: MessageId,
        mut batch: Batch,
    ) -> Result<(Message, Batch), Refusal> {
        let group = self.pick_group(submission.group.as_ref())?;
        check_times(&template.content, self.now())?;
        let (message, scheduled) = self.make_message(template, &group, submission, id)?;
        self.claim_revision(template, &message, &mut batch);
        self.queue_callbacks(&message, &scheduled, &mut batch);
        batch.push(transmission(&group, &message, (message.created, begin(template, &message))));
        batch.push(Write::NewMessage(message.clone()));
        Ok((message, batch))
    }

    /// A message, and the event with which it begins.
    pub(crate) fn make_message(
        &self,
        template: &Template,
        group: &Group,
        submission: Submission,
        id: MessageId,
    ) -> Result<(Message, Event), Refusal> {
        let now = self.now();
        self.check_words(template, &submission.variables)?;
        let mut message = Message { id, ..self.new_message(template, group, submission, now)? };
        let scheduled = message.record(Event {
            sequence: 0,
            state: State::Scheduled,
            code: Code::OK,
            description: "accepted and queued".into(),
            carrier_status: None,
            details: None,
            at: now,
            instance: None,
            destinations: Vec::new(),
        });
        Ok((message, scheduled))
    }

    pub(crate) fn pick_group(&self, wanted: Option<&GroupName>) -> Result<Arc<Group>, Refusal> {
        let default = self.default_group();
        let name = wanted.or(default.as_deref()).ok_or(Refusal::NoGroup)?;
        let group = self.groups.find(name).ok_or_else(|| Refusal::UnknownGroup(name.clone()))?;
        if group.waiting.load(Ordering::Relaxed) >= self.settings.max_waiting {
            return Err(Refusal::Overloaded { retry_after: Duration::from_secs(5) });
        }
        Ok(group)
    }

    fn new_message(
        &self,
        template: &Template,
        group: &Group,
        submission: Submission,
        now: Timestamp,
    ) -> Result<Message, Refusal> {
        let features = &group.settings.features;
        let recipients = self.recipients(&submission, now)?;
        let mut events_url = submission.events_url;
        events_url.extend(
            group
                .settings
                .events_url
                .iter()
                .filter(|url| !events_url.contains(url))
                .cloned()
                .collect::<Vec<_>>(),
        );
        Ok(Message {
            id: MessageId::generate(now),
            direction: Direction::Outbound,
            group: group.settings.name.clone(),
            template: template.id,
            revision: template.revision,
            origin: submission.origin.unwrap_or_else(|| template.content.origin.clone()),
            recipients,
            linked_id: submission.linked_id,
            priority: submission.priority,
            events_url,
            ack_requested: features.request_submit_ack,
            dr_requested: features.request_delivery_report,
            rr_requested: features.request_read_receipt,
            created: now,
            processed: None,
            deadline: deadline(&template.content, group.settings.max_age, now),
            expires: None,
            instances: Vec::new(),
            peer_ref: None,
            last_tran_id: None,
            ack_at_addr: None,
            variables: submission.variables,
            batch: None,
            trace: submission.trace,
            carrier_ids: None,
            relay_server: None,
            ua_caps: None,
            reply_charging_id: None,
            handling_app: submission.handling_app.or_else(|| features.applic_id.clone()),
            reply_to_app: submission.reply_to_app.or_else(|| features.reply_applic_id.clone()),
            app_info: submission.app_info.or_else(|| features.aux_applic_info.clone()),
            service_code: submission.service_code,
            forward_counter: None,
            previously_sent: Vec::new(),
            rounds: 0,
            in_doubt: false,
            events: Vec::new(),
            version: 1,
        })
    }

    /// The recipients in order, each number once: the first mention of it counts.
    fn recipients(&self, submission: &Submission, now: Timestamp) -> Result<Vec<Recipient>, Refusal> {
        let lists = [
            (RecipientKind::To, &submission.to),
            (RecipientKind::Cc, &submission.cc),
            (RecipientKind::Bcc, &submission.bcc),
        ];
        let given: usize = lists.iter().map(|(_, list)| list.len()).sum();
        let most = self.settings.max_recipients;
        if given > most {
            let why = format!("{given} numbers were given, a message takes at most {most}");
            return Err(Refusal::invalid(Field::Recipients, why));
        }
        let mut seen = HashSet::new();
        let all = lists.iter().flat_map(|(kind, list)| list.iter().map(move |address| (*kind, address)));
        let recipients: Vec<Recipient> = all
            .filter(|(_, address)| seen.insert(*address))
            .map(|(kind, address)| Recipient {
                address: address.clone(),
                kind,
                state: State::Scheduled,
                code: Code::OK,
                updated: now,
                peer_ref: None,
                round: 0,
            })
            .collect();
        if recipients.is_empty() { Err(Refusal::NoRecipient) } else { Ok(recipients) }
    }

    async fn commit_message(&self, message: &Message, batch: Batch) -> Result<(), Refusal> {
        let fresh = self.fresh(message, message.events.clone());
        self.commit(batch).await?;
        if let Some(group) = self.groups.find(&message.group) {
            count(&group.counts.accepted);
        }
        self.tell(fresh);
        Ok(())
    }

    /// Has the revision and its media kept as long as the message may need them, unless an earlier
    /// message saw to that.
    pub(crate) fn claim_revision(&self, template: &Template, message: &Message, batch: &mut Batch) {
        let needed = message.deadline.after(self.settings.message_ttl);
        if self.claimed.lock().get(&template.revision).is_some_and(|until| *until >= needed) {
            return;
        }
        let until = self.keep_until(message.deadline);
        batch.push(Write::KeepRevision { id: template.revision, until });
        self.claim_blobs(template, until, batch);
    }

    fn note_claim(&self, template: &Template, message: &Message) {
        let until = message.deadline.after(self.settings.message_ttl).after(CLAIM_SLACK);
        let mut claimed = self.claimed.lock();
        if claimed.len() >= MAX_CLAIMS {
            claimed.clear();
        }
        let entry = claimed.entry(template.revision).or_insert(until);
        if *entry < message.deadline.after(self.settings.message_ttl) {
            *entry = until;
        }
    }
}

/// Claims remembered; forgetting them only costs a repeated claim.
const MAX_CLAIMS: usize = 10_000;

/// When a new message may be handed to the carrier at the earliest.
pub(crate) fn begin(template: &Template, message: &Message) -> Timestamp {
    template.content.earliest_delivery.unwrap_or(message.created).max(message.created)
}

/// The job that hands a message to the carrier when it is `due`.
pub(crate) fn transmission(group: &Group, message: &Message, (now, due): (Timestamp, Timestamp)) -> Write {
    transmit(group, message, (now, due), lane(group, message.priority))
}

/// The same, in a lane that is not its priority's.
pub(crate) fn transmit(
    group: &Group,
    message: &Message,
    (now, due): (Timestamp, Timestamp),
    lane: Lane,
) -> Write {
    Write::Enqueue(NewJob {
        id: JobId::generate(now),
        queue: group.queue(QueueKind::Tx),
        lane,
        due,
        job: Job::TransmitV1(TransmitJob { message: message.id }),
    })
}

fn lane(group: &Group, priority: Option<Priority>) -> Lane {
    match priority {
        Some(Priority::High) if group.settings.queue_by_priority => Lane::Express,
        Some(Priority::Low) if group.settings.queue_by_priority => Lane::Slow,
        _ => Lane::Normal,
    }
}

/// When an unsent message expires: what the template says, or the group's patience.
pub(crate) fn deadline(content: &TemplateContent, max_age: Duration, now: Timestamp) -> Timestamp {
    let begin = content.earliest_delivery.unwrap_or(now).max(now);
    let own = [content.expire_after.map(|span| begin.after(span)), content.latest_delivery];
    own.into_iter().flatten().min().unwrap_or_else(|| begin.after(max_age))
}

pub(crate) fn check_times(content: &TemplateContent, now: Timestamp) -> Result<(), Refusal> {
    if content.latest_delivery.is_some_and(|latest| latest <= now) {
        return Err(Refusal::invalid(Field::LatestDelivery, "latest_delivery lies in the past"));
    }
    let early = content.earliest_delivery;
    if early.zip(content.latest_delivery).is_some_and(|(early, late)| early > late) {
        return Err(Refusal::invalid(
            Field::EarliestDelivery,
            "earliest_delivery lies after latest_delivery",
        ));
    }
    Ok(())
}
