//! What `mmsgw dead`, `callbacks` and `queues` have in common where they change something: some jobs by id, or many that
//! are counted first.

use indicatif::{ProgressBar, ProgressStyle};
use mmsgw_domain::{JobId, Timestamp};
use serde_json::{Value, json};

use crate::cli::{Because, Which};
use crate::client::ApiClient;
use crate::exit::Ended;
use crate::table::{list, text};

/// Some jobs, and what is done with them.
pub(super) struct Bulk<'a> {
    /// Where they are, as in `/admin/v1/dead`.
    pub(super) path: &'a str,
    /// What is done.
    pub(super) verb: &'a str,
    /// What they are called in a sentence.
    pub(super) noun: &'a str,
}

impl Bulk<'_> {
    /// Does it with those of these ids.
    pub(super) async fn each(&self, ids: &[JobId], because: &Because) -> anyhow::Result<()> {
        let client = ApiClient::ops(&because.look.ops)?;
        let order = json!({"reason": because.reason});
        let mut failed = false;
        let mut ends = Vec::new();
        for id in ids {
            let end = client.post(&format!("{}/{id}/{}", self.path, self.verb), &order).await;
            failed |= end.is_err();
            let why = end.err().map(|error| error.to_string());
            if !because.look.json {
                let said = why.as_deref().unwrap_or("done");
                println!("{id}  {said}");
            }
            ends.push(json!({"id": id.to_string(), "refused": why}));
        }
        if because.look.json {
            println!("{}", serde_json::to_string_pretty(&json!({"jobs": ends}))?);
        }
        if failed { Err(Ended::Failed("not all was done").into()) } else { Ok(()) }
    }

    /// Counts those that are meant, and does it with them if `--yes` says so. `order` says which ones.
    pub(super) async fn many(&self, mut order: Value, because: &Because) -> anyhow::Result<()> {
        let client = ApiClient::ops(&because.look.ops)?;
        order["reason"] = json!(because.reason);
        order["dry_run"] = json!(true);
        let meant = self.rounds(&client, order.clone(), None).await?;
        if !because.yes {
            if because.look.json {
                println!("{}", json!({"dry_run": true, "matched": meant.matched, "refused": meant.refused}));
            } else {
                println!("{} {} meant; --yes does it.", meant.matched, self.noun);
                tell_refused(&meant.refused);
            }
            return Ok(());
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}")?;
        let bar = ProgressBar::new(meant.matched).with_style(style);
        order["dry_run"] = json!(false);
        let done = self.rounds(&client, order, Some(&bar)).await?;
        bar.finish_and_clear();
        if because.look.json {
            let all = json!({"dry_run": false, "matched": done.matched, "done": done.done, "refused": done.refused});
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else {
            println!("{} of {} {} done.", done.done, done.matched, self.noun);
            tell_refused(&done.refused);
        }
        if done.done < done.matched { Err(Ended::Failed("not all was done").into()) } else { Ok(()) }
    }

    /// Orders as often as the gateway says that there is more.
    async fn rounds(
        &self,
        client: &ApiClient,
        mut order: Value,
        bar: Option<&ProgressBar>,
    ) -> anyhow::Result<Sum> {
        let mut sum = Sum::default();
        loop {
            let answer = client.post(&format!("{}/{}", self.path, self.verb), &order).await?;
            let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
            sum.matched += count("matched");
            sum.done += count("done");
            sum.refused.extend_from_slice(list(&answer, "refused"));
            if let Some(bar) = bar {
                bar.set_position(sum.matched);
            }
            match answer.get("next").and_then(Value::as_str) {
                Some(next) => order["after"] = json!(next),
                None => return Ok(sum),
            }
        }
    }
}

#[derive(Default)]
struct Sum {
    matched: u64,
    done: u64,
    refused: Vec<Value>,
}

/// Which jobs it is not, or would not be, done with, and why.
fn tell_refused(refused: &[Value]) {
    for job in refused {
        println!("{}  {}", text(job, "id"), text(job, "why"));
    }
}

/// The order for those of a queue or group that fit.
pub(super) fn order_for((key, place): (&str, String), which: &Which) -> Value {
    let mut order = json!({key: place});
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            order[key] = value;
        }
    };
    put("since_ts", which.since.map(Timestamp::as_secs).map(Value::from));
    put("until_ts", which.until.map(Timestamp::as_secs).map(Value::from));
    put("message", which.message.clone().map(Value::from));
    put("matching", which.matching.clone().map(Value::from));
    order
}
