//! Puts the state of the screen on a screen.

use std::collections::VecDeque;
use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Sparkline, Table, TableState, Tabs};

use super::super::look::{Look, dead, in_flight, in_queue};
use super::app::{App, Mode, Page, silent_for, total};
use super::sheet::{Cell, Sheet, Tone};
use crate::table::span;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, now: Instant) {
    let [head, tabs, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(app, now), head);
    let titles = Page::ALL.map(Page::title);
    let chosen = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Tabs::new(titles).select(app.page.number()).highlight_style(chosen), tabs);
    match (&app.look, app.page) {
        (None, _) => frame.render_widget(Paragraph::new("Nothing was heard of the gateway yet."), body),
        (Some(look), Page::Overview) => overview(frame, app, look, body),
        (Some(_), _) => sheet(frame, app, &app.sheet(), body),
    }
    frame.render_widget(footer(app), foot);
    match &app.mode {
        Mode::Looking => {}
        Mode::Help => popup(frame, " Keys ", HELP),
        Mode::Asking { deed, group, reason } => {
            let text =
                format!("Why? It stands in the gateway's log.\n\n> {reason}_\n\nEnter: do it   Esc: do not");
            popup(frame, &format!(" {} {group} ", deed.name()), &text);
        }
    }
}

fn header(app: &App, now: Instant) -> Line<'static> {
    let name = Span::styled("mmsgw top ", Style::new().add_modifier(Modifier::BOLD));
    let at = Span::raw(format!("{}  ", app.at));
    let state = match (&app.lost, &app.look) {
        (Some((since, why)), _) => {
            let silent = span(silent_for(*since, now).as_secs());
            let text = format!("THE GATEWAY IS GONE for {silent}, trying again: {why}");
            Span::styled(text, tone(Tone::Bad).add_modifier(Modifier::BOLD))
        }
        (None, Some(look)) => {
            let time = look.now.to_jiff().strftime("%Y-%m-%d %H:%M:%S UTC");
            let events = if app.is_listening { "" } else { ", live events are not heard" };
            Span::raw(format!("{time}{events}"))
        }
        (None, None) => Span::raw("connecting"),
    };
    Line::from(vec![name, at, state])
}

fn footer(app: &App) -> Line<'static> {
    match &app.notice {
        Some(notice) => Line::styled(notice.clone(), tone(Tone::Attention)),
        None => {
            let more = if app.page == Page::Events { "  space freeze" } else { "  s sort" };
            Line::styled(format!("q quit  ? help  tab page  p pause  r resume{more}"), tone(Tone::Plain))
        }
    }
}

fn overview(frame: &mut Frame<'_>, app: &App, look: &Look, area: Rect) {
    let rows = app.sheet();
    let table = u16::try_from(rows.rows.len() + 3).unwrap_or(u16::MAX).min(area.height / 2).max(4);
    let [plots, totals, groups, newest] = Layout::vertical([
        Constraint::Length(if area.height > 20 { 6 } else { 4 }),
        Constraint::Length(1),
        Constraint::Length(table),
        Constraint::Min(0),
    ])
    .areas(area);
    let thirds: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(plots);
    let series = [
        ("accepted", &app.history.accepted, Color::Cyan),
        ("sent", &app.history.sent, Color::Green),
        ("failed", &app.history.failed, Color::Red),
    ];
    for ((name, values, colour), third) in series.into_iter().zip(thirds) {
        plot(frame, third, name, values, colour);
    }
    frame.render_widget(sums(look), totals);
    sheet(frame, app, &rows, groups);
    let block = Block::bordered().title(" newest events ");
    let room = usize::from(newest.height.saturating_sub(2));
    let events = Sheet::events(app.events.iter().take(room));
    frame.render_widget(table_of(&events, newest.width.saturating_sub(2)).block(block), newest);
}

fn plot(frame: &mut Frame<'_>, area: Rect, name: &str, values: &VecDeque<f64>, colour: Color) {
    let last = values.back().copied().unwrap_or(0.0);
    let block = Block::bordered().title(format!(" {name}/s {last:.1} "));
    let room = usize::from(area.width.saturating_sub(2));
    // Tenths, so that little is seen too.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is no negative number"
    )]
    let points: Vec<u64> = values
        .iter()
        .skip(values.len().saturating_sub(room))
        .map(|rate| (rate * 10.0).round() as u64)
        .collect();
    frame.render_widget(Sparkline::default().data(points).style(Style::new().fg(colour)).block(block), area);
}

fn sums(look: &Look) -> Line<'static> {
    let of = |kind: &'static str, key: &'static str| total(look, |gateway| in_queue(gateway, kind, key));
    let oldest =
        look.gateways.iter().map(|gateway| in_queue(gateway, "tx", "age_seconds")).max().unwrap_or(0);
    Line::raw(format!(
        "waiting {}   oldest {}   in flight {}   dead {}   callbacks waiting {}, dead {}",
        of("tx", "waiting"),
        if oldest == 0 { "-".to_owned() } else { span(oldest) },
        total(look, in_flight),
        total(look, dead),
        of("callback", "waiting"),
        of("callback", "dead"),
    ))
}

fn sheet(frame: &mut Frame<'_>, app: &App, sheet: &Sheet, area: Rect) {
    let title = match app.page {
        Page::Events if app.is_frozen => " events, frozen: space goes on ".to_owned(),
        Page::Events if app.missed > 0 => format!(" events, {} missed ", app.missed),
        Page::Events => " events ".to_owned(),
        _ => {
            let by = sheet.head.get(app.sorting().column).copied().unwrap_or_default();
            let way = if app.sorting().is_reversed { ", reversed" } else { "" };
            format!(" by {by}{way} ")
        }
    };
    if sheet.rows.is_empty() {
        let text = if app.page == Page::Queues { "Nothing waits." } else { "There is none." };
        return frame.render_widget(Paragraph::new(text).block(Block::bordered().title(title)), area);
    }
    let chosen = Style::new().add_modifier(Modifier::REVERSED);
    let table = table_of(sheet, area.width.saturating_sub(2))
        .row_highlight_style(chosen)
        .block(Block::bordered().title(title));
    let mut state = TableState::new().with_selected(app.selected());
    frame.render_stateful_widget(table, area, &mut state);
}

/// The columns that fit, from the first on: half of a number says something wrong.
fn table_of(sheet: &Sheet, room: u16) -> Table<'static> {
    let widths = widths(sheet);
    let columns = fitting(&widths, usize::from(room));
    let constraint = |(column, width): (usize, &usize)| {
        let width = u16::try_from(*width).unwrap_or(u16::MAX);
        if column + 1 == columns { Constraint::Min(width.min(10)) } else { Constraint::Length(width) }
    };
    let constraints = widths.iter().take(columns).enumerate().map(constraint);
    let numeric = |column: usize| sheet.rows.first().is_some_and(|row| row.cells[column].number.is_some());
    // The last column has what is left of the line, and begins where it begins.
    let placed = |column: usize, text: String| {
        let line = Line::from(text);
        if numeric(column) && column + 1 < columns { line.alignment(Alignment::Right) } else { line }
    };
    let head = sheet.head.iter().take(columns).enumerate();
    let head = Row::new(head.map(|(column, name)| placed(column, (*name).to_owned())));
    let rows = sheet.rows.iter().map(|row| {
        let cell = |(column, cell): (usize, &Cell)| placed(column, cell.text.clone());
        Row::new(row.cells.iter().take(columns).enumerate().map(cell)).style(tone(row.tone))
    });
    let head = head.style(Style::new().add_modifier(Modifier::BOLD));
    Table::new(rows, constraints).header(head).column_spacing(SPACING)
}

/// The widest cell of each column.
fn widths(sheet: &Sheet) -> Vec<usize> {
    let widest = |(column, name): (usize, &&str)| {
        let cells = sheet.rows.iter().map(|row| row.cells[column].text.chars().count());
        cells.chain([name.len()]).max().unwrap_or(0)
    };
    sheet.head.iter().enumerate().map(widest).collect()
}

/// How many columns fit, at least one; of the last one of all its beginning is enough.
fn fitting(widths: &[usize], room: usize) -> usize {
    let mut used = 0;
    let fits = |(column, width): (usize, &usize)| {
        let wanted = if column + 1 == widths.len() { (*width).min(10) } else { *width };
        used += wanted + usize::from(SPACING);
        used <= room + usize::from(SPACING)
    };
    widths.iter().enumerate().map(fits).take_while(|fits| *fits).count().max(1).min(widths.len())
}

/// A text over the middle of the screen.
fn popup(frame: &mut Frame<'_>, title: &str, text: &str) {
    let all = frame.area();
    let wanted = text.lines().map(|line| line.chars().count()).max().unwrap_or(0).max(44) + 4;
    let width = u16::try_from(wanted).unwrap_or(u16::MAX).min(all.width);
    let height = u16::try_from(text.lines().count() + 2).unwrap_or(u16::MAX).min(all.height);
    let area =
        Rect { x: all.x + (all.width - width) / 2, y: all.y + (all.height - height) / 2, width, height };
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(text.to_owned()).block(Block::bordered().title(title.to_owned())),
        area,
    );
}

fn tone(tone: Tone) -> Style {
    match tone {
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Plain => Style::new(),
        Tone::Attention => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
    }
}

/// Columns between two of a table.
const SPACING: u16 = 2;

const HELP: &str = "\
tab, right / left   next and previous page
1 2 3 4             overview, instances, queues, events
up down, j k        select a row
p / r               pause / resume the gateway of that row
s / S               sort by the next column / the other way
space               freeze events, and go on
q, Ctrl-C           quit

Any key closes this.";

#[cfg(test)]
mod tests;
