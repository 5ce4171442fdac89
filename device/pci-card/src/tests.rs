//! Another card than Ringwave: what [`PciCard`] does for whatever is behind it.

use std::time::{Duration, Instant};

use ringwave_engine::clock::Speed;
use ringwave_engine::device::Device;
use ringwave_engine::sources::{NoSources, Sources, StreamFormat};
use ringwave_engine::stream::stats::Stall;
use ringwave_pci::Region;
use ringwave_pci::config::Settings;
use ringwave_trace::{CardEvent, Diagnostic, ErrorName, TraceRecord};

use super::*;
use ringwave_served::{HostRequestError, HostRequests};

/// One BAR of four bytes that are stored, and two jacks. A write beyond is refused.
#[derive(Default)]
struct MinimalCard {
    register: [u8; 4],
    unplugged: [bool; 2],
    /// What it was told of streams and their `RATE_DEN`.
    rates: Vec<(u32, u32)>,
}

/// A source of stream 1 whose clock goes at another rate than the card's.
struct Drifting;

impl Sources for Drifting {
    fn capture(&mut self, _: u32, _: StreamFormat, _: &mut [u8]) -> usize {
        0
    }

    fn take_rates(&mut self) -> Vec<(u32, u32)> {
        vec![(1, 1_000_083_000)]
    }
}

impl SoundCard for MinimalCard {
    type Error = ErrorName;
    const NAME: &'static str = "test";

    fn mapped_bar(&self) -> Option<(u32, Arc<MappedBar>)> {
        None
    }

    fn register_name(&self, _bar: u32, offset: u64) -> Option<&'static str> {
        (offset == 0).then_some("STATE")
    }

    fn read(&mut self, _bar: u32, _offset: u64, data: &mut [u8], _env: &mut CardEnv<'_, ErrorName>) {
        data.copy_from_slice(&self.register);
    }

    fn write(&mut self, _bar: u32, offset: u64, data: &[u8], env: &mut CardEnv<'_, ErrorName>) {
        if offset == 0 {
            self.register.copy_from_slice(data);
            *env.messages |= 1;
        } else {
            let error = ErrorName::new("BAD_ACCESS");
            let refused = Diagnostic::Refused { stream: None, offset, value: None, error };
            env.log.diagnose_as(refused, |error| error);
        }
    }

    fn advance(&mut self, _env: &mut CardEnv<'_, ErrorName>) {}

    fn configure(&mut self, _settings: &Settings, _env: &mut CardEnv<'_, ErrorName>) {}

    fn reset(&mut self, env: &mut CardEnv<'_, ErrorName>) {
        self.register = [0; 4];
        env.log.record(CardEvent::Reset);
    }

    fn intx(&self) -> bool {
        false
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }

    fn host_failed(&mut self, _stream: u32, _env: &mut CardEnv<'_, ErrorName>) {}

    fn set_rate_den(&mut self, stream: u32, rate_den: u32) {
        self.rates.push((stream, rate_den));
    }

    fn set_jack(&mut self, stream: u32, plugged: bool, _env: &mut CardEnv<'_, ErrorName>) {
        if let Some(unplugged) = self.unplugged.get_mut(stream as usize) {
            *unplugged = !plugged;
        }
    }

    fn jack(&self, stream: u32) -> Option<bool> {
        self.unplugged.get(stream as usize).map(|unplugged| !unplugged)
    }

    fn streams(&self) -> u32 {
        2
    }

    fn running(&self) -> bool {
        false
    }

    fn moving(&self) -> u32 {
        0
    }

    fn stalls(&self) -> impl Iterator<Item = Stall> {
        std::iter::empty()
    }

    fn stats(&self) -> impl Iterator<Item = StreamStats> {
        std::iter::empty()
    }

    fn clear_stats(&mut self) {}
}

fn card(trace: bool) -> PciCard<MinimalCard> {
    card_of(Box::new(NoSources), trace)
}

fn card_of(sources: Box<dyn Sources + Send>, trace: bool) -> PciCard<MinimalCard> {
    let mut bars = [0; 6];
    bars[0] = 4096;
    let spec = FunctionSpec {
        vendor: 1,
        device: 2,
        subsystem_vendor: 3,
        subsystem: 4,
        revision: 5,
        class: 0x04_03_00,
        bars,
        messages: 1,
        power_management: Some(0x40),
        own_bytes: &[],
    };
    let options = CardOptions {
        spec,
        clock: HostClock::start(Speed::REAL),
        clock_mode: ClockMode::Realtime,
        sources,
        trace,
    };
    PciCard::new(MinimalCard::default(), options)
}

fn write(card: &PciCard<MinimalCard>, offset: u64) {
    card.request(Request::Write { region: Region::Bar(0), offset, data: &[7; 4] }).unwrap();
}

fn traced(card: &PciCard<MinimalCard>) -> Vec<TraceRecord> {
    card.lock().queue.records.card.trace.clone()
}

#[test]
fn requests_reach_the_card_and_are_counted_and_traced_in_order() {
    let card = card(true);
    write(&card, 0);
    let mut data = [0; 4];
    card.request(Request::Read { region: Region::Bar(0), offset: 0, data: &mut data }).unwrap();
    assert_eq!(data, [7; 4]);
    assert_eq!(card.report().messages.total, 2);
    let events: Vec<Event> = traced(&card).into_iter().map(|record| record.event).collect();
    assert!(matches!(events[0], Event::Card(CardEvent::Reset)), "power-on");
    assert_eq!(events[1], Event::Connected);
    assert!(matches!(events[2], Event::RegionWrite { .. }) && matches!(events[3], Event::RegionRead { .. }));
}

#[test]
fn bars_are_those_of_the_function_and_none_is_memory() {
    let card = card(false);
    assert!(card.bar(0).is_some_and(|bar| bar.bytes == 4096 && bar.mapped.is_none()));
    assert!(card.bar(1).is_none() && card.bar(7).is_none());
}

#[test]
fn no_trace_is_kept_when_nobody_wants_it() {
    let card = card(false);
    write(&card, 16);
    assert_eq!(card.lock().queue.records.card.trace.capacity(), 0, "nor made");
    assert_eq!(card.lock().queue.records.card.diagnostics.len(), 1, "the log has its line all the same");
}

#[test]
fn no_more_is_kept_when_the_file_of_the_trace_has_failed() {
    let card = card(true);
    write(&card, 16);
    let before = traced(&card).len();
    assert!(before > 2);
    card.lock().end_trace();
    write(&card, 16);
    assert_eq!(traced(&card).len(), before);
}

#[test]
fn host_request_to_a_card_that_hangs_is_refused_and_does_not_hang() {
    let card = card(true);
    let hangs = card.lock();
    let begin = Instant::now();
    assert_eq!(card.log_stats(), Err(HostRequestError::Busy));
    assert_eq!(card.set_jack(0, false), Err(HostRequestError::Busy));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    drop(hangs);
    assert_eq!((card.jack(0), card.log_stats()), (Ok(true), Ok(())));
}

#[test]
fn statistics_are_not_requested_without_end_from_a_worker_that_hangs() {
    let card = card(true);
    let (answer, _answers) = mpsc::channel();
    let taken = (0..1000).take_while(|_| card.request_stats(answer.clone()).is_ok()).count();
    assert!((1..100).contains(&taken), "{taken}");
    for _ in 0..1000 {
        assert_eq!(card.log_stats(), Ok(()), "once is as good as a thousand times");
    }
}

#[test]
fn jacks_are_the_hosts_and_a_change_is_in_the_trace_once() {
    let card = card(true);
    let no_stream = HostRequestError::NoStream { stream: 2, streams: 2 };
    assert_eq!(card.jack(2), Err(no_stream));
    assert_eq!(card.set_jack(2, false), Err(no_stream));
    for _ in 0..2 {
        card.set_jack(1, false).unwrap();
    }
    card.request(Request::Reset).unwrap();
    assert_eq!((card.jack(0), card.jack(1)), (Ok(true), Ok(false)), "a reset leaves it");
    let jacks = traced(&card).into_iter().filter(|record| matches!(record.event, Event::Jack { .. })).count();
    assert_eq!(jacks, 1);
}

#[test]
fn stream_goes_at_the_rate_of_its_source() {
    let card = card_of(Box::new(Drifting), false);
    card.advance();
    assert_eq!(card.lock().card.rates, [(1, 1_000_083_000)]);
}

#[test]
fn session_ends_with_the_client_and_nothing_of_it_is_left() {
    let card = Arc::new(card(false));
    assert!(!card.client_left(), "it never said anything");
    write(&card, 0);
    let leaving = std::thread::spawn({
        let card = Arc::clone(&card);
        move || card.client_left()
    });
    // The I/O worker: it takes what is left, and answers by dropping the sender.
    let begin = Instant::now();
    loop {
        let left = card.lock().queue.records.left.take();
        if let Some((report, done)) = left {
            assert_eq!((report.client, report.messages.total), (Client::Left, 1));
            drop(done);
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(15));
        std::thread::yield_now();
    }
    assert!(leaving.join().unwrap());
    assert_eq!(card.report().messages.total, 0);
    assert_eq!(card.lock().card.register, [0; 4], "reset");
}
