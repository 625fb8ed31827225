//! Four processes share one limit of messages a second.

use mmsgw_mmsc_sim::SimConfig;

use crate::rig::fleet::Fleet;
use crate::rig::redis::Redis;
use crate::rig::wait_until;

/// The limit, and how long it is watched.
const TPS: usize = 60;
const SECONDS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_keep_one_rate_within_two_per_cent() {
    let redis = Redis::durable();
    let config = SimConfig::default();
    let fleet = Fleet::new(&redis.storage(), config, &format!("tps_limit = {TPS}.0")).await;
    let _api = [fleet.start("api", 0, &[]), fleet.start("api", 1, &[])];
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    for number in 0..TPS * (SECONDS + 4) {
        fleet.post(number, "mm7", None).await.unwrap();
    }
    let file = fleet.gateway_file("mm7").display().to_string();
    let _gateways: Vec<_> =
        (0..4).map(|index| fleet.start("gateway", index % 2, &["--no-mm7rx", file.as_str()])).collect();
    let all = TPS * (SECONDS + 4);
    wait_until("all of them at the carrier", async || (fleet.copies().len() >= all).then_some(())).await;
    let mut arrivals: Vec<i64> = fleet.copies().values().map(|copies| copies[0].at_ms).collect();
    arrivals.sort_unstable();
    // While all four start is no time to measure.
    let begin = arrivals[TPS] / 1000 * 1000 + 1000;
    let end = begin + i64::try_from(SECONDS).unwrap() * 1000;
    let within = arrivals.iter().filter(|at| (begin..end).contains(at)).count();
    println!("fleet_pace: {within} within {SECONDS} s at a limit of {TPS}/s over four processes");
    let (wanted, slack) = (TPS * SECONDS, TPS * SECONDS / 50);
    assert!(within.abs_diff(wanted) <= slack, "{within} where {wanted} were wanted\n{}", fleet.logs());
    assert!(fleet.copies().values().all(|copies| copies.len() == 1), "no job is in two hands");
}
