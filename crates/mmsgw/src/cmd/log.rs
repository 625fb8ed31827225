//! `mmsgw log`: what a running gateway logs.

use serde_json::json;

use crate::cli::LogArgs;
use crate::client::ApiClient;
use crate::table::text;

pub(crate) async fn run(args: LogArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let answer = match &args.level {
        None => client.get("/admin/v1/log").await?,
        Some(level) => {
            client
                .put("/admin/v1/log", &json!({"level": level, "reason": args.reason.unwrap_or_default()}))
                .await?
        }
    };
    if args.look.json {
        println!("{answer}");
    } else {
        println!("{}", text(&answer, "level"));
    }
    Ok(())
}
