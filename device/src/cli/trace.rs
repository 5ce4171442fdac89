//! `ringwave trace`: reads what `ringwave serve --trace` wrote.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ringwave_audio::next_step;
use ringwave_trace::{Event, TraceRecord};
use ringwave_trace::{Item, Reader, TraceError};
use ringwave_trace_tool::Card;
use ringwave_trace_tool::perfetto::{self, Perfetto};
use ringwave_trace_tool::show::{self, About, Group};
use ringwave_trace_tool::summary::{Nanos, Summarizer};

use super::commands::{Failure, bad_input, failed};

/// Read back what `serve --trace` recorded
///
/// One event a line: seconds since the card started, seconds since the line before, what it is about, and
/// what happened, with the registers' names and values. A last line that was cut (the card was killed, or is
/// still writing) is a warning.
#[derive(Args, Debug)]
#[command(after_help = "\
The file itself is text, one event a line: grep does as well. What the lines are stands in the crate's documentation of `trace`.

Exit codes: 0 read, 2 not a trace, or lines in it that are none.

Examples:
  What the driver asked, and what it was refused:
    ringwave trace card.trace --only messages,notes
  Did every packet get its interrupt?
    ringwave trace card.trace --stream 0 --only dma,interrupts,states --from 1.5 --to 1.6
  Figures: DMA by stream, the time between interrupts, messages while running:
    ringwave trace card.trace --summary
  Look on while the card runs:
    tail -n +1 -f card.trace | ringwave trace -
  On a time line, each stream with its packets, waits, silence and marks: open card.json in ui.perfetto.dev or chrome://tracing
    ringwave trace card.trace --perfetto --output card.json")]
pub struct Trace {
    /// The file; - reads standard input, as it comes
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only events of these kinds, by commas
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub only: Vec<Only>,
    /// Only what this stream does, and what concerns every stream: clients, resets, interrupts
    #[arg(long, value_name = "N")]
    pub stream: Option<u32>,
    /// Only from this time on, in seconds since the card started
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub from: Option<u64>,
    /// Only up to this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub to: Option<u64>,
    /// Print figures instead of events
    #[arg(long)]
    pub summary: bool,
    /// Print JSON: an object a line, and with --summary one object
    #[arg(long)]
    pub json: bool,
    /// Print a time line: the Trace Event Format, which ui.perfetto.dev opens
    #[arg(long, conflicts_with_all = ["summary", "json"])]
    pub perfetto: bool,
    /// Write that into this file and not to standard output; what is there is replaced if an earlier
    /// --perfetto wrote it
    #[arg(long, value_name = "FILE", requires = "perfetto")]
    pub output: Option<PathBuf>,
}

/// `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Only {
    /// What the client asked
    Messages,
    /// Accesses to guest memory, and marks
    Dma,
    /// Events, MSI messages, INTx
    Interrupts,
    /// Clients, resets, power, what the streams do
    States,
    /// What was refused, underruns, DMA faults
    Notes,
}

impl Only {
    fn group(self) -> Group {
        match self {
            Self::Messages => Group::Messages,
            Self::Dma => Group::Dma,
            Self::Interrupts => Group::Interrupts,
            Self::States => Group::States,
            Self::Notes => Group::Notes,
        }
    }
}

/// Seconds with a fraction, as nanoseconds.
fn seconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let time = std::time::Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    u64::try_from(time.as_nanos()).map_err(|_| "too many seconds".to_owned())
}

impl Trace {
    /// Whether the user wants to see it.
    fn wants(&self, card: Card, TraceRecord { time, event }: &TraceRecord) -> bool {
        let in_time = self.from.is_none_or(|from| *time >= from) && self.to.is_none_or(|to| *time <= to);
        // A gap is always worth knowing.
        if !in_time || matches!(event, Event::Lost(_)) {
            return in_time;
        }
        let group = Group::of(event);
        let kind = self.only.is_empty() || self.only.iter().any(|only| only.group() == group);
        kind && self.stream.is_none_or(|stream| match show::about(card, event) {
            About::Stream(about) => about == stream,
            About::All => true,
            About::None => false,
        })
    }
}

/// Runs the command.
pub fn run(arguments: &Trace) -> Result<ExitCode, Failure> {
    let name = arguments.file.display().to_string();
    let unreadable = |error: TraceError| bad_input(format!("{name}: {error}"));
    let from: Box<dyn Read> = if name == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(&arguments.file).map_err(|error| unreadable(error.into()))?)
    };
    let mut reader = Reader::new(from).map_err(unreadable)?;
    match read(arguments, &mut reader, open(arguments)?) {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(error)) => Err(unreadable(error)),
        // A reader that does not want it all (head) is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(failed(format!("cannot write: {error}"))),
    }
}

/// Where the output goes: standard output, or the file of `--output`, which takes the place of nothing but an
/// earlier one.
fn open(arguments: &Trace) -> Result<BufWriter<Box<dyn Write>>, Failure> {
    let Some(path) = &arguments.output else { return Ok(BufWriter::new(Box::new(io::stdout().lock()))) };
    let refused = |why: String| bad_input(format!("{}: {why}", path.display()));
    let there = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0);
    if there && !begins_like_ours(path) {
        return Err(refused("is a file of another kind, and is left as it is; take another name".into()));
    }
    let file = File::create(path).map_err(|error| refused(next_step::writing(&error)))?;
    Ok(BufWriter::new(Box::new(file)))
}

fn begins_like_ours(path: &Path) -> bool {
    let mut first = vec![0; perfetto::FIRST_BYTES.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == perfetto::FIRST_BYTES.as_bytes()
}

/// Reads the trace and writes what is wanted of it. Gives the first thing that was wrong with it; an error is
/// the output's.
fn read(
    arguments: &Trace,
    reader: &mut Reader<Box<dyn Read>>,
    out: impl Write,
) -> io::Result<Option<TraceError>> {
    let card = Card::of(reader.header());
    let mut view = View::begin(arguments, reader, out)?;
    let mut wrong = None;
    loop {
        match reader.next_item() {
            Ok(Some(Item::Record(record))) => view.add(&record, arguments.wants(card, &record))?,
            Ok(Some(Item::Cut)) => {
                view.cut();
                log::warn!("the last line is cut: the card was killed, or is still writing");
            }
            Ok(None) => break,
            Err(error @ TraceError::Io(_)) => {
                wrong.get_or_insert(error);
                break;
            }
            Err(error) => {
                view.unreadable();
                wrong.get_or_insert(error);
            }
        }
        // Whoever looks on sees everything that is there.
        if !reader.has_line() {
            view.flush()?;
        }
    }
    view.finish(reader)?;
    Ok(wrong)
}

/// What is made of a trace.
enum View<W: Write> {
    Lines(Printer<W>),
    Summary { out: W, summarizer: Box<Summarizer>, json: bool },
    Perfetto(Perfetto<W>),
}

impl<W: Write> View<W> {
    fn begin(arguments: &Trace, reader: &Reader<Box<dyn Read>>, out: W) -> io::Result<Self> {
        let (json, card) = (arguments.json, Card::of(reader.header()));
        Ok(if arguments.perfetto {
            Self::Perfetto(Perfetto::begin(out, reader.header())?)
        } else if arguments.summary {
            Self::Summary { out, summarizer: Box::new(Summarizer::new(card)), json }
        } else {
            Self::Lines(Printer { out, card, json, before: None })
        })
    }

    fn add(&mut self, record: &TraceRecord, wanted: bool) -> io::Result<()> {
        match self {
            Self::Lines(printer) if wanted => printer.print(record),
            Self::Lines(_) => Ok(()),
            Self::Summary { summarizer, .. } => {
                summarizer.add(record, wanted);
                Ok(())
            }
            Self::Perfetto(perfetto) => perfetto.add(record, wanted),
        }
    }

    fn cut(&mut self) {
        if let Self::Summary { summarizer, .. } = self {
            summarizer.cut();
        }
    }

    fn unreadable(&mut self) {
        if let Self::Summary { summarizer, .. } = self {
            summarizer.unreadable();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(printer) => printer.out.flush(),
            Self::Summary { out, .. } => out.flush(),
            Self::Perfetto(perfetto) => perfetto.flush(),
        }
    }

    fn finish(self, reader: &Reader<Box<dyn Read>>) -> io::Result<()> {
        match self {
            Self::Lines(mut printer) => printer.out.flush(),
            Self::Perfetto(perfetto) => perfetto.finish(),
            Self::Summary { mut out, summarizer, json } => {
                let summary = summarizer.finish();
                let card: BTreeMap<&str, &str> = reader.header().collect();
                if json {
                    let mut value = serde_json::to_value(&summary).map_err(io::Error::other)?;
                    if let Some(object) = value.as_object_mut() {
                        object.insert("card".to_owned(), serde_json::json!(card));
                    }
                    writeln!(out, "{value:#}")?;
                } else {
                    let card: Vec<String> =
                        card.iter().map(|(name, value)| format!("{name} {value}")).collect();
                    write!(out, "card        {}\n{summary}", card.join(", ").escape_default())?;
                }
                out.flush()
            }
        }
    }
}

/// Prints events.
struct Printer<W> {
    out: W,
    card: Card,
    json: bool,
    /// Time of the line before.
    before: Option<u64>,
}

impl<W: Write> Printer<W> {
    fn print(&mut self, record: &TraceRecord) -> io::Result<()> {
        if self.json {
            return writeln!(self.out, "{}", show::json(self.card, record));
        }
        let since = record.time.saturating_sub(self.before.replace(record.time).unwrap_or(record.time));
        let (time, since) = (Nanos(record.time), format!("+{}", Nanos(since)));
        let group = Group::of(&record.event).name();
        writeln!(self.out, "{time:>14} {since:>11}  {group:<9}  {}", show::text(self.card, &record.event))
    }
}
