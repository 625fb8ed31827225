//! The disk is full. Whoever brings something is told to come again; what was taken before goes on once there is room,
//! without help, and nothing is half-written.

use std::path::Path;

use mmsgw_mmsc_sim::Mo;
use serde_json::json;

use crate::rig::vitals::files_below;
use crate::rig::{World, picture, scratch, text, wait_until};

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this user may not mount anything.
    fn mount() -> Option<Self> {
        let at = scratch();
        let mut command = std::process::Command::new("mount");
        let arguments = ["-t", "tmpfs", "-o", "size=8m,mode=0700", "mmsgw-small-disk"];
        let mounted = command.args(arguments).arg(at.path()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(at))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes up all that is free.
    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        while file.write_all(&[0; 4 << 10]).is_ok() {}
    }

    fn filler(&self) -> std::path::PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a gateway that is just ending may still have files open there.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn postcard(number: u32) -> serde_json::Value {
    let octets = encodify::base64::STANDARD.encode(picture(60_000, number * 2));
    json!({"origin": "54321", "subject": format!("card {number}"),
        "parts": [{"name": "a.jpg", "content_type": "image/jpeg", "encoding": "base64", "content": octets}],
        "send": {"destination": "+15555550102", "gateway": if number.is_multiple_of(2) { "mm7" } else { "mm4" }}})
}

fn from_phone(number: u32) -> Mo {
    Mo {
        from: "+15555550150".into(),
        to: vec!["+15555550161".into()],
        subject: format!("phone {number}"),
        text: "hello".into(),
        picture: Some(picture(60_000, number * 2 + 1).to_vec()),
        transaction_id: Some(format!("t-{number}")),
        message_id: Some(format!("m-{number}")),
        ..Mo::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("disk_full: only root may mount a small disk; nothing was tested");
        return;
    };
    let main = format!(
        "[message_storage]\ndirectory = '{}'\n[general]\nlease = '2s'\ncallback_delays = ['200ms']\n\
         callback_tries = 1000\nreport_delays = ['200ms']\nreport_tries = 1000\n",
        disk.path().display()
    );
    let patient = "[gateway]\nmax_tries = 1000\nretry_delays = ['200ms']\n";
    let world = World::start(&main, patient, patient).await;
    let mut taken = vec![world.api.send(&postcard(0)).await];
    world.api.reaches(&taken[0], &["READ"]).await;
    disk.fill();

    // Small things may still find a place in files that are there.
    let mut number = 0;
    let refused = wait_until("the API to refuse", async || {
        number += 1;
        let reply = world.api.post("mms", &postcard(number)).await;
        if reply.status == 202 {
            taken.push(text(&reply.body, "id").to_owned());
            disk.fill();
        }
        (reply.status != 202).then_some(reply)
    })
    .await;
    assert_eq!((refused.status, text(&refused.body, "code")), (503, "store_unavailable"), "{}", refused.body);
    assert_eq!(refused.content_type, "application/problem+json");
    let mut phones = Vec::new();
    for over_mm4 in [true, false] {
        let answer = wait_until("the carrier to be put off", async || {
            number += 1;
            let mo = from_phone(number);
            let sent = if over_mm4 {
                world.carrier.send_mo_mm4(&mo).await
            } else {
                world.carrier.send_mo_mm7(&mo).await
            };
            if sent.answer.is_ok() {
                phones.push(mo.subject);
                disk.fill();
                return None;
            }
            Some(sent.answer)
        })
        .await;
        if over_mm4 {
            assert!((450..=452).contains(&answer.code), "{answer:?}");
        } else {
            assert!(answer.code == 503 && answer.text.contains(">4006<"), "{answer:?}");
        }
    }
    assert_eq!(world.api.message(&taken[0]).await["state"], "READ", "reading goes on");

    std::fs::remove_file(disk.filler()).unwrap();
    let after = wait_until("the API to take messages again", async || {
        number += 1;
        let reply = world.api.post("mms", &postcard(number)).await;
        (reply.status == 202).then(|| text(&reply.body, "id").to_owned())
    })
    .await;
    taken.push(after);
    for id in &taken {
        world.api.reaches(id, &["READ"]).await;
    }
    let mo = from_phone(number + 1);
    assert!(world.carrier.send_mo_mm7(&mo).await.answer.is_ok());
    phones.push(mo.subject);
    for subject in &phones {
        world.application.gets(subject, "received").await;
    }
    let half_written = files_below(&disk.path().join("media/incoming"));
    assert!(half_written.is_empty(), "{half_written:?}");
    println!(
        "disk_full: {} messages and {} from phones were taken, all came to their end",
        taken.len(),
        phones.len()
    );
}
