//! `ringwave serve`: the card on a socket until a signal, or the end of the first client.
//!
//! The order of the start is what counts. Signals are held first: whoever sees the socket may send one. Then
//! the socket, before everything else: a second process on the same socket must not touch the first one's
//! files, and a descriptor that was handed over must not be mistaken for one that this process opened. Then
//! half of the sandbox, the threads, the other half, and only then the first client.

use std::fmt::Display;
use std::io::ErrorKind;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use ringwave::control::server::HostSide;
use ringwave::engine::{Engine, EngineConfig, ReservedFiles};
use ringwave::expectations::{self, Expectations};
use ringwave::priority;
use ringwave::sandbox::{self, Mode, Needs};
use ringwave::serve::{ServeError, serve_until, vhost_user};
use ringwave_audio::StreamFormat;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::Identity;
use ringwave_card::{Card, CardConfig};
use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::device::Device;
use ringwave_hda::function::HdaCard;
use ringwave_hda::stream;
use ringwave_host::SinkSpec;
use ringwave_host::source::{Inputs, SourceSpec};
use ringwave_regs::format::{CHANNELS_MAX, rate_bit};
use ringwave_regs::global::VERSION_VALUE;
use ringwave_regs::stream::STREAMS_MAX;
use ringwave_served::HostRequests;
use ringwave_served::records::Records;
use ringwave_vfio_user::{Listener, ListenerError, Stop};
use ringwave_virtio_snd::card::VirtioCard;
use ringwave_virtio_snd::params;

use super::commands::{FAILED, Failure, bad_input, failed};
use super::control_socket::{self, ControlArgs};
use super::expected::{self, ExpectedArgs};
use super::hda::{self, HdaArgs};
use super::output_paths;
use super::serve_report::{self, ServingPage};
use super::signals::{SignalKind, Signals, ignore_size_limit};

/// The default of `--vendor`.
const VENDOR: u16 = 0x1234;
/// The default of `--device`.
const DEVICE: u16 = 0x5257;
/// After a signal: the serving thread ends between two messages, and a message takes no time. Longer means
/// that it hangs (a client's memory can be made to).
const SERVING_PATIENCE: Duration = Duration::from_secs(5);
/// A signal that follows the first one as closely is no second one: coreutils' timeout sends its signal to
/// the process and then to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Serve a sound card on a vfio-user or vhost-user socket
///
/// Clients come one after the other; each finds a fresh card. Says `listening on PATH` when it is ready.
/// SIGTERM, SIGINT and SIGHUP end it: files are finished, the socket is removed, exit code 0 (1 where it is
/// not as --expect-sound and --max-underruns want it). A second signal ends it at once, whatever hangs, exit
/// code 1. SIGUSR1 logs the present client's figures as JSON on one line, and writes the file of --stats.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub struct Serve {
    /// Which card: ringwave and hda (device/HDA.md) are served over vfio-user, virtio (device/VIRTIO-SND.md)
    /// over vhost-user
    #[arg(long, value_enum, value_name = "ringwave|virtio|hda", default_value = "ringwave")]
    pub card: CardKind,
    /// Where to listen; a socket whose process is dead is replaced
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Listen on this descriptor, a UNIX socket that whoever starts this process has bound and listens on
    #[arg(long, value_name = "N")]
    pub fd: Option<RawFd>,
    /// Streams that play
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=16))]
    pub render: u32,
    /// Streams that record; 16 together at most
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=16))]
    pub capture: u32,
    /// Most channels of a stream, 1 to 8: what the guest is told (CAPS) and held to; 8 unless given. HD
    /// Audio: channels of the speakers, 2 unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    pub channels: Option<u32>,
    /// Where sound goes: wav:FILE, raw:FILE, raw:- (standard output), sound or sound:DEVICE (this host's
    /// sound system) or null. Stream 1 gets FILE-stream1.wav, a second format or client FILE-2.wav and so on.
    /// No file: nothing was heard
    #[arg(long, value_name = "SINK", default_value_t = SinkSpec::Null)]
    pub sink: SinkSpec,
    /// Where captured sound comes from: wav:FILE, raw:FILE, raw:- (standard input), tone:HZ, loopback:N (what
    /// render stream N plays), sound or sound:DEVICE (this host's microphone) or null. Once for each capture
    /// stream, in their order; the last counts for the rest
    #[arg(long, value_name = "SOURCE", default_value = "null")]
    pub source: Vec<SourceSpec>,
    /// What happens when a packet is not there in time: it is silent for as long as it is late (realtime;
    /// scaled:X goes X times as fast), or the card waits for it (lockstep), in streams whose driver asks for
    /// that (virtio: in all): for tests and recordings
    #[arg(long, value_name = "lockstep|realtime|scaled:X", default_value = "realtime")]
    pub clock: Clock,
    /// How fast the card's clock goes, for tests: changes when, never what
    #[arg(long, value_name = "X", default_value_t = Speed::REAL)]
    pub speed: Speed,
    /// PCI vendor id
    #[arg(long, value_name = "ID", value_parser = parse_id, default_value = "0x1234")]
    pub vendor: u16,
    /// PCI device id
    #[arg(long, value_name = "ID", value_parser = parse_id, default_value = "0x5257")]
    pub device: u16,
    /// Bits of an address that the card's DMA reaches: 32 to 64
    #[arg(long, value_name = "BITS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(32..=64))]
    pub dma_bits: u32,
    /// What the register VERSION says (DATASHEET 3.1), for tests of a driver: with a higher minor version
    /// FEATURES has every bit that it may add, and all else stays as it is
    #[arg(long, value_name = "MAJOR.MINOR", value_parser = parse_version, hide = true)]
    pub version_register: Option<u32>,
    /// End when the first client has left
    #[arg(long)]
    pub once: bool,
    /// Write what happened as JSON, whenever a client leaves, at SIGUSR1 and at the end
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,
    /// Record every message, access to guest memory and interrupt with its time; `ringwave trace` reads it
    /// back
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write a page for a browser when serving ends: what --sink wav:FILE holds as waveform and spectrogram,
    /// what --trace holds on a time line, the statistics of the last client; device/REPORT.md says what is on
    /// it
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Give up, before the first client, what serving does not need: as far as this kernel can (auto), all of
    /// it or end with an error (on), nothing (off)
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_value = "auto", default_missing_value = "on")]
    pub sandbox: Sandbox,
    /// Whether the card's time comes before other programs on a busy host (`SCHED_FIFO`, for the engine
    /// alone; the client is answered by an ordinary thread)
    #[arg(long, value_enum, value_name = "WHICH", default_value = "auto")]
    pub priority: priority::Mode,
    #[command(flatten)]
    pub hda: HdaArgs,
    #[command(flatten)]
    pub control: ControlArgs,
    #[command(flatten)]
    pub expected: ExpectedArgs,
}

const HELP: &str = "\
Examples:
  ringwave serve --socket /tmp/card.sock --sink wav:heard.wav --clock lockstep --once --stats figures.json
  ringwave serve --socket /tmp/card.sock --control /tmp/control.sock --unplugged 1
    ringwave control /tmp/control.sock jack 1 in     the guest's second endpoint appears
    ringwave control /tmp/control.sock source 1 wav:question.wav     and hears this from now on
    kill -USR1 PID                                   figures of the moment, into the log
  A test of a guest's sound: the exit code is 1, and the report red, when it cannot be heard
  ringwave serve --socket /tmp/card.sock --once --expect-sound=-60dB --max-underruns 0 --junit sound.xml
  A page of what a card did, to look at when something crackled
  ringwave serve --socket /tmp/card.sock --sink wav:heard.wav --trace card.trace --report report.html
  When a client leaves the log says on one line what it came to: frames, underruns, messages, the worst lateness.

virtio-snd, which a Linux guest drives as it is (QEMU needs shared memory):
  ringwave serve --card virtio --socket /tmp/card.sock --sink wav:heard.wav
    qemu-system-x86_64 -object memory-backend-memfd,id=m,size=1G,share=on -machine q35,memory-backend=m -smp 2 \\
      -chardev socket,id=c,path=/tmp/card.sock -device vhost-user-snd-pci,chardev=c ...

HD Audio, for which every guest has the driver (no Windows has seen it yet):
  ringwave serve --card hda --socket /tmp/card.sock --sink wav:heard.wav
    qemu-system-x86_64 -object memory-backend-memfd,id=m,size=1G,share=on -machine q35,memory-backend=m \\
      -device '{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"/tmp/card.sock\"}}' ...

Started by systemd, when a client connects (neither --socket nor --fd; the socket is systemd's and stays):
  card.socket                            card.service
    [Socket]                               [Service]
    ListenStream=/run/ringwave/card.sock   ExecStart=ringwave serve --once --sink wav:/var/lib/ringwave/heard.wav
    SocketMode=0600                        StateDirectory=ringwave
    [Install]
    WantedBy=sockets.target
  A SystemCallFilter= of your own has to leave it process_vm_writev and asynchronous I/O (@aio).

Files of an earlier run (--sink FILE with those named after it, --stats, --trace, --report, --junit) are removed at the start; a file that nothing tells to be such, and a
symbolic link, is refused. --sink raw:FILE, which has no header, takes a new file. A file, while it may be written, has a lock beside it (.FILE.lock).

The sandbox (Landlock and seccomp; all of it since Linux 6.12, which --sandbox=on asks for, much of it since 5.13) leaves the process:
  files      writing only below the folders of --sink, --stats, --trace, --report and --junit; reading only those of --source, and
             with --report below the folders of --sink wav:FILE and --trace, which are drawn at the end; removing in those of --socket and --control
  network    nothing; no new sockets, only clients of the one it listens on
  processes  none started, none looked into; nothing that needs a privilege, and no capability: started by root it writes where root is the owner
So give --sink wav:FILE a folder of its own: all of it could be written by who takes the process over. With --sink sound or --source sound there is no sandbox: the sound
system opens devices, connections and threads while it serves.

The host's sound system (a build with --features sound; `ringwave sinks` and `ringwave sources` tell, and list the devices):
  ringwave serve --socket /tmp/card.sock --sink sound --source sound
  Each stream gets the device for itself, so take one that mixes (default, pulse, pipewire). A stream that goes by realtime follows the device's clock, as a sound
  card's would: --stats has the drift (drift_ppm), and what the device missed (sink_underruns, sink_dropped_frames). A lockstep stream does not follow, nor
  does HD Audio, which has a clock of its own: what the device has no room for is dropped, what it lacks is silence, and both are counted. Nothing is resampled: a rate that the device does not take is an error of the stream.
  A microphone is opened when the guest sets the stream up, and closed when nobody has recorded for 5 s. It is followed likewise (but by HD
  Audio), and heard some 50 ms later; --stats has source_underruns and source_overruns. A rate that it does not have is silence, and the log says so.";

/// `--clock`.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    mode: ClockMode,
    /// How fast, if it says so.
    speed: Option<Speed>,
}

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "lockstep" => Ok(Self { mode: ClockMode::Lockstep, speed: None }),
            None if text == "realtime" => Ok(Self { mode: ClockMode::Realtime, speed: None }),
            Some(("scaled", speed)) => Ok(Self { mode: ClockMode::Realtime, speed: Some(speed.parse()?) }),
            _ => Err("write lockstep, realtime or scaled:X".to_owned()),
        }
    }
}

/// `--card`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CardKind {
    /// Ringwave's own, for ringwave.sys
    Ringwave,
    /// virtio-snd over vhost-user, for Linux as it is
    Virtio,
    /// HD Audio, for which every system has the driver
    Hda,
}

/// `--sandbox`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sandbox {
    /// As far as this kernel can
    Auto,
    /// All of it, or end with an error
    On,
    /// None
    Off,
}

impl From<Sandbox> for Mode {
    fn from(sandbox: Sandbox) -> Self {
        match sandbox {
            Sandbox::Auto => Self::Auto,
            Sandbox::On => Self::On,
            Sandbox::Off => Self::Off,
        }
    }
}

/// A PCI id: 0x and hexadecimal digits, or decimal. 0xffff means "no device" on a bus.
fn parse_id(text: &str) -> Result<u16, String> {
    let id = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match id {
        Ok(0 | 0xFFFF) | Err(_) => Err("an id is 0x0001 to 0xfffe".to_owned()),
        Ok(id) => Ok(id),
    }
}

/// A version of the register interface, as VERSION has it.
fn parse_version(text: &str) -> Result<u32, String> {
    let half = |text: &str| text.parse::<u16>().ok().map(u32::from);
    let halves = text.split_once('.').and_then(|(major, minor)| Some((half(major)?, half(minor)?)));
    halves
        .map(|(major, minor)| major << 16 | minor)
        .ok_or_else(|| "a version is two numbers, as 1.0".to_owned())
}

/// What the main thread waits for.
enum End {
    /// The first signal.
    Signal,
    /// The serving thread has ended; `None` = it panicked.
    Served(Option<Result<(), ServeError>>),
    /// The engine thread has panicked.
    StandsStill,
}

/// Runs the command.
pub fn run(arguments: &Serve) -> Result<ExitCode, Failure> {
    fits_the_card(arguments)?;
    let sandbox = sandbox_of(arguments)?;
    // Before the sockets can be seen, and before any thread is started. Opens no descriptor.
    let signals = Signals::block().map_err(failed)?;
    ignore_size_limit();
    let ListeningSocket { socket, name } = listen(arguments)?;
    let by_hand = arguments.control.listen()?;
    let stop = Stop::new().map_err(failed)?;
    let socket = Arc::new(socket);
    let _removed = Removed(Arc::clone(&socket), by_hand.clone());
    output_paths::no_two_alike(arguments)?;
    let expectations = arguments.expected.expectations(arguments.render, arguments.report.is_some())?;
    let page = arguments.report.as_deref().map(ServingPage::begin).transpose()?;
    let outputs = EngineConfig {
        sink: arguments.sink.clone(),
        stats: arguments.stats.clone(),
        trace: arguments.trace.clone(),
    };
    let sources = output_paths::sources(arguments);
    let reserved = Arc::new(outputs.reserve(&sources).map_err(bad_input)?);
    if let Some(path) = &arguments.expected.junit {
        reserved.add(path, expectations::JUNIT, &sources).map_err(bad_input)?;
    }
    if let Some(path) = &arguments.report {
        reserved.add(path, serve_report::PAGE, &sources).map_err(bad_input)?;
    }
    let _released = Released(Arc::clone(&reserved));
    // Before the capabilities go.
    let priority = priority::take(arguments.priority).map_err(failed)?;
    let files = sandbox::close_files(sandbox, &needs(arguments)).map_err(failed)?;
    // From here on a signal is heard: a source may be long in coming.
    let (ends, end) = mpsc::channel();
    let at_work = Arc::new(Mutex::new(None::<Arc<dyn HostRequests>>));
    let watched = Watched {
        at_work: Arc::clone(&at_work),
        socket: Arc::clone(&socket),
        by_hand: by_hand.clone(),
        reserved: Arc::clone(&reserved),
        expectations: expectations.clone(),
    };
    watch(signals, stop.clone(), watched, ends.clone())?;
    let prepared = Prepared {
        sandbox,
        stop,
        socket,
        by_hand,
        outputs,
        reserved,
        ends,
        at_work,
        expectations,
        page,
        told: Told { priority: priority.to_string(), files, name },
    };
    signals_may_block(sandbox)?;
    match arguments.card {
        CardKind::Virtio => {
            let (card, host) = make_virtio_card(arguments)?;
            prepared.serve(arguments, Arc::new(card), host, &end, vhost_user::serve_until)
        }
        CardKind::Ringwave => {
            let (card, host) = make_card(arguments)?;
            prepared.serve(arguments, Arc::new(card), host, &end, serve_until)
        }
        CardKind::Hda => {
            let (card, host) = make_hda_card(arguments)?;
            signals_may_block(sandbox)?;
            prepared.serve(arguments, Arc::new(card), host, &end, serve_until)
        }
    }
}

/// For the log, once the card serves.
struct Told {
    priority: String,
    files: String,
    name: String,
}

/// Everything that serving takes but the card.
struct Prepared {
    sandbox: Mode,
    stop: Stop,
    socket: Arc<Listener>,
    by_hand: Option<Arc<Listener>>,
    outputs: EngineConfig,
    reserved: Arc<ReservedFiles>,
    ends: mpsc::Sender<End>,
    at_work: Arc<Mutex<Option<Arc<dyn HostRequests>>>>,
    expectations: Option<Arc<Expectations>>,
    page: Option<ServingPage>,
    told: Told,
}

impl Prepared {
    /// Serves the card until it ends. `serve_until`: as [`serve_until`].
    fn serve<D, E>(
        self,
        arguments: &Serve,
        card: Arc<D>,
        host: HostSide,
        end: &mpsc::Receiver<End>,
        serve_until: fn(&Stop, &Arc<D>, &Listener, bool) -> Result<(), ServeError>,
    ) -> Result<ExitCode, Failure>
    where
        D: Device<Records = Records<E>> + HostRequests,
        E: Display + Send + 'static,
    {
        let Self { sandbox, stop, socket, by_hand, outputs, reserved, ends, at_work, .. } = self;
        let Self { expectations, page, told, .. } = self;
        let heard = expectations.clone();
        arguments.control.unplug(&*card)?;
        let (stopped, tell) = (stop.clone(), ends.clone());
        // In this order: or the serving thread's end may be told first.
        let stands_still = move || {
            let _ = tell.send(End::StandsStill);
            stopped.stop();
        };
        let engine = Engine::start_with(Arc::clone(&card), outputs, reserved, heard, stands_still);
        let engine = engine.map_err(bad_input)?;
        priority::give_up();
        // From here on somebody holds the card's time.
        super::LOG.start(std::io::stderr()).map_err(failed)?;
        let (go, gate) = mpsc::channel();
        control_socket::start(Arc::<D>::clone(&card), by_hand.as_ref(), host)?;
        *at_work.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::<D>::clone(&card));
        let once = arguments.once;
        let serving = move || {
            // Not before the sandbox is closed; never, if it cannot be.
            if gate.recv().is_ok() {
                let served = catch_unwind(AssertUnwindSafe(|| serve_until(&stop, &card, &socket, once)));
                let _ = ends.send(End::Served(served.ok()));
            }
        };
        std::thread::Builder::new().name("serve".into()).spawn(serving).map_err(failed)?;
        let threads = match arguments.card {
            CardKind::Virtio => sandbox::Threads::OfEachClient,
            CardKind::Ringwave | CardKind::Hda => sandbox::Threads::Started,
        };
        let calls = sandbox::close_calls(sandbox, threads).map_err(failed)?;
        log::info!(
            "sink {}, clock {}, speed {}",
            arguments.sink,
            arguments.clock.mode.name(),
            speed(arguments.clock, arguments.speed)
        );
        log::info!("priority: {}", told.priority);
        log::info!("sandbox: {}; {calls}", told.files);
        log::info!("listening on {}", told.name);
        let _ = go.send(());
        let ended = expected::conclude(expectations.as_deref(), outcome(engine, end));
        match (page, &expectations) {
            (Some(page), Some(heard)) => {
                let written = page.write(arguments, heard, &ended);
                Failure::both(ended.as_ref().map(|_| ()).map_err(Failure::clone), written).and(ended)
            }
            _ => ended,
        }
    }
}

/// Waits for the end, and ends the engine. Gives what became of it all.
fn outcome<D, E>(engine: Engine<D>, end: &mpsc::Receiver<End>) -> Result<ExitCode, Failure>
where
    D: Device<Records = Records<E>> + HostRequests,
    E: Display + Send + 'static,
{
    let outcome = wait(end);
    // A thread that hangs may hold what the engine needs to end.
    let lossless = matches!(outcome, ServeOutcome::Hangs) || engine.end();
    match outcome {
        ServeOutcome::Hangs => {
            Err(failed("a client's message hangs; what was heard last may not be in its file"))
        }
        ServeOutcome::Served(Err(error)) => Err(failed(error)),
        ServeOutcome::Panicked => Err(failed("the serving thread panicked")),
        // Fails closed: a guest's card that is gone is seen, one whose time stands still is not.
        ServeOutcome::StandsStill => Err(failed("the engine thread panicked")),
        _ if !lossless => Err(failed("not all that was heard is in its file; the log says why")),
        ServeOutcome::Served(Ok(())) => Ok(ExitCode::SUCCESS),
        ServeOutcome::Signal => {
            log::info!("ended by a signal");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Says, or refuses, what a kernel without asynchronous I/O means: [`ringwave_eventfd`].
fn signals_may_block(sandbox: Mode) -> Result<(), Failure> {
    const WHAT: &str =
        "no asynchronous I/O (io_setup) here: a client that means harm can hold the card by its eventfd";
    match sandbox {
        _ if ringwave_eventfd::never_blocks() => Ok(()),
        Mode::On => Err(failed(format!("{WHAT}; use --sandbox=auto"))),
        Mode::Auto | Mode::Off => {
            log::warn!("{WHAT}");
            Ok(())
        }
    }
}

/// Removes the files of the sockets when serving ends, or does not begin: threads that end with the process
/// hold the listeners.
struct Removed(Arc<Listener>, Option<Arc<Listener>>);

impl Drop for Removed {
    fn drop(&mut self) {
        self.0.remove();
        control_socket::remove(self.1.as_ref());
    }
}

/// Lets other processes write to its files, likewise.
struct Released(Arc<ReservedFiles>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Refuses what the card does not have.
fn fits_the_card(arguments: &Serve) -> Result<(), Failure> {
    let of_pci = arguments.vendor != VENDOR || arguments.device != DEVICE || arguments.dma_bits != 64;
    let of_pci = of_pci || arguments.version_register.is_some();
    match arguments.card {
        CardKind::Ringwave | CardKind::Virtio if arguments.hda.any() => Err(bad_input(
            "--bits, --pci-id, --amplifiers and --power-management are of --card hda; leave them out",
        )),
        CardKind::Hda if of_pci || arguments.control.no_volume => Err(bad_input(
            "--card hda: leave out --vendor, --device, --dma-bits and --no-volume; its ids are --pci-id's",
        )),
        CardKind::Hda if arguments.clock.mode == ClockMode::Lockstep => Err(bad_input(
            "--card hda --clock lockstep: HD Audio has no way to say what is written, so its clock cannot wait; take scaled:0.25, or another card",
        )),
        CardKind::Hda if arguments.expected.max_underruns.is_some() => Err(bad_input(
            "--card hda --max-underruns: HD Audio has no way to say what is written, so underruns cannot be known; leave it out (--expect-sound tells whether anything was heard), or take another card",
        )),
        CardKind::Virtio if of_pci || arguments.control.no_volume => Err(bad_input(
            "--card virtio: its PCI function is QEMU's and it has no volume; leave out --vendor, --device, --dma-bits and --no-volume",
        )),
        CardKind::Hda => hda::tree(arguments.hda_streams(), arguments.hda).map(|_| ()),
        CardKind::Virtio | CardKind::Ringwave => Ok(()),
    }
}

impl Serve {
    /// The most channels of a stream.
    fn channels_max(&self) -> u32 {
        self.channels.unwrap_or(CHANNELS_MAX)
    }

    fn hda_streams(&self) -> hda::Streams {
        let Self { render, capture, channels, .. } = *self;
        hda::Streams { render, capture, channels }
    }
}

/// What the capture streams hear, and what of the host's side can be changed.
struct Heard {
    inputs: Inputs,
    loopback: [Option<u8>; STREAMS_MAX as usize],
    host: HostSide,
}

fn heard(arguments: &Serve) -> Result<Heard, Failure> {
    let Serve { render, capture, card, .. } = *arguments;
    let channels = arguments.channels_max();
    if !(1..=STREAMS_MAX).contains(&(render + capture)) {
        return Err(bad_input(format!(
            "--render {render} --capture {capture}: 1 to {STREAMS_MAX} streams together; take fewer or more"
        )));
    }
    let last = arguments.source.last().cloned().unwrap_or_default();
    let sources: Vec<SourceSpec> =
        arguments.source.iter().cloned().chain(std::iter::repeat(last)).take(capture as usize).collect();
    let mut loopback = [None; STREAMS_MAX as usize];
    for (slot, source) in loopback.iter_mut().zip(&sources) {
        if let SourceSpec::Loopback(from) = source {
            if u32::from(*from) >= render {
                return Err(bad_input(format!(
                    "--source loopback:{from}: there are {render} render streams, from 0; take one of them"
                )));
            }
            *slot = Some(*from);
        }
    }
    let inputs = Inputs::open(render, &sources).map_err(bad_input)?;
    let why_not = move |format| why_no_stream(format, channels, card);
    for (path, format) in inputs.wav_files() {
        if let Some(why) = why_not(format) {
            log::warn!("--source wav:{}: no stream can take it: {why}", path.display());
        }
    }
    let looped = (render..).zip(&loopback).filter_map(|(stream, from)| from.map(|_| stream));
    let paths = output_paths::written(arguments).map(|(_, path)| path.to_owned());
    let in_use = output_paths::sources(arguments).into_iter().chain(paths);
    let in_use = in_use.filter_map(|path| std::fs::metadata(path).ok());
    let host = HostSide {
        sources: inputs.control(),
        loopback: looped.collect(),
        why_no_stream: Box::new(why_not),
        in_use: in_use.map(|about| (about.dev(), about.ino())).collect(),
    };
    Ok(Heard { inputs, loopback, host })
}

/// Why no stream of the card can have a format, and what to do; `None`: one can, or the card has not said.
fn why_no_stream(format: StreamFormat, channels_max: u32, card: CardKind) -> Option<String> {
    let StreamFormat { channels, rate, sample } = format;
    if channels > channels_max {
        let next =
            if channels <= CHANNELS_MAX { "serve with --channels, or mix it down" } else { "mix it down" };
        return Some(format!("it has {channels} channels, and a stream at most {channels_max}; {next}"));
    }
    let (has_rate, has_sample) = match card {
        CardKind::Ringwave => (rate_bit(rate) != 0, true),
        CardKind::Virtio => (params::has_rate(rate), params::has_sample(sample)),
        CardKind::Hda => (stream::RATES.contains(&rate), stream::has_sample(sample)),
    };
    if !has_rate {
        return Some(format!("{rate} Hz is no rate of the card; convert it to 48 kHz"));
    }
    (!has_sample).then(|| format!("{} is no format of the card; convert it to 16 or 32 bits", sample.name()))
}

/// The virtio-snd card.
fn make_virtio_card(arguments: &Serve) -> Result<(VirtioCard, HostSide), Failure> {
    let Serve { render, capture, .. } = *arguments;
    let channels = arguments.channels_max();
    let Heard { inputs, loopback, host } = heard(arguments)?;
    let config = ringwave_virtio_snd::card::CardConfig {
        render,
        capture,
        loopback,
        clock: arguments.clock.mode,
        channels_max: u8::try_from(channels).unwrap_or(u8::MAX),
        trace: arguments.trace.is_some(),
    };
    let clock = HostClock::start(speed(arguments.clock, arguments.speed));
    Ok((VirtioCard::new(config, clock, Box::new(inputs)), host))
}

/// The HD Audio card.
fn make_hda_card(arguments: &Serve) -> Result<(HdaCard, HostSide), Failure> {
    let tree = hda::tree(arguments.hda_streams(), arguments.hda)?;
    let Heard { inputs, loopback, host } = heard(arguments)?;
    let clock = HostClock::start(speed(arguments.clock, arguments.speed));
    let card = hda::make_card(tree, arguments.hda, &loopback, clock, (inputs, arguments.trace.is_some()));
    Ok((card, host))
}

/// The Ringwave card.
fn make_card(arguments: &Serve) -> Result<(Card, HostSide), Failure> {
    let Serve { render, capture, dma_bits, .. } = *arguments;
    let Heard { inputs, loopback, host } = heard(arguments)?;
    let controller = Config {
        render,
        capture,
        loopback,
        dma_bits,
        channels_max: arguments.channels_max(),
        clock: arguments.clock.mode,
        volume: !arguments.control.no_volume,
        version: arguments.version_register.unwrap_or(VERSION_VALUE),
        ..Config::default()
    };
    let config = CardConfig {
        controller,
        identity: Identity { vendor: arguments.vendor, device: arguments.device },
        speed: speed(arguments.clock, arguments.speed),
        trace: arguments.trace.is_some(),
    };
    let card = config.power_on_with(HostClock::start(config.speed), Box::new(inputs)).map_err(failed)?;
    Ok((card, host))
}

/// The sandbox, if sink and sources leave one: a sound system starts threads, opens devices and connects to
/// servers whenever a stream is set up.
fn sandbox_of(arguments: &Serve) -> Result<Mode, Failure> {
    let asked = Mode::from(arguments.sandbox);
    let plays = matches!(arguments.sink, SinkSpec::Sound(_));
    let records = arguments.source.iter().any(|source| matches!(source, SourceSpec::Sound(_)));
    let option = match (plays, records) {
        (true, _) => "--sink sound plays",
        (false, true) => "--source sound records",
        (false, false) => return Ok(asked),
    };
    if speed(arguments.clock, arguments.speed) != Speed::REAL {
        return Err(bad_input(format!("{option} in real time: leave out --speed and scaled:X")));
    }
    match asked {
        Mode::On => Err(bad_input(
            "--sandbox=on: the host's sound system needs what it takes away; use another sink or source, or --sandbox=auto, which is none for this one",
        )),
        Mode::Auto => {
            log::info!("no sandbox: the host's sound system needs what it takes away");
            Ok(Mode::Off)
        }
        Mode::Off => Ok(Mode::Off),
    }
}

/// `scaled:X` says how fast, else `--speed` does.
fn speed(clock: Clock, speed: Speed) -> Speed {
    clock.speed.unwrap_or(speed)
}

/// How serving ended.
enum ServeOutcome {
    Served(Result<(), ServeError>),
    Panicked,
    StandsStill,
    /// By a signal, and the serving thread has ended.
    Signal,
    /// By a signal, but the serving thread does not end.
    Hangs,
}

fn wait(end: &mpsc::Receiver<End>) -> ServeOutcome {
    match end.recv() {
        Ok(End::Served(Some(served))) => ServeOutcome::Served(served),
        Ok(End::Served(None)) | Err(_) => ServeOutcome::Panicked,
        Ok(End::StandsStill) => {
            // A client that is left with words unread is reset, and QEMU aborts by that.
            let _ = end.recv_timeout(SERVING_PATIENCE);
            ServeOutcome::StandsStill
        }
        Ok(End::Signal) => match end.recv_timeout(SERVING_PATIENCE) {
            Ok(End::Served(None)) => ServeOutcome::Panicked,
            Ok(End::StandsStill) => ServeOutcome::StandsStill,
            Ok(_) => ServeOutcome::Signal,
            Err(_) => ServeOutcome::Hangs,
        },
    }
}

/// What a signal has to do with.
struct Watched {
    /// The card, as soon as it is about to be served.
    at_work: Arc<Mutex<Option<Arc<dyn HostRequests>>>>,
    socket: Arc<Listener>,
    by_hand: Option<Arc<Listener>>,
    reserved: Arc<ReservedFiles>,
    expectations: Option<Arc<Expectations>>,
}

impl Watched {
    /// Waits for a signal that ends; does what others ask meanwhile.
    fn wait(&self, signals: &Signals) -> std::io::Result<()> {
        while signals.wait()? == SignalKind::Stats {
            let card = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(card) = card {
                // A card that hangs has none to give, and the log is not told: it may be what hangs.
                let _ = card.log_stats();
            }
        }
        Ok(())
    }

    /// Ends the process with its sockets and locks, whatever other threads do.
    fn exit(&self, code: u8) -> ! {
        self.socket.remove();
        control_socket::remove(self.by_hand.as_ref());
        self.reserved.release();
        std::process::exit(code.into())
    }
}

/// Starts the thread that waits for signals. The first one that ends stops serving; the second one ends the
/// process, whatever hangs: without the log, which may be what hangs. One that comes before there is a card
/// to serve ends the process: nobody was there yet.
fn watch(signals: Signals, stop: Stop, watched: Watched, ends: mpsc::Sender<End>) -> Result<(), Failure> {
    let watching = move || {
        if watched.wait(&signals).is_err() {
            return;
        }
        {
            let at_work = watched.at_work.lock().unwrap_or_else(PoisonError::into_inner);
            if at_work.is_none() {
                log::info!("ended by a signal before it served");
                let ended = expected::conclude(watched.expectations.as_deref(), Ok(ExitCode::SUCCESS));
                if let Err(failure) = &ended {
                    log::error!("{}", failure.line);
                }
                super::LOG.flush(super::LOG_PATIENCE);
                watched.exit(ended.map_or(FAILED, |_| 0));
            }
        }
        // In this order: or the serving thread's end may be told first.
        let _ = ends.send(End::Signal);
        stop.stop();
        let first = Instant::now();
        while watched.wait(&signals).is_ok() {
            if first.elapsed() >= SAME_SIGNAL {
                watched.exit(FAILED);
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watching).map(drop).map_err(failed)
}

/// What the sandbox has to leave.
fn needs(arguments: &Serve) -> Needs {
    Needs {
        written: output_paths::written(arguments).map(|(_, path)| path.to_owned()).collect(),
        // The names in a backtrace, should it ever come to that.
        read: std::env::current_exe().into_iter().chain(output_paths::sources(arguments)).collect(),
        read_back: output_paths::read_back(arguments),
        sockets: arguments.socket.iter().chain(&arguments.control.control).cloned().collect(),
    }
}

/// A listening socket, and what the log calls it.
struct ListeningSocket {
    socket: Listener,
    name: String,
}

/// Listens at `path`.
pub(super) fn bind(path: &Path) -> Result<Listener, Failure> {
    Listener::bind(path).map_err(|error| match error {
        ListenerError::Io { ref source, .. } if source.kind() == ErrorKind::AddrInUse => failed(error),
        _ => bad_input(error),
    })
}

/// The socket: exactly one of `--socket`, `--fd`, and one that systemd has handed over to this very process.
fn listen(arguments: &Serve) -> Result<ListeningSocket, Failure> {
    let systemd = Listener::from_systemd().map_err(|error| bad_input(handed_over("systemd", &error)))?;
    match (&arguments.socket, arguments.fd, systemd) {
        (Some(path), None, None) => {
            Ok(ListeningSocket { socket: bind(path)?, name: path.display().to_string() })
        }
        (None, Some(fd), None) => {
            let socket = from_fd(fd)?;
            let name = name(&socket, &format!("descriptor {fd}"));
            Ok(ListeningSocket { socket, name })
        }
        (None, None, Some(socket)) => {
            let name = name(&socket, "systemd's socket");
            Ok(ListeningSocket { socket, name })
        }
        (None, None, None) => Err(bad_input(
            "no place to listen: give --socket PATH or --fd N, or start it by a systemd socket unit (ringwave serve --help shows one)",
        )),
        (Some(_), Some(_), None) => {
            Err(bad_input("--socket and --fd: it listens on one socket; leave one out"))
        }
        (_, _, Some(_)) => Err(bad_input(
            "systemd hands over a socket, and --socket or --fd names another: it listens on one; leave out the option or the socket unit",
        )),
    }
}

fn from_fd(fd: RawFd) -> Result<Listener, Failure> {
    if fd == libc::STDOUT_FILENO || fd == libc::STDERR_FILENO {
        return Err(bad_input(format!(
            "--fd {fd}: that is where it writes; hand the socket over as 3 or above"
        )));
    }
    // SAFETY: F_GETFD only asks, and a descriptor that is not open is an answer.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(bad_input(format!(
            "--fd {fd}: not open; whoever starts this process has to leave it open"
        )));
    }
    // SAFETY: it is open, and nothing in this process has opened a descriptor yet: it was handed over for
    // this, and is taken once.
    let fd_owned = unsafe { OwnedFd::from_raw_fd(fd) };
    Listener::from_fd(fd_owned).map_err(|error| bad_input(handed_over(&format!("--fd {fd}"), &error)))
}

/// What is wrong with what was handed over, and what to do.
fn handed_over(by: &str, error: &ListenerError) -> String {
    let next = match error {
        ListenerError::NotOne(_) => "one ListenStream= in the socket unit",
        _ => "bind it and listen on it before (systemd: ListenStream=, and no Accept=yes)",
    };
    format!("{by}: {error}; {next}")
}

/// `/run/card.sock (descriptor 3)`
fn name(socket: &Listener, handed: &str) -> String {
    let address = socket.socket().local_addr().ok();
    match address.as_ref().and_then(|address| address.as_pathname()) {
        Some(path) => format!("{} ({handed})", path.display()),
        None => handed.to_owned(),
    }
}
