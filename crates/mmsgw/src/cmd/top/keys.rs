//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::app::{App, Deed, Mode, Page};

/// What is to be done outside of the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    /// An order for the gateway, with its reason.
    Steer {
        deed: Deed,
        group: String,
        reason: String,
    },
}

/// Lets a key do what it does.
pub(super) fn press(app: &mut App, key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Wish::Quit);
    }
    match &app.mode {
        Mode::Looking => look(app, key.code),
        Mode::Help => {
            app.mode = Mode::Looking;
            None
        }
        Mode::Asking { .. } => answer(app, key.code),
    }
}

fn look(app: &mut App, key: KeyCode) -> Option<Wish> {
    match key {
        KeyCode::Char('q') => return Some(Wish::Quit),
        KeyCode::Char('?' | 'h') => app.mode = Mode::Help,
        KeyCode::Tab | KeyCode::Right => app.turn_to(app.page.step(1)),
        KeyCode::BackTab | KeyCode::Left => app.turn_to(app.page.step(Page::ALL.len() - 1)),
        KeyCode::Char(digit @ '1'..='4') => {
            let number = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
            app.turn_to(Page::ALL[number]);
        }
        KeyCode::Up | KeyCode::Char('k') => app.move_by(-1),
        KeyCode::Down | KeyCode::Char('j') => app.move_by(1),
        KeyCode::PageUp => app.move_by(-PAGE),
        KeyCode::PageDown => app.move_by(PAGE),
        KeyCode::Home => app.move_by(isize::MIN),
        KeyCode::End => app.move_by(isize::MAX),
        KeyCode::Char('s') => app.sort_next(),
        KeyCode::Char('S') => app.sort_reversed(),
        KeyCode::Char(' ') if app.page == Page::Events => app.is_frozen = !app.is_frozen,
        KeyCode::Char('p') => ask(app, Deed::Pause),
        KeyCode::Char('r') => ask(app, Deed::Resume),
        _ => {}
    }
    None
}

fn ask(app: &mut App, deed: Deed) {
    let Some(group) = app.group() else {
        app.notice = Some("no gateway is selected".to_owned());
        return;
    };
    if deed == Deed::Resume && app.health(&group) != "paused" {
        app.notice = Some(format!("{group} is not paused"));
        return;
    }
    app.notice = None;
    app.mode = Mode::Asking { deed, group, reason: String::new() };
}

fn answer(app: &mut App, key: KeyCode) -> Option<Wish> {
    let Mode::Asking { deed, group, reason } = &mut app.mode else { return None };
    match key {
        KeyCode::Char(letter) => reason.push(letter),
        KeyCode::Backspace => drop(reason.pop()),
        KeyCode::Esc => app.mode = Mode::Looking,
        // Every change wants a reason.
        KeyCode::Enter if !reason.trim().is_empty() => {
            let wish = Wish::Steer { deed: *deed, group: group.clone(), reason: reason.trim().to_owned() };
            app.mode = Mode::Looking;
            return Some(wish);
        }
        _ => {}
    }
    None
}

/// Rows that a page key moves by.
const PAGE: isize = 10;
