//! The example application in Python, against the real gateway: it sends, takes signed callbacks, receives a message,
//! fetches its picture and answers; and it takes nothing that the gateway did not sign.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use mmsgw_mmsc_sim::Mo;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::rig::crash::free_ports;
use crate::rig::{LIMIT, Program, World, picture, program, run, scratch, wait_until};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn application() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/app.py")
}

fn python(key: &str, api: &str) -> Command {
    let mut command = Command::new(program(Program { name: "python3", package: "python3" }));
    command.arg("-B").arg(application()).args(["--api", api]);
    command.env("MMSGW_API_KEY", key).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// `app.py serve` at work, and what it said.
struct Serving {
    _child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let said = Arc::default();
        listen(child.stdout.take().unwrap(), Arc::clone(&said));
        listen(child.stderr.take().unwrap(), Arc::clone(&said));
        Self { _child: child, said }
    }

    /// The rest of the first line that begins with `words`.
    async fn says(&self, words: &str) -> String {
        wait_until(&format!("`{words}` from the application: {:?}", self.said), async || {
            self.said.lock().unwrap().iter().find_map(|line| line.strip_prefix(words).map(str::to_owned))
        })
        .await
    }

    fn said(&self, words: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|line| line.starts_with(words)).count()
    }
}

fn listen(pipe: impl AsyncRead + Unpin + Send + 'static, said: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push(line);
        }
    });
}

/// A key for the application, and its lines for the configuration.
async fn key() -> (String, String) {
    let made = String::from_utf8(run(&["key", "example"]).await.stdout).unwrap();
    let lines = made.find("[[api.key]]").unwrap();
    let secret = made.lines().nth(2).unwrap().trim().to_owned();
    (secret, made[lines..].to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_application_sends_receives_and_answers() {
    let [api, door] = free_ports();
    let (key, lines) = key().await;
    let main = format!("api.listen = '{api}'\ncallbacks.keys = [{{ secret = '{SECRET}' }}]\n{lines}");
    let over = format!(
        "gateway.events_url = 'http://{door}/events'\ninbound.mms_received_url = 'http://{door}/messages'\n\
         [features]\nauto_ack = false\nauto_dr = 'no'\n"
    );
    let world = World::start(&main, &over, &over).await;
    let (base, media) = (format!("http://{api}"), scratch());
    let mut serving = python(&key, &base);
    serving.args(["serve", "--listen", &door.to_string(), "--media"]).arg(media.path());
    let serving = Serving::start({
        serving.env("MMSGW_CALLBACK_SECRET", SECRET);
        serving
    });
    serving.says("listening on").await;

    let postcard = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/postcard.jpg");
    let mut sending = python(&key, &base);
    sending.args([
        "send",
        "--gateway",
        "mm7",
        "--to",
        "+15555550102",
        "--subject",
        "From Python",
        "--text",
        "hi",
    ]);
    let sent = timeout(LIMIT, sending.arg("--file").arg(&postcard).output()).await.expect("it ends").unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let id = String::from_utf8(sent.stdout).unwrap().trim().to_owned();
    for state in ["SCHEDULED", "SENT", "ACKNOWLEDGED", "DELIVERED"] {
        serving.says(&format!("event {id} {state} ")).await;
    }
    let arrived = world.arrives("From Python").await;
    assert!(arrived.parts.iter().any(|part| part.content_type.starts_with("image/jpeg")), "{arrived:?}");

    let photo = picture(30_000, 7);
    let mo = Mo {
        from: "+15555550150".into(),
        to: vec!["54321".into()],
        subject: "To Python".into(),
        picture: Some(photo.to_vec()),
        ack: true,
        dr: true,
        ..Mo::default()
    };
    assert!(world.carrier.send_mo_mm4(&mo).await.answer.is_ok());
    let file = serving.says(&format!("part image/jpeg {} ", photo.len())).await;
    assert_eq!(std::fs::read(file).unwrap(), photo);
    for kind in ["answered ack", "answered dr"] {
        serving.says(kind).await;
    }
    for kind in ["MM4_forward.RES", "MM4_delivery_report.REQ"] {
        let came = || world.carrier.received().into_iter().any(|r| r.kind == kind);
        wait_until(kind, async || came().then_some(())).await;
    }
    assert_eq!((serving.said("refused"), serving.said("message ")), (0, 1));
    forgeries_are_refused(&format!("http://{door}/events"), &serving).await;
}

/// Posts what the gateway did not sign.
async fn forgeries_are_refused(url: &str, serving: &Serving) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let sign = |id: &str, at: u64, body: &str| {
        let octets = encodify::base64::STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &octets);
        let signature = aws_lc_rs::hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
        format!("v1,{}", encodify::base64::STANDARD.encode(signature))
    };
    let body = r#"{"message":"forged","state":"DELIVERED","destinations":"*"}"#;
    let good = sign("a", now, body);
    let post = async |id: &str, at: u64, signature: &str, body: &str| {
        let request = reqwest::Client::new().post(url).header("webhook-id", id);
        let request = request.header("webhook-timestamp", at).header("webhook-signature", signature);
        request.body(body.to_owned()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("b", now, &good, body).await, 401, "another id");
    assert_eq!(post("a", now + 1, &good, body).await, 401, "another time");
    assert_eq!(post("a", now, &good, &body.replace("forged", "other")).await, 401, "another body");
    assert_eq!(post("a", now, "", body).await, 401, "no signature");
    assert_eq!(post("a", now - 600, &sign("a", now - 600, body), body).await, 401, "an old one, shown again");
    assert_eq!(serving.said("event forged"), 0);
    // So it was the forgery that was refused, and not everything; behind another key's signature it counts as well.
    let among_others = format!("v1,AAAA v1a,AAAA {good}");
    assert_eq!(post("a", now, &among_others, body).await, 204);
    serving.says("event forged DELIVERED").await;
}
