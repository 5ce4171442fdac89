//! The life of the device, event by event (cfg `client=life`).
//!
//! `life=EVENT:STATE:DIRECTION,...` are cells of a matrix that the host draws up: in each of them one event
//! meets a stream in one state. A cell ends with a stream that has played the next piece of the WAV file to
//! its end, or recorded a piece of as many frames (`life_frames=`); the host compares them bit for bit.
//! `cellN=` says how cell N ended, `cellN_recorded=` how many frames of it went to the host, and
//! `cellN_beside=` how many went before them that were recorded beside a stream that was lost. After each
//! cell the driver holds what it held after the first (rule `cycle-leak`).
//!
//! * `STATE`: `closed` (no stream), `stop` (a stream with its buffer), `acquire`, `pause` (before its first
//!   RUN, with packet 0 handed over), `run`, `paused` (after RUN)
//! * `DIRECTION`: `play`, `record`, `duplex` (one plays, and meets the event, while another records)
//! * `EVENT`: a row of [`EVENTS`]
//!
//! An event goes on with the stream that it met, or takes it away ([`After`]): then the client lets go of it,
//! the event's `restore` brings the device back, and the piece is played or recorded anew.

pub mod cell;
mod counter;
mod power;
mod process;

use self::cell::{Direction, StreamState};
use super::format::PcmFormat;
use super::held_resources::HeldResources;
use super::play::{self, Label};
use super::player::{Failed, fail};
use super::record::{self, Order, Recording};
use super::recorder::{Mode, Until};
use super::still;
use super::stream::{PinStream, State};
use super::wav::Wav;
use crate::kernel::event::Event;
use crate::kernel::thread::{self, DRIVER_STACK};
use crate::kernel::{self, cfg, irql, time};
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::power as device_power;
use alloc::borrow::Cow;
use core::cell::Cell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

/// An event: how it is made, and what brings the device back where it takes the device away.
struct LifeEvent {
    name: &'static str,
    make: fn(&mut Scene<'_>) -> Result<After, Failed>,
    restore: fn() -> Result<(), Failed>,
}

/// An event that leaves the device where it was.
const fn harmless(name: &'static str, make: fn(&mut Scene<'_>) -> Result<After, Failed>) -> LifeEvent {
    LifeEvent { name, make, restore: nothing_to_restore }
}

/// Every event that a cell may name. The host's table (`tests/e2e/tests/life/events.rs`) says where each of
/// them applies.
const EVENTS: &[LifeEvent] = &[
    harmless("nothing", nothing),
    harmless("d3", power::d3),
    harmless("d3-mapped", power::d3),
    harmless("idle", power::asleep),
    harmless("inactivity", power::inactivity),
    harmless("s3", power::s3),
    harmless("suspend", power::suspend),
    harmless("s4", power::s4),
    harmless("counter-forward", counter::forward),
    harmless("counter-back", counter::back),
    LifeEvent { restore: power::known_card_again, ..harmless("d3-gone", power::d3_gone) },
    LifeEvent { restore: power::known_card_again, ..harmless("s4-other", power::s4_other) },
    LifeEvent { restore: power::known_card_again, ..harmless("s4-older", power::s4_other) },
    harmless("d3-lost", power::d3_lost),
    LifeEvent { restore: process::after_it, ..harmless("process-ends", process::ends) },
    harmless("buffer-cancelled", process::cancels_a_buffer),
];

/// What an event leaves of the stream that it met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// It goes on where it was.
    GoesOn,
    /// It can only be closed.
    Lost,
    /// The same, and what other clients have goes on.
    LostAlone,
}

/// What an event meets.
pub struct Scene<'a> {
    /// The stream and its notification event, if one is open.
    pub stream: Option<(&'a PinStream, &'a Event)>,
    /// The length of a packet, 100-ns units.
    packet_100ns: i64,
    /// What the client does in the midst of the event, of which it knows nothing.
    pub meanwhile: &'a mut dyn FnMut() -> Result<(), Failed>,
}

impl Scene<'_> {
    /// The position of the stream stands, and no event comes.
    fn expect_frozen(&self) {
        if let Some((stream, event)) = self.stream {
            still::expect_frozen(stream, event, self.packet_100ns);
        }
    }
}

impl Scene<'_> {
    /// The card is not there: whatever the client asks comes back, nothing is signalled, and the stream does
    /// not run (rule `removal`).
    fn expect_dead(&self) -> Result<(), Failed> {
        let Some((stream, event)) = self.stream else { return Ok(()) };
        let signals = event.signals();
        for level in [irql::PASSIVE, irql::DISPATCH] {
            let _ = stream.position(level);
        }
        let _ = (stream.packet_count(), stream.presentation());
        if stream.has_read_packets() && stream.read_packet().is_ok() {
            return Err(fail(
                "removal",
                format_args!("GetReadPacket has a packet of a card that is not there"),
            ));
        }
        let open = device_power::state_of(stream.this());
        if open >= State::Acquire as u32 && stream.set_state(State::Run).is_success() {
            return Err(fail("removal", format_args!("a stream of a card that is not there goes to RUN")));
        }
        thread::sleep_100ns(200_000);
        if event.signals() != signals {
            return Err(fail("removal", format_args!("a card that is not there has signalled the event")));
        }
        Ok(())
    }
}

/// An event that a stream is to meet in one state.
pub struct PlannedEvent {
    life_event: &'static LifeEvent,
    state: StreamState,
    after: Cell<Option<After>>,
}

impl PlannedEvent {
    fn new(life_event: &'static LifeEvent, state: StreamState) -> Self {
        Self { life_event, state, after: Cell::new(None) }
    }

    /// Whether it comes in this state of a stream, and has not come yet.
    pub fn is_due(&self, state: StreamState) -> bool {
        self.state == state && self.after.get().is_none()
    }

    /// A stream is in the state `state`: makes the event, if it comes now. Fails when the stream is lost.
    pub fn at(
        &self,
        state: StreamState,
        stream: &PinStream,
        event: &Event,
        packet_100ns: i64,
        meanwhile: &mut dyn FnMut() -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        if !self.is_due(state) {
            return Ok(());
        }
        match self.make(&mut Scene { stream: Some((stream, event)), packet_100ns, meanwhile })? {
            After::GoesOn => Ok(()),
            After::Lost | After::LostAlone => Err(Failed),
        }
    }

    fn make(&self, scene: &mut Scene<'_>) -> Result<After, Failed> {
        let after = (self.life_event.make)(scene)?;
        self.after.set(Some(after));
        Ok(after)
    }

    /// The stream that met it can only be closed.
    pub fn took_the_stream(&self) -> bool {
        matches!(self.after.get(), Some(After::Lost | After::LostAlone))
    }
}

/// [`PlannedEvent::at`] for a stream that may have no event before it.
pub fn meet(
    planned: Option<&PlannedEvent>,
    state: StreamState,
    stream: &PinStream,
    event: &Event,
    packet_100ns: i64,
    meanwhile: &mut dyn FnMut() -> Result<(), Failed>,
) -> Result<(), Failed> {
    planned.map_or(Ok(()), |planned| planned.at(state, stream, event, packet_100ns, meanwhile))
}

fn nothing(scene: &mut Scene<'_>) -> Result<After, Failed> {
    (scene.meanwhile)()?;
    Ok(After::GoesOn)
}

#[expect(clippy::unnecessary_wraps, reason = "one of many")]
fn nothing_to_restore() -> Result<(), Failed> {
    Ok(())
}

/// Walks the cells of `life=`; true when every one of them ended well.
pub fn run(wav: &Wav<'static>) -> bool {
    let mut pieces = Pieces { wav, frames: cfg::get_u64("life_frames", 4800) as usize, next: 0 };
    let (mut all, mut after_first) = (true, None);
    for (number, text) in cfg::get("life").unwrap_or_default().split(',').enumerate() {
        let named = cell::parse(text)
            .and_then(|cell| Some((cell, EVENTS.iter().find(|event| event.name == cell.event)?)));
        let Some((cell, life_event)) = named else {
            kernel::bad_input(format_args!("ntguest.cfg: life={text} is no EVENT:STATE:DIRECTION"))
        };
        crate::kprintln!("cell {number}: {text}");
        let started = time::ms();
        let planned = PlannedEvent::new(life_event, cell.state);
        let walked = walk(&planned, cell.direction, number, &mut pieces);
        let ended = if walked.is_ok() { "ok" } else { "failed" };
        crate::kresult!("cell{number}={ended} cell{number}_ms={}", time::ms() - started);
        all &= walked.is_ok();
        let now = HeldResources::read();
        let first = *after_first.get_or_insert(now);
        if now != first {
            let why = format_args!("after cell {number}, {text}, {now:?}, after the first {first:?}");
            kernel::violation("cycle-leak", why);
            return false;
        }
    }
    all
}

/// The WAV file in pieces, one for each cell that plays.
struct Pieces<'a> {
    wav: &'a Wav<'static>,
    frames: usize,
    next: usize,
}

impl Pieces<'_> {
    /// The next piece.
    fn next(&mut self) -> Wav<'_> {
        let bytes = self.frames * self.wav.block_align();
        let begin = self.next * bytes;
        self.next += 1;
        let Some(data) = self.wav.data.get(begin..begin + bytes) else {
            kernel::bad_input(format_args!("the WAV file is too short for the cells of life="))
        };
        Wav {
            data: Cow::Borrowed(data),
            rate: self.wav.rate,
            channels: self.wav.channels,
            sample: self.wav.sample,
        }
    }

    fn format(&self) -> PcmFormat {
        PcmFormat::of(self.wav.sample, self.wav.rate, self.wav.channels, cfg::get_bool("extensible", true))
    }
}

/// One cell: the event, and a piece of sound to its end.
fn walk(
    planned: &PlannedEvent,
    direction: Direction,
    number: usize,
    pieces: &mut Pieces<'_>,
) -> Result<(), Failed> {
    let format = pieces.format();
    let bytes = pieces.frames * usize::from(format.block_align());
    let piece = (direction != Direction::Record).then(|| pieces.next());
    if planned.is_due(StreamState::Closed) {
        let mut scene = Scene { stream: None, packet_100ns: 0, meanwhile: &mut || Ok(()) };
        planned.make(&mut scene)?;
    } else {
        let ended = sound(Some(planned), piece.as_ref(), direction, &format, bytes);
        if planned.after.get().is_none() {
            return Err(fail("event-not-made", format_args!("cell {number}: its event never came")));
        }
        if !planned.took_the_stream() {
            return ended.and_then(|recording| deliver(recording.as_ref(), &format, number, "recorded"));
        }
        if let Ok(recording) = ended {
            deliver(recording.as_ref(), &format, number, "beside")?;
        }
    }
    if planned.took_the_stream() {
        (planned.life_event.restore)()?;
    }
    sound(None, piece.as_ref(), direction, &format, bytes)
        .and_then(|recording| deliver(recording.as_ref(), &format, number, "recorded"))
}

fn deliver(
    recording: Option<&Recording>,
    format: &PcmFormat,
    number: usize,
    which: &str,
) -> Result<(), Failed> {
    let Some(recording) = recording else { return Ok(()) };
    record::deliver(recording, format);
    let frames = recording.data.len() / usize::from(format.block_align()).max(1);
    crate::kresult!("cell{number}_{which}={frames}");
    if recording.lost_packets > 0 {
        return Err(fail("lost-in-lockstep", format_args!("{} packet(s) were lost", recording.lost_packets)));
    }
    Ok(())
}

/// Plays, records, or both; what was recorded.
fn sound(
    planned: Option<&PlannedEvent>,
    piece: Option<&Wav<'_>>,
    direction: Direction,
    format: &PcmFormat,
    bytes: usize,
) -> Result<Option<Recording>, Failed> {
    let running = AtomicBool::new(false);
    match (direction, piece) {
        (Direction::Record, _) => {
            let endpoint = endpoint::get(true, 0).ok_or(Failed)?;
            let until = Until::Bytes(bytes);
            record::record(&order(&endpoint, *format, until, &running, planned)).map(Some).ok_or(Failed)
        }
        (Direction::Duplex, Some(piece)) => duplex(planned, piece, format),
        (_, Some(piece)) => {
            let endpoint = endpoint::get(false, 0).ok_or(Failed)?;
            play::play_meeting(&endpoint, piece, Label::ONLY, planned)?;
            Ok(None)
        }
        (_, None) => Err(Failed),
    }
}

fn order<'a>(
    endpoint: &'a Endpoint,
    format: PcmFormat,
    until: Until<'a>,
    running: &'a AtomicBool,
    planned: Option<&'a PlannedEvent>,
) -> Order<'a> {
    Order { endpoint, format, mode: Mode::wanted(), until, running, label: Label::RECORDER, planned }
}

/// What the two threads of a duplex cell share.
struct Shared<'a> {
    order: Order<'a>,
    recording: Option<Recording>,
    ended: &'a AtomicBool,
}

/// Plays a piece, and meets the event, while a second thread records.
fn duplex(
    planned: Option<&PlannedEvent>,
    piece: &Wav<'_>,
    format: &PcmFormat,
) -> Result<Option<Recording>, Failed> {
    let (render, capture) = (endpoint::get(false, 0).ok_or(Failed)?, endpoint::get(true, 0).ok_or(Failed)?);
    let (running, played, ended) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let order = order(&capture, *format, Until::Told(&played), &running, None);
    let mut shared = Shared { order, recording: None, ended: &ended };
    let thread = thread::spawn("recorder", recorder, (&raw mut shared).cast(), DRIVER_STACK);
    let deadline = time::ms() + 5000;
    while !running.load(Ordering::Acquire) && !ended.load(Ordering::Acquire) && time::ms() < deadline {
        thread::sleep_100ns(10_000);
    }
    let result = play::play_meeting(&render, piece, Label::ONLY, planned);
    played.store(true, Ordering::Release);
    thread::join(thread);
    let alone = planned.is_some_and(|planned| planned.after.get() == Some(After::LostAlone));
    let result = if alone { Ok(()) } else { result };
    result.and(shared.recording.take().map(Some).ok_or(Failed))
}

fn recorder(argument: *mut c_void) {
    let shared = argument.cast::<Shared<'_>>();
    // SAFETY: `duplex` keeps it until it has joined this thread, and meanwhile touches only the flags, which
    // are atomic.
    unsafe {
        (*shared).recording = record::record(&(*shared).order);
        (*shared).ended.store(true, Ordering::Release);
    }
}
