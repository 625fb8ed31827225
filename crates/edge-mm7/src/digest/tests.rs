//! What is let in by HTTP Digest, and what is not.

use super::DigestAlgorithm::{Md5, Sha256};
use super::*;

const START: Duration = Duration::from_secs(1000);

fn auth() -> DigestAuth {
    offering(&[Sha256])
}

fn offering(algorithms: &[DigestAlgorithm]) -> DigestAuth {
    DigestAuth::new("Mufasa", &SecretString::from("Circle of Life"), algorithms)
}

fn nonce_in(challenge: &str) -> String {
    challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// A client by the book.
#[derive(Clone)]
struct Client {
    user: &'static str,
    password: &'static str,
    realm: &'static str,
    method: &'static str,
    uri: &'static str,
    nonce: String,
    count: u32,
    algorithm: DigestAlgorithm,
}

impl Client {
    fn of(auth: &DigestAuth) -> Self {
        let nonce = nonce_in(&auth.challenges(false, START).next().unwrap());
        Self {
            algorithm: Sha256,
            user: "Mufasa",
            password: "Circle of Life",
            realm: "mm7",
            method: "POST",
            uri: "/mm7",
            nonce,
            count: 1,
        }
    }

    fn credentials(&self) -> String {
        let Self { user, password, realm, method, uri, nonce, count, algorithm } = self;
        let (hash, name) = (|texts: &[&str]| algorithm.hash(texts), algorithm.name());
        let secret = hash(&[user, realm, password]);
        let request = hash(&[method, uri]);
        let response = hash(&[&secret, nonce, &format!("{count:08x}"), "0a4f113b", "auth", &request]);
        format!(
            "username=\"{user}\", realm=\"{realm}\", uri=\"{uri}\", algorithm={name}, nonce=\"{nonce}\", \
             nc={count:08x}, cnonce=\"0a4f113b\", qop=auth, response=\"{response}\""
        )
    }
}

fn look(auth: &DigestAuth, credentials: &str) -> Seen {
    auth.look(credentials, &Method::POST, &Uri::from_static("/mm7"), START)
}

/// RFC 7616 clause 3.9.1.
#[test]
fn the_example_of_the_standard_comes_out() {
    for (algorithm, response) in [
        (Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        (Md5, "8ca523f5e9506fed4657c9700eebdbec"),
    ] {
        let secret = algorithm.hash(&["Mufasa", "http-auth@example.org", "Circle of Life"]);
        let request = algorithm.hash(&["GET", "/dir/index.html"]);
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        assert_eq!(algorithm.hash(&[&secret, nonce, "00000001", cnonce, "auth", &request]), response);
    }
}

#[test]
fn md5_counts_only_where_it_is_offered() {
    let (both, old) = (offering(&[Sha256, Md5]), offering(&[Md5]));
    let challenges: Vec<String> = both.challenges(false, START).collect();
    assert!(challenges[0].contains("algorithm=SHA-256,") && challenges[1].contains("algorithm=MD5,"));
    assert_ne!(nonce_in(&challenges[0]), nonce_in(&challenges[1]));
    let client = Client { algorithm: Md5, nonce: nonce_in(&challenges[1]), ..Client::of(&both) };
    assert_eq!(look(&both, &client.credentials()), Seen::Good);
    let unsaid = Client { count: 2, ..client.clone() }.credentials().replace("algorithm=MD5, ", "");
    assert_eq!(look(&both, &unsaid), Seen::Good, "who names none means MD5");
    assert_eq!(
        look(&both, &Client { count: 3, algorithm: Sha256, ..client.clone() }.credentials()),
        Seen::Good
    );
    let wrong = Client { count: 4, password: "Circle", ..client.clone() };
    assert_eq!(look(&both, &wrong.credentials()), Seen::Bad);
    assert_eq!(look(&old, &Client::of(&old).credentials()), Seen::Bad, "SHA-256 is not offered");
    let auth = auth();
    assert_eq!(look(&auth, &Client { algorithm: Md5, ..Client::of(&auth) }.credentials()), Seen::Bad);
}

#[test]
fn the_right_password_comes_in_and_everything_else_does_not() {
    let auth = auth();
    let good = Client::of(&auth);
    assert_eq!(look(&auth, &good.credentials()), Seen::Good);
    let two = Client { count: 2, ..good.clone() };
    let written = two.credentials();
    for (what, bad) in [
        ("user", Client { user: "Scar", ..two.clone() }.credentials()),
        ("password", Client { password: "Circle of Lif", ..two.clone() }.credentials()),
        ("realm", Client { realm: "http-auth@example.org", ..two.clone() }.credentials()),
        ("method", Client { method: "GET", ..two.clone() }.credentials()),
        ("place", Client { uri: "/other", ..two.clone() }.credentials()),
        ("query", Client { uri: "/mm7?x", ..two.clone() }.credentials()),
        ("count changed", written.replace("nc=00000002", "nc=00000003")),
        ("client nonce changed", written.replace("0a4f113b", "0a4f113c")),
        ("nonce changed", written.replace(&two.nonce, &two.nonce.replace('0', "1"))),
        ("MD5", written.replace("SHA-256", "MD5")),
        ("no algorithm, which means MD5", written.replace("algorithm=SHA-256, ", "")),
        ("auth-int", written.replace("qop=auth", "qop=auth-int")),
        ("no qop", written.replace("qop=auth, ", "")),
        ("no client nonce", written.replace("cnonce=\"0a4f113b\", ", "")),
        ("said twice", format!("{written}, username=\"Mufasa\"")),
        ("a quote open", written.trim_end_matches('"').to_owned()),
        ("too long", format!("{written}, x=\"{}\"", "y".repeat(MAX_CREDENTIALS))),
        ("nothing", String::new()),
        ("no list", "Mufasa:Circle of Life".into()),
        ("empty", "=,=,=".into()),
        ("end in an escape", "username=\"\\".into()),
    ] {
        assert_eq!(look(&auth, &bad), Seen::Bad, "{what}: {bad}");
    }
    assert_eq!(look(&auth, &written), Seen::Good, "none of those has used it up");
}

#[test]
fn forms_that_clients_write() {
    let auth = auth();
    let begin = Client::of(&auth);
    let forms: [fn(String) -> String; 5] = [
        |text| text.replace(", ", ","),
        |text| text.replace(", ", " ,  ").replace("nc=", "NC = "),
        |text| text.replace("qop=auth", "qop=\"auth\"").replace("=SHA-256", "=\"sha-256\""),
        |text| format!("opaque=\"a\\\"b, c=\", {text},"),
        |text| text.replace("Mufasa", "Mu\\fasa"),
    ];
    for (count, form) in (1..).zip(forms) {
        let written = form(Client { count, ..begin.clone() }.credentials());
        assert_eq!(look(&auth, &written), Seen::Good, "{written}");
    }
    let whole = Client { uri: "http://h.example/mm7", count: 9, ..begin };
    assert_eq!(look(&auth, &whole.credentials()), Seen::Good, "the whole URL, as proxies get it");
}

#[test]
fn nothing_counts_twice_and_connections_may_overtake_each_other() {
    let auth = auth();
    let begin = Client::of(&auth);
    let at = |count| look(&auth, &Client { count, ..begin.clone() }.credentials());
    for (count, want) in [
        (1, Seen::Good),
        (1, Seen::Stale),
        (5, Seen::Good),
        (3, Seen::Good),
        (3, Seen::Stale),
        (5, Seen::Stale),
        (0, Seen::Stale),
        (68, Seen::Good),
        (5, Seen::Stale),
        (4, Seen::Stale),
        (6, Seen::Good),
        (u32::MAX, Seen::Good),
        (u32::MAX, Seen::Stale),
        (68, Seen::Stale),
    ] {
        assert_eq!(at(count), want, "{count}");
    }
}

#[test]
fn nonces_grow_old_and_are_our_own() {
    let auth = auth();
    let client = Client::of(&auth);
    let later = |seconds: u64| {
        let now = START + Duration::from_secs(seconds);
        auth.look(&client.credentials(), &Method::POST, &Uri::from_static("/mm7"), now)
    };
    assert_eq!(later(301), Seen::Stale);
    assert_eq!(later(300), Seen::Good);
    assert_eq!(later(0), Seen::Stale, "used");
    for foreign in ["", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "\u{e9}", &"f".repeat(96)] {
        let foreign = Client { nonce: foreign.to_owned(), ..client.clone() };
        assert_eq!(look(&auth, &foreign.credentials()), Seen::Stale, "{}", foreign.nonce);
    }
    let other = Client::of(&self::auth());
    assert_eq!(look(&auth, &other.credentials()), Seen::Stale, "of another instance");
    assert!(auth.challenges(true, START).all(|challenge| challenge.ends_with(", stale=true")));
    assert!(auth.challenges(false, START).all(|challenge| !challenge.contains("stale")));
}

#[test]
fn memory_is_bounded_and_what_falls_out_of_it_counts_no_more() {
    let mut uses = Uses::default();
    let count = u64::try_from(MAX_NONCES).unwrap();
    for chance in 0..2 * count {
        assert!(uses.admit((1000 + chance, chance), 1, 1000 + chance));
        assert!(uses.by_nonce.len() <= MAX_NONCES);
    }
    assert!(!uses.admit((1000, 0), 1, 1000 + 2 * count), "it could be a replay");
    assert!(!uses.admit((1000, 7), 1, 1000 + 2 * count), "never seen, but as old");
    assert!(uses.admit((1000 + 2 * count - 1, 2 * count - 1), 2, 1000 + 2 * count));
    assert!(uses.admit((1_000_000, 0), 1, 1_000_000));
    assert_eq!(uses.by_nonce.len(), 1, "old ones are forgotten");
}
