//! Playing without lockstep: a packet is played when its time is over, whatever the device does at once, and
//! whatever its client does not do. The clock is the test's.

use super::render::{PACKET, RUN, packet};
use super::*;

/// 100 ns in a millisecond.
const MS: u64 = 10_000;
/// How far from its time a packet may be told: some frames, by which the line is rounded.
const NEAR: u64 = MS / 10;

impl Fixture {
    /// In PAUSE, with packet 0 written and marked; time stands still from now on.
    fn paced() -> Self {
        let mut fixture = Self::new();
        host::pass_time_100ns(0);
        fixture.attach(RENDER, GEOMETRY);
        fixture.raise(RENDER, &RUN[..2]);
        fixture.write(0);
        fixture
    }

    fn write(&mut self, number: u8) {
        self.pages.set(PACKET * usize::from(number % 2), &packet(number));
        assert!(self.card.mark(RENDER, mark(number.into()), 0, false));
    }

    fn count(&self) -> u32 {
        self.card.status(RENDER).unwrap().packet_count
    }

    /// Lets time pass, in which the DPC runs when the card has asked for it. When the count was another one
    /// after that, in 100 ns from now on, and that count.
    fn pass(&self, time: u64) -> Vec<(u64, u32)> {
        let (mut passed, mut seen, mut counts, mut looks) = (0, self.count(), vec![], 0);
        while let Some(delay) = self.card.next_look().map(|delay| delay.max(1)) {
            if passed + delay > time {
                break;
            }
            host::pass_time_100ns(delay);
            passed += delay;
            host::at_irql(nt::sys::DISPATCH_LEVEL, || self.card.on_interrupt());
            if self.count() != seen {
                seen = self.count();
                counts.push((passed, seen));
            }
            looks += 1;
            assert!(looks <= counts.len() + 1, "looks for nothing");
        }
        host::pass_time_100ns(time - passed);
        counts
    }

    fn played(&self) -> Vec<u8> {
        self.device.with(|inside| inside.sound.streams[0].played.clone())
    }
}

/// A device as QEMU's: every 10 ms, 3 ms after RUN for the first time, it takes what is 10 ms, and 20 ms at
/// the first time. Each packet has its count, and a client that goes by it alone skips none.
#[test]
fn packets_that_come_back_at_once_are_told_one_by_one() {
    let mut fixture = Fixture::paced();
    fixture.raise(RENDER, &RUN[2..]);
    fixture.write(1);
    assert_eq!(fixture.pass(3 * MS), []);
    fixture.complete(RENDER, 4);
    // The device is a packet ahead, and no more.
    let status = fixture.card.status(RENDER).unwrap();
    assert_eq!((status.packet_count, status.anchor.frame, status.stalled_on), (1, 480, None));
    for number in 2..40_u8 {
        fixture.write(number);
        assert_eq!(fixture.pass(10 * MS - NEAR), [], "before the next is over");
        assert_eq!(fixture.count(), u32::from(number) - 1);
        // Of the timer and the interrupt either may come first.
        if number % 2 == 0 {
            host::pass_time_100ns(NEAR);
        } else {
            assert!(fixture.pass(NEAR).len() <= 1);
        }
        fixture.complete(RENDER, 2);
        assert_eq!(fixture.count(), u32::from(number));
    }
    assert_eq!(fixture.played(), (0..40).flat_map(packet).collect::<Vec<_>>());
    let status = fixture.card.status(RENDER).unwrap();
    assert_eq!((status.underruns, status.error), (0, None));
}

/// Counts, and with them events, go on at the nominal rate for a client that marks one packet and waits.
#[test]
fn a_client_that_marks_one_packet_and_waits_is_told_of_all() {
    let mut fixture = Fixture::paced();
    fixture.raise(RENDER, &RUN[2..]);
    assert_eq!(fixture.pass(7 * MS), []);
    fixture.complete(RENDER, 2);
    let counts = fixture.pass(100 * MS);
    assert_eq!(counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    for (at, count) in counts {
        // The first of the two messages was late for itself, which has moved the line back by half a
        // millisecond.
        let nominal = u64::from(count) * 10 * MS + MS / 2;
        assert!((nominal..=nominal + 2).contains(&(at + 7 * MS)), "packet {count} at {at}");
    }
    let status = fixture.card.status(RENDER).unwrap();
    assert_eq!((status.stalled_on, status.underruns), (None, 1));
    assert_eq!(status.anchor.frame, 107 * 48 - 24);
    // It comes back, amid packet 10, with the next: what is left of 10 is silent, and not what stands there.
    fixture.write(11);
    assert_eq!(fixture.held(RENDER), 2 + 1, "from the second half of packet 10 on");
    fixture.complete(RENDER, 3);
    let mut expected = packet(0);
    expected.extend([0; PACKET / 2]);
    expected.extend(packet(11));
    assert_eq!(fixture.played(), expected);
}

/// So they do where messages end within packets, and the DPC runs once for each packet.
#[test]
fn packets_that_are_cut_unevenly_are_told_too() {
    let fixture = Fixture::new();
    host::pass_time_100ns(0);
    fixture.attach(RENDER, BufferGeometry { bytes: 2 * 1201 * 4, packets: 2, frame_bytes: 4 });
    fixture.raise(RENDER, &RUN[..2]);
    assert!(fixture.card.mark(RENDER, mark(0), 0, false));
    fixture.raise(RENDER, &RUN[2..]);
    fixture.complete(RENDER, 2);
    assert_eq!(fixture.held(RENDER), 0, "the third reaches into packet 1");
    let counts = fixture.pass(260 * MS);
    assert_eq!(counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    for pair in counts.windows(2) {
        assert!((pair[1].0 - pair[0].0).abs_diff(1201 * 10_000 / 48) <= 2, "{pair:?}");
    }
}

/// Of a message that reaches from a packet that was marked into one that was passed over, or out of that into
/// one that was marked, that one alone is silent.
#[test]
fn what_is_passed_over_is_silent_from_its_first_frame_to_its_last() {
    let mut fixture = Fixture::new();
    host::pass_time_100ns(0);
    fixture.attach(RENDER, BufferGeometry { bytes: 2 * 1201 * 4, packets: 2, frame_bytes: 4 });
    fixture.raise(RENDER, &RUN[..2]);
    fixture.pages.set(0, &[7; 2 * 1201 * 4]);
    assert!(fixture.card.mark(RENDER, mark(0), 0, false));
    fixture.raise(RENDER, &RUN[2..]);
    assert_eq!(fixture.pass(20 * MS), []);
    fixture.complete(RENDER, 2);
    // Amid the third message, of frames 960 to 1440, packet 1 has begun.
    assert_eq!(fixture.pass(10 * MS).len(), 1);
    let told = fixture.card.status(RENDER).unwrap();
    assert!(fixture.card.mark(RENDER, mark(2), 0, false));
    // The device begins with frame 960; when packet 0 was over stays what it was.
    let status = fixture.card.status(RENDER).unwrap();
    assert_eq!((status.packet_count, status.packet_clock), (1, told.packet_clock));
    fixture.complete(RENDER, 4);
    // So it is in the message of frames 2400 to 2880, up to where packet 2, which was marked, begins.
    let played = fixture.played();
    let heard: Vec<bool> = played.chunks(4).map(|frame| frame == [7; 4]).collect();
    let right: Vec<bool> = (0..2880).map(|frame| !(1201..2402).contains(&frame)).collect();
    assert!(heard == right, "{:?}", heard.iter().zip(&right).position(|(heard, right)| heard != right));
}

/// What is marked when a part of its time is over is played from there on.
#[test]
fn of_a_packet_that_is_late_the_rest_is_played() {
    let mut fixture = Fixture::paced();
    fixture.raise(RENDER, &RUN[2..]);
    assert_eq!(fixture.pass(7 * MS), []);
    fixture.complete(RENDER, 2);
    assert_eq!(fixture.pass(10 * MS).len(), 1);
    fixture.write(1);
    fixture.complete(RENDER, 1);
    let mut expected = packet(0);
    expected.extend_from_slice(&packet(1)[PACKET / 2..]);
    assert_eq!(fixture.played(), expected);
    assert_eq!(fixture.card.status(RENDER).unwrap().underruns, 1);
}

/// The end of a stream is told by time, and after it time stands still.
#[test]
fn the_end_is_told_when_it_was_heard() {
    let mut fixture = Fixture::paced();
    fixture.raise(RENDER, &RUN[2..]);
    fixture.pages.set(PACKET, &packet(1));
    assert!(fixture.card.mark(RENDER, Mark { number: 1, end_of_stream: Some(400) }, 0, false));
    assert_eq!(fixture.pass(MS), []);
    fixture.complete(RENDER, 4);
    assert_eq!(fixture.pass(100 * MS), [(10 * MS + 1, 2)]);
    let status = fixture.card.status(RENDER).unwrap();
    assert_eq!((status.anchor.frame, status.underruns), (960, 0));
    assert_eq!(fixture.card.next_look(), None);
}

/// PAUSE freezes what was played, though more came back; RUN goes on from there, without an interrupt.
#[test]
fn a_pause_between_what_came_back_and_what_was_played() {
    let mut fixture = Fixture::paced();
    fixture.raise(RENDER, &RUN[2..]);
    fixture.write(1);
    assert_eq!(fixture.pass(3 * MS), []);
    fixture.complete(RENDER, 4);
    assert_eq!(fixture.pass(5 * MS), []);
    fixture.raise(RENDER, &[StreamState::Pause]);
    assert_eq!(fixture.card.next_look(), None);
    assert_eq!(fixture.pass(50 * MS), []);
    let status = fixture.card.status(RENDER).unwrap();
    assert_eq!((status.packet_count, status.anchor.frame), (1, 720));
    fixture.raise(RENDER, &[StreamState::Run]);
    assert_eq!(fixture.pass(6 * MS), [(5 * MS + 1, 2)]);
}

/// In lockstep what came back was played, and nothing is to be looked at by time.
#[test]
fn in_lockstep_the_device_says_what_was_played() {
    let mut fixture = Fixture::paced();
    fixture.card.ask_lockstep(RENDER, true);
    fixture.raise(RENDER, &RUN[2..]);
    fixture.write(1);
    fixture.complete(RENDER, 4);
    assert_eq!((fixture.count(), fixture.card.next_look()), (2, None));
    assert_eq!(fixture.pass(100 * MS), []);
    assert_eq!(fixture.card.status(RENDER).unwrap().stalled_on, Some(2));
}
