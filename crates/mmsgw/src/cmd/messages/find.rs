//! `mmsgw messages find` by what is known of messages: page after page, until there are enough.

use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use crate::cli::{LikeArgs, LookArgs};
use crate::client::ApiClient;
use crate::table::{list, plain, print, table, text, time};

pub(super) async fn run(like: &LikeArgs, look: &LookArgs) -> anyhow::Result<()> {
    let (messages, next) = pages(&ApiClient::ops(&look.ops)?, like).await?;
    if look.json {
        println!("{}", serde_json::to_string_pretty(&json!({"messages": messages, "next_cursor": next}))?);
        return Ok(());
    }
    if messages.is_empty() {
        println!("There is no such message.");
    } else {
        let head = ["ACCEPTED", "MESSAGE", "WAY", "GATEWAY", "FROM", "TO", "STATE"];
        print(&table(head, messages.iter().map(row).collect()));
    }
    if next.is_some() {
        println!("There may be more: --limit shows more of them, --until older ones.");
    }
    Ok(())
}

/// Up to as many messages as are wanted, and the cursor that leads on. Pages may be empty and lead on.
async fn pages(client: &ApiClient, like: &LikeArgs) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let (mut messages, mut cursor, began) = (Vec::new(), None::<String>, Instant::now());
    let mut bar = None;
    while messages.len() < like.limit {
        let limit = (like.limit - messages.len()).min(LARGEST_PAGE);
        let page =
            client.get(&format!("/admin/v1/messages?{}", query(like, limit, cursor.as_deref()))).await?;
        messages.extend_from_slice(list(&page, "messages"));
        cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        if began.elapsed() >= LONG {
            let bar = bar.get_or_insert_with(spinner);
            bar.set_message(format!("{} found, looking at older messages", messages.len()));
        }
    }
    bar.iter().for_each(ProgressBar::finish_and_clear);
    Ok((messages, cursor))
}

/// On the terminal, not among what is found.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn query(like: &LikeArgs, limit: usize, cursor: Option<&str>) -> String {
    let mut query = Serializer::new(String::new());
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    };
    let states: Vec<&str> = like.state.iter().map(|state| state.name()).collect();
    say("state", (!states.is_empty()).then(|| states.join(",")));
    say("gateway", like.gateway.as_ref().map(ToString::to_string));
    say("instance", like.instance.clone());
    say("destination", like.to.as_ref().map(ToString::to_string));
    say("origin", like.from.as_ref().map(ToString::to_string));
    say("linked_id", like.linked_id.clone());
    say("batch", like.batch.map(|id| id.to_string()));
    say("direction", like.direction.clone());
    say("since", like.since.map(|time| time.to_string()));
    say("until", like.until.map(|time| time.to_string()));
    say("limit", Some(limit.to_string()));
    say("cursor", cursor.map(str::to_owned));
    query.finish()
}

fn row(message: &Value) -> [String; 7] {
    let recipients = list(message, "recipients");
    let first = recipients.first().map(|first| text(first, "number")).unwrap_or_default();
    let to = match recipients.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} and {} more", count - 1),
    };
    [
        time(message, "created_ts"),
        text(message, "id").to_owned(),
        if message["direction"] == 1 { "in" } else { "out" }.to_owned(),
        text(message, "gateway").to_owned(),
        plain(text(message, "origin")),
        plain(&to),
        text(message, "state").to_owned(),
    ]
}

/// Most messages that a page has.
const LARGEST_PAGE: usize = 200;
/// After that who waits is told that something is done.
const LONG: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::FindArgs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        find: FindArgs,
    }

    #[test]
    fn a_query_says_what_the_command_does() {
        let line = Line::parse_from([
            "find",
            "--state",
            "failed,Sent",
            "--to",
            "+1 555 555 0102",
            "--since",
            "1970-01-01T00:01:00Z",
        ]);
        let query = query(&line.find.like, 7, Some("a_-"));
        let said = "state=FAILED%2CSENT&destination=%2B15555550102&since=1970-01-01T00%3A01%3A00Z&limit=7&cursor=a_-";
        assert_eq!(query, said);
        assert!(Line::try_parse_from(["find", "a-reference"]).is_ok());
        assert!(
            Line::try_parse_from(["find", "a-reference", "--state", "SENT"]).is_err(),
            "one or the other"
        );
    }
}
