//! The command line: what it can say, and what it teaches.

pub mod bench;
pub mod bringup;
pub mod commands;
pub mod compare;
pub mod control;
mod control_files;
mod control_script;
pub mod control_socket;
pub mod doctor;
mod expected;
mod findings;
pub mod hda;
mod heard;
pub mod libvirt;
pub mod listen;
mod metrics;
mod output_paths;
mod report;
pub mod schema;
pub mod serve;
mod serve_report;
pub mod shell;
mod signals;
pub mod sinks;
pub mod top;
pub mod trace;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use ringwave::log_queue::LogQueue;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringwave_audio::SampleFormat;

/// Lines of the log on their way to stderr.
pub static LOG: LazyLock<LogQueue> = LazyLock::new(LogQueue::default);
/// A process that ends gives up what is not read of its log for as long.
pub const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// A PCI sound card that is a process on this host.
///
/// QEMU (10.1 or later) attaches to it over vfio-user; a driver in the guest plays, and this process hears.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Log more; twice, every message
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

const EXAMPLES: &str = "\
Examples:
  Look what this host lacks:
    ringwave doctor

  Serve a card, keep what it hears, end when QEMU has left:
    ringwave serve --socket /tmp/card.sock --sink wav:heard.wav --once

  Attach QEMU to it. Guest RAM must be shared, and the card must listen first:
    qemu-system-x86_64 -machine q35,memory-backend=ram \\
      -object memory-backend-memfd,id=ram,size=512M,share=on \\
      -device '{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"/tmp/card.sock\"}}' ...

  Make a piece to play, and compare it with what was heard:
    ringwave tone piece.wav --seconds 10
    ringwave compare piece.wav heard.wav

  Record what happens to the card, and read it back:
    ringwave serve --socket /tmp/card.sock --trace card.trace
    ringwave trace card.trace --stream 0

  Pull the plug of its first stream while it runs, and ask how it goes:
    ringwave serve --socket /tmp/card.sock --control /tmp/control.sock
    ringwave control /tmp/control.sock jack 0 out
    ringwave control /tmp/control.sock stats

  Hear what it plays while it runs:
    ringwave listen /tmp/control.sock | aplay

  Watch it:
    ringwave top /tmp/control.sock

  Look whether a card does what its DATASHEET says, step by step:
    ringwave bringup --socket /tmp/card.sock

  Measure what the card costs on this machine:
    ringwave bench

Exit codes: 0 done (compare: bit-exact), 1 failed (compare: not the same), 2 bad input, 3 compare cannot tell.";

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(serve::Serve),
    Doctor(doctor::Doctor),
    Libvirt(libvirt::Libvirt),
    Sinks(sinks::Sinks),
    Sources(sinks::Sources),
    Hda(hda::Hda),
    Compare(compare::Compare),
    Tone(Tone),
    Trace(trace::Trace),
    Bringup(bringup::Bringup),
    Bench(bench::Bench),
    Control(control::Control),
    Listen(listen::Listen),
    Top(top::Top),
    Schema(schema::Schema),
    Completions(shell::Completions),
    #[command(hide = true)]
    Man(shell::Man),
}

/// Make a short piece of music to test with
///
/// The same samples every time; full 16-bit range, left and right differ, no two packets alike.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  ringwave tone piece.wav --seconds 5 --rate 44100 --channels 1")]
pub struct Tone {
    /// The file to write
    #[arg(value_name = "OUT.wav")]
    pub out: PathBuf,
    /// Length
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Frames per second
    #[arg(long, default_value_t = 48_000, value_parser = clap::value_parser!(u32).range(8_000..=384_000))]
    pub rate: u32,
    /// 1 mono, 2 stereo, up to 8
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub channels: u32,
    /// Samples: 16-bit, 24 bits in 32, 32-bit, or 32-bit float
    #[arg(long, value_enum, default_value_t = Samples::S16)]
    pub format: Samples,
}

/// `--format`: sample formats as the card names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Samples {
    /// 16-bit PCM
    S16,
    /// 24-bit PCM in the upper bits of 32
    S24in32,
    /// 32-bit PCM
    S32,
    /// 32-bit IEEE float
    F32,
}

impl From<Samples> for SampleFormat {
    fn from(samples: Samples) -> Self {
        match samples {
            Samples::S16 => Self::S16,
            Samples::S24in32 => Self::S24In32,
            Samples::S32 => Self::S32,
            Samples::F32 => Self::F32,
        }
    }
}
