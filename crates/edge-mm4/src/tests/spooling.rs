//! Spool directories with real files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmsgw_domain::{IntakeJob, IntakeKind, Span};
use mmsgw_net::Drain;
use tempfile::TempDir;

use super::fake::{LONG, wait_for};
use super::receiving::{House, delivery_report, house};
use crate::spool::{SpoolKind, SpoolSettings, watch_spool};

const NUMBER: &str = "+15555550101/TYPE=PLMN@east.own.example";

fn settings(directory: &Path, kind: SpoolKind) -> SpoolSettings {
    SpoolSettings {
        directory: directory.to_owned(),
        kind,
        group: None,
        poll_interval: Span(Duration::from_millis(10)),
        settle_time: Span(Duration::from_millis(100)),
        takeover_after: Span::secs(30),
        max_size: mmsgw_domain::ByteSize(100_000),
    }
}

fn maildir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["new", "cur", "tmp"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    dir
}

/// A mail as Postfix delivers it: envelope on top, lines that end in LF.
fn delivered(to: &str) -> String {
    let mail = delivery_report().replace("\r\n", "\n");
    format!(
        "Return-Path: <system-user@mms.peer.example>\nX-Original-To: {to}\nDelivered-To: mms@localhost\n{mail}"
    )
}

/// Watches until the drain is ended.
fn watch(house: &House, settings: SpoolSettings) -> (Drain, tokio::task::JoinHandle<Option<()>>) {
    let drain = Drain::new();
    let watching =
        watch_spool(house.engine.clone(), settings, std::sync::Arc::clone(&house.routes), drain.clone());
    let task = drain.spawn(watching);
    (drain, task)
}

fn files(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|n| n != ".alive")
        .collect();
    names.sort();
    names
}

fn work_folders(directory: &Path) -> Vec<PathBuf> {
    let names = files(directory).into_iter().filter(|name| name.starts_with(".taken-"));
    names.map(|name| directory.join(name)).collect()
}

/// True where no file is left to be worked on.
fn is_done(directory: &Path) -> bool {
    files(&directory.join("new")).is_empty()
        && work_folders(directory).iter().all(|folder| files(folder).is_empty())
}

fn envelope(job: &IntakeJob) -> (&str, &[String]) {
    match &job.kind {
        IntakeKind::Mail { mail_from, rcpt_to } => (mail_from, rcpt_to),
        IntakeKind::Http { .. } => panic!("{job:?}"),
    }
}

#[tokio::test]
async fn a_maildir_is_emptied_and_its_mails_are_kept() {
    let (house, dir) = (house("", &["east", "west"]).await, maildir());
    let west = "west-system@mms.own.example";
    for (name, to) in [("1.a", NUMBER), ("2.b", west), ("3.c", NUMBER)] {
        fs::write(dir.path().join("new").join(name), delivered(to)).unwrap();
    }
    let (drain, task) = watch(&house, settings(dir.path(), SpoolKind::Maildir));
    wait_for("an empty spool", || is_done(dir.path())).await;
    let (east, west_jobs) = (house.jobs("east").await, house.jobs("west").await);
    assert_eq!((east.len(), west_jobs.len()), (2, 1));
    assert_eq!(envelope(&east[0]), ("system-user@mms.peer.example", &[NUMBER.to_owned()][..]));
    assert_eq!(envelope(&west_jobs[0]).1, [west]);
    assert_eq!(east[0].raw, delivered(NUMBER));
    assert!(east[0].peer.starts_with("spool:"), "{}", east[0].peer);
    assert!(drain.drain(LONG).await);
    task.await.unwrap();
    assert_eq!(files(dir.path()), ["cur", "new", "tmp"], "the work folder is cleared away");
}

#[tokio::test]
async fn what_is_of_no_use_is_put_aside_with_the_reason() {
    let (house, dir) = (house("", &["east"]).await, maildir());
    let new = dir.path().join("new");
    for (name, text) in [
        ("empty", String::new()),
        ("large", "x".repeat(200_000)),
        ("foreign", delivered("victim@mail.example")),
        ("good", delivered(NUMBER)),
    ] {
        fs::write(new.join(name), text).unwrap();
    }
    let _watching = watch(&house, settings(dir.path(), SpoolKind::Maildir));
    let failed = dir.path().join("failed");
    wait_for("the bad ones aside", || files(&failed).len() == 6 && is_done(dir.path())).await;
    let reason = |name: &str| fs::read_to_string(failed.join(format!("{name}.reason"))).unwrap();
    assert_eq!(reason("empty"), "the file is empty\n");
    assert_eq!(reason("large"), "larger than 100000 octets\n");
    assert!(reason("foreign").contains("victim@mail.example"));
    assert_eq!(fs::read_to_string(failed.join("foreign")).unwrap(), delivered("victim@mail.example"));
    // Another of the same name does not take its place.
    fs::write(new.join("foreign"), delivered("other@mail.example")).unwrap();
    wait_for("the second aside", || files(&failed).len() == 8).await;
    assert!(reason("foreign.1").contains("other@mail.example"));
    assert_eq!(house.jobs("east").await.len(), 1);
}

#[tokio::test]
async fn a_plain_directory_is_read_when_its_files_are_whole() {
    let (house, dir) = (house("", &["east"]).await, tempfile::tempdir().unwrap());
    let _watching = watch(&house, settings(dir.path(), SpoolKind::Plain));
    let mail = delivered(NUMBER);
    for name in [".hidden", "later.tmp", "LATER.TMP"] {
        fs::write(dir.path().join(name), &mail).unwrap();
    }
    fs::create_dir(dir.path().join("folder")).unwrap();
    let slow = dir.path().join("slow");
    for end in (0..mail.len()).step_by(40).chain([mail.len()]) {
        fs::write(&slow, &mail[..end]).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_for("the slow one", || !slow.exists() && is_done(dir.path())).await;
    let jobs = house.jobs("east").await;
    assert_eq!((jobs.len(), &jobs[0].raw[..]), (1, mail.as_bytes()));
    // By another name it is ready.
    fs::rename(dir.path().join("later.tmp"), dir.path().join("now")).unwrap();
    wait_for("the renamed one", || !dir.path().join("now").exists() && is_done(dir.path())).await;
    assert_eq!(house.jobs("east").await.len(), 1);
    assert!(dir.path().join(".hidden").exists() && dir.path().join("LATER.TMP").exists());
}

#[tokio::test]
async fn several_instances_share_a_directory_and_each_file_is_kept_once() {
    let (house, dir) = (house("", &["east"]).await, maildir());
    let watching: Vec<_> = (0..3).map(|_| watch(&house, settings(dir.path(), SpoolKind::Maildir))).collect();
    for index in 0..90 {
        let file = dir.path().join("tmp").join(format!("{index}"));
        fs::write(&file, delivered(NUMBER)).unwrap();
        fs::rename(&file, dir.path().join("new").join(format!("{index}"))).unwrap();
    }
    wait_for("an empty spool", || is_done(dir.path())).await;
    for (drain, _) in &watching {
        assert!(drain.drain(LONG).await);
    }
    assert_eq!(house.jobs("east").await.len(), 90);
}

#[tokio::test]
async fn what_a_dead_instance_had_taken_is_taken_over() {
    let (house, dir) = (house("", &["east"]).await, maildir());
    let old = |name: &str, age: Option<Duration>| {
        let work = dir.path().join(format!(".taken-{name}"));
        fs::create_dir(&work).unwrap();
        fs::write(work.join("0000000001.17.host"), delivered(NUMBER)).unwrap();
        if let Some(age) = age {
            let sign = fs::File::create(work.join(".alive")).unwrap();
            sign.set_modified(SystemTime::now() - age).unwrap();
        }
        work
    };
    let dead = old("dead", Some(Duration::from_secs(60)));
    let ended = old("ended", None);
    let alive = old("alive", Some(Duration::from_secs(5)));
    let _watching = watch(&house, settings(dir.path(), SpoolKind::Maildir));
    wait_for("folders of the dead gone", || !dead.exists() && !ended.exists()).await;
    wait_for("their files kept", || {
        work_folders(dir.path())
            .iter()
            .filter(|folder| **folder != alive)
            .all(|folder| files(folder).is_empty())
    })
    .await;
    assert_eq!(house.jobs("east").await.len(), 2);
    assert_eq!(files(&alive), ["0000000001.17.host"], "the living keep theirs");
}

#[tokio::test]
async fn a_file_waits_while_it_cannot_be_kept() {
    let (house, dir) = (house("", &["west"]).await, maildir());
    fs::write(dir.path().join("new").join("1"), delivered(NUMBER)).unwrap();
    let (drain, task) = watch(&house, settings(dir.path(), SpoolKind::Maildir));
    let held = || work_folders(dir.path()).iter().any(|folder| !files(folder).is_empty());
    wait_for("the file in hand", held).await;
    assert!(drain.drain(LONG).await);
    task.await.unwrap();
    assert!(held() && !dir.path().join("failed").exists());
    // Another instance, which knows the group, takes it over at once: the first has said goodbye.
    let other = self::house("", &["east"]).await;
    let _watching = watch(&other, settings(dir.path(), SpoolKind::Maildir));
    wait_for("an empty spool", || is_done(dir.path())).await;
    assert_eq!(other.jobs("east").await.len(), 1);
}

#[tokio::test]
async fn one_group_takes_all_where_the_settings_say_so() {
    let (house, dir) = (house("", &["west"]).await, maildir());
    let text = delivery_report().replace("\r\n", "\n");
    fs::write(dir.path().join("new").join("1"), format!("From a@b.example Tue Nov 14 22:13:20 2023\n{text}"))
        .unwrap();
    let settings =
        SpoolSettings { group: Some("west".parse().unwrap()), ..settings(dir.path(), SpoolKind::Maildir) };
    let _watching = watch(&house, settings);
    wait_for("an empty spool", || is_done(dir.path())).await;
    let jobs = house.jobs("west").await;
    assert_eq!(envelope(&jobs[0]), ("a@b.example", &[][..]));
    assert_eq!(jobs[0].raw, text);
}

#[tokio::test]
async fn a_directory_that_appears_later_is_used_then() {
    let (house, dir) = (house("", &["east"]).await, tempfile::tempdir().unwrap());
    let blocked = dir.path().join("in");
    fs::write(&blocked, "a file is in the way").unwrap();
    let _watching = watch(&house, settings(&blocked, SpoolKind::Maildir));
    tokio::time::sleep(Duration::from_millis(50)).await;
    fs::remove_file(&blocked).unwrap();
    fs::create_dir_all(blocked.join("new")).unwrap();
    fs::write(blocked.join("new").join("1"), delivered(NUMBER)).unwrap();
    wait_for("an empty spool", || is_done(&blocked)).await;
    assert_eq!(house.jobs("east").await.len(), 1);
}

#[tokio::test]
async fn new_files_are_noticed_without_a_look() {
    let hours = |kind, directory: &Path| SpoolSettings {
        poll_interval: Span::secs(3_600),
        takeover_after: Span::secs(10_000),
        ..settings(directory, kind)
    };
    for kind in [SpoolKind::Maildir, SpoolKind::Plain] {
        let (house, dir) = (house("", &["east"]).await, maildir());
        let (drain, task) = watch(&house, hours(kind, dir.path()));
        // The first look is over when its sign of life is there, the notices have been asked for before.
        wait_for("the first look", || !work_folders(dir.path()).is_empty()).await;
        let place = match kind {
            SpoolKind::Maildir => dir.path().join("new"),
            SpoolKind::Plain => dir.path().to_owned(),
        };
        for name in ["1", "2", "3"] {
            // Put in its place whole, as is done with Maildirs, and written there bit by bit.
            let elsewhere = dir.path().join("tmp").join(name);
            if name == "2" && kind == SpoolKind::Plain {
                let mail = delivered(NUMBER);
                for end in [10, mail.len()] {
                    fs::write(place.join(name), &mail[..end]).unwrap();
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            } else {
                fs::write(&elsewhere, delivered(NUMBER)).unwrap();
                fs::rename(&elsewhere, place.join(name)).unwrap();
            }
            wait_for("the file to be taken", || !place.join(name).exists() && is_done(dir.path())).await;
        }
        assert_eq!(house.jobs("east").await.len(), 3, "{kind:?}");
        assert!(drain.drain(LONG).await);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_that_is_another_one_by_now_is_noticed_again() {
    let (house, dir) = (house("", &["east"]).await, maildir());
    let slow = SpoolSettings {
        poll_interval: Span(Duration::from_millis(200)),
        ..settings(dir.path(), SpoolKind::Maildir)
    };
    let _watching = watch(&house, slow);
    wait_for("the first look", || !work_folders(dir.path()).is_empty()).await;
    let new = dir.path().join("new");
    fs::rename(&new, dir.path().join("old")).unwrap();
    fs::create_dir(&new).unwrap();
    for name in ["1", "2"] {
        fs::write(dir.path().join("tmp").join(name), delivered(NUMBER)).unwrap();
        fs::rename(dir.path().join("tmp").join(name), new.join(name)).unwrap();
        wait_for("an empty spool", || is_done(dir.path())).await;
    }
    assert_eq!(house.jobs("east").await.len(), 2);
}
