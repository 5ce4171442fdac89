//! What `ringwave top` shows: two looks at a card's figures become lines.

use std::fmt;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Constraint;
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Row, Table};
use ringwave_report::{Client, Direction, SessionReport, StreamReport};

/// Columns: title, and how wide.
const COLUMNS: [(&str, u16); 11] = [
    ("stream", 6),
    ("", 7),
    ("format", 20),
    ("does", 7),
    ("level", 26),
    ("pace", 6),
    ("packets", 10),
    ("margin ms", 9),
    ("underruns", 9),
    ("stalls", 6),
    ("jack", 4),
];
/// Characters of the bar of a level, and the decibels that it stands for.
const BAR: usize = 16;
const BAR_DB: f64 = 64.0;

/// A card at one moment.
pub struct View {
    title: String,
    lines: Vec<[String; COLUMNS.len()]>,
    /// Lines with something missing.
    wrong: Vec<bool>,
}

impl View {
    /// Of two looks that lie `passed` apart; `level` gives the loudest sample of a stream meanwhile.
    pub fn new(
        before: &SessionReport,
        now: &SessionReport,
        passed: Duration,
        mut level: impl FnMut(u32) -> Option<f64>,
    ) -> Self {
        let client = match now.client {
            Client::None => "no client".to_owned(),
            Client::There => format!("a client for {:.0} s", now.seconds),
            Client::Left => "its client has left".to_owned(),
        };
        let title = format!(
            "ringwave {}  {}  {client}  latest {:.1} ms  {} interrupts  {} messages",
            now.version,
            now.clock,
            milliseconds(now.worst_lateness_us),
            now.interrupts,
            now.messages.total,
        );
        let lines = now.streams.iter().map(|stream| {
            let earlier = before.streams.iter().find(|earlier| earlier.index == stream.index);
            line(earlier, stream, passed, level(stream.index))
        });
        let wrong = |stream: &StreamReport| {
            stream.underruns.unwrap_or(0) != 0 || stream.dma_faults != 0 || stream.sink_failed
        };
        Self { title, lines: lines.collect(), wrong: now.streams.iter().map(wrong).collect() }
    }

    /// Draws it over all of the terminal.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let header = Row::new(COLUMNS.map(|(title, _)| title)).style(Style::new().bold());
        let rows = self.lines.iter().zip(&self.wrong).map(|(line, wrong)| {
            let row = Row::new(line.iter().map(|text| Cell::from(text.as_str())));
            if *wrong { row.style(Style::new().fg(Color::Red)) } else { row }
        });
        let widths = COLUMNS.map(|(_, width)| Constraint::Length(width));
        let block = Block::bordered().title(self.title.as_str()).title_bottom(Line::from(" q: end "));
        frame.render_widget(Table::new(rows, widths).header(header).block(block), frame.area());
    }
}

/// The same as plain text.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let titles = COLUMNS.map(|(title, _)| title.to_owned());
        for line in std::iter::once(&titles).chain(&self.lines) {
            let columns =
                line.iter().zip(COLUMNS).map(|(text, (_, width))| format!("{text:<0$}", width.into()));
            writeln!(f, "{}", columns.collect::<Vec<_>>().join(" ").trim_end())?;
        }
        Ok(())
    }
}

fn line(
    before: Option<&StreamReport>,
    now: &StreamReport,
    passed: Duration,
    level: Option<f64>,
) -> [String; COLUMNS.len()] {
    let frames = now.frames.saturating_sub(before.map_or(now.frames, |before| before.frames));
    let (direction, does) = match now.direction {
        Direction::Render => ("render", "plays"),
        Direction::Capture => ("capture", "records"),
    };
    let unknown = || "-".to_owned();
    let format = match (now.format, now.rate, now.channels) {
        (Some(sample), Some(rate), Some(channels)) => format!("{sample} {rate} Hz x {channels}"),
        _ => unknown(),
    };
    #[allow(clippy::cast_precision_loss, reason = "frames of a moment")]
    let pace = |rate: u32| frames as f64 / passed.as_secs_f64().max(0.001) / f64::from(rate.max(1));
    let moves = frames != 0;
    [
        now.index.to_string(),
        direction.to_owned(),
        format,
        if moves { does } else { "stands" }.to_owned(),
        level.filter(|_| moves).map_or_else(unknown, bar),
        now.rate.filter(|_| moves).map_or_else(unknown, |rate| format!("{:.2}", pace(rate))),
        now.packets_completed.to_string(),
        now.least_margin_us.map_or_else(unknown, |micros| {
            #[allow(clippy::cast_precision_loss, reason = "microseconds of a packet")]
            let milliseconds = micros as f64 / 1000.0;
            format!("{milliseconds:.1}")
        }),
        now.underruns.map_or_else(unknown, |underruns| underruns.to_string()),
        now.stalls.to_string(),
        now.plugged.map_or_else(unknown, |plugged| if plugged { "in" } else { "out" }.to_owned()),
    ]
}

/// A level as a bar and in decibels.
fn bar(level: f64) -> String {
    let decibels = 20.0 * level.log10();
    #[allow(clippy::cast_precision_loss, reason = "a few characters")]
    let filled = ((decibels + BAR_DB) / BAR_DB * BAR as f64).ceil().clamp(0.0, BAR as f64);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to BAR")]
    let filled = filled as usize;
    let text = if decibels.is_finite() { format!("{decibels:.1} dB") } else { "silence".to_owned() };
    format!("{}{} {text}", "#".repeat(filled), ".".repeat(BAR.saturating_sub(filled)))
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a session")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    /// As a card says it.
    fn report(frames: u64, underruns: u64) -> SessionReport {
        let stream = |index, direction, frames, format: &str| {
            format!(
                r#"{{"index":{index},"direction":"{direction}",{format},"ring_bytes":3840,"packets":2,"dma_mode":"contiguous",
                "sg_entries":1,"frames":{frames},"packets_completed":50,"underruns":{underruns},"silence_frames":0,
                "source_silence_frames":0,"dma_faults":0,"events":0,"stalls":3,"marks":0,"polled_marks":0,"late_marks":0,
                "least_margin_us":-1250,"margins":[],"worst_lateness_us":0,"plugged":false,"sink_failed":false,
                "drift_ppm":null,"sink_underruns":null,"sink_dropped_frames":null}}"#
            )
        };
        let format = r#""format":"s16","rate":48000,"channels":2"#;
        let none = r#""format":null,"rate":null,"channels":null"#;
        let streams = [stream(0, "render", frames, format), stream(1, "capture", 0, none)].join(",");
        let json = format!(
            r#"{{"version":"0.1.0","clock":"realtime","client":"there","seconds":12.3,"streams":[{streams}],
            "messages":{{"total":7,"while_running":{{"reads":0,"writes":0,"written":0,"look":0,"eos":0}}}},
            "interrupts":5,"wakes":6,"worst_lateness_us":780}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn view(frames: u64, underruns: u64) -> View {
        let level = |stream| (stream == 0).then_some(0.5);
        View::new(&report(0, 0), &report(frames, underruns), Duration::from_millis(500), level)
    }

    #[test]
    fn a_line_says_what_a_stream_does_and_has_missed() {
        let text = view(24_000, 2).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].contains("realtime  a client for 12 s  latest 0.8 ms  5 interrupts  7 messages"),
            "{text}"
        );
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        let expected = "0 render s16 48000 Hz x 2 plays ###############. -6.0 dB 1.00 50 -1.2 2 3 out";
        assert_eq!(words.join(" "), expected);
        let words: Vec<&str> = lines[3].split_whitespace().collect();
        assert_eq!(words.join(" "), "1 capture - stands - - 50 -1.2 2 3 out");
        assert!(view(0, 0).to_string().contains("stands"), "nothing has moved");
    }

    #[test]
    fn levels_are_bars() {
        for (level, expected) in [
            (1.0, "################ 0.0 dB"),
            (0.001, "#............... -60.0 dB"),
            (0.0, "................ silence"),
            (2.0, "################ 6.0 dB"),
        ] {
            assert_eq!(bar(level), expected);
        }
    }

    #[test]
    fn it_fits_a_terminal_and_what_is_wrong_is_red() {
        let mut terminal = Terminal::new(TestBackend::new(130, 6)).unwrap();
        terminal.draw(|frame| view(24_000, 2).draw(frame)).unwrap();
        let drawn = terminal.backend().buffer();
        let row = |y: u16| (0..130).map(|x| drawn[(x, y)].symbol()).collect::<String>();
        assert!(row(0).contains("ringwave 0.1.0") && row(5).contains("q: end"), "{}{}", row(0), row(5));
        assert!(
            row(2).contains("plays") && row(2).contains("-6.0 dB") && row(2).contains("out"),
            "{}",
            row(2)
        );
        assert_eq!(drawn[(1, 2)].fg, Color::Red);
        // In a small one it is cut off, and nothing else.
        let mut terminal = Terminal::new(TestBackend::new(20, 3)).unwrap();
        terminal.draw(|frame| view(24_000, 0).draw(frame)).unwrap();
    }
}
