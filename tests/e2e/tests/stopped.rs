//! Time stops for one side: QEMU's process, and with it the guest, or the card's, is stopped for a while in the
//! middle of a sound and goes on. In lockstep nothing is lost, and the driver's positions are those of the time
//! that passed (ntguest's rules).
//!
//! `RINGWAVE_STOPPED_SECONDS` is for how long; two by default, less than a client waits for an event.

use std::{
    env, fs,
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use ringwave_e2e::{noise, runs};

/// How long to wait for a stream to run.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long the sound plays before: a few packets.
const BEFORE: Duration = Duration::from_millis(400);

/// Which process is stopped.
#[derive(Clone, Copy, Debug)]
enum Stopped {
    Qemu,
    Card,
}

impl Stopped {
    /// Its process, a child of this one.
    fn process(self) -> Option<u32> {
        let word = match self {
            Self::Qemu => "qemu-system",
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

/// The card has a WAV file open: a stream runs.
fn plays() -> bool {
    let Some(card) = Stopped::Card.process() else { return false };
    let Ok(descriptors) = fs::read_dir(format!("/proc/{card}/fd")) else { return false };
    let files = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    files.into_iter().any(|file| file.extension().is_some_and(|extension| extension == "wav"))
}

fn signal(name: &str, process: u32) {
    let done = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(done.expect("a shell").success(), "kill -{name} {process}");
}

/// Stops it in the middle of the sound; whether it could.
fn stop_for(who: Stopped, time: Duration) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !plays() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(BEFORE);
    let Some(process) = who.process() else { return false };
    signal("STOP", process);
    thread::sleep(time);
    // It ends before its sound does only if it is not stopped.
    let state = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let stood = state.lines().any(|line| line.starts_with("State:") && line.contains('T'));
    signal("CONT", process);
    stood
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_guest_and_a_card_that_are_stopped_in_the_middle_of_a_sound_go_on_bit_exact() {
    let seconds = env::var("RINGWAVE_STOPPED_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let wav = noise::wav(3 * 48_000, 2, 48_000);
    for who in [Stopped::Qemu, Stopped::Card] {
        let (report, stopped) = thread::scope(|scope| {
            let stopper = scope.spawn(|| stop_for(who, Duration::from_secs(seconds)));
            let report = runs::play(&wav.path, |request| {
                request.buffer_ms = 50;
                request.guest_config.push(format!("event_timeout_ms={}", (seconds + 5) * 1000));
            });
            (report, stopper.join().expect("it ends"))
        });
        assert!(stopped, "{who:?} did not stop while it played");
        assert!(report.passed(), "{who:?} was stopped for {seconds} s");
        let frames = report.comparison.as_ref().expect("something was heard").frames;
        assert_eq!(frames, [3 * 48_000; 2], "{who:?}");
    }
}
