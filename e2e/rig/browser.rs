//! A real Chromium, driven over the WebDriver protocol (W3C) by the chromedriver that belongs to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::crash::free_ports;
use super::{Program, program, scratch, wait_until};

const CHROMIUM: Program = Program { name: "chromium", package: "chromium" };
const DRIVER: Program = Program { name: "chromedriver", package: "chromium-driver" };

/// A browser with one window and a profile of its own. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    http: reqwest::Client,
    pictures: PathBuf,
    _profile: TempDir,
}

impl Browser {
    /// Starts it; pictures of it go into `target/screenshots/<name>`.
    pub(crate) async fn start(name: &str) -> Self {
        let [address] = free_ports();
        let driver = Command::new(program(DRIVER))
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let tmp = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let pictures = tmp.parent().unwrap().join("screenshots").join(name);
        std::fs::create_dir_all(&pictures).unwrap();
        let profile = scratch();
        let session = String::new();
        let mut browser = Self { driver, address, session, http, pictures, _profile: profile };
        wait_until("chromedriver", async || {
            let asked = browser.http.get(format!("http://{address}/status")).send().await;
            asked.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
        browser.open().await;
        browser
    }

    async fn open(&mut self) {
        let profile = format!("--user-data-dir={}", self._profile.path().display());
        let options = json!({
            "binary": program(CHROMIUM),
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=1280,900", profile,
            ],
        });
        let wanted = json!({
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
        });
        let opened = self.post("", &json!({"capabilities": {"alwaysMatch": wanted}})).await;
        opened["sessionId"].as_str().unwrap().clone_into(&mut self.session);
    }

    /// Opens an address.
    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
    }

    /// What a script, the body of a function, gives back.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Clicks what a selector finds, once it is there and can be clicked.
    pub(crate) async fn click(&self, selector: &str) {
        self.with(selector, "click", &json!({})).await;
    }

    /// Types into what a selector finds, in place of what it holds.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        self.with(selector, "clear", &json!({})).await;
        self.with(selector, "value", &json!({ "text": text })).await;
    }

    /// Chooses a value in the list that a selector finds.
    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        self.click(&format!("{selector} option[value='{value}']")).await;
    }

    async fn with(&self, selector: &str, deed: &str, body: &Value) {
        wait_until(&format!("`{selector}` to {deed}"), async || {
            let wanted = json!({"using": "css selector", "value": selector});
            let found = self.tried("/element", &wanted).await.ok()?;
            let element = found.as_object()?.values().next()?.as_str()?.to_owned();
            self.tried(&format!("/element/{element}/{deed}"), body).await.ok()
        })
        .await;
    }

    /// Waits until the page shows the words in what a selector finds.
    pub(crate) async fn sees(&self, selector: &str, words: &str) {
        let script = format!(
            "return [...document.querySelectorAll({})].some((found) => found.innerText.includes({}))",
            json!(selector),
            json!(words)
        );
        wait_until(&format!("`{words}` in `{selector}`"), async || {
            (self.run(&script).await == true).then_some(())
        })
        .await;
    }

    /// Width and height of the page in CSS pixels, and what the system prefers: `light` or `dark`.
    pub(crate) async fn looks(&self, (width, height): (u32, u32), scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.chrome("Emulation.setDeviceMetricsOverride", &size).await;
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.chrome("Emulation.setEmulatedMedia", &scheme).await;
    }

    async fn chrome(&self, command: &str, params: &Value) {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": params})).await;
    }

    /// Keeps a picture of what is seen.
    pub(crate) async fn picture(&self, name: &str) {
        let url = format!("http://{}/session/{}/screenshot", self.address, self.session);
        let answer = self.http.get(url).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let octets = encodify::base64::STANDARD.decode(answer["value"].as_str().unwrap()).unwrap();
        std::fs::write(self.pictures.join(format!("{name}.png")), octets).unwrap();
    }

    /// What the browser complained of since the last time, refused requests (which it reports too) left out.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"})).await;
        let all =
            entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned());
        all.filter(|message| !message.contains("Failed to load resource")).collect()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.tried(path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn tried(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let at = if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let url = format!("http://{}/session{at}{path}", self.address);
        let request = self.http.post(url).header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let is_good = answer.status().is_success();
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let value = answer["value"].take();
        if is_good { Ok(value) } else { Err(value) }
    }

    /// Ends the session, with which the driver ends its browser.
    fn close(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (session, address) = (&self.session, self.address);
        write!(stream, "DELETE /session/{session} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        stream.read(&mut [0; 64]).map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.close();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
