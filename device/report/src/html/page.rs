//! The page itself, from its parts.

use std::ops::Range;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::clips::{self, CLIPS, Clip};
use super::differences::{Difference, Differences};
use super::headline::Outcome;
use super::numbers::f64_of;
use super::run;
use super::section::{self, Section};
use super::sound::{Picture, Side, Sound};
use super::timeline::Timeline;
use super::words::{count, grouped, length, moment};
use crate::SessionReport;

const STYLE: &str = include_str!("style.css");
/// How a page of ours is told, in its first bytes.
const GENERATOR: &str = "ringwave ";
/// Nothing from anywhere, and nothing that runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:";
/// Differences in the table.
const ROWS_MAX: usize = 100;
/// Of them, those that are seen without a click: the run is drawn below.
const ROWS_OPEN: usize = CLIPS;

/// All that is on a page.
#[derive(Clone, Debug)]
pub struct Page {
    /// What was run: `ringwave compare`.
    pub title: String,
    /// Whether it is as it should be.
    pub outcome: Outcome,
    /// What is wrong, where, since when.
    pub headline: String,
    /// What else is worth a sentence.
    pub details: Vec<String>,
    /// Names and numbers for the top of the page.
    pub facts: Vec<(String, String)>,
    /// What was sent and heard.
    pub sounds: Vec<Sound>,
    /// What happened when.
    pub timeline: Option<Timeline>,
    /// What the card counted.
    pub stats: Option<SessionReport>,
    /// What else is told in tables.
    pub sections: Vec<Section>,
    /// Text as it is: a heading, and lines.
    pub texts: Vec<(String, String)>,
    /// What it was made on.
    pub machine: Vec<(String, String)>,
    /// Whether that comes first: figures mean nothing without the machine that they are of.
    pub machine_first: bool,
    /// What to type to do it again.
    pub command: String,
}

/// Whether a file that begins so is a page that this program has made.
pub fn is_page(begin: &[u8]) -> bool {
    let told = format!("<meta name=\"generator\" content=\"{GENERATOR}");
    begin.windows(told.len()).any(|part| part == told.as_bytes())
}

impl Page {
    /// With its first sentence, and nothing below it yet.
    pub fn new(title: impl Into<String>, outcome: Outcome, headline: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            outcome,
            headline: headline.into(),
            details: Vec::new(),
            facts: Vec::new(),
            sounds: Vec::new(),
            timeline: None,
            stats: None,
            sections: Vec::new(),
            texts: Vec::new(),
            machine: Vec::new(),
            machine_first: false,
            command: String::new(),
        }
    }

    /// As HTML.
    pub fn render(&self) -> String {
        let class = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        };
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="generator" content={ (GENERATOR) (env!("CARGO_PKG_VERSION")) };
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.outcome.word()) ": " (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header class=(class) { div { (self.top()) } }
                    main {
                        @if self.machine_first { (self.machine_part()) }
                        @for sound in &self.sounds { (sound_part(sound)) }
                        (run::run_part(self.timeline.as_ref(), self.stats.as_ref()))
                        @if let Some(stats) = &self.stats { (run::stats_part(stats)) }
                        @for section in &self.sections { (section::section_part(section)) }
                        @for (name, text) in &self.texts {
                            section { h2 { (name) } pre { (text) } }
                        }
                        (self.again_part())
                        @if !self.machine_first { (self.machine_part()) }
                    }
                    footer { "Made by ringwave " (env!("CARGO_PKG_VERSION")) ". This page needs no network and has no script." }
                }
            }
        };
        let plain = |letter: char| if is_plain(letter) { letter } else { char::REPLACEMENT_CHARACTER };
        page.into_string().chars().map(plain).collect()
    }

    fn top(&self) -> Markup {
        html! {
            h1 { (self.title) }
            div.verdict {
                span.badge { (self.outcome.sign()) " " (self.outcome.word()) }
                div {
                    p.headline { (self.headline) }
                    @for detail in &self.details { p.detail { (detail) } }
                }
            }
            @if !self.facts.is_empty() {
                dl.facts {
                    @for (name, value) in &self.facts { div { dt { (name) } dd { (value) } } }
                }
            }
        }
    }

    fn again_part(&self) -> Markup {
        html! {
            section {
                h2 { "Again" }
                p.note { "In the folder in which it was run:" }
                pre #command { (self.command) }
            }
        }
    }

    fn machine_part(&self) -> Markup {
        html! {
            section {
                h2 { "Machine" }
                div.card { table #machine {
                    @for (name, value) in &self.machine { tr { th scope="row" { (name) } td { (value) } } }
                } }
            }
        }
    }
}

/// Whether HTML may have it, and it does not turn the text around it: names of files may be anything.
fn is_plain(letter: char) -> bool {
    let turns = matches!(letter, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let none = u32::from(letter) & 0xFFFE == 0xFFFE || matches!(letter, '\u{FDD0}'..='\u{FDEF}');
    letter == '\n' || !(letter.is_control() || turns || none)
}

/// A picture, or why there is none.
pub(super) fn picture(picture: &Picture, class: &str) -> Markup {
    html! {
        figure class=(class) {
            h3 { (picture.title) }
            @match &picture.svg {
                Ok(svg) => (PreEscaped(svg)),
                Err(error) => p.note { "It could not be drawn: " (error) },
            }
            figcaption { (picture.caption) }
        }
    }
}

fn sound_part(sound: &Sound) -> Markup {
    html! {
        section {
            h2 { (sound.title) }
            div.card {
                (sides(&sound.sides))
                @for one in &sound.pictures { (picture(one, "wide")) }
            }
            @if let Some(differences) = &sound.differences { (differences_part(differences, sound)) }
        }
    }
}

fn sides(sides: &[Side]) -> Markup {
    html! {
        table.sides {
            tr { th scope="col" { "sound" } th scope="col" { "file" } th scope="col" { "format" } th scope="col" { "frames" } th scope="col" { "length" } th scope="col" { "peak" } }
            @for side in sides {
                tr {
                    td { span class={ "role " (side.role) } { (side.role) } }
                    td { (side.name) }
                    td { (side.format) }
                    td { (grouped(side.frames)) }
                    td { (length(side.seconds)) }
                    td {
                        (side.peak)
                        @if side.not_finite > 0 { ", " (count(side.not_finite, "sample")) @if side.not_finite == 1 { " is no number" } @else { " are no numbers" } }
                    }
                }
            }
        }
    }
}

fn differences_part(differences: &Differences, sound: &Sound) -> Markup {
    let shown = differences.places.get(..ROWS_MAX).unwrap_or(&differences.places);
    html! {
        h2 { "Differences" }
        div.card {
            @if differences.places.is_empty() && differences.whole.is_empty() {
                p { "None." }
            }
            @if !differences.whole.is_empty() {
                p { "All along:" }
                ul { @for what in &differences.whole { li { (what) } } }
            }
            @if !shown.is_empty() {
                (difference_table(shown, 0..ROWS_OPEN, sound))
                @if shown.len() > ROWS_OPEN {
                    details {
                        summary { (rest_of(shown.len())) }
                        (difference_table(shown, ROWS_OPEN..shown.len(), sound))
                    }
                }
                @if differences.total > shown.len() as u64 {
                    p.note { "and " (grouped(differences.total - shown.len() as u64)) " more" }
                }
                @if differences.total > differences.places.len() as u64 {
                    p.note { "Red in the pictures: the first " (grouped(differences.places.len() as u64)) "." }
                }
            }
            (clips_note(&sound.clips, sound.rate))
        }
    }
}

/// Which rows are seen after a click.
fn rest_of(shown: usize) -> String {
    match ROWS_OPEN + 1 {
        last if last == shown => format!("number {last}"),
        first => format!("numbers {first} to {shown}"),
    }
}

fn difference_table(places: &[Difference], rows: Range<usize>, sound: &Sound) -> Markup {
    let listen = sound.clips.get(rows.start).is_some();
    let of_rows = places.iter().enumerate().skip(rows.start).take(rows.len());
    html! {
        table.differences {
            tr {
                th scope="col" { "no." } th scope="col" { "at" } th scope="col" { "frame" } th scope="col" { "what" }
                @if listen { th scope="col" { "listen" } }
            }
            @for (index, place) in of_rows {
                (difference_row(index + 1, place, sound.clips.get(index), sound.rate))
            }
        }
    }
}

fn difference_row(number: usize, place: &Difference, clip: Option<&Clip>, rate: u32) -> Markup {
    html! {
        tr id={ "difference-" (number) } data-frame=(place.at) data-seconds=(format!("{:.6}", place.seconds)) {
            td.number { (number) }
            td { (moment(place.seconds)) }
            td { (grouped(place.at)) }
            td { (place.what) }
            @if let Some(clip) = clip {
                td {
                    (player("heard", &clip.heard, clip, rate))
                    @if let Some(sent) = &clip.sent { (player("sent", sent, clip, rate)) }
                }
            }
        }
    }
}

fn player(role: &str, uri: &str, clip: &Clip, rate: u32) -> Markup {
    let begin = f64_of(clip.at) / f64::from(rate.max(1));
    let label = format!("{role} from {} on, {}", moment(begin), length(clips::seconds(clip, rate)));
    html! {
        span class={ "role " (role) } { (role) }
        audio controls preload="none" aria-label=(label) data-role=(role) data-frame=(clip.at) src=(uri) {}
    }
}

/// What of the sound can be listened to.
fn clips_note(clips: &[Clip], rate: u32) -> Markup {
    let Some(clip) = clips.first() else { return html! {} };
    let which = match clips.len() {
        1 => "the first difference".to_owned(),
        more => format!("each of the first {more}"),
    };
    html! {
        p.note {
            "To listen to: " (length(clips::seconds(clip, rate))) " around " (which) ", as " @if clip.channel.is_some() { "the one channel that is worst" } @else { "all channels" }
            @if clip.rounded { " in fewer bits than the sound has" }
            ". The rest is drawn, not carried."
        }
    }
}
