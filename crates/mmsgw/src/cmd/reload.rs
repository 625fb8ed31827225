//! `mmsgw reload`: a running gateway reads its configuration anew.

use serde_json::{Value, json};

use crate::cli::ReloadOrder;
use crate::client::ApiClient;
use crate::table::{list, plain, text};

pub(crate) async fn run(order: ReloadOrder) -> anyhow::Result<()> {
    let client = ApiClient::ops(&order.look.ops)?;
    // Instances that end finish what they have in hand before this is answered.
    let answer = client.post_patiently("/admin/v1/reload", &json!({"reason": order.reason})).await?;
    if order.look.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let lines = lines(&answer);
    println!("{}", if lines.is_empty() { "Nothing has changed.".to_owned() } else { lines.join("\n") });
    Ok(())
}

/// A line for each thing that it did or could not do.
fn lines(answer: &Value) -> Vec<String> {
    let of = |key: &str, what: &str| -> Vec<String> {
        list(answer, key)
            .iter()
            .filter_map(Value::as_str)
            .map(|one| format!("{what} {}", plain(one)))
            .collect()
    };
    let changed = list(answer, "changed").iter().map(|change| {
        let keys: Vec<&str> = list(change, "keys").iter().filter_map(Value::as_str).collect();
        format!("changed: gateway {} ({})", plain(text(change, "group")), plain(&keys.join(", ")))
    });
    let changed: Vec<String> = changed.collect();
    [
        of("added", "added: gateway"),
        changed,
        of("removed", "removed: gateway"),
        of("settings", "holds now:"),
        of("at_next_start", "holds from the next start on:"),
        of("warnings", "warning:"),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_a_line() {
        let answer = json!({
            "added": ["a"], "changed": [{"group": "b", "keys": ["outbound.timeout", "gateway.window"]}],
            "removed": [], "settings": ["api.key"], "at_next_start": ["api.listen"], "warnings": ["look here"]
        });
        assert_eq!(
            lines(&answer),
            [
                "added: gateway a",
                "changed: gateway b (outbound.timeout, gateway.window)",
                "holds now: api.key",
                "holds from the next start on: api.listen",
                "warning: look here",
            ]
        );
        assert_eq!(lines(&json!({})), Vec::<String>::new());
    }
}
