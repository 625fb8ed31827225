//! The reference of the main file, put together from the references of the rooms that own its sections.

/// Settings of the whole, and where messages are.
const MAIN: &str = include_str!("main.default.toml");
/// Where queues and media are.
const STORAGE: &str = include_str!("storage.default.toml");
/// Section `[log]`.
const LOG: &str = include_str!("log.default.toml");

/// The reference of the main file, put together from the references of its sections.
pub(crate) fn main_reference() -> String {
    [
        MAIN.to_owned(),
        nest(
            "message_storage.redis",
            &format!("# The servers, with kind = \"redis\".\n\n{}", mmsgw_store_redis::CONFIG_DEFAULT),
        ),
        STORAGE.to_owned(),
        mmsgw_store_s3::config::CONFIG_DEFAULT.to_owned(),
        LOG.to_owned(),
        crate::records::CONFIG_DEFAULT.to_owned(),
        crate::traces::CONFIG_DEFAULT.to_owned(),
        mmsgw_engine::config::GENERAL_DEFAULT.to_owned(),
        mmsgw_edge_api::DEFAULT_SETTINGS.to_owned(),
        mmsgw_edge_ops::CONFIG_DEFAULT.to_owned(),
        mmsgw_edge_callout::CONFIG_DEFAULT.to_owned(),
        nest("mm4rx", mmsgw_edge_mm4::receiver::REFERENCE),
        crate::carrier_http::CONFIG_DEFAULT.to_owned(),
    ]
    .join("\n")
}

/// A reference without a section of its own, as the section `name`: its tables become sub-tables.
fn nest(name: &str, text: &str) -> String {
    let (head, body) = text.split_once("\n\n").unwrap_or(("", text));
    let table = |line: &str| {
        let bare = line.trim_start_matches(['#', ' ']);
        if bare.starts_with('[') && bare.ends_with(']') {
            line.replacen('[', &format!("[{name}."), 1)
        } else {
            line.to_owned()
        }
    };
    let lines: Vec<String> = body.lines().map(table).collect();
    format!("{head}\n[{name}]\n{}\n", lines.join("\n"))
}
