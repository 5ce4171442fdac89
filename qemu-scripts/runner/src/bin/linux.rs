//! `ringwave-linux`: what `qemu-scripts/linux` starts once everything is set up and built.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::{Parser, ValueEnum};
use ringwave_runner::{
    cli,
    error::Error,
    html,
    linux::{Firmware, GuestCard, Job, Report, Request, guest::Artefacts, run},
    process,
    request::Clock,
};

/// Plays a WAV file in a Linux guest with the kernel's own driver and aplay, and says whether every bit
/// arrived.
///
/// Exit code: 0 bit-exact (virtio in real time: but for silence around and in the sound), every step done and
/// nothing in the kernel's log; 1 not; 2 bad input.
#[derive(Parser)]
#[command(name = "linux", version, max_term_width = 120)]
struct Arguments {
    /// A PCM or float WAV file, 1 to 8 channels, at a rate of the card that Linux knows.
    wav: PathBuf,
    /// Where to write what arrived.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The card.
    #[arg(long, value_enum, default_value_t = CardKind::Virtio)]
    card: CardKind,
    /// Whether the card waits for a guest that is late, or its time goes on (scaled: X times as fast);
    /// lockstep unless given, with HD Audio scaled:0.25.
    #[arg(long, value_name = "lockstep|realtime|scaled:X")]
    clock: Option<Clock>,
    /// A parameter of the card's driver, as `single_cmd=1`; once for each.
    #[arg(long, value_name = "NAME=VALUE")]
    module_option: Vec<String>,
    /// What QEMU boots the kernel by.
    #[arg(long, value_enum, default_value_t = Firmware::SeaBios)]
    firmware: Firmware,
    /// The card's microphone hears the file, and arecord records.
    #[arg(long, conflicts_with = "loopback")]
    record: bool,
    /// The card's microphone hears its speakers: aplay and arecord at once.
    #[arg(long)]
    loopback: bool,
    /// Keep the run's folder: logs, the card's trace, what was heard.
    #[arg(long)]
    keep: bool,
    /// Write a JUnit report of the verdicts, for CI servers.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a page for a browser: what was sent and heard, each difference marked, the first ten to listen
    /// to, and what happened when
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CardKind {
    Virtio,
    Ringwave,
    Hda,
}

fn main() -> ExitCode {
    let arguments: Arguments = match cli::parse("linux") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let Arguments { out, junit, report, .. } = &arguments;
    let written = [("--out", out), ("--report", report), ("--junit", junit)];
    let written = written.map(|(option, path)| (option, path.as_deref()));
    if let Err(code) = cli::refuse_alike("linux", &written, Some(&arguments.wav)) {
        return code;
    }
    let begin = Instant::now();
    let (junit, page) = (arguments.junit.clone(), arguments.report.clone());
    let (done, mut written) = cli::reported(
        "linux",
        page.as_deref(),
        || done(arguments),
        |(request, report)| {
            let artefacts = Artefacts::from_env()?;
            html::linux::page(request, report, html::machine(&artefacts.qemu, &artefacts.accel))
        },
    );
    written &= cli::write_junit("linux", junit.as_deref(), begin, &done, |(_, report)| report.cases());
    cli::exit_code("linux", done.map(|(_, report)| report.passed()), written)
}

/// Runs it, and prints the verdict.
fn done(arguments: Arguments) -> Result<(Request, Report), Error> {
    arguments.junit.as_deref().map_or(Ok(()), |path| cli::check_folder("--junit", path))?;
    process::stop_on_signals()?;
    let card = match arguments.card {
        CardKind::Virtio => GuestCard::Virtio,
        CardKind::Hda => GuestCard::Hda,
        CardKind::Ringwave => {
            return Err(Error::BadInput(
                "--card ringwave: Linux has no driver for it; qemu-scripts/play plays through ringwave.sys"
                    .into(),
            ));
        }
    };
    let job = match (arguments.record, arguments.loopback) {
        (true, _) => Job::Record,
        (_, true) => Job::Both,
        _ => Job::Play,
    };
    let mut request = Request::new(card, job, arguments.wav);
    request.out = arguments.out;
    request.clock = arguments.clock.unwrap_or(request.clock);
    request.module_options = arguments.module_option;
    request.firmware = arguments.firmware;
    request.keep = arguments.keep;
    request.timeline = arguments.report.is_some();
    if card == GuestCard::Hda && arguments.clock.is_none() {
        eprintln!(
            "HD Audio's clock cannot wait for the guest: it goes at a quarter of the speed (--clock scaled:0.25)"
        );
    }
    let report = run(&request, |step| eprintln!("{step}"))?;
    print!("{report}");
    Ok((request, report))
}
