//! An application as it was written for the original gateway works unchanged.

use crate::rig::{World, run_python, text};

/// Written as such applications are: Python, its standard library, the paths and names of the original.
const APPLICATION: &str = include_str!("apps/original.py");

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_the_original_works_unchanged() {
    let world = World::start("general.default_gateway = 'mm7'\n", "", "").await;
    let printed = run_python(APPLICATION, &[&world.api.url("")], b"").await;
    let passed: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("PASS ")).collect();
    assert_eq!(
        passed,
        [
            "create template",
            "read template",
            "change template",
            "empty and refill parts",
            "create part",
            "part in template",
            "send template",
            "states of a message to many",
            "create and send at once",
            "callbacks",
            "refusals",
            "delete template",
        ],
        "{printed}"
    );
    let received = world.received("Compatible & more");
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].to.len(), received[0].cc.len(), received[0].bcc.len()), (2, 1, 1));
    let once = world.received("At once");
    assert_eq!(
        once.iter()
            .map(|r| text(&serde_json::to_value(r).unwrap(), "protocol").to_owned())
            .collect::<Vec<_>>(),
        ["mm4"]
    );
}
