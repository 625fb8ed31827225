//! `mmsgw top` on a terminal: what it shows, what its keys do, and how it leaves.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::rig::crash::free_ports;
use crate::rig::{LIMIT, World, text};

/// A terminal with the command in it.
struct Terminal {
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Terminal {
    fn open(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/apps/terminal.py");
        let mut child = Command::new("python3")
            .args([script, env!("CARGO_BIN_EXE_mmsgw")])
            .args(arguments)
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, orders, answers: BufReader::new(answers).lines() }
    }

    async fn order(&mut self, line: &str) {
        self.orders.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn asks(&mut self, line: &str) -> Value {
        self.order(line).await;
        let answer = tokio::time::timeout(LIMIT, self.answers.next_line()).await.expect("an answer in time");
        serde_json::from_str(&answer.unwrap().unwrap()).unwrap()
    }

    async fn types(&mut self, keys: &str) {
        let hex: String = keys.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.order(&format!("keys {hex}")).await;
    }

    /// Waits until the screen has these words.
    async fn shows(&mut self, words: &[&str]) -> String {
        let start = std::time::Instant::now();
        loop {
            let screen = self.asks("show").await.as_str().unwrap().to_owned();
            if words.iter().all(|word| screen.contains(word)) {
                return screen;
            }
            assert!(start.elapsed() < LIMIT, "no {words:?}:\n{screen}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Waits until the command has ended, with success and the terminal as it was.
    async fn is_left(&mut self) {
        let end = self.asks("end").await;
        assert_eq!((&end["code"], &end["restored"]), (&0.into(), &true.into()), "{end}");
        for given_back in ["\u{1b}[?1049l", "\u{1b}[?25h"] {
            assert!(text(&end, "tail").contains(given_back), "{end}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_shows_gateways_pauses_one_and_outlives_the_process() {
    let [ops] = free_ports();
    let mut world = World::start(&format!("ops.listen = '{ops}'"), "", "").await;
    let mut terminal = Terminal::open(&["top", "--ops", &ops.to_string(), "--every", "200ms"]);
    terminal.shows(&["mm4", "mm7", "well", "accepted/s", "newest events"]).await;
    let id = world.api.send_text("mm4", "seen", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    terminal.shows(&[&id, "DELIVERED"]).await;
    terminal.types("2").await;
    terminal.shows(&["mm7:e2e:", "HEARTBEAT", "LAST ERROR"]).await;
    terminal.order("size 60 15").await;
    terminal.shows(&["mmsgw top", "mm7:e2e:", "HEALTH", "q quit"]).await;
    terminal.order("size 120 40").await;
    // Keys in the same moment would wait for the next key: crossterm reads either those or the change of size.
    terminal.shows(&["DEFERRED"]).await;
    terminal.types("1p").await;
    terminal.shows(&[" pause mm4 ", "Why?"]).await;
    terminal.types("at night\r").await;
    terminal.shows(&["mm4 is paused", "at night (by -)"]).await;
    assert!(world.gateway.log().contains("reason=\"at night\""));
    terminal.types("rmorning\r").await;
    terminal.shows(&["mm4 is well"]).await;
    world.gateway.kill();
    terminal.shows(&["THE GATEWAY IS GONE", "cannot reach the gateway"]).await;
    world.gateway.start_again();
    let back = terminal.shows(&["mm7", "well", " UTC"]).await;
    assert!(!back.contains("IS GONE"));
    terminal.types("q").await;
    terminal.is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_given_back_on_interrupt_and_on_a_signal() {
    let [nobody] = free_ports();
    let mut terminal = Terminal::open(&["top", "--ops", &nobody.to_string()]);
    terminal.shows(&["THE GATEWAY IS GONE", "Nothing was heard of the gateway yet."]).await;
    terminal.types("\u{3}").await;
    terminal.is_left().await;
    let mut terminal = Terminal::open(&["top", "--ops", &nobody.to_string()]);
    terminal.shows(&["THE GATEWAY IS GONE"]).await;
    terminal.order("terminate").await;
    terminal.is_left().await;
}
