//! The parts of the page that are about a run of a card: its time, from the trace, and its statistics.

use maud::{Markup, html};

use super::numbers::f64_of;
use super::page::picture;
use super::plot::{self, Line, Row};
use super::sound::Picture;
use super::timeline::{Coverage, LATE_FROM_US, MARGIN_FROM_US, StreamTimeline, Timeline};
use super::words::{count, grouped, length, moment};
use crate::{Direction, SessionReport, StreamReport};

const NS: f64 = 1e9;

fn seconds(ns: u64) -> f64 {
    f64_of(ns) / NS
}

/// What happened when; histograms; of statistics alone what they hold.
pub fn run_part(timeline: Option<&Timeline>, stats: Option<&SessionReport>) -> Markup {
    if timeline.is_none() && stats.is_none() {
        return html! {};
    }
    html! {
        section {
            h2 { "The run" }
            div.card {
                @match timeline {
                    Some(timeline) => (timeline_part(timeline, stats)),
                    None => p.note { "There is no trace: nothing is known of when. With a trace, packets, stalls, silence and the position are drawn here." },
                }
                (histograms(timeline, stats))
            }
        }
    }
}

fn timeline_part(timeline: &Timeline, stats: Option<&SessionReport>) -> Markup {
    let (bin, end) = (seconds(timeline.bin), seconds(timeline.end));
    let (ran, idle): (Streams<'_>, Streams<'_>) =
        timeline.streams.iter().partition(|(_, stream)| stream.did_anything());
    let coverage = timeline.coverage();
    let [has_packets, has_silence] = [Coverage::Packets, Coverage::Silence].map(|least| coverage >= least);
    let names: Vec<[String; 5]> = ran.iter().map(|(number, _)| row_names(**number, ran.len() > 1)).collect();
    let mut rows = Vec::new();
    for ([running, packets, stalled, silent, faults], (_, stream)) in names.iter().zip(&ran) {
        let all = [
            (running, &stream.running, false, true),
            (packets, &stream.packets, false, has_packets),
            (stalled, &stream.stalled, true, has_packets),
            (silent, &stream.silent, true, has_silence),
            (faults, &stream.faults, true, stream.faults.iter().any(|count| *count > 0)),
        ];
        let drawn = all.into_iter().filter(|(.., drawn)| *drawn);
        rows.extend(drawn.map(|(name, bins, bad, _)| Row { name, bins, bad }));
    }
    let timeline_picture = Picture {
        title: match coverage {
            Coverage::Silence => "Packets, stalls and silence".to_owned(),
            Coverage::Packets => "Packets and stalls".to_owned(),
            Coverage::Transfers => "When a stream ran".to_owned(),
        },
        caption: format!(
            "Seconds since the card was made. A mark is at least {} wide.{}",
            length(bin),
            if has_silence { " Silence: packets that were silent in part, or lost." } else { "" }
        ),
        svg: plot::timeline(&rows, bin, end).map_err(|error| error.to_string()),
    };
    let lines = position_lines(&ran, timeline.bin, stats);
    let positions = Picture {
        title: "Position against time".to_owned(),
        caption: "Seconds of sound that have gone by, over seconds of the host. A stream that keeps up is a straight line; a step to the right is a wait.".to_owned(),
        svg: plot::positions(&lines, end).map_err(|error| error.to_string()),
    };
    html! {
        @if ran.is_empty() {
            p.note { "No stream ran." }
        } @else {
            @for (number, _) in &idle { p.note { "Stream " (number) " never ran." } }
            (picture(&timeline_picture, "wide"))
            (stream_table(&ran, coverage))
            @if lines.iter().any(|line| line.points.len() > 1) { (picture(&positions, "wide")) }
        }
        @if let Some(missing) = missing_in(coverage) { p.note { (missing) } }
        @if timeline.lost > 0 { p.note { "Missing in the trace, for its file was too slow: " (count(timeline.lost, "event")) "." } }
        @if timeline.bad_lines > 0 { p.note { "Passed over, for they are no lines of a trace: " (grouped(timeline.bad_lines)) "." } }
        @if timeline.more_streams { p.note { "More streams did something than are drawn." } }
    }
}

/// Streams of a timeline, with their numbers.
type Streams<'a> = Vec<(&'a u32, &'a StreamTimeline)>;

fn row_names(number: u32, numbered: bool) -> [String; 5] {
    let what = ["running", "packets", "stalls", "silence", "faults"];
    let prefix = if numbered { format!("{number} ") } else { String::new() };
    what.map(|what| format!("{prefix}{what}"))
}

/// What the trace of a card does not tell.
fn missing_in(coverage: Coverage) -> Option<&'static str> {
    match coverage {
        Coverage::Silence => None,
        Coverage::Packets => Some(
            "The trace of virtio-snd has neither marks nor silence: what was silent is in the sound, and in what the card counted.",
        ),
        Coverage::Transfers => Some(
            "The trace of HD Audio has no packets: stalls, margins, lateness and silence are not known. What was late is in the sound alone.",
        ),
    }
}

/// The streams, with what the trace tells of them.
fn stream_table(streams: &Streams<'_>, coverage: Coverage) -> Markup {
    let first = |at: Option<u64>| at.map_or("-".to_owned(), |at| moment(seconds(at)));
    let [has_packets, has_silence] = [Coverage::Packets, Coverage::Silence].map(|least| coverage >= least);
    html! {
        table.streams {
            tr {
                th scope="col" { "stream" } th scope="col" { "moved" }
                @if has_packets {
                    th scope="col" { "packets" } th scope="col" { "stalls" } th scope="col" { "waited" } th scope="col" { "at most" } th scope="col" { "first stall" }
                }
                @if has_silence { th scope="col" { "silent packets" } th scope="col" { "first silence" } }
            }
            @for (number, stream) in streams {
                tr {
                    td { (number) }
                    td { (count(stream.bytes, "byte")) }
                    @if has_packets {
                        td { (grouped(stream.packet_count)) }
                        td { (grouped(stream.stalls)) }
                        td { (length(seconds(stream.stalled_ns))) }
                        td { (length(seconds(stream.worst_stall_ns))) }
                        td { (first(stream.first_stall)) }
                    }
                    @if has_silence {
                        td { (grouped(stream.silent.iter().map(|count| u64::from(*count)).sum())) }
                        td { (first(stream.first_silent)) }
                    }
                }
            }
        }
    }
}

/// Packets, or bytes where there are none, as seconds of sound.
fn position_lines(streams: &Streams<'_>, bin: u64, stats: Option<&SessionReport>) -> Vec<Line<'static>> {
    const NAMES: [&str; 8] =
        ["stream 0", "stream 1", "stream 2", "stream 3", "stream 4", "stream 5", "stream 6", "stream 7"];
    let line = |(number, stream): &(&u32, &StreamTimeline)| {
        let of = stats?.streams.iter().find(|report| report.index == **number)?;
        let each = seconds_of_each(stream, of)?;
        let bin = seconds(bin);
        let known = stream.position.iter().enumerate();
        let points: Vec<(f64, f64)> = known
            .filter_map(|(index, position)| {
                Some((f64_of(index as u64 + 1) * bin, f64_of((*position)?) * each))
            })
            .collect();
        let name =
            usize::try_from(**number).ok().and_then(|number| NAMES.get(number)).copied().unwrap_or("stream");
        Some(Line { name, points })
    };
    streams.iter().filter_map(line).collect()
}

/// Seconds of sound of a packet, or of a byte where the trace has no packets.
fn seconds_of_each(stream: &StreamTimeline, report: &StreamReport) -> Option<f64> {
    let rate = f64::from(report.rate?.max(1));
    if stream.packet_count == 0 {
        let frame = report.format?.bytes().checked_mul(report.channels?)?;
        return Some(1.0 / rate / f64::from(frame.max(1)));
    }
    Some(f64_of(report.frames) / f64_of(report.packets_completed.max(1)) / rate)
}

/// An interval of microseconds in words: `<0`, `0-0.2`, `50+`, in milliseconds.
fn intervals<const N: usize>(
    from: &[i64; N],
    counts: &[u64; N],
    is_bad: impl Fn(i64) -> bool,
) -> Vec<(String, u64, bool)> {
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let ms = |us: i64| us as f64 / 1000.0;
    let name = |index: usize| match (from.get(index).copied().unwrap_or(0), from.get(index + 1)) {
        (i64::MIN, Some(to)) => format!("<{}", ms(*to)),
        (at, Some(to)) => format!("{}-{}", ms(at), ms(*to)),
        (at, None) => format!("{}+", ms(at)),
    };
    let all = counts.iter().enumerate();
    all.map(|(index, count)| (name(index), *count, from.get(index).is_some_and(|at| is_bad(*at)))).collect()
}

/// The interval of marks that came after their packet should have begun.
const LATE: &str = "late";

fn histograms(timeline: Option<&Timeline>, stats: Option<&SessionReport>) -> Markup {
    let (mut margins, mut lateness) = ([0; MARGIN_FROM_US.len()], [0; LATE_FROM_US.len()]);
    // A recorder marks what it has taken: that has no time by which it should come.
    let records = |number: u32| {
        let streams = stats.iter().flat_map(|stats| &stats.streams);
        streams.into_iter().any(|it| it.index == number && it.direction == Direction::Capture)
    };
    for (number, stream) in timeline.iter().flat_map(|timeline| &timeline.streams) {
        if !records(*number) {
            margins.iter_mut().zip(stream.margins).for_each(|(sum, count)| *sum += count);
        }
        lateness.iter_mut().zip(stream.lateness).for_each(|(sum, count)| *sum += count);
    }
    // What the card counted is exact; in a trace a mark stands where the card looked, often at the boundary.
    let counted = stats.map_or_else(Vec::new, counted_margins);
    let margins = if counted.iter().any(|(_, count, _)| *count > 0) {
        counted
    } else {
        let mut all = intervals(&MARGIN_FROM_US, &margins, |from| from < 0);
        all.iter_mut().filter(|(.., is_late)| *is_late).for_each(|(name, ..)| LATE.clone_into(name));
        all
    };
    let lateness = intervals(&LATE_FROM_US, &lateness, |from| from >= 10_000);
    let part = |title: &str, what: &str, none: &str, intervals: &[(String, u64, bool)]| {
        let any = intervals.iter().any(|(_, count, _)| *count > 0);
        let drawn = Picture {
            title: title.to_owned(),
            caption: what.to_owned(),
            svg: plot::histogram(intervals).map_err(|error| error.to_string()),
        };
        html! {
            div {
                @if any {
                    (picture(&drawn, "half"))
                    details {
                        summary { "as numbers" }
                        table { tr { th scope="col" { "ms" } th scope="col" { "packets" } }
                            @for (name, count, _) in intervals { tr { td { (name) } td { (grouped(*count)) } } }
                        }
                    }
                } @else { h3 { (title) } p.note { (none) } }
            }
        }
    };
    html! {
        div.pair {
            (part(
                "Margin of each mark",
                "How many milliseconds before a packet began the guest said that it is filled (its mark), and how many packets had so many; 1+ is 1 ms or more, below the next of 0.1, 0.5, 1, 2, 5, 10 and 20. \"late\": it said so after the packet should have begun.",
                "No mark is known: of this card or this run there is none.",
                &margins,
            ))
            (part(
                "Lateness",
                "How many milliseconds later than one packet's length after the packet before a packet ended, and how many packets did; <0.1 is also what was early.",
                "Nothing is known of it without a trace and packets.",
                &lateness,
            ))
        }
        @if let Some(stats) = stats {
            p.note { "The card handled the end of a piece " (length(f64_of(stats.worst_lateness_us) / 1e6)) " late at most." }
        }
    }
}

/// The margins that the card counted, of all streams.
fn counted_margins(stats: &SessionReport) -> Vec<(String, u64, bool)> {
    let mut late = 0;
    let mut all = std::collections::BTreeMap::new();
    for stream in &stats.streams {
        late += stream.late_marks;
        for margin in &stream.margins {
            *all.entry(margin.from_us).or_insert(0) += margin.packets;
        }
    }
    // The card counts late ones apart, and names no interval that is empty.
    let counted =
        all.into_iter().map(|(from, packets)| (format!("{}+", f64::from(from) / 1000.0), packets, false));
    let mut all: Vec<_> = counted.collect();
    if late > 0 {
        all.insert(0, (LATE.to_owned(), late, true));
    }
    all
}

/// All that the card counted.
pub fn stats_part(stats: &SessionReport) -> Markup {
    let used: Vec<&StreamReport> = stats.streams.iter().filter(|stream| stream.format.is_some()).collect();
    let columns: Vec<serde_json::Value> =
        used.iter().map(|stream| serde_json::to_value(stream).unwrap_or_default()).collect();
    let keys: Vec<String> = columns
        .first()
        .and_then(|column| column.as_object())
        .map(|column| column.keys().filter(|key| *key != "margins").cloned().collect())
        .unwrap_or_default();
    html! {
        section {
            h2 { "What the card counted" }
            div.card {
                p { (stats) }
                @if !used.is_empty() {
                    table #stats {
                        tr { th scope="col" { "stream" } @for stream in &used { th scope="col" { (stream.index) " " (direction(stream.direction)) } } }
                        @for key in &keys {
                            tr { th scope="row" { (key.replace('_', " ")) } @for column in &columns { td { (value(column.get(key))) } } }
                        }
                    }
                }
            }
        }
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Render => "plays",
        Direction::Capture => "captures",
    }
}

fn value(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Bool(yes)) => (if *yes { "yes" } else { "no" }).to_owned(),
        Some(serde_json::Value::Number(number)) => {
            number.as_u64().map_or_else(|| number.to_string(), grouped)
        }
        Some(other) => other.to_string(),
    }
}
