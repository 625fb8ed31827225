//! `mmsgw tail`: what happens to messages in a running gateway, as it happens.

use std::ops::ControlFlow;

use mmsgw_domain::Timestamp;
use serde_json::Value;

use super::feed::{Fed, Feed};
use crate::cli::TailArgs;
use crate::client::ApiClient;
use crate::exit::Ended;
use crate::table::{plain, text};

pub(crate) async fn run(args: TailArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    tokio::select! {
        told = tell(&client, &args) => told,
        signal = super::stop_signal() => signal.map(drop),
    }
}

async fn tell(client: &ApiClient, args: &TailArgs) -> anyhow::Result<()> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let group = args.gateway.as_ref().map(ToString::to_string);
    for (key, value) in [("group", &group), ("message", &args.message), ("state", &args.state)] {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
    let (mut feed, mut told) = (Feed::default(), 0);
    let heard = |piece: &[u8]| {
        for fed in feed.take(piece) {
            told += u64::from(print(&fed, args.look.json));
            if args.events.is_some_and(|most| told >= most) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    let path = format!("/admin/v1/events?{}", query.finish());
    match client.listen(&path, || eprintln!("mmsgw: listening"), heard).await? {
        ControlFlow::Break(()) => Ok(()),
        ControlFlow::Continue(()) => Err(Ended::Failed("the gateway ended the stream").into()),
    }
}

/// Prints one event of the stream; whether it told of a message.
fn print(fed: &Fed, json: bool) -> bool {
    match fed {
        Fed::Message(data) if json => println!("{data}"),
        Fed::Message(data) => println!("{}", line(&serde_json::from_str(data).unwrap_or_default())),
        Fed::Missed(count) => eprintln!("mmsgw: {count} events were missed"),
    }
    matches!(fed, Fed::Message(_))
}

fn line(event: &Value) -> String {
    let at = Timestamp::from_millis(event["at_ms"].as_i64().unwrap_or(0));
    let status = match text(event, "carrier_status") {
        "" => String::new(),
        status => format!(" [{}]", plain(status)),
    };
    let of = |key: &str| text(event, key);
    format!(
        "{at} {} {:<12} {:<3} {} {}{status}",
        of("message"),
        of("state"),
        of("code"),
        of("group"),
        plain(of("description"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = serde_json::json!({"message": "m", "group": "g", "state": "SENT", "code": "200", "at_ms": 0,
            "description": "a\nb", "carrier_status": "Ok"});
        assert_eq!(line(&event), "1970-01-01T00:00:00Z m SENT         200 g a b [Ok]");
    }
}
