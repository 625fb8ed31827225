//! The terminal: keys in, pictures out, and what the gateway says meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::task::AbortOnDropHandle;

use super::super::feed::{Fed, Feed};
use super::super::look::Look;
use super::SHORTEST;
use super::app::{App, Deed};
use super::draw::draw;
use super::keys::{Wish, press};
use crate::cli::TopArgs;
use crate::client::ApiClient;
use crate::exit::Ended;

/// What comes from the gateway.
enum News {
    Looked(Look),
    Lost(String),
    Listening(bool),
    Fed(Fed),
    /// What became of an order.
    Steered(String),
}

/// The terminal as a screen; given back as it was, however this ends.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> anyhow::Result<Self> {
        // Also has a panic give the terminal back before it speaks.
        Ok(Self(
            ratatui::try_init().context("the terminal cannot be used as a screen; --plain can do without")?,
        ))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the screen until the person wants no more, a signal comes, or there were enough looks.
pub(super) async fn run(args: &TopArgs) -> anyhow::Result<()> {
    let client = Arc::new(ApiClient::ops(&args.look.ops)?);
    let (told, mut news) = channel(1_024);
    let _tasks = [
        AbortOnDropHandle::new(tokio::spawn(look(
            Arc::clone(&client),
            told.clone(),
            args.every.0.max(SHORTEST),
        ))),
        AbortOnDropHandle::new(tokio::spawn(listen(Arc::clone(&client), told.clone()))),
    ];
    let mut app = App::new(args.look.ops.ops.to_string());
    let mut screen = Screen::take()?;
    let mut keys = EventStream::new();
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    let stop = super::super::stop_signal();
    tokio::pin!(stop);
    let mut looks = 0_u64;
    loop {
        screen.0.draw(|frame| draw(frame, &app, Instant::now()))?;
        tokio::select! {
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) => match press(&mut app, key) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Steer { deed, group, reason }) => {
                        steer(Arc::clone(&client), told.clone(), (deed, group, reason));
                    }
                    None => {}
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("the terminal cannot be read"),
                None => return Err(Ended::Failed("the terminal is gone").into()),
            },
            Some(first) = news.recv() => looks += take(&mut app, first, &mut news),
            // What is silent has to be seen to be silent.
            _ = clock.tick() => {}
            signal = &mut stop => return signal.map(drop),
        }
        if args.looks.is_some_and(|most| looks >= most) {
            return Ok(());
        }
    }
}

/// Takes one piece of news and all that came with it, so that much of it makes one picture; says how many looks.
fn take(app: &mut App, first: News, news: &mut Receiver<News>) -> u64 {
    let mut looks = 0;
    let mut next = Some(first);
    while let Some(one) = next {
        match one {
            News::Looked(look) => {
                app.looked(look);
                looks += 1;
            }
            News::Lost(why) => app.lost(Instant::now(), why),
            News::Listening(is_listening) => app.is_listening = is_listening,
            News::Fed(Fed::Message(event)) => {
                app.happened(serde_json::from_str(&event).unwrap_or(Value::Null));
            }
            News::Fed(Fed::Missed(count)) => app.missed += count,
            News::Steered(what) => app.notice = Some(what),
        }
        next = news.try_recv().ok();
    }
    looks
}

/// Looks at the gateway again and again, whether it answers or not.
async fn look(client: Arc<ApiClient>, told: Sender<News>, every: Duration) {
    loop {
        let news = match tokio::time::timeout(PATIENCE, Look::at(&client)).await {
            Ok(Ok(look)) => News::Looked(look),
            Ok(Err(error)) => News::Lost(format!("{error:#}")),
            Err(_) => News::Lost("no answer in time".to_owned()),
        };
        if told.send(news).await.is_err() {
            return;
        }
        tokio::time::sleep(every).await;
    }
}

/// Hears live events, and connects again where the stream ends.
async fn listen(client: Arc<ApiClient>, told: Sender<News>) {
    loop {
        let (mut feed, mut behind) = (Feed::default(), 0);
        let opened = || drop(told.try_send(News::Listening(true)));
        let heard = |piece: &[u8]| {
            for event in feed.take(piece) {
                // A screen that is too slow must not slow down the gateway's stream.
                if behind > 0 && told.try_send(News::Fed(Fed::Missed(behind))).is_ok() {
                    behind = 0;
                }
                behind += u64::from(told.try_send(News::Fed(event)).is_err());
            }
            ControlFlow::Continue(())
        };
        // Why it ended is seen by who looks.
        let _ = client.listen("/admin/v1/events", opened, heard).await;
        if told.send(News::Listening(false)).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Has the gateway do it, and tells what came of it.
fn steer(client: Arc<ApiClient>, told: Sender<News>, (deed, group, reason): (Deed, String, String)) {
    tokio::spawn(async move {
        let path = format!("/admin/v1/gateways/{}/{}", super::super::in_path(&group), deed.name());
        let what = match client.post(&path, &json!({"reason": reason})).await {
            Ok(answer) => format!("{group} is {}", crate::table::text(&answer, "health")),
            Err(error) => format!("{group}: {error:#}"),
        };
        // Nobody is there to be told after the end.
        let _ = told.send(News::Steered(what)).await;
    });
}

/// A gateway that does not answer in that time counts as gone.
const PATIENCE: Duration = Duration::from_secs(5);
