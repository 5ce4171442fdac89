//! The card's answers by the bytes of a driver: every request in every state, I/O messages in every state,
//! and time that passes before anybody looks.

use std::collections::BTreeMap;

use ringwave_engine::audio_queue::{AudioChunk, AudioQueue};
use ringwave_engine::sources::NoSources;
use ringwave_engine::timeline::ClockMode;
use ringwave_trace::{CardRecords, ErrorName};
use vm_memory::GuestMemoryMmap;

use super::*;
use crate::pcm::PcmState;
use crate::stream::Outbox;
use crate::testing::{NEXT, Ring, WRITE};
use crate::wire::PcmRequest;

/// 10 ms of S16 stereo at 48 kHz, in bytes and in ticks.
const PERIOD: u32 = 1920;
const PERIOD_TICKS: u64 = 10_000_000;
const REQUESTS: [PcmRequest; 5] =
    [PcmRequest::SetParams, PcmRequest::Prepare, PcmRequest::Start, PcmRequest::Stop, PcmRequest::Release];

/// A card with one render and one capture stream, and what it has to say.
struct Bench {
    card: Controller,
    ring: Ring,
    memory: GuestMemoryMmap,
    now: u64,
    audio: AudioQueue,
    records: CardRecords<ErrorName>,
    out: Outbox,
}

impl Bench {
    fn new(clock: ClockMode, render: u32, capture: u32) -> Self {
        let config = Config {
            render,
            capture,
            loopback: [None; STREAMS_MAX as usize],
            clock,
            grace: 60_000_000,
            channels_max: 2,
        };
        let ring = Ring::new(64);
        Self {
            card: Controller::new(config),
            memory: ring.memory(),
            ring,
            now: 0,
            audio: AudioQueue::default(),
            records: CardRecords::default(),
            out: Outbox::default(),
        }
    }

    fn call<R>(&mut self, call: impl FnOnce(&mut Controller, &mut Env<'_>) -> R) -> R {
        let mut env = Env {
            now: self.now,
            memory: &self.memory,
            sources: &mut NoSources,
            audio: &mut self.audio,
            log: self.records.log(None),
            out: &mut self.out,
        };
        call(&mut self.card, &mut env)
    }

    fn request(&mut self, request: PcmRequest, stream: u32) -> u32 {
        let words: &[u32] = match request {
            PcmRequest::SetParams => &[0x101, stream, 4 * PERIOD, PERIOD, 0, 0x0007_0502],
            PcmRequest::Prepare => &[0x102, stream],
            PcmRequest::Release => &[0x103, stream],
            PcmRequest::Start => &[0x104, stream],
            PcmRequest::Stop => &[0x105, stream],
        };
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let answer = self.call(|card, env| card.control(&bytes, 4, env));
        u32::from_le_bytes(answer.try_into().expect("a status alone"))
    }

    /// Brings a fresh stream into a state.
    fn reach(&mut self, state: PcmState, stream: u32) {
        use PcmRequest as R;
        let requests: &[R] = match state {
            PcmState::Reset => &[],
            PcmState::Parameters => &[R::SetParams],
            PcmState::Prepared => &[R::SetParams, R::Prepare],
            PcmState::Running => &[R::SetParams, R::Prepare, R::Start],
            PcmState::Stopped => &[R::SetParams, R::Prepare, R::Start, R::Stop],
        };
        for request in requests {
            assert_eq!(self.request(*request, stream), Status::Ok as u32);
        }
    }

    /// An I/O message of one period in place `place`.
    fn io(&mut self, capture: bool, stream: u32, place: u16) {
        let (at, head) = (0x8000 + u64::from(place) * 0x1000, place * 2);
        self.ring.write(at, &stream.to_le_bytes());
        if capture {
            self.ring.descriptor(head, at, 4, NEXT, head + 1);
            self.ring.descriptor(head + 1, at + 4, PERIOD + 8, WRITE, 0);
        } else {
            self.ring.write(at + 4, &vec![7; PERIOD as usize]);
            self.ring.descriptor(head, at, 4 + PERIOD, NEXT, head + 1);
            self.ring.descriptor(head + 1, at + 0xF00, 8, WRITE, 0);
        }
        let chain = self.ring.take(head);
        self.call(|card, env| card.io(capture, chain, env));
    }

    /// What was completed since the last call.
    fn completed(&mut self) -> Vec<(u16, Status)> {
        self.out.completions.drain(..).map(|(_, done)| (done.chain.head, done.status)).collect()
    }

    /// Frames of silence and of sound that were heard, in order.
    fn heard(&self) -> Vec<(bool, u64)> {
        let mut heard = Vec::<(bool, u64)>::new();
        for (_, format, chunk) in self.audio.chunks() {
            let (sound, frames) = match chunk {
                AudioChunk::Frames(bytes) => (true, bytes.len() as u64 / u64::from(format.frame_bytes())),
                AudioChunk::Silence(frames) => (false, frames),
                AudioChunk::Stop => continue,
            };
            match heard.last_mut() {
                Some((same, so_far)) if *same == sound => *so_far += frames,
                _ => heard.push((sound, frames)),
            }
        }
        heard
    }
}

/// Which requests a state takes: no two states take the same ones.
fn taken_in(state: PcmState) -> Vec<PcmRequest> {
    REQUESTS.into_iter().filter(|request| state.after(*request).is_some()).collect()
}

#[test]
fn every_request_in_every_state_is_answered_and_leads_where_the_table_has_it() {
    let names: BTreeMap<_, _> =
        PcmState::ALL.iter().map(|state| (format!("{:?}", taken_in(*state)), state)).collect();
    assert_eq!(names.len(), PcmState::ALL.len());
    for clock in [ClockMode::Lockstep, ClockMode::Realtime] {
        for (stream, state) in
            [0, 1].into_iter().flat_map(|stream| PcmState::ALL.map(|state| (stream, state)))
        {
            for request in REQUESTS {
                let after = state.after(request);
                let what = format!("{clock:?} stream {stream} {state:?} {request:?}");
                let answered = |probe: Option<PcmRequest>| {
                    let mut bench = Bench::new(clock, 1, 1);
                    bench.reach(state, stream);
                    let answer = bench.request(request, stream);
                    let expected = if after.is_some() { Status::Ok } else { Status::BadMsg };
                    assert_eq!(answer, expected as u32, "{what}");
                    probe.map(|probe| bench.request(probe, stream) == Status::Ok as u32)
                };
                let is_taken = |probe| answered(Some(probe)).unwrap_or_default();
                let taken: Vec<_> = REQUESTS.into_iter().filter(|probe| is_taken(*probe)).collect();
                assert_eq!(taken, taken_in(after.unwrap_or(state)), "{what}");
            }
        }
    }
}

#[test]
fn the_first_check_that_fails_is_the_answer() {
    let mut bench = Bench::new(ClockMode::Realtime, 1, 0);
    let mut answer = |words: &[u32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let answer = bench.call(|card, env| card.control(&bytes, 4, env));
        u32::from_le_bytes(answer.try_into().expect("a status alone"))
    };
    let [bad, not_supported] = [Status::BadMsg, Status::NotSupp].map(|status| status as u32);
    // The format is none, and the period is no whole number of frames.
    let (no_format, no_period) = (0x0007_1802, 1919);
    assert_eq!(answer(&[0x101, 9, 7680, PERIOD, 0, no_format]), bad, "no such stream");
    assert_eq!(answer(&[0x101, 0, 7680, no_period, 0, no_format]), not_supported);
    assert_eq!(answer(&[0x101, 0, 7680, no_period, 1, 0x0007_0502]), not_supported, "a feature");
    assert_eq!(answer(&[0x101, 0, 7680, no_period, 0, 0x0007_0502]), bad);
    assert_eq!(answer(&[0x101, 0, 7680, PERIOD, 0]), bad, "cut short");
    assert_eq!(answer(&[0x102, 0]), bad, "none of them has set parameters");
    for words in [&[0x101, 0, 7680, PERIOD, 0, 0x0007_0502][..], &[0x102, 0], &[0x104, 0]] {
        assert_eq!(answer(words), Status::Ok as u32);
    }
    assert_eq!(answer(&[0x101, 0, 7680, PERIOD, 0, no_format]), bad, "out of order comes before the format");
    assert_eq!(answer(&[2, 0, 0, 0]), not_supported, "JACK_REMAP");
}

#[test]
fn a_request_that_is_refused_changes_nothing_of_what_is_queued() {
    let mut bench = Bench::new(ClockMode::Realtime, 1, 0);
    bench.reach(PcmState::Prepared, 0);
    (0..4).for_each(|place| bench.io(false, 0, place));
    assert_eq!(bench.request(PcmRequest::Start, 0), Status::Ok as u32);
    for request in [PcmRequest::SetParams, PcmRequest::Prepare, PcmRequest::Start, PcmRequest::Release] {
        assert_eq!(bench.request(request, 0), Status::BadMsg as u32);
    }
    // Unknown streams, and parameters that are not taken, neither.
    assert_eq!(bench.request(PcmRequest::Release, 1), Status::BadMsg as u32);
    assert_eq!(bench.completed(), []);
    bench.now += 4 * PERIOD_TICKS;
    bench.call(Controller::advance);
    assert_eq!(bench.completed(), [0, 2, 4, 6].map(|head| (head, Status::Ok)));
    assert_eq!(bench.heard()[0], (true, 4 * 480));
}

#[test]
fn release_completes_everything_and_stop_nothing() {
    for capture in [false, true] {
        let stream = u32::from(capture);
        for state in [PcmState::Prepared, PcmState::Running, PcmState::Stopped] {
            let mut bench = Bench::new(ClockMode::Lockstep, 1, 1);
            bench.reach(state, stream);
            (0..3).for_each(|place| bench.io(capture, stream, place));
            assert_eq!(bench.completed(), [], "{state:?}");
            if state == PcmState::Running {
                assert_eq!(bench.request(PcmRequest::Stop, stream), Status::Ok as u32);
                assert_eq!(bench.completed(), [], "STOP keeps them");
            }
            assert_eq!(bench.request(PcmRequest::Release, stream), Status::Ok as u32);
            assert_eq!(bench.completed(), [0, 2, 4].map(|head| (head, Status::Ok)), "{state:?}");
        }
    }
}

#[test]
fn io_messages_are_taken_from_prepare_to_release() {
    for capture in [false, true] {
        let stream = u32::from(capture);
        for state in PcmState::ALL {
            let mut bench = Bench::new(ClockMode::Lockstep, 1, 1);
            bench.reach(state, stream);
            bench.io(capture, stream, 0);
            let refused: &[_] = if state.takes_io() { &[] } else { &[(0, Status::IoErr)] };
            assert_eq!(bench.completed(), refused, "{state:?}");
            // On the queue of the other direction, and for no stream.
            bench.io(!capture, stream, 2);
            bench.io(capture, 9, 3);
            assert_eq!(bench.completed(), [(4, Status::BadMsg), (6, Status::BadMsg)], "{state:?}");
        }
    }
}

#[test]
fn more_than_is_kept_is_refused_and_what_is_kept_is_played() {
    let mut bench = Bench::new(ClockMode::Realtime, 1, 0);
    bench.reach(PcmState::Prepared, 0);
    for _ in 0..512 {
        bench.io(false, 0, 0);
    }
    assert_eq!(bench.completed(), []);
    bench.io(false, 0, 0);
    assert_eq!(bench.completed(), [(0, Status::IoErr)]);
}

#[test]
fn last_message_in_lockstep_is_complete_when_its_grace_ends() {
    for capture in [false, true] {
        let stream = u32::from(capture);
        let mut bench = Bench::new(ClockMode::Lockstep, 1, 1);
        bench.reach(PcmState::Prepared, stream);
        bench.io(capture, stream, 0);
        assert_eq!(bench.request(PcmRequest::Start, stream), Status::Ok as u32);
        let ends = PERIOD_TICKS + 60_000_000;
        for now in [PERIOD_TICKS, ends - 1] {
            bench.now = now;
            bench.call(Controller::advance);
            assert_eq!((bench.completed(), bench.card.next_deadline()), (vec![], Some(ends)), "{now}");
        }
        bench.now = ends;
        bench.call(Controller::advance);
        assert_eq!(bench.completed(), [(0, Status::Ok)]);
    }
}

#[test]
fn a_recording_with_no_room_is_an_xrun_when_the_guest_goes_on() {
    for clock in [ClockMode::Lockstep, ClockMode::Realtime] {
        let mut bench = Bench::new(clock, 0, 1);
        bench.reach(PcmState::Prepared, 0);
        bench.io(true, 0, 0);
        assert_eq!(bench.request(PcmRequest::Start, 0), Status::Ok as u32);
        bench.now += 9 * PERIOD_TICKS;
        bench.call(Controller::advance);
        let counted = |bench: &Bench| bench.card.stats().next().and_then(|stats| stats.underruns).unwrap();
        assert_eq!((bench.completed(), counted(&bench)), (vec![(0, Status::Ok)], 0), "{clock:?}: its end");
        for request in [PcmRequest::Stop, PcmRequest::Release, PcmRequest::Prepare] {
            assert_eq!(bench.request(request, 0), Status::Ok as u32);
        }
        let expected = if clock == ClockMode::Lockstep { 1..=1 } else { 7..=9 };
        assert!(expected.contains(&counted(&bench)), "{clock:?}: {}", counted(&bench));
    }
}

#[test]
fn message_that_comes_late_is_not_played_in_the_past() {
    let mut bench = Bench::new(ClockMode::Realtime, 1, 0);
    bench.reach(PcmState::Prepared, 0);
    bench.io(false, 0, 0);
    assert_eq!(bench.request(PcmRequest::Start, 0), Status::Ok as u32);
    // Nobody has looked meanwhile: the thread that gives the card its time is late.
    bench.now += 5 * PERIOD_TICKS;
    bench.io(false, 0, 1);
    assert_eq!(bench.completed(), [(0, Status::Ok)]);
    bench.now += 2 * PERIOD_TICKS;
    bench.call(Controller::advance);
    let heard = bench.heard();
    assert_eq!((heard[0], heard[1].0), ((true, 480), false), "{heard:?}");
    assert!((4 * 480..=4 * 480 + 48).contains(&heard[1].1), "silence for as long as it was late: {heard:?}");
    assert_eq!(heard[2], (true, 480), "{heard:?}");
}
