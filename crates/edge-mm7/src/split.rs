//! A message to more numbers than one request may have, as several.
//!
//! Which number goes out in which request follows from the message alone, and so do the transaction ids, so that
//! a retransmission repeats them. An MMSC that answers 3003 (multiple addresses not supported) is asked again
//! number by number, and from then on never otherwise.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use mmsgw_domain::{Address, Recipient};
use mmsgw_engine::{Delivery, Outbound, Outcome, Verdict};
use mmsgw_mm7::Packaged;
use mmsgw_net::USER_AGENT;

use crate::send::{Mm7Gateway, Unwritable, unwritable};
use crate::verdict::Asked;

/// How many numbers a request may have.
pub(crate) struct Splitter {
    most: usize,
    single: AtomicBool,
}

/// One request of a message.
struct Share {
    recipients: Vec<Recipient>,
    transaction_id: String,
}

impl Splitter {
    /// `most` numbers in a request; 0 for no limit.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, single: AtomicBool::new(false) }
    }

    fn most(&self) -> usize {
        match (self.single.load(Ordering::Relaxed), self.most) {
            (true, _) => 1,
            (false, 0) => usize::MAX,
            (false, most) => most,
        }
    }

    fn learn_single(&self, outbound: &Outbound) {
        if !self.single.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                gateway.group = %outbound.message.group,
                "the MMSC takes one number in a request; say max_recipients = 1 in its dialect"
            );
        }
    }
}

impl Mm7Gateway {
    /// Hands a message over, in as many requests as it takes.
    pub(crate) async fn submit(&self, outbound: &Outbound) -> Verdict {
        let shares = shares(outbound, self.splitter.most());
        if let [only] = shares.as_slice()
            && only.recipients.len() == outbound.recipients.len()
        {
            return self.submit_share(outbound, only).await;
        }
        let verdicts = join_all(shares.iter().map(|share| self.submit_share(outbound, share))).await;
        let each = verdicts.into_iter().zip(&shares).flat_map(|(verdict, share)| named(verdict, share));
        Verdict { outcomes: each.collect() }
    }

    async fn submit_share(&self, outbound: &Outbound, share: &Share) -> Verdict {
        let verdict = self.submit_once(outbound, share).await;
        if share.recipients.len() == 1 || !is_about_many(&verdict) {
            return verdict;
        }
        self.splitter.learn_single(outbound);
        let refused: HashSet<&Address> =
            share.recipients.iter().map(|recipient| &recipient.address).collect();
        let meant = |single: &Share| single.recipients.iter().all(|r| refused.contains(&r.address));
        let singles: Vec<Share> = shares(outbound, 1).into_iter().filter(meant).collect();
        let verdicts = join_all(singles.iter().map(|single| self.submit_once(outbound, single))).await;
        let each = verdicts.into_iter().zip(&singles).flat_map(|(verdict, single)| named(verdict, single));
        Verdict { outcomes: each.collect() }
    }

    async fn submit_once(&self, outbound: &Outbound, share: &Share) -> Verdict {
        let packaged = match self.package_share(outbound, share).await {
            Ok(Some(packaged)) => packaged,
            Ok(None) => return Verdict { outcomes: Vec::new() },
            Err(error) => return Verdict::all(unwritable(&error)),
        };
        let heard = self.exchange(&self.mmsc, packaged, outbound.now).await;
        let asked = Asked {
            message: outbound.message.id,
            transaction_id: &share.transaction_id,
            recipients: &share.recipients,
        };
        self.judge.verdict(asked, heard)
    }
}

impl Mm7Gateway {
    async fn package_share(
        &self,
        outbound: &Outbound,
        share: &Share,
    ) -> Result<Option<Packaged>, Unwritable> {
        let to = (share.recipients.as_slice(), share.transaction_id.as_str());
        let request = |id: Option<&str>| Some(self.translator.submit(outbound, to, id));
        self.package(Some(&outbound.content), request).await
    }

    /// What [`Gateway::send`](mmsgw_engine::Gateway::send) would put on the wire, octet for octet, without
    /// doing so; credentials are hidden.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub async fn preview(&self, outbound: &Outbound) -> Result<Vec<Preview>, String> {
        let mut previews = Vec::new();
        for share in shares(outbound, self.splitter.most()) {
            let packaged = self.package_share(outbound, &share).await.map_err(|error| error.to_string())?;
            let Some(packaged) = packaged else { continue };
            let body = [&packaged.head[..], &packaged.body[..], &packaged.tail[..]].concat();
            let request = self.request(&self.mmsc, packaged)?.build().map_err(|error| error.to_string())?;
            let recipients = share.recipients.into_iter().map(|recipient| recipient.address).collect();
            previews.push(Preview { recipients, head: head(&request), body });
        }
        Ok(previews)
    }
}

/// A request as it would go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Its numbers.
    pub recipients: Vec<Address>,
    /// Request line and headers, up to and with the empty line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The head as the HTTP client writes it.
fn head(request: &reqwest::Request) -> String {
    let url = request.url();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!("POST {}{query} HTTP/1.1\r\n", url.path());
    for (name, value) in request.headers() {
        let value = match name == http::header::AUTHORIZATION {
            true => "(hidden)".into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        head.push_str(&format!("{}: {value}\r\n", titled(name.as_str())));
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    head.push_str(&format!("Accept: */*\r\nUser-Agent: {USER_AGENT}\r\nHost: {host}{port}\r\n\r\n"));
    head
}

/// A header's name in title case.
fn titled(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

/// The requests for the numbers still to be served.
fn shares(outbound: &Outbound, most: usize) -> Vec<Share> {
    let all = &outbound.message.recipients;
    let transaction = &outbound.transaction_id;
    let wanted: HashSet<&Address> = outbound.recipients.iter().map(|recipient| &recipient.address).collect();
    let unsent = |recipient: &&Recipient| wanted.contains(&recipient.address);
    let single = all.len() <= most.max(1);
    let chunks = all.chunks(most.clamp(1, all.len().max(1))).enumerate();
    let shares = chunks.map(|(index, chunk)| Share {
        recipients: chunk.iter().filter(unsent).cloned().collect(),
        transaction_id: match (single, most) {
            (true, _) => transaction.clone(),
            (false, 1) => format!("{transaction}.{}", index + 1),
            (false, _) => format!("{transaction}.b{}", index + 1),
        },
    });
    shares.filter(|share| !share.recipients.is_empty()).collect()
}

/// Whether the MMSC refuses a request for its having several numbers.
fn is_about_many(verdict: &Verdict) -> bool {
    let [Outcome { delivery: Delivery::Fail { answer }, .. }] = verdict.outcomes.as_slice() else {
        return false;
    };
    answer.carrier_status.as_deref() == Some("3003")
}

/// The outcomes of one share, by its numbers.
fn named(verdict: Verdict, share: &Share) -> Vec<Outcome> {
    let all = || -> Vec<Address> { share.recipients.iter().map(|r| r.address.clone()).collect() };
    let name = |outcome: Outcome| match outcome.recipients.is_empty() {
        true => Outcome { recipients: all(), ..outcome },
        false => outcome,
    };
    verdict.outcomes.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests;
