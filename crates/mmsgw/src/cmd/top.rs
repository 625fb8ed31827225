//! `mmsgw top`: how a running gateway is, again and again. On a terminal as a screen with keys, elsewhere as pages.

mod app;
mod draw;
mod keys;
mod screen;
mod sheet;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::look::Look;
use super::status::{object, page};
use crate::cli::TopArgs;
use crate::client::ApiClient;

pub(crate) async fn run(args: TopArgs) -> anyhow::Result<()> {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if args.plain || args.look.json || !is_terminal { pages(&args).await } else { screen::run(&args).await }
}

async fn pages(args: &TopArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let mut before: Option<Look> = None;
    let mut looks = 0_u64;
    loop {
        let look = Look::at(&client).await?;
        let rates = before.as_ref().map(|before| look.rates_since(before)).unwrap_or_default();
        if args.look.json {
            println!("{}", object(&look, &rates));
        } else {
            show(&page(&look, &rates))?;
        }
        before = Some(look);
        looks += 1;
        if args.looks.is_some_and(|most| looks >= most) {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(args.every.0.max(SHORTEST)) => {}
            signal = super::stop_signal() => return signal.map(drop),
        }
    }
}

/// The page in the place of the one before, on a terminal; one after the other elsewhere.
fn show(lines: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        write!(out, "{HOME}")?;
        lines.iter().try_for_each(|line| writeln!(out, "{line}{TO_LINE_END}"))?;
        write!(out, "{TO_PAGE_END}")?;
    } else {
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    out.flush()
}

/// Cursor to the upper left (ECMA-48 CUP), clear to the end of the line (EL) and of the page (ED).
const HOME: &str = "\u{1b}[H";
const TO_LINE_END: &str = "\u{1b}[K";
const TO_PAGE_END: &str = "\u{1b}[J";
/// A gateway is not looked at more often than that.
const SHORTEST: Duration = Duration::from_millis(100);
