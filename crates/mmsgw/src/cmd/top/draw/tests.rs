use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::super::super::look::tests::look;
use super::super::app::Deed;
use super::super::keys::{Wish, press};
use super::*;

/// The screen as lines of text.
fn screen(app: &App, (width, height): (u16, u16), now: Instant) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, now)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line =
        |row: &[ratatui::buffer::Cell]| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
    buffer.content().chunks(usize::from(width)).map(|row| line(row) + "\n").collect()
}

fn app(start: Instant) -> App {
    let mut app = App::new("http://127.0.0.1:8081/".to_owned());
    app.looked(look(start, 0, 10));
    app.looked(look(start, 2, 40));
    app.is_listening = true;
    app
}

fn keys(app: &mut App, keys: &[KeyCode]) -> Option<Wish> {
    keys.iter().filter_map(|key| press(app, KeyEvent::new(*key, KeyModifiers::NONE))).last()
}

fn typed(text: &str) -> Vec<KeyCode> {
    text.chars().map(KeyCode::Char).collect()
}

fn has(screen: &str, words: &[&str]) {
    for word in words {
        assert!(screen.contains(word), "`{word}` is missing:\n{screen}");
    }
}

const WIDE: (u16, u16) = (120, 40);

#[test]
fn the_overview_shows_rates_groups_and_events() {
    let start = Instant::now();
    let mut app = app(start);
    app.happened(json!({"message": "m1", "group": "east", "state": "SENT", "code": "200", "at_ms": 0,
        "description": "a\u{1b}b", "carrier_status": "Ok"}));
    let shown = screen(&app, WIDE, start);
    has(
        &shown,
        &[
            "accepted/s 30.0",
            "sent/s 15.0",
            "failed/s 1.5",
            "waiting 5   oldest 1m 1s   in flight 2   dead 1",
        ],
    );
    has(
        &shown,
        &["east", "paused", "night (by ops)", "west", "newest events", "00:00:00.000", "a b [Ok]", "q quit"],
    );
}

#[test]
fn every_page_is_reached_by_tab_and_by_number() {
    let start = Instant::now();
    let mut app = app(start);
    keys(&mut app, &[KeyCode::Tab]);
    has(
        &screen(&app, WIDE, start),
        &["a:b:c:1", "3 missed, 7s ago", "-:-:h:2", "gone", "SENT/S", "15.0", "LAST ERROR"],
    );
    keys(&mut app, &[KeyCode::Right]);
    has(&screen(&app, WIDE, start), &["east/tx", "night (by ops)"]);
    keys(&mut app, &[KeyCode::Char('4')]);
    has(&screen(&app, WIDE, start), &[" events ", "There is none."]);
    keys(&mut app, &[KeyCode::Tab, KeyCode::BackTab, KeyCode::Left]);
    assert_eq!(app.page, Page::Queues);
    keys(&mut app, &[KeyCode::Char('?')]);
    has(&screen(&app, WIDE, start), &["pause / resume the gateway of that row"]);
    keys(&mut app, &[KeyCode::Esc]);
    assert_eq!(app.mode, Mode::Looking);
}

#[test]
fn an_order_leaves_with_its_reason_only() {
    let start = Instant::now();
    let mut app = app(start);
    keys(&mut app, &[KeyCode::Down, KeyCode::Char('r')]);
    assert_eq!(app.notice.as_deref(), Some("west is not paused"));
    keys(&mut app, &[KeyCode::Char('p')]);
    has(&screen(&app, WIDE, start), &[" pause west ", "Why?"]);
    assert_eq!(keys(&mut app, &[KeyCode::Char(' '), KeyCode::Enter]), None, "no reason, no order");
    keys(&mut app, &[KeyCode::Esc, KeyCode::Char('p')]);
    keys(&mut app, &typed("quick"));
    has(&screen(&app, WIDE, start), &["> quick_"]);
    let wish = keys(&mut app, &[KeyCode::Backspace, KeyCode::Enter]);
    let steer = Wish::Steer { deed: Deed::Pause, group: "west".to_owned(), reason: "quic".to_owned() };
    assert_eq!((wish, &app.mode), (Some(steer), &Mode::Looking));
    keys(&mut app, &[KeyCode::Up, KeyCode::Char('r')]);
    assert!(matches!(&app.mode, Mode::Asking { deed: Deed::Resume, group, .. } if group == "east"));
    let interrupted = press(&mut app, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(interrupted, Some(Wish::Quit));
}

#[test]
fn rows_are_sorted_as_wanted() {
    let mut app = app(Instant::now());
    let first = |app: &App| app.sheet().rows[0].group.clone().unwrap();
    assert_eq!(first(&app), "east");
    keys(&mut app, &[KeyCode::Char('S')]);
    assert_eq!(first(&app), "west");
    keys(&mut app, &[KeyCode::Char('s'), KeyCode::Char('s'), KeyCode::Char('s')]);
    assert_eq!(app.sheet().head[app.sorting().column], "SENT/S");
    assert_eq!(first(&app), "east", "the largest number first");
}

#[test]
fn a_gateway_that_goes_away_is_said_to_be_gone_until_it_is_back() {
    let start = Instant::now();
    let mut app = app(start);
    app.lost(start, "connection refused".to_owned());
    app.lost(start + Duration::from_secs(5), "connection refused".to_owned());
    let shown = screen(&app, WIDE, start + Duration::from_secs(7));
    has(&shown, &["THE GATEWAY IS GONE for 7s, trying again: connection refused", "night (by ops)"]);
    app.looked(look(start, 60, 4_000));
    assert!(!screen(&app, WIDE, start).contains("GONE"));
    assert_eq!(app.history.sent.len(), 1, "what happened in the gap is no rate");
}

#[test]
fn events_can_be_frozen_and_read() {
    let start = Instant::now();
    let mut app = app(start);
    let event =
        |number: usize| json!({"message": format!("message-{number}"), "group": "east", "state": "SENT"});
    (0..3).for_each(|number| app.happened(event(number)));
    keys(&mut app, &[KeyCode::Char('4'), KeyCode::End, KeyCode::Up, KeyCode::Char(' ')]);
    app.happened(event(3));
    has(&screen(&app, WIDE, start), &["frozen", "message-0"]);
    assert_eq!(app.events.len(), 3);
    keys(&mut app, &[KeyCode::Char(' ')]);
    (4..2_000).for_each(|number| app.happened(event(number)));
    assert!(app.events.len() < 1_999 && app.selected() < app.events.len());
}

#[test]
fn a_narrow_screen_leaves_columns_out_instead_of_cutting_numbers() {
    let start = Instant::now();
    let mut app = app(start);
    app.turn_to(Page::Instances);
    let narrow = screen(&app, (60, 12), start);
    has(&narrow, &["a:b:c:1", "3 missed, 7s ago", "IN FLIGHT"]);
    assert!(!narrow.contains("DEFERRED") && !narrow.contains("ERROR"), "{narrow}");
    assert_eq!([fitting(&[5, 5, 50], 24), fitting(&[5, 5, 50], 23), fitting(&[9], 3)], [3, 2, 1]);
}

#[test]
fn no_size_and_no_state_breaks_the_drawing() {
    let start = Instant::now();
    let sizes = [(1, 1), (3, 2), (20, 5), (40, 10), (80, 24), (300, 90)];
    let empty = App::new("http://h/".to_owned());
    for size in sizes {
        screen(&empty, size, start);
        for page in Page::ALL {
            let mut app = app(start);
            app.turn_to(page);
            screen(&app, size, start);
            for key in ['?', 'p'] {
                keys(&mut app, &[KeyCode::Char(key)]);
                screen(&app, size, start);
                keys(&mut app, &[KeyCode::Esc]);
            }
        }
    }
}
