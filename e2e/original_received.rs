//! An application that receives, as it was written for the original gateway, works unchanged.

use mmsgw_mmsc_sim::{Mo, Received};

use crate::rig::crash::free_ports;
use crate::rig::{World, picture, run_python, wait_until};

/// Written as such applications are: Python, its standard library, the paths and names of the original.
const APPLICATION: &str = include_str!("apps/original_received.py");
const NUMBERS: [&str; 2] = ["+15555550161", "+15555550162"];

fn mo(subject: &str) -> Mo {
    Mo {
        from: "+15555550150".into(),
        to: NUMBERS.map(str::to_owned).into(),
        subject: subject.into(),
        text: "hello".into(),
        picture: Some(picture(10_000, 3).to_vec()),
        ack: true,
        dr: true,
        rr: true,
        ..Mo::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_the_original_receives_unchanged() {
    let [door] = free_ports();
    let over = format!(
        "gateway.events_url = 'http://{door}/mms_event'\ninbound.mms_received_url = 'http://{door}/mms_received'\n\
         [features]\nauto_ack = false\nauto_dr = 'no'\nauto_rr = 'no'\n"
    );
    let world = World::start("", &over, &over).await;
    let (api, port) = (world.api.url(""), door.port().to_string());
    let arguments = [api.as_str(), "2", &port];
    let application = run_python(APPLICATION, &arguments, b"");
    let carrier = async {
        // A callback that finds nobody yet is repeated, but only after a while.
        wait_until("the application to listen", async || tokio::net::TcpStream::connect(door).await.ok())
            .await;
        (world.carrier.send_mo_mm4(&mo("over mm4")).await, world.carrier.send_mo_mm7(&mo("over mm7")).await)
    };
    let (printed, (mm4, mm7)) = tokio::join!(application, carrier);
    assert!(mm4.answer.is_ok() && mm7.answer.is_ok(), "{mm4:?} {mm7:?}");
    for subject in ["over mm4", "over mm7"] {
        assert!(printed.contains(&format!("\"received\": \"{subject}\"")), "{printed}");
    }
    assert_eq!(printed.matches("\"status\": 204").count(), 3, "{printed}");
    let back = |kind: &str| -> Vec<Received> {
        world.carrier.received().into_iter().filter(|r| r.kind == kind).collect()
    };
    let kinds = ["MM4_forward.RES", "MM4_delivery_report.REQ", "MM4_read_reply_report.REQ"];
    wait_until("all answers at the carrier", async || {
        (kinds.map(|kind| back(kind).len()) == [1, 2, 2]).then_some(())
    })
    .await;
    let answered = &back(kinds[0])[0];
    assert_eq!((&answered.transaction_id, &answered.message_id), (&mm4.transaction_id, &mm4.message_id));
    for (kind, field, word) in [
        (kinds[0], "X-Mms-Request-Status-Code", "Ok"),
        (kinds[1], "X-Mms-MM-Status-Code", "Retrieved"),
        (kinds[2], "X-Mms-Read-Status", "Read"),
    ] {
        for mail in back(kind) {
            assert!(mail.problems.is_empty(), "{:?}", mail.problems);
            assert_eq!((mail.field(field), &mail.message_id), (Some(word), &mm4.message_id), "{kind}");
        }
    }
}
