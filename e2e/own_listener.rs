//! An MM7 receiver with a listener and a path of its own: who posts there, how the posts are proven, and that the
//! shared listener knows nothing of it.

use std::path::Path;

use mmsgw_mmsc_sim::{Mo, SimConfig, Simulator, Targets};
use rcgen::{CertificateParams, KeyPair};

use crate::rig::{World, mm7, picture, run_python, scratch};

/// Posts DeliverReq by Python's own HTTP and TLS, with the password shown by Digest; prints each answer's status,
/// whether it says 1000, and the algorithms that were offered.
const POSTER: &str = r#"
import re, ssl, sys, urllib.request, urllib.error
url, authority, user, password, subject = sys.argv[1:]
schema = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4"
body = f"""<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Header>
<t:TransactionID xmlns:t="{schema}" env:mustUnderstand="1">tx-{subject}</t:TransactionID></env:Header><env:Body>
<DeliverReq xmlns="{schema}"><MM7Version>6.8.0</MM7Version><LinkedID>l-{subject}</LinkedID>
<Sender><Number>+15555550150</Number></Sender><Recipients><To><Number>+15555550161</Number></To></Recipients>
<Subject>{subject}</Subject></DeliverReq></env:Body></env:Envelope>""".encode()

class Keeper(urllib.request.HTTPDigestAuthHandler):
    def http_error_401(self, request, answer, code, message, headers):
        offered = [re.search("algorithm=([^,]*)", value).group(1) for value in headers.get_all("www-authenticate")]
        print("offered", *offered)
        return super().http_error_401(request, answer, code, message, headers)

passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
passwords.add_password(None, url, user, password)
tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority))
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Keeper(passwords), tls)
request = urllib.request.Request(url, body, {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'})
try:
    answer = opener.open(request, timeout=60)
    print(answer.status, b"<StatusCode>1000<" in answer.read())
except urllib.error.HTTPError as refused:
    print(refused.code)
"#;

/// Certificate and key for `localhost`, the certificate being its own authority.
fn certificate(directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
}

async fn world(inbound: &str) -> World {
    let carrier = Simulator::start(SimConfig::default()).await.unwrap();
    let own =
        mm7("own", &format!("http://{}/mm7", carrier.mm7_addr), &format!("gateway.name = 'own'\n{inbound}"));
    // Its messages go where those of the others go.
    let world = World::around(carrier, "", "", "", &[("own", own)]);
    assert_ne!(world.gateway.awaited("HTTP for carriers"), world.gateway.awaited("HTTP for carriers of own"));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_posts_to_a_listener_and_path_of_its_own() {
    let world = world("[inbound]\nhost = '127.0.0.1:0'\npath = '/peer/mm7'\n").await;
    let own = world.gateway.awaited("HTTP for carriers of own");
    let shared = world.gateway.awaited("HTTP for carriers");
    let mo = |subject: &str| Mo {
        from: "+15555550150".into(),
        to: vec!["+15555550161".into()],
        subject: subject.into(),
        picture: Some(picture(20_000, 7).to_vec()),
        ..Mo::default()
    };
    for (url, taken) in [
        (format!("http://{own}/peer/mm7"), true),
        (format!("http://{own}/mmsgw/v1/mms/inbound/own"), true),
        (format!("http://{own}/mmsgw/v1/mms/inbound/mm7"), false),
        (format!("http://{shared}/mmsgw/v1/mms/inbound/mm7"), true),
        (format!("http://{shared}/mmsgw/v1/mms/inbound/own"), false),
        (format!("http://{shared}/peer/mm7"), false),
    ] {
        world.carrier.set_targets(Targets { mm7_report_url: Some(url.clone()), mm4_report_addr: None });
        let sent = world.carrier.send_mo_mm7(&mo(&url)).await;
        assert_eq!(sent.answer.is_ok(), taken, "{url}: {sent:?}");
    }
    // A report on a message of that group comes there, too.
    world.carrier.set_targets(Targets {
        mm7_report_url: Some(format!("http://{own}/peer/mm7")),
        mm4_report_addr: None,
    });
    let id = world.api.send_text("own", "out", &["+15555550102"]).await;
    let letter = world.api.reaches(&id, &["ACKNOWLEDGED", "DELIVERED", "READ"]).await;
    assert_eq!(letter["gateway"], "own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_proves_itself_by_digest_over_tls() {
    let keys = scratch();
    certificate(keys.path());
    let [pem, key] = ["server.pem", "server.key"].map(|name| keys.path().join(name));
    // Python's Digest is one of those that know MD5 only, and look at the first offer only.
    for (algorithms, offered) in [("['MD5']", "offered MD5"), ("['MD5', 'SHA-256']", "offered MD5 SHA-256")] {
        let world = world(&format!(
            "[inbound]\nhost = '127.0.0.1:0'\npath = '/mm7'\nusername = 'mmsc'\npassword = 'secret'\n\
             password_scheme = 'digest'\ndigest_algorithms = {algorithms}\n\
             [inbound.tls]\ncert_file = '{}'\nkey_file = '{}'\n",
            pem.display(),
            key.display()
        ))
        .await;
        let own = world.gateway.awaited("HTTP for carriers of own");
        let url = format!("https://localhost:{}/mm7", own.rsplit_once(':').unwrap().1);
        let post = async |password: &str| {
            let arguments = [&url, pem.to_str().unwrap(), "mmsc", password, "digest"];
            run_python(POSTER, &arguments, b"").await
        };
        assert_eq!(post("secret").await.lines().collect::<Vec<_>>(), [offered, "200 True"], "{algorithms}");
        assert!(post("secrets").await.ends_with("401\n"), "{algorithms}");
    }
}
