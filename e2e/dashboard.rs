//! An operator with a browser: a real Chromium walks the dashboard of a running gateway.

use mmsgw_contract::ApiKey;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::rig::{Browser, Files, Gateway, World, codes, text, wait_until};

const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

fn dashboard(world: &World) -> String {
    format!("http://{}/", world.gateway.awaited("health and metrics"))
}

/// A gateway that is looked at without a key, as nothing but this host reaches it.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_a_message_go_through_and_steers_the_gateway() {
    let world =
        World::start("", "gateway.heartbeat_interval = '500ms'\noutbound.heartbeat = 'HEAD any'", "").await;
    let (browser, url) = (Browser::start("dashboard").await, dashboard(&world));
    browser.looks(DESK, "light").await;
    browser.go(&url).await;
    browser.sees("h1", "Overview").await;
    browser.sees(".tile", "Taken by carriers").await;

    browser.click("a[href='#/send']").await;
    browser.fill("#origin", "54321").await;
    browser.fill("#destination", "12").await;
    browser.fill("#subject", "seen in the dashboard").await;
    browser.fill("#destination", "nobody at all").await;
    browser.click("#send button").await;
    browser.sees(".fault", "destination").await;
    browser.fill("#destination", "+15555550102").await;
    browser.picture("send").await;
    browser.click("#send button").await;
    browser.sees(".timeline", "READ").await;
    let arrived = world.arrives("seen in the dashboard").await;
    assert!(arrived.raw.len() > 20_000, "the picture is with it");
    let loaded =
        "const image = document.querySelector('.part img'); return image.complete && image.naturalWidth > 0";
    wait_until("the picture", async || (browser.run(loaded).await == true).then_some(())).await;
    browser.sees(".part pre", "A test message from mmsgw.").await;
    browser.picture("message").await;

    pauses_and_resumes(&world, &browser).await;
    retries_a_dead_job(&world, &browser).await;
    follows_a_batch(&world, &browser).await;
    finds_messages(&browser).await;
    watches_what_happens(&world, &browser).await;
    traces_a_gateway_and_a_message(&world, &browser, &url).await;
    looks_at_everything(&browser, &url).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

async fn pauses_and_resumes(world: &World, browser: &Browser) {
    browser.click("a[href='#/gateways']").await;
    browser.click("[data-group=mm4] .pause").await;
    browser.picture("pause").await;
    browser.click("#confirm").await;
    browser.fill("#reason", "the carrier's night").await;
    browser.click("#confirm").await;
    browser.sees("[data-group=mm4] .note", "the carrier's night").await;
    let id = world.api.send_text("mm4", "patience", &["+15555550102"]).await;
    browser.click("a[href='#/queues']").await;
    browser.sees("tr", "mm4/tx").await;
    assert_eq!(world.received("patience").len(), 0);
    browser.click("a[href='#/queues/mm4/tx']").await;
    browser.sees(".waiting", &id).await;
    browser.picture("queues").await;
    browser.click("a[href='#/gateways']").await;
    browser.sees("[data-group=mm7] td", " ms").await;
    browser.picture("gateways").await;
    browser.click("[data-group=mm4] .resume").await;
    browser.fill("#reason", "morning").await;
    browser.click("#confirm").await;
    browser.sees("[data-group=mm4] .badge", "well").await;
    world.api.reaches(&id, &["READ"]).await;
    for line in ["administration: pause mm4", "administration: resume mm4", "reason=\"morning\""] {
        wait_until(line, async || world.gateway.log().contains(line).then_some(())).await;
    }
}

async fn retries_a_dead_job(world: &World, browser: &Browser) {
    world.script("[mm7]\nanswer = { kind = 'status', code = 4004, text = 'no such service' }\n");
    let mut ids = Vec::new();
    for subject in ["first", "second", "third"] {
        ids.push(world.api.send_text("mm7", subject, &["+15555550102"]).await);
    }
    for id in &ids {
        world.api.reaches(id, &["FAILED", "REJECTED"]).await;
    }
    world.script("");
    browser.click("header a[href='#/dead']").await;
    browser.click(".chips a[href='#/dead/mm7/tx']").await;
    browser.sees(".jobs", &ids[2]).await;
    browser.picture("dead").await;
    browser.click(&format!(".jobs li:has(a[href='#/messages/{}']) .retry", ids[0])).await;
    browser.fill("#reason", "the carrier knows us now").await;
    browser.click("#confirm").await;
    let message = world.api.reaches(&ids[0], &["READ"]).await;
    let events = message["events"].as_array().unwrap();
    assert!(events.iter().any(|e| text(e, "description").contains("the carrier knows us now")), "{message}");
    browser.click("#purge-all").await;
    browser.sees("dialog", "2 jobs are meant").await;
    browser.picture("forget").await;
    browser.fill("#reason", "too late").await;
    browser.click("#confirm").await;
    browser.sees(".toast", "2 of 2 done").await;
    browser.sees(".empty", "Nobody died").await;
    assert!(codes(&world.api.message(&ids[1]).await).len() >= 2);
}

async fn follows_a_batch(world: &World, browser: &Browser) {
    let part = json!([{"name": "a.txt", "content_type": "text/plain", "content": "hello"}]);
    let template = world.api.post("mms", &json!({"origin": "54321", "parts": part})).await;
    let lines =
        (0..70).map(|n| format!("{{\"destination\": \"+155555501{n:02}\"}}\n")).collect::<String>() + "{}\n";
    let path = format!("mms/outbound/{}/batch?gateway=mm7", text(&template.body, "id"));
    let batch = world.api.post_octets(&path, "application/x-ndjson", lines.into_bytes()).await;
    assert_eq!(batch.status, 202, "{}", batch.body);
    browser.click("header a[href='#/batches']").await;
    browser.sees("tbody", text(&batch.body, "id")).await;
    browser.fill("#sought", text(&batch.body, "id")).await;
    browser.click("[role=search] button").await;
    browser.sees(".facts", "71").await;
    browser.sees("main label", "70 of 70 have left the queue").await;
    browser.picture("batch").await;
}

/// From the batch to its messages, from there to others, by what is known of them.
async fn finds_messages(browser: &Browser) {
    let rows = "return document.querySelectorAll('#found tbody tr').length";
    browser.click(".card a[href^='#/messages/?batch=']").await;
    browser.sees("[role=status]", "50 messages, and perhaps older ones").await;
    assert_eq!(browser.run(rows).await, 50);
    browser.click("#more").await;
    browser.sees("[role=status]", "70 messages").await;
    browser.fill("#by-destination", "+1 555 555 0142").await;
    browser.click("#filters .primary").await;
    browser.sees("[role=status]", "1 message").await;
    browser.sees("#found td", "+15555550142").await;
    browser.click("#all").await;
    browser.sees("[role=status]", "50 messages").await;
    browser.click("#by-state option[value^=REJECTED]").await;
    browser.click("#by-gateway option[value=mm7]").await;
    browser.click("#filters .primary").await;
    browser.sees("[role=status]", "2 messages").await;
    assert_eq!(browser.run("return document.querySelector('#by-gateway').value").await, "mm7");
    browser.picture("found").await;
    browser.click("#found a").await;
    browser.sees(".timeline", "4004").await;
    browser.run("history.back()").await;
    browser.sees("[role=status]", "2 messages").await;
    browser.run("document.querySelector('#by-since').value = '2099-01-01T12:00'").await;
    browser.click("#filters .primary").await;
    browser.sees(".empty", "No message is like that").await;
    assert_eq!(browser.run("return document.querySelector('#by-since').value").await, "2099-01-01T12:00");
    browser.fill("#by-destination", "12").await;
    browser.click("#filters .primary").await;
    browser.sees(".toast", "12").await;
}

async fn watches_what_happens(world: &World, browser: &Browser) {
    browser.click("header a[href='#/live']").await;
    browser.sees("[role=status]", "Listening").await;
    let id = world.api.send_text("mm4", "alive", &["+15555550102"]).await;
    browser.sees(".live li", &id).await;
    browser.sees(".live .badge", "READ").await;
    browser.picture("live").await;
    browser.click("#live-stop").await;
    let other = world.api.send_text("mm4", "unseen", &["+15555550102"]).await;
    browser.sees("#live-stop", " new").await;
    let seen = browser.run("return document.querySelector('.live').innerText").await;
    assert!(!seen.as_str().unwrap().contains(&other), "it scrolls on: {seen}");
    browser.click("#live-stop").await;
    browser.sees(".live li", &other).await;
    browser.choose("#live-group", "mm7").await;
    browser.sees(".empty", "Nothing yet").await;
    browser.choose("#live-state", "SENT").await;
    browser.sees("[role=status]", "Listening").await;
    world.api.send_text("mm4", "filtered", &["+15555550102"]).await;
    let only = world.api.send_text("mm7", "filtered too", &["+15555550102"]).await;
    browser.sees(".live li", &only).await;
    world.api.reaches(&only, &["READ"]).await;
    let states = "return [...new Set([...document.querySelectorAll('.live li')].map((one) => \
                  one.querySelector('.badge').innerText + one.querySelector('b').innerText))].join()";
    assert_eq!(browser.run(states).await, "SENTmm7");
    browser.choose("#live-group", "").await;
    browser.choose("#live-state", "").await;
}

async fn traces_a_gateway_and_a_message(world: &World, browser: &Browser, url: &str) {
    browser.click("header a[href='#/gateways']").await;
    browser.click("[data-group=mm4] a[href='#/trace/group/mm4']").await;
    browser.fill("#trace-reason", "looking for a fault").await;
    browser.click("#trace button[type=submit]").await;
    browser.sees(".badge", "active").await;
    let id = world.api.send_text("mm4", "watched by a browser", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    for words in ["> MAIL FROM:<", "Subject: watched by a browser", "< RCPT TO:<"] {
        browser.sees(".wire", words).await;
    }
    assert!(world.gateway.log().contains("administration: trace mm4"));
    browser.picture("trace").await;
    let kept =
        "window.saved = []; URL.createObjectURL = (blob) => { window.saved.push(blob); return 'data:,'; };";
    browser.run(kept).await;
    browser.click("#trace-save").await;
    let saved = browser.run("return window.saved[0].text()").await;
    let saved = saved.as_str().unwrap();
    assert!(saved.starts_with("-- ") && saved.contains("> MAIL FROM:<"), "{saved}");
    browser.click("#trace-stop").await;
    browser.sees(".badge", "ended").await;
    browser.go(&format!("{url}#/messages/{id}")).await;
    browser.click(&format!("a[href='#/trace/message/{id}']")).await;
    browser.fill("#trace-reason", "only this one").await;
    browser.click("#trace button[type=submit]").await;
    browser.sees(".hint", "Nothing was said yet").await;
    browser.click("#trace-stop").await;
    browser.sees(".hint", "Nothing was said.").await;
}

async fn looks_at_everything(browser: &Browser, url: &str) {
    browser.click("header a[href='#/messages']").await;
    browser.fill("#sought", "stranger").await;
    browser.click("[role=search] button").await;
    browser.sees(".empty", "No such message").await;
    for (size, scheme, name) in [
        (DESK, "light", "desk-light"),
        (DESK, "dark", "desk-dark"),
        (PHONE, "light", "phone-light"),
        (PHONE, "dark", "phone-dark"),
    ] {
        browser.looks(size, scheme).await;
        for view in
            ["overview", "gateways", "queues", "dead", "messages", "live", "trace/1", "batches", "send"]
        {
            browser.go(&format!("{url}#/{view}")).await;
            browser.sees("h1", "").await;
            browser.picture(&format!("{name}-{}", view.replace('/', "-"))).await;
            if view == "overview" {
                browser.run("scrollTo(0, document.body.scrollHeight)").await;
                browser.picture(&format!("{name}-overview-end")).await;
            }
            let wider = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(browser.run(wider).await, false, "{name} {view} is wider than the window");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_key_for_it_sees_nothing() {
    let (admin, reader) = (ApiKey::generate(), ApiKey::generate());
    let keys = format!(
        "[[api.key]]\nname = 'alice'\nhash = '{}'\nscopes = ['admin']\n\
         [[api.key]]\nname = 'reader'\nhash = '{}'\nscopes = ['read']\n",
        admin.hash, reader.hash
    );
    let world = World::start(&keys, "", "").await;
    let (browser, url) = (Browser::start("login").await, dashboard(&world));
    browser.looks(DESK, "light").await;
    browser.go(&format!("{url}#/gateways")).await;
    for (key, answer) in
        [("mmsgw_wrong", "not known"), (reader.secret.expose_secret(), "lacks the scope admin")]
    {
        browser.fill("#key", key).await;
        browser.click("#login button").await;
        browser.sees(".fault", answer).await;
    }
    browser.picture("refused").await;
    browser.fill("#key", admin.secret.expose_secret()).await;
    browser.click("#login button").await;
    browser.sees("[data-group=mm7]", "mm7").await;
    assert_eq!(browser.run("return document.cookie").await, "", "scripts do not see the cookie");
    browser.go(&format!("{url}#/overview")).await;
    browser.run("location.reload()").await;
    browser.sees(".tile", "Waiting").await;
    let bare = "const done = await fetch('/admin/v1/gateways/mm7/pause', {method: 'POST', \
                headers: {'content-type': 'application/json'}, body: '{\"reason\": \"x\"}'}); return done.status";
    assert_eq!(browser.run(bare).await, 403, "a change without the session's token");
    browser.go(&format!("{url}#/gateways")).await;
    browser.click("[data-group=mm7] .pause").await;
    browser.fill("#reason", "by name").await;
    browser.click("#confirm").await;
    browser.sees("[data-group=mm7] .note", "Paused by alice").await;
    browser.click("#log-out").await;
    browser.sees("h1", "Log in").await;
    browser.go(&url).await;
    browser.run("location.reload()").await;
    browser.sees("h1", "Log in").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_gateway_says_what_to_do_and_colours_stay_as_chosen() {
    let gateway = Gateway::start(Files::write("", &[]));
    let browser = Browser::start("empty").await;
    browser.looks(DESK, "light").await;
    let url = format!("http://{}/", gateway.awaited("health and metrics"));
    browser.go(&url).await;
    for (view, words) in [
        ("overview", "No gateway yet"),
        ("gateways", "No gateway yet"),
        ("queues", "Nothing waits"),
        ("dead", "Nobody died"),
        ("messages", "No message yet"),
        ("send", "No gateway yet"),
    ] {
        browser.click(&format!("header nav a[href='#/{view}']")).await;
        browser.sees(".empty h2", words).await;
    }
    browser.click("#theme").await;
    browser.run("location.reload()").await;
    browser.sees(".empty h2", "No gateway yet").await;
    assert_eq!(browser.run("return document.documentElement.dataset.theme").await, "dark");
    browser.picture("dark").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
