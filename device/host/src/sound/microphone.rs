//! The host's sound system as a source: `--source sound` and `sound:DEVICE`.
//!
//! A device takes its time to start and to stop, and whoever captures holds the card's lock. So a thread of
//! its own (`keep`) has the device, and gives the stream no more than its end of the queue. The device
//! records while a stream is set up for it and runs now and then; else it is closed.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::recording::Recording;
use super::{InputDevices, SoundError};
use ringwave_audio::StreamFormat;
use ringwave_engine::sources::SourceStats;

/// A device of which nobody has heard anything for as long is closed.
const CLOSE_AFTER: Duration = Duration::from_secs(5);

/// The source of one stream.
pub struct Microphone {
    shared: Arc<Shared>,
    recording: Option<Recording>,
    /// What is known of devices that the present client had before.
    past: SourceStats,
    /// What was known of the present one when the client came.
    before: SourceStats,
}

/// What the stream and the thread of the device see.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Held for moments only: the card asks with its lock held.
#[derive(Default)]
struct State {
    /// The format in which the device is to record; `None`: it is to be closed.
    wanted: Option<StreamFormat>,
    /// Grows with each wish.
    wishes: u64,
    /// For the stream, which takes it.
    opened: Option<Recording>,
    /// Why there is no sound, for the log.
    warning: Option<String>,
    /// When the stream last took something, or was set up.
    used: Option<Instant>,
    /// The device was closed because nobody heard it: who goes on to capture has it opened again.
    closed_unheard: bool,
    /// The stream has another source.
    gone: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Microphone {
    /// A source on `device`, which is looked for now and opened when a stream is set up.
    pub fn new(devices: Box<dyn InputDevices>, device: Option<&str>) -> Result<Self, SoundError> {
        Self::closing_after(CLOSE_AFTER, devices, device)
    }

    /// [`Microphone::new`] with another time than [`CLOSE_AFTER`].
    pub(super) fn closing_after(
        unheard: Duration,
        devices: Box<dyn InputDevices>,
        device: Option<&str>,
    ) -> Result<Self, SoundError> {
        devices.check(device)?;
        let shared = Arc::new(Shared::default());
        let (keeper, name) = (Arc::clone(&shared), device.map(str::to_owned));
        let thread = std::thread::Builder::new().name("source".into());
        thread
            .spawn(move || keep(&keeper, &*devices, name.as_deref(), unheard))
            .map_err(|error| no_thread(device, &error))?;
        Ok(Self { shared, recording: None, past: SourceStats::default(), before: SourceStats::default() })
    }

    /// A stream is set up for this format.
    pub fn begin(&mut self, format: StreamFormat) {
        self.take_opened();
        let failed = self.recording.as_ref().is_some_and(|recording| recording.failure().is_some());
        if failed {
            // Asked for once: the next call finds no recording that failed.
            self.forget_recording();
        }
        let mut state = self.shared.state();
        if failed || state.wanted != Some(format) {
            state.wanted = Some(format);
            state.wishes += 1;
            state.closed_unheard = false;
            self.shared.changed.notify_all();
        }
    }

    /// The stream goes to RUN: it hears what comes from now on.
    pub fn run(&mut self, format: StreamFormat) {
        self.begin(format);
        if let Some(recording) = &mut self.recording {
            recording.restart();
        }
    }

    /// Takes the recording of a device that was opened since. The stream uses it now.
    fn take_opened(&mut self) {
        let mut state = self.shared.state();
        state.used = Some(Instant::now());
        let opened = state.opened.take();
        drop(state);
        if opened.is_some() {
            self.forget_recording();
            self.recording = opened;
        }
    }

    fn forget_recording(&mut self) {
        self.past = self.stats();
        self.recording = None;
        self.before = SourceStats::default();
    }

    /// Fills `into`, which is silence; gives how many of its bytes are sound.
    pub fn fill(&mut self, format: StreamFormat, into: &mut [u8]) -> usize {
        self.take_opened();
        if self.shared.state().closed_unheard {
            self.forget_recording();
            self.begin(format);
        }
        let Some(recording) = self.recording.as_mut().filter(|recording| recording.format() == format) else {
            return 0;
        };
        if let Some(error) = recording.failure() {
            self.shared.state().warn(&error);
            self.forget_recording();
            return 0;
        }
        let sound = recording.fill(into);
        if let Some(warning) = recording.take_warning() {
            self.shared.state().warning = Some(warning);
        }
        sound
    }

    /// The `RATE_DEN` that the stream has to go at, when it is another than before.
    pub fn rate_den(&mut self) -> Option<u32> {
        self.recording.as_mut()?.rate_den()
    }

    /// What has to be said in the log.
    pub fn take_warning(&mut self) -> Option<String> {
        self.shared.state().warning.take()
    }

    /// Whether [`Microphone::take_warning`] has something.
    pub fn has_warning(&self) -> bool {
        self.shared.state().warning.is_some()
    }

    /// What the present client's streams came to.
    pub fn stats(&self) -> SourceStats {
        let now = self.recording.as_ref().map(Recording::stats).unwrap_or_default();
        SourceStats {
            drift_ppm: now.drift_ppm.or(self.past.drift_ppm),
            underruns: self.past.underruns + now.underruns.saturating_sub(self.before.underruns),
            overruns: self.past.overruns + now.overruns.saturating_sub(self.before.overruns),
        }
    }

    /// The next client begins with nothing.
    pub fn clear_stats(&mut self) {
        self.before = self.recording.as_ref().map(Recording::stats).unwrap_or_default();
        self.past = SourceStats::default();
    }
}

impl Drop for Microphone {
    fn drop(&mut self) {
        self.shared.state().gone = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    /// There is no device from here on, until the stream is set up or started anew.
    fn warn(&mut self, error: &SoundError) {
        self.warning = Some(format!("{error}; silence is captured from here on"));
        self.wanted = None;
        self.wishes += 1;
    }
}

fn no_thread(device: Option<&str>, error: &io::Error) -> SoundError {
    let next = "end other programs, or raise the limit of threads (ulimit -u)";
    SoundError::Device { device: device.unwrap_or("default").to_owned(), why: error.to_string(), next }
}

/// Opens and closes the device as the stream wishes, until the stream has another source.
fn keep(shared: &Shared, devices: &dyn InputDevices, name: Option<&str>, close_after: Duration) {
    let (mut open, mut done) = (None::<Box<dyn Send>>, 0);
    loop {
        let mut state = shared.state();
        while state.wishes == done && !state.gone && (open.is_none() || unused(&state) < close_after) {
            let left = close_after.saturating_sub(unused(&state));
            state = match open {
                Some(_) => shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        if state.gone {
            return;
        }
        if state.wishes == done {
            (state.wanted, state.closed_unheard) = (None, true);
        }
        // What the stream did not take is of the device that is closed now.
        state.opened = None;
        done = state.wishes;
        let wanted = state.wanted;
        drop(state);
        // Its thread is waited for.
        drop(open.take());
        let Some(format) = wanted else { continue };
        let opened = Recording::open(devices, name, format);
        let mut state = shared.state();
        match opened {
            Ok((device, recording)) => {
                open = Some(device);
                state.opened = Some(recording);
                state.used = Some(Instant::now());
            }
            Err(error) if state.wishes == done => {
                state.warn(&error);
                done = state.wishes;
            }
            Err(_) => {}
        }
    }
}

fn unused(state: &State) -> Duration {
    state.used.map_or(Duration::MAX, |used| used.elapsed())
}
