//! Time stops for one side: QEMU's process, the card's, or the guest's processors alone are stopped for a
//! while in the middle of a sound and go on. In lockstep nothing is lost, and the driver's positions are
//! those of the time that passed (ntguest's rules).
//!
//! QEMU's own `stop` is another thing than SIGSTOP: its processors and its clock stand still, while QEMU and
//! the card run on, and answer each other.
//!
//! `RINGWAVE_STOPPED_SECONDS` is for how long; two by default, less than a client waits for an event.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ringwave_e2e::{noise, process_usage::ProcessUsage, runs};
use ringwave_runner::{
    qmp::Qmp,
    report::Report,
    request::{CardKind, Request},
};
use serde_json::json;

/// How long to wait for a stream to run.
const PATIENCE: Duration = Duration::from_mins(2);
/// The sound: three seconds.
const SOUND_FRAMES: u32 = 3 * 48_000;
/// How long the sound plays before: a few packets.
const BEFORE: Duration = Duration::from_millis(400);

/// Who is to be stopped is found among the children of this process: there is one run at a time.
static RUN: Mutex<()> = Mutex::new(());

/// What is stopped.
#[derive(Clone, Copy, Debug)]
enum Stopped {
    /// QEMU's process.
    Qemu,
    /// The card's process.
    Card,
    /// The guest's processors, by QMP's `stop` and `cont`.
    Processors,
}

impl Stopped {
    /// Its process, a child of this one.
    fn process(self) -> Option<u32> {
        let word = match self {
            Self::Qemu | Self::Processors => "qemu-system",
            Self::Card => "serve",
        };
        let mut children = fs::read_dir("/proc").ok()?.filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse();
            (parent == Ok(process::id())).then_some(id)
        });
        let is_meant = |id: &u32| {
            let command = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(word)
        };
        children.find(is_meant)
    }
}

/// A stream of the card runs, or is about to: the driver says of a recording that it has its buffer.
fn runs() -> bool {
    let usage = Stopped::Card.process().and_then(|card| ProcessUsage::of(card).ok());
    let log = qmp_socket().and_then(|socket| fs::read(socket.with_file_name("guest.log")).ok());
    let records = String::from_utf8_lossy(&log.unwrap_or_default()).contains("cyclic buffer of");
    usage.is_some_and(|usage| usage.sounds > 0) || records
}

fn signal(name: &str, process: u32) {
    let done = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(done.expect("a shell").success(), "kill -{name} {process}");
}

/// Where the QEMU of this process listens for commands.
fn qmp_socket() -> Option<PathBuf> {
    let command = fs::read(format!("/proc/{}/cmdline", Stopped::Qemu.process()?)).ok()?;
    let command = String::from_utf8(command).ok()?;
    let socket = command.split('\0').find_map(|argument| argument.strip_prefix("unix:"))?;
    Some(socket.split(',').next()?.into())
}

/// Stops the process with SIGSTOP; whether it stood still.
fn stop_process(process: u32, time: Duration) -> bool {
    signal("STOP", process);
    thread::sleep(time);
    // It ends before its sound does only if it is not stopped.
    let state = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let stood = state.lines().any(|line| line.starts_with("State:") && line.contains('T'));
    signal("CONT", process);
    stood
}

/// Stops the guest's processors by QMP; whether they stood still.
fn stop_processors(time: Duration) -> bool {
    let mut qmp = Qmp::connect(&qmp_socket().expect("QEMU has a socket")).expect("QEMU answers");
    let mut command = |name: &str| qmp.command(name, &json!({})).expect("QEMU does it");
    command("stop");
    thread::sleep(time);
    let stood = command("query-status")["status"] == "paused";
    command("cont");
    stood
}

/// Stops it in the middle of the sound; whether it could.
fn stop_for(who: Stopped, time: Duration) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !runs() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(BEFORE);
    match who {
        Stopped::Processors => stop_processors(time),
        Stopped::Qemu | Stopped::Card => who.process().is_some_and(|process| stop_process(process, time)),
    }
}

/// A sound of three seconds through a buffer of 50 ms, in which `who` is stopped: bit-exact, without a
/// violation.
fn is_exact(who: Stopped, way: &str, run: impl FnOnce(&mut dyn FnMut(&mut Request)) -> Report) {
    let _run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = env::var("RINGWAVE_STOPPED_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let (report, stopped) = thread::scope(|scope| {
        let stopper = scope.spawn(|| stop_for(who, Duration::from_secs(seconds)));
        let report = run(&mut |request| {
            request.buffer_ms = 50;
            request.guest_config.push(format!("event_timeout_ms={}", (seconds + 5) * 1000));
            // The card goes on by what it may without its client: up to a buffer, which an offset in the
            // buffer does not tell from a step back.
            request.guest_config.extend(matches!(who, Stopped::Processors).then(|| "clock_stops=1".into()));
        });
        (report, stopper.join().expect("it ends"))
    });
    assert!(stopped, "{who:?} did not stop while it was {way}");
    let heard = report.comparison.as_ref().expect("something was heard");
    assert!(
        heard.bit_exact() && heard.frames == [u64::from(SOUND_FRAMES); 2],
        "{who:?} was stopped for {seconds} s, {way}"
    );
    assert_eq!(report.violations, [""; 0], "{who:?} was stopped for {seconds} s, {way}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_stopped_in_the_middle_of_a_sound_goes_on_bit_exact() {
    let wav = noise::wav(SOUND_FRAMES, 2, 48_000);
    for who in [Stopped::Qemu, Stopped::Card, Stopped::Processors] {
        is_exact(who, "played", |change| runs::play(&wav.path, change));
    }
}

/// The client that plays has mapped the position and the clock register, and reads them all the time.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn mapped_registers_of_a_sound_in_which_the_processors_are_stopped_are_right() {
    let wav = noise::wav(SOUND_FRAMES, 2, 48_000);
    is_exact(Stopped::Processors, "played, with mapped registers", |change| {
        runs::play(&wav.path, |request| {
            change(request);
            request.guest_config.push("reg.PositionRegister=1".into());
        })
    });
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_stopped_in_the_middle_of_a_recording_goes_on_bit_exact() {
    let wav = noise::wav(SOUND_FRAMES, 2, 48_000);
    for who in [Stopped::Qemu, Stopped::Card, Stopped::Processors] {
        is_exact(who, "recorded", |change| runs::record(&wav.path, change));
    }
}

/// QEMU stops a virtio device's queues with the processors, as it does for a reset, and starts them where
/// they were.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn on_virtio_a_sound_in_which_the_processors_are_stopped_goes_on_bit_exact() {
    let wav = noise::wav(SOUND_FRAMES, 2, 48_000);
    let virtio = |change: &mut dyn FnMut(&mut Request), request: &mut Request| {
        change(request);
        request.kind = CardKind::Virtio;
    };
    is_exact(Stopped::Processors, "played on virtio", |change| {
        runs::play(&wav.path, |request| virtio(change, request))
    });
    is_exact(Stopped::Processors, "recorded on virtio", |change| {
        runs::record(&wav.path, |request| virtio(change, request))
    });
}
