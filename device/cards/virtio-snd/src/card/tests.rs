//! The card with a clock, sources and queues: what its threads meet.

use std::str::FromStr;

use ringwave_engine::clock::Speed;
use ringwave_engine::sources::{NoSources, StreamFormat};
use ringwave_engine::timeline::{NOMINAL, RATE_LIMIT};
use vhost_user_backend::VringT;
use vm_memory::GuestMemoryAtomic;

use super::*;
use crate::testing::{NEXT, Ring, WRITE};

/// A second of S16 stereo at 48 kHz.
const PERIOD: u32 = 192_000;
/// The format, rate and channels of that.
const S16_STEREO: u32 = 0x0007_0502;
const OK: u32 = Status::Ok as u32;

/// A card of which streams 0 to `render` play and one records `sources`. Its clock is so slow that no period
/// ends while a test runs.
fn card(render: u32, clock: ClockMode, sources: impl Sources + Send + 'static) -> VirtioCard {
    let config = CardConfig {
        render,
        capture: 1,
        loopback: [None; crate::controller::STREAMS_MAX as usize],
        clock,
        channels_max: 2,
        trace: false,
    };
    VirtioCard::new(config, HostClock::start(Speed::from_str("0.1").unwrap()), Box::new(sources))
}

/// A source of stream 0 whose clock goes slower than the card's by as much as may be.
struct Drifting;

impl Sources for Drifting {
    fn capture(&mut self, _: u32, _: StreamFormat, _: &mut [u8]) -> usize {
        0
    }

    fn take_rates(&mut self) -> Vec<(u32, u32)> {
        vec![(0, NOMINAL + RATE_LIMIT)]
    }
}

#[test]
fn a_stream_goes_at_the_rate_of_its_source_and_of_its_sink() {
    type Take = fn(&VirtioCard);
    let of_the_source: Take = |card| {
        card.advance();
    };
    let of_the_sink: Take = |card| {
        let rates = vec![(0, NOMINAL + RATE_LIMIT)];
        card.drain(&mut IoQueue::default(), &mut Feedback { rates, ..Feedback::default() });
    };
    let drifts = card(0, ClockMode::Realtime, Drifting);
    for (card, take) in [(drifts, of_the_source), (card(0, ClockMode::Realtime, NoSources), of_the_sink)] {
        let set_params: &[u32] = &[0x101, 0, 2 * PERIOD, PERIOD, 0, S16_STEREO];
        for request in [set_params, &[0x102, 0], &[0x104, 0]] {
            let bytes: Vec<u8> = request.iter().flat_map(|word| word.to_le_bytes()).collect();
            let answer = card.lock().call(&card, |controller, env| controller.control(&bytes, 4, env));
            assert_eq!(answer, OK.to_le_bytes());
        }
        take(&card);
        let mut state = card.lock();
        let first = state.next_deadline().expect("it runs");
        // The rate is taken up when the first period ends.
        let State { controller, memory, sources, queue, out, .. } = &mut *state;
        let (audio, log) = (&mut queue.audio, queue.records.card.log(None));
        controller.advance(&mut Env { now: first, memory, sources: &mut **sources, audio, log, out });
        let second = state.next_deadline().expect("it runs");
        assert_eq!(second - first, 1_001_000_000, "a thousandth more than a second");
    }
}

/// A source that panics when it is to begin.
struct Broken;

impl Sources for Broken {
    fn begin(&mut self, _: u32, _: StreamFormat, _: u64) {
        panic!("a test has the source panic")
    }

    fn capture(&mut self, _: u32, _: StreamFormat, _: &mut [u8]) -> usize {
        0
    }
}

/// A card whose client has started the control queue, and the driver at that queue.
struct Control {
    card: VirtioCard,
    ring: Ring,
    vrings: Vec<Vring>,
    requests: u16,
}

impl Control {
    fn new(card: VirtioCard) -> Self {
        let ring = Ring::new(16);
        let stopped = || Vring::new(GuestMemoryAtomic::new(ring.memory()), 16).unwrap();
        let vrings = vec![ring.vring(), stopped(), stopped(), stopped()];
        card.set_memory(Arc::new(ring.memory()));
        Self { card, ring, vrings, requests: 0 }
    }

    /// Makes a request available.
    fn offer(&mut self, words: &[u32]) {
        let at = 0x8000 + u64::from(self.requests) * 0x100;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let head = self.requests * 2;
        self.ring.write(at, &bytes);
        self.ring.descriptor(head, at, u32::try_from(bytes.len()).unwrap(), NEXT, head + 1);
        self.ring.descriptor(head + 1, at + 0x80, 4, WRITE, 0);
        self.ring.offer(head);
        self.requests += 1;
    }

    /// The statuses of all requests; 0: it was not answered.
    fn answers(&self) -> Vec<u32> {
        (0..self.requests).map(|request| self.ring.word(0x8080 + u64::from(request) * 0x100)).collect()
    }

    fn kick(&self) {
        self.card.kicked(&self.vrings);
    }

    fn request(&mut self, words: &[u32]) {
        self.offer(words);
        self.kick();
    }

    /// Has stream 0 wait for its first message.
    fn stall(&mut self) {
        for words in [&[0x101, 0, 2 * PERIOD, PERIOD, 0, S16_STEREO][..], &[0x102, 0], &[0x104, 0]] {
            self.request(words);
        }
    }
}

#[test]
fn a_handler_that_panics_at_a_kick_leaves_a_queue_that_goes_on() {
    let mut driver = Control::new(card(0, ClockMode::Realtime, Broken));
    driver.request(&[0x101, 0, 2 * PERIOD, PERIOD, 0, S16_STEREO]);
    driver.request(&[0x102, 0]);
    assert_eq!(driver.answers(), [OK, 0], "the source has panicked");
    // A driver that was told not to kick, while the queue was served, does not: the engine thread looks.
    driver.offer(&[0x103, 0]);
    driver.card.advance();
    assert_eq!((driver.answers(), driver.ring.used()), (vec![OK, 0, OK], 2));
    assert!(driver.ring.wants_kicks());
    driver.request(&[0x103, 0]);
    assert_eq!(driver.answers(), [OK, 0, OK, OK]);
}

#[test]
fn a_handler_that_panics_on_the_engine_thread_leaves_a_card_that_goes_on() {
    let mut driver = Control::new(card(1, ClockMode::Lockstep, Broken));
    driver.stall();
    driver.request(&[0x101, 1, 2 * PERIOD, PERIOD, 0, S16_STEREO]);
    // A kick that is lost: the card looks at its queues by itself.
    driver.offer(&[0x102, 1]);
    assert_eq!(driver.card.advance(), Some(LOOK_AGAIN), "it does not spin at what panics");
    assert_eq!(driver.answers(), [OK, OK, OK, OK, 0], "the source has panicked");
    driver.offer(&[0x105, 0]);
    driver.card.advance();
    assert_eq!(driver.answers(), [OK, OK, OK, OK, 0, OK]);
    assert!(driver.ring.wants_kicks());
}

#[test]
fn a_card_that_waits_looks_at_its_queues_every_5_ms() {
    let mut driver = Control::new(card(1, ClockMode::Lockstep, NoSources));
    driver.kick();
    assert_eq!(driver.card.advance(), None, "nothing runs");
    driver.stall();
    assert_eq!(driver.card.advance(), Some(Duration::from_millis(5)));
    // Chains are left, and the client has stopped its queues: nobody can take them.
    driver.card.lock().more = true;
    driver.vrings[0].set_queue_ready(false);
    driver.card.halt();
    assert_eq!(driver.card.advance(), Some(Duration::from_millis(5)));
}

#[test]
fn what_is_complete_waits_until_its_queue_is_started() {
    let driver = Control::new(card(1, ClockMode::Lockstep, NoSources));
    driver.kick();
    driver.ring.descriptor(8, 0x9000, 8, WRITE, 0);
    let chain = driver.ring.take(8);
    let complete = (false, Completion::refused(chain, Status::BadMsg));
    driver.card.lock().out.completions.push(complete);
    driver.card.advance();
    assert_eq!(driver.ring.used(), 0, "tx has not started");
    driver.ring.start(&driver.vrings[QueueIndex::Tx as usize]);
    driver.card.advance();
    assert_eq!(driver.ring.used(), 1);
}
