//! A directory into which a real Postfix delivers, watched by one gateway or by two.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mmsgw_mmsc_sim::{Mo, SimConfig, Simulator, Targets};
use tempfile::TempDir;

use crate::rig::{Postfix, World, picture, scratch, wait_until};

/// A directory that is all the world's, with a Maildir in it.
fn maildir() -> TempDir {
    let base = scratch();
    for name in ["in", "in/new", "in/cur", "in/tmp"] {
        std::fs::create_dir(base.path().join(name)).unwrap();
    }
    std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    base
}

fn watching(base: &Path, more: &str) -> String {
    format!("[[mm4rx.spool]]\ndirectory = '{}'\npoll_interval = '100ms'\n{more}\n", base.join("in").display())
}

fn mo(subject: &str, numbers: &[&str], octets: &[u8]) -> Mo {
    Mo {
        from: "+15555550150".into(),
        to: numbers.iter().map(|&n| n.to_owned()).collect(),
        subject: subject.into(),
        text: "hello".into(),
        picture: Some(octets.to_vec()),
        ack: true,
        ..Mo::default()
    }
}

/// A message from a phone as a mail server puts it down.
fn mail(number: usize, subject: &str) -> String {
    format!(
        "Return-Path: <+15555550150/TYPE=PLMN@mms.sim.example>\n\
         X-Original-To: +15555550161/TYPE=PLMN@mms.gw.example\nFrom: +15555550150/TYPE=PLMN\n\
         To: +15555550161/TYPE=PLMN\nSubject: {subject}\nX-Mms-3GPP-MMS-Version: 6.10.0\n\
         X-Mms-Message-Type: MM4_forward.REQ\nX-Mms-Transaction-ID: \"t{number}\"\n\
         X-Mms-Message-ID: \"m{number}\"\nMIME-Version: 1.0\nContent-Type: text/plain\n\nhello\n"
    )
}

/// Puts a mail into a Maildir as is done with Maildirs: written elsewhere, put in its place whole.
fn deliver(base: &Path, number: usize, subject: &str) {
    let (name, root) = (format!("{number}.mail"), base.join("in"));
    std::fs::write(root.join("tmp").join(&name), mail(number, subject)).unwrap();
    std::fs::rename(root.join("tmp").join(&name), root.join("new").join(&name)).unwrap();
}

/// The work folders of watchers, living and dead.
fn work_folders(base: &Path) -> Vec<String> {
    files(&base.join("in")).into_iter().filter(|name| name.starts_with(".taken-")).collect()
}

/// The names of the files in a folder that may not be there yet.
fn files(folder: &Path) -> Vec<String> {
    let found = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The destinations of the messages with `subject` that the application was told of.
fn destinations(world: &World, subject: &str) -> Vec<String> {
    let mut told = world.application.at("received");
    told.retain(|c| c.body["template"]["subject"] == subject);
    let mut all: Vec<String> =
        told.iter().map(|c| c.body["destination"].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

async fn empty(base: &Path) {
    wait_until("the Maildir to be empty", async || files(&base.join("in/new")).is_empty().then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postfix_delivers_reaches_the_application() {
    let base = maildir();
    let carrier = Simulator::start(SimConfig::default()).await.unwrap();
    let postfix = Postfix::delivering_to("mms.gw.example", base.path(), "in");
    let world = World::around(
        carrier,
        &watching(base.path(), "group = 'mm4'"),
        "",
        "features.auto_ack = true\n",
        &[],
    );
    let sees = |address| Targets { mm7_report_url: None, mm4_report_addr: Some(address) };
    world.carrier.set_targets(sees(postfix.address.to_string()));
    let octets = picture(40_000, 3);
    let sent = world.carrier.send_mo_mm4(&mo("by mail", &["+15555550161"], &octets)).await;
    assert!(sent.answer.is_ok(), "{sent:?}\n{}", postfix.log());
    let message = world.application.gets("by mail", "received").await.body;
    assert_eq!(message["origin"], "+15555550150");
    assert_eq!(message["destination"], "+15555550161");
    assert_eq!(message["peer_ref"], sent.message_id);
    let parts = message["template"]["parts"].as_array().unwrap();
    let image = parts.iter().find(|part| part["content_type"] == "image/jpeg").unwrap();
    let path = image["content_url"].as_str().unwrap();
    let url = if path.starts_with("http") {
        path.to_owned()
    } else {
        world.api.url(path.trim_start_matches("/mmsgw/v1/"))
    };
    assert!(reqwest::get(url).await.unwrap().bytes().await.unwrap() == octets, "other octets");
    let acknowledged = || {
        world.carrier.received().iter().any(|r| {
            r.kind == "MM4_forward.RES"
                && r.transaction_id == sent.transaction_id
                && r.message_id == sent.message_id
        })
    };
    wait_until("the acknowledgement", async || acknowledged().then_some(())).await;

    // Postfix puts down one file for each number.
    let sent = world.carrier.send_mo_mm4(&mo("to two", &["+15555550161", "+15555550162"], &octets)).await;
    assert!(sent.answer.is_ok(), "{sent:?}");
    wait_until("both numbers", async || {
        (destinations(&world, "to two").join(",") == "+15555550161,+15555550162").then_some(())
    })
    .await;
    empty(base.path()).await;
    assert_eq!(files(&base.path().join("in/failed")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_mail_ends_in_failed_with_its_reason() {
    let base = maildir();
    let world = World::start(&watching(base.path(), "max_size = '10KiB'"), "", "").await;
    let new = base.path().join("in/new");
    for (name, octets) in [
        ("1.empty", Vec::new()),
        ("2.large", b"To: +15555550161/TYPE=PLMN@mms.gw.example\n\nx".repeat(1_000)),
        ("3.stranger", b"X-Original-To: x@elsewhere.example\nTo: x@elsewhere.example\n\nhello\n".to_vec()),
        ("4.noise", (0..=255).collect()),
    ] {
        std::fs::write(new.join(name), octets).unwrap();
    }
    let failed = base.path().join("in/failed");
    wait_until("all to have failed", async || (files(&failed).len() == 8).then_some(())).await;
    empty(base.path()).await;
    let reasons: Vec<String> = files(&failed)
        .into_iter()
        .filter(|name| name.ends_with(".reason"))
        .map(|name| std::fs::read_to_string(failed.join(name)).unwrap())
        .collect();
    for (reason, word) in reasons.iter().zip(["empty", "larger", "elsewhere.example", "not a mail"]) {
        assert!(reason.contains(word), "{word}: {reasons:?}");
    }
    assert_eq!(std::fs::read(failed.join("3.stranger")).unwrap().len(), 66, "{:?}", files(&failed));
    assert!(world.application.at("received").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_take_each_mail_once() {
    let base = maildir();
    let settings = watching(base.path(), "");
    let first = World::start(&settings, "", "").await;
    let second = World::start(&settings, "", "").await;
    let subject = |number: usize| format!("shared {number}");
    for number in 0..200 {
        deliver(base.path(), number, &subject(number));
        if number % 20 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    let told = |world: &World| world.application.at("received").len();
    wait_until("all mails", async || (told(&first) + told(&second) >= 200).then_some(())).await;
    empty(base.path()).await;
    for number in 0..200 {
        let both = [&first, &second].map(|world| destinations(world, &subject(number)).len());
        assert_eq!(both[0] + both[1], 1, "{} at {both:?}", subject(number));
    }
    assert!(told(&first) > 0 && told(&second) > 0, "one of them has done nothing");
    assert_eq!(files(&base.path().join("in/failed")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_noticed_at_once() {
    for kind in ["maildir", "plain"] {
        let base = maildir();
        let world = World::start(
            &format!(
                "[[mm4rx.spool]]\ndirectory = '{}'\nkind = '{kind}'\npoll_interval = '1h'\n\
                 takeover_after = '3h'\nsettle_time = '300ms'\n",
                base.path().join("in").display()
            ),
            "",
            "",
        )
        .await;
        wait_until("the first look", async || (work_folders(base.path()).len() == 1).then_some(())).await;
        for number in 0..3 {
            let subject = format!("noticed {number}");
            if kind == "maildir" {
                deliver(base.path(), number, &subject);
            } else {
                std::fs::write(base.path().join("in").join(number.to_string()), mail(number, &subject))
                    .unwrap();
            }
            assert_eq!(
                world.application.gets(&subject, "received").await.body["destination"],
                "+15555550161"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_directory_is_read_when_its_files_are_whole() {
    let base = maildir();
    let root = base.path().join("in");
    let world = World::start(&watching(base.path(), "kind = 'plain'\nsettle_time = '1s'"), "", "").await;
    std::fs::write(root.join(".hidden"), mail(1, "hidden")).unwrap();
    std::fs::write(root.join("later.tmp"), mail(2, "later")).unwrap();
    std::fs::write(root.join("noise"), "no mail").unwrap();
    // Written bit by bit, with less than the settle time between two bits but more than that in all.
    let whole = mail(3, "bit by bit");
    let mut slow = std::fs::File::create(root.join("slow")).unwrap();
    for bit in whole.as_bytes().chunks(whole.len() / 8) {
        std::io::Write::write_all(&mut slow, bit).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    let message = world.application.gets("bit by bit", "received").await.body;
    let parts = message["template"]["parts"].as_array().unwrap();
    assert_eq!(parts[0]["content"].as_str().unwrap().trim_end(), "hello", "{message:#}");
    wait_until("the noise aside", async || (files(&root.join("failed")).len() == 2).then_some(())).await;
    assert_eq!(files(&root.join("failed")), ["noise", "noise.reason"]);
    std::fs::rename(root.join("later.tmp"), root.join("now")).unwrap();
    world.application.gets("later", "received").await;
    assert!(root.join(".hidden").exists());
    assert_eq!(world.application.at("received").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_gateway_had_taken_is_taken_over() {
    let base = maildir();
    let settings = watching(base.path(), "takeover_after = '2s'");
    let mut first = World::start(&settings, "", "").await;
    let told = |world: &World| world.application.at("received").len();
    let subject = |number: usize| format!("taken over {number}");
    for number in 0..400 {
        deliver(base.path(), number, &subject(number));
    }
    wait_until("the first at work", async || (told(&first) > 0).then_some(())).await;
    first.gateway.kill();
    let [left] = work_folders(base.path()).try_into().unwrap();
    // What a gateway leaves that dies with a file in its hands, whether or not this one did.
    let in_hand = base.path().join("in").join(&left).join("9999999999.400.mail");
    std::fs::write(in_hand, mail(400, &subject(400))).unwrap();
    let second = World::start(&settings, "", "").await;
    wait_until("the dead one's folder cleared away", async || {
        let folders = work_folders(base.path());
        (folders.len() == 1 && folders[0] != left).then_some(())
    })
    .await;
    empty(base.path()).await;
    // What the first had kept waits in its store and is told when it comes back.
    first.gateway.start_again();
    for number in 0..=400 {
        let worlds = [&first, &second];
        wait_until(&subject(number), async || {
            worlds.iter().any(|world| !destinations(world, &subject(number)).is_empty()).then_some(())
        })
        .await;
    }
    assert_eq!(files(&base.path().join("in/failed")), [""; 0]);
    assert!(!destinations(&second, &subject(400)).is_empty());
}
