//! The client: what an audio application and Windows' audio engine do with an endpoint, on a thread of their
//! own.
//!
//! ntguest.cfg says which one (`client=`) and how:
//!
//! * `play` (or `ahead`, the default), `lazy`, `hlk`: plays the WAV file on render endpoint `endpoint=N` (0),
//!   in three orders of writing packets. `also=1,2` plays it on those endpoints at the same time; their
//!   result lines begin with `endpoint1_`. With `packets=1` the buffer is one packet, written after each
//!   event. With `clock=realtime` a packet that comes too late is gone and its data goes out with the next
//!   number; `late_packets=` and `unsure_packets=` say which, and `late_every=N` makes every Nth late.
//! * `timer`: the same by `AllocateAudioBuffer` and `GetPosition` every 10 ms, without packets; silence for a
//!   buffer's length follows. `shared`: the same with 4,096 frames, as Windows' engine asks for them.
//!   `clock_percent=25` says that the card's clock is a slow one.
//! * `none`: nothing; the device is started, removed and unloaded.
//! * `stress`: first everything that must be refused, by the capture endpoints too, then as `play`.
//! * `record`: records `frames=` (one second) from capture endpoint `endpoint=N` in `format=s16x2@48000`
//!   (`s16`, `s24in32`, `s32`, `f32`; 1 to 8 channels) with `mode=packet` (`GetReadPacket` after each event),
//!   `event` (`GetPosition` after each event) or `timer` (`AllocateAudioBuffer` and `GetPosition`). What it
//!   recorded goes raw to port 0x404; `recorded-frames=` and `lost-packets=` say how much. With
//!   `reg.Lockstep=1` and a card that is not in real time it waits for `GetReadPacket`, and a lost packet is
//!   a violation.
//! * `duplex`: plays on `endpoint=` and records from `capture_endpoint=` in the file's format until it was
//!   played, or `frames=`; as `record` for the rest.
//! * `sweep`: opens every format that the endpoints announce, and some that they don't.
//! * `controls`: asks everything that a control panel and an audio engine ask before they play: nodes,
//!   volume, mute, jacks, their events, modes, proposals. `expect_volume=0` for a card without volume.
//! * `jack`: waits for `jacks=` (2) changes of any jack and says after each what is connected; `jack_ready=`
//!   says that it listens.
//! * `starve`: packet 0 and never another: events and counts go on. `half-late`: some packets come when half
//!   of their time is over.
//! * `removal`: the device goes while a stream plays; its buffer, states and mapped registers stay until the
//!   client lets go.
//! * `pnp`: `event=` happens to the device `rounds=` times, with a stream in `state=` open, of either
//!   direction; then as `play`, or with `mode=` as `record`.
//! * `hot-plug`: the card leaves its slot and comes back `rounds=` times, by the button or without a word,
//!   every other time with a stream in RUN; the host presses and puts in: the head of `hot_plug.rs`.
//! * `walk`: `walk_events=500` random events from `walk_seed=1` on all endpoints and controls and the
//!   device's power, from threads that know nothing of each other; then as `play`.
//! * `hostile`: plays as `play`, among clients that do what no client should, from `hostile_seed=1`, while
//!   power and PnP queries come and go and calls of the driver fail at random: the head of `hostile/mod.rs`.
//! * `life`: events in the life of the device, each with a stream in one state (`life=EVENT:STATE:DIRECTION,
//!   ...`, `life_frames=` for each): the head of `life/mod.rs` has the words.
//! * `cycles`: `cycles=1000` times over all endpoints from open to close; nothing may be left behind.
//!
//! `volume=` and `mute=` (one value, or one for each channel; 1/65536 dB, 0 or 1) are set before a stream
//! plays or records. `pause=1` pauses a stream that plays, or records by packets or events, once in the
//! middle. `reg.PositionRegister=1` makes a client map the position and clock registers and watch them
//! (`register_reads=`, `clock_register_ppm=`); `dma_bits=32` says how far the card reaches, and that the
//! driver must know. For all: `buffer_ms=` (10) of two packets, `speed=` of the card's clock, `extensible=`,
//! `event_timeout_ms=`, `clock_stops=`, `poll_us=`, `oracle=`. `failing_calls=1`: before the client comes,
//! every call that can fail fails once. The readers of WAV files and formats, the packets, the figures and
//! the judges are pure and tested on the host.

pub mod attributes;
pub mod format;
pub mod found;
pub mod late;
pub mod lying_format;
pub mod made_format;
pub mod offset_tracker;
pub mod packet_reads;
pub mod packets;
pub mod position;
pub mod register_checker;
pub mod timing_stats;
pub mod wav;

#[cfg(target_os = "uefi")]
mod buffer;
#[cfg(target_os = "uefi")]
mod controls;
#[cfg(target_os = "uefi")]
mod cycles;
#[cfg(target_os = "uefi")]
mod default_format;
#[cfg(target_os = "uefi")]
mod drm;
#[cfg(target_os = "uefi")]
mod duplex;
#[cfg(target_os = "uefi")]
pub mod failing_calls;
#[cfg(target_os = "uefi")]
mod held_resources;
#[cfg(target_os = "uefi")]
mod hostile;
#[cfg(target_os = "uefi")]
mod hot_plug;
#[cfg(target_os = "uefi")]
mod hw_register;
#[cfg(target_os = "uefi")]
mod intersection;
#[cfg(target_os = "uefi")]
mod jack_poller;
#[cfg(target_os = "uefi")]
mod life;
#[cfg(target_os = "uefi")]
mod negotiate;
#[cfg(target_os = "uefi")]
mod negotiate_modes;
#[cfg(target_os = "uefi")]
mod play;
#[cfg(target_os = "uefi")]
mod player;
#[cfg(target_os = "uefi")]
mod pnp;
#[cfg(target_os = "uefi")]
mod poller;
#[cfg(target_os = "uefi")]
mod process_end;
#[cfg(target_os = "uefi")]
pub mod property_protocol;
#[cfg(target_os = "uefi")]
mod proposals;
#[cfg(target_os = "uefi")]
mod realtime;
#[cfg(target_os = "uefi")]
mod record;
#[cfg(target_os = "uefi")]
mod recorder;
#[cfg(target_os = "uefi")]
mod removal;
#[cfg(target_os = "uefi")]
mod still;
#[cfg(target_os = "uefi")]
mod stream;
#[cfg(target_os = "uefi")]
mod stress;
#[cfg(target_os = "uefi")]
mod sweep;
#[cfg(target_os = "uefi")]
mod timer;
#[cfg(target_os = "uefi")]
mod walk;

#[cfg(target_os = "uefi")]
pub use session::run;

#[cfg(target_os = "uefi")]
mod session {
    use super::play::{self, Label};
    use super::{
        controls, cycles, duplex, hostile, hot_plug, life, pnp, realtime, record, removal, stress, sweep,
        timer, walk, wav,
    };
    use crate::boot::files;
    use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
    use crate::kernel::{self, cards, cfg};
    use crate::portcls::endpoint::{self, Endpoint};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::ffi::c_void;
    use core::sync::atomic::{AtomicBool, Ordering};
    use wav::Wav;

    static SERVED: AtomicBool = AtomicBool::new(false);

    /// Runs the client on a new thread; true when it could do all its work.
    pub fn run() -> bool {
        thread::join(thread::spawn("client", session, core::ptr::null_mut(), DRIVER_STACK));
        SERVED.load(Ordering::Acquire)
    }

    fn session(_: *mut c_void) {
        let served = match cfg::get("client") {
            Some("none") => true,
            Some("controls") => controls::run(),
            Some("jack") => controls::jack::wait_for_changes(),
            Some("record") => record::run(),
            Some("duplex") => duplex::run(&parsed_wav()),
            Some("sweep") => sweep::run(),
            Some("cycles") => cycles::run(),
            Some("removal") => removal::run(),
            Some("pnp") => pnp(),
            Some("hot-plug") => hot_plug::run() && play(&parsed_wav()),
            Some("walk") => walk::run() && play(&parsed_wav()),
            Some("hostile") => hostile::run(|| play(&parsed_wav())),
            Some("life") => life::run(&parsed_wav()),
            Some("starve" | "half-late") => realtime::run(&parsed_wav()),
            _ => play(&parsed_wav()),
        };
        SERVED.store(served, Ordering::Release);
    }

    fn parsed_wav() -> Wav<'static> {
        let wav = wav::parse(files::wav())
            .unwrap_or_else(|why| kernel::bad_input(format_args!("the WAV file: {why}")));
        crate::kprintln!(
            "wav: {} frames, {}, {} Hz, {} channel(s)",
            wav.frames(),
            wav.sample,
            wav.rate,
            wav.channels
        );
        wav
    }

    fn play(wav: &Wav<'static>) -> bool {
        let number = cfg::get_u64("endpoint", 0) as usize;
        let Some(endpoint) = endpoint::get(false, number) else { return false };
        if cfg::get("client") == Some("stress") {
            stress::run(&endpoint, wav);
            for capture in endpoint::all(true) {
                stress::run(&capture, wav);
            }
        }
        let further: Vec<Further> = also().into_iter().filter_map(|n| Further::start(n, wav)).collect();
        let complete = further.len() == also().len();
        let played = play_on(&endpoint, wav, Label::ONLY);
        let all = further.into_iter().map(Further::join).fold(complete, |all, one| all & one);
        played && all
    }

    fn play_on(endpoint: &Endpoint, wav: &Wav<'_>, label: Label) -> bool {
        let timer = matches!(cfg::get("client"), Some("timer" | "shared"));
        if timer { timer::play(endpoint, wav, label) } else { play::play(endpoint, wav, label) }
    }

    /// PnP of one card, while the file is played on the other one, if there is one; then a sound of its own.
    fn pnp() -> bool {
        let wav = parsed_wav();
        let target = pnp::target();
        let others = cards::all().map(|card| card.number).filter(|number| *number != target);
        let beside: Vec<Further> = others
            .filter_map(|number| {
                let endpoint = endpoint::of_card(number, false)?;
                Some(Further::on(endpoint, Label::BESIDE, &wav))
            })
            .collect();
        cards::set_target(target);
        let served = pnp::run();
        cards::set_target(0);
        if !beside.is_empty() {
            crate::kresult!("outlived={}", beside.iter().filter(|further| further.plays()).count());
        }
        let served = served && if pnp::captures() { record::run() } else { play(&wav) };
        beside.into_iter().map(Further::join).fold(served, |all, one| all & one)
    }

    /// The numbers of `also=`.
    fn also() -> Vec<usize> {
        let numbers = cfg::get("also").into_iter().flat_map(|list| list.split(','));
        let parse = |text: &str| {
            text.trim().parse().unwrap_or_else(|_| {
                kernel::bad_input(format_args!("ntguest.cfg: also={text} is not a number of an endpoint"))
            })
        };
        numbers.map(parse).collect()
    }

    /// A further endpoint that plays the same file at the same time.
    struct Further {
        job: *mut Job,
        thread: ThreadId,
    }

    struct Job {
        endpoint: Endpoint,
        wav: *const Wav<'static>,
        label: Label,
        played: bool,
        ended: AtomicBool,
    }

    impl Further {
        fn start(number: usize, wav: &Wav<'static>) -> Option<Self> {
            Some(Self::on(endpoint::get(false, number)?, Label(Some(number)), wav))
        }

        fn on(endpoint: Endpoint, label: Label, wav: &Wav<'static>) -> Self {
            let ended = AtomicBool::new(false);
            let job = Box::into_raw(Box::new(Job { endpoint, wav, label, played: false, ended }));
            Self { job, thread: thread::spawn("further client", work, job.cast(), DRIVER_STACK) }
        }

        /// Whether it has not come to its end.
        fn plays(&self) -> bool {
            // SAFETY: from `Box::into_raw` in `on`, not freed before `join`; the field alone is looked at,
            // and is atomic.
            !unsafe { &(*self.job).ended }.load(Ordering::Acquire)
        }

        fn join(self) -> bool {
            thread::join(self.thread);
            // SAFETY: from `Box::into_raw` in `on`; the thread, its only other user, has ended.
            unsafe { Box::from_raw(self.job) }.played
        }
    }

    fn work(argument: *mut c_void) {
        // SAFETY: `Further::join` keeps the job until this thread has ended, and the caller of `start` the
        // file.
        unsafe {
            let job = argument.cast::<Job>();
            (*job).played = play_on(&(*job).endpoint, &*(*job).wav, (*job).label);
            (*job).ended.store(true, Ordering::Release);
        }
    }
}
