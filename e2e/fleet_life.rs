//! The life of single processes in a fleet: a rolling restart, a carrier that is gone for one instance, a process
//! that may end, a storage that cannot be shared.

use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{Delay, SimConfig};

use crate::rig::fleet::Fleet;
use crate::rig::redis::Redis;
use crate::rig::{Files, mm7, run, text, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_are_replaced_one_by_one_and_nothing_goes_out_twice() {
    let redis = Redis::durable();
    let mut config = SimConfig::default();
    config.script.mm7.delay = Delay::range(50, 150);
    let fleet = Fleet::new(&redis.storage(), config, "window = 16").await;
    let file = fleet.gateway_file("mm7").display().to_string();
    let gateway = |index| fleet.start("gateway", index, &["--no-mm7rx", file.as_str()]);
    let mut gateways = [gateway(0), gateway(1), gateway(0)];
    let _others = [fleet.start("api", 0, &[]), fleet.start("api", 1, &[]), fleet.start("mm7rx", 0, &[])];
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    let mut ids = Vec::new();
    for number in 0..600 {
        ids.push(fleet.post(number, "mm7", None).await.unwrap());
        if number % 200 == 199 {
            let took = gateways[number / 200].terminate().await;
            assert!(took < Duration::from_secs(10), "SIGTERM took {took:?}");
            let left = redis.cli(&["--scan", "--pattern", "*instances*"]);
            assert!(!left.is_empty(), "the others are still there");
            gateways[number / 200] = gateway(1);
        }
    }
    for id in &ids {
        wait_until(&format!("{id} to be delivered"), async || {
            fleet.message(id).await.filter(|message| text(message, "state") == "DELIVERED")
        })
        .await;
    }
    let copies = fleet.copies();
    assert!(copies.len() == 600 && copies.values().all(|copies| copies.len() == 1), "each went out once");
    assert_eq!(fleet.logged("an instance has died"), 0, "who is stopped says good-bye\n{}", fleet.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_whose_carrier_is_gone_leaves_the_work_to_the_others() {
    let redis = Redis::durable();
    let beat = "heartbeat_interval = '200ms'";
    let fleet = Fleet::new(&redis.storage(), SimConfig::default(), beat).await;
    let well = fleet.gateway_file("mm7");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text_of = std::fs::read_to_string(&well).unwrap();
    let carrier = fleet.carrier.mm7_addr.to_string();
    let lost = fleet.gateway_file("mm7").with_file_name("lost.toml");
    let beating = |remote: &str| {
        let remote = text_of.replace(&carrier, remote).replace("'fleet'", "'lost'");
        format!("{remote}heartbeat = 'HEAD any'\n")
    };
    std::fs::write(&lost, beating(&gone.to_string())).unwrap();
    let lost_file = lost.display().to_string();
    let _unwell = fleet.start("gateway", 0, &["--no-mm7rx", lost_file.as_str()]);
    wait_until("it to notice", async || (fleet.logged("taking no jobs until") > 0).then_some(())).await;
    let file = well.display().to_string();
    let _well = fleet.start("gateway", 1, &["--no-mm7rx", file.as_str()]);
    let _api = [fleet.start("api", 0, &[]), fleet.start("api", 1, &[])];
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    let start = Instant::now();
    for number in 0..50 {
        fleet.post(number, "mm7", None).await.unwrap();
    }
    wait_until("all of them at the carrier", async || (fleet.copies().len() == 50).then_some(())).await;
    assert!(start.elapsed() < Duration::from_secs(20), "the unwell one holds nothing back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_ends_for_its_supervisor_where_it_is_told_so() {
    let redis = Redis::durable();
    let fleet = Fleet::new(&redis.storage(), SimConfig::default(), "heartbeat_interval = '100ms'").await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = fleet.gateway_file("mm4");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace(&fleet.carrier.mm4_addr.to_string(), &gone.to_string());
    std::fs::write(&file, format!("{text}heartbeat = 'HELO 250'\n")).unwrap();
    let main = file.parent().unwrap().with_file_name("mmsgw-0.toml");
    let settings = std::fs::read_to_string(&main).unwrap();
    let exit = settings.replacen("[general]\n", "[general]\non_missed_heartbeats = 'exit'\n", 1);
    std::fs::write(&main, exit).unwrap();
    let file = file.display().to_string();
    let mut gateway = fleet.start("gateway", 0, &[file.as_str()]);
    assert_eq!(gateway.ended().await, Some(4), "{}", fleet.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_throw_queues_away_is_told_at_start_and_in_health() {
    let redis =
        Redis::start(&["--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let fleet = Fleet::new(&redis.storage(), SimConfig::default(), "").await;
    let [ops] = crate::rig::crash::free_ports();
    let _api = fleet.start("api", 0, &["--ops", &ops.to_string()]);
    fleet.await_api(0).await;
    let ready = reqwest::get(format!("http://{ops}/readyz")).await.unwrap();
    assert_eq!(ready.status(), 200);
    let told = ready.text().await.unwrap();
    assert!(told.contains("maxmemory-policy is allkeys-lru"), "{told}");
    assert!(fleet.logged("maxmemory-policy is allkeys-lru") > 0, "{}", fleet.logs());
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let told = reqwest::get(format!("http://{ops}/readyz")).await.unwrap().text().await.unwrap();
    assert!(!told.contains("maxmemory-policy"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_cannot_be_shared_is_told_in_one_line() {
    let files = Files::write("", &[("mm7", mm7("mm7", "http://127.0.0.1:1/", ""))]);
    let main = files.main().display().to_string();
    let refused = run(&["api", "-c", &main]).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        told.contains("the embedded store belongs to one process") && told.contains("mmsgw serve"),
        "{told}"
    );
    let gateway = crate::rig::Gateway::start(files);
    let second = run(&["serve", "-c", &main]).await;
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    assert!(told.contains("mmsgw-data") && told.contains("process"), "{told}");
    drop(gateway);
}
