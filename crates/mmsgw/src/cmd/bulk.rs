//! What `mmsgw dead retry`, `dead purge` and `callbacks replay` have in common: some by id, or many that are counted first.

use indicatif::{ProgressBar, ProgressStyle};
use mmsgw_domain::{JobId, Timestamp};
use serde_json::{Value, json};

use crate::cli::Which;
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
    pub(super) async fn each(&self, ids: &[JobId], which: &Which) -> anyhow::Result<()> {
        let client = ApiClient::ops(&which.look.ops)?;
        let order = json!({"reason": which.reason});
        let mut failed = false;
        let mut ends = Vec::new();
        for id in ids {
            let end = client.post(&format!("{}/{id}/{}", self.path, self.verb), &order).await;
            failed |= end.is_err();
            let why = end.err().map(|error| error.to_string());
            if !which.look.json {
                let said = why.as_deref().unwrap_or("done");
                println!("{id}  {said}");
            }
            ends.push(json!({"id": id.to_string(), "refused": why}));
        }
        if which.look.json {
            println!("{}", serde_json::to_string_pretty(&json!({"jobs": ends}))?);
        }
        if failed { Err(Ended::Failed("not all was done").into()) } else { Ok(()) }
    }

    /// Counts those that are meant, and does it with them if `--yes` says so. `place` names queue or group.
    pub(super) async fn many(&self, place: (&str, String), which: &Which) -> anyhow::Result<()> {
        let client = ApiClient::ops(&which.look.ops)?;
        let meant = self.rounds(&client, order(&place, which, true), None).await?;
        if !which.yes {
            if which.look.json {
                println!("{}", json!({"dry_run": true, "matched": meant.matched}));
            } else {
                println!("{} {} meant; --yes does it.", meant.matched, self.noun);
            }
            return Ok(());
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}")?;
        let bar = ProgressBar::new(meant.matched).with_style(style);
        let done = self.rounds(&client, order(&place, which, false), Some(&bar)).await?;
        bar.finish_and_clear();
        if which.look.json {
            let all = json!({"dry_run": false, "matched": done.matched, "done": done.done, "refused": done.refused});
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else {
            println!("{} of {} {} done.", done.done, done.matched, self.noun);
            for refused in &done.refused {
                println!("{}  {}", text(refused, "id"), text(refused, "why"));
            }
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

fn order((key, place): &(&str, String), which: &Which, dry_run: bool) -> Value {
    let mut order = json!({"dry_run": dry_run, "reason": which.reason});
    order[*key] = json!(place);
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
