//! Judges what `GetReadPacket` answers while a capture stream runs (WAVERT.md 4.7): numbers, times, and what
//! `MoreData` promises.

use crate::portcls::status::Status;
use core::fmt;

/// One answer of `GetReadPacket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPacket {
    /// Packet number, from 0 at the first RUN after STOP.
    pub number: u32,
    /// Zero.
    pub flags: u32,
    /// Raw performance counter (ours: time since boot, 100-ns units) at the packet's first sample.
    pub counter: u64,
    /// What else that can mean, if the counter has jumped meanwhile.
    pub counter_else: Option<u64>,
    /// `BOOL`: a newer complete packet is there already.
    pub more: i32,
}

impl ReadPacket {
    /// What no driver may leave in the results.
    pub const UNWRITTEN: Self =
        Self { number: u32::MAX, flags: u32::MAX, counter: u64::MAX, counter_else: None, more: -1 };
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A result was not written, or flags are set.
    Results(ReadPacket),
    /// Not after the packet before: (before, now).
    NotNewer(u32, u32),
    /// More packets than time: (number, most that can be complete).
    TooMany(u32, u64),
    /// The time of the first sample is so late that the packet can't be complete: (counter, now).
    TooLate(u64, u64),
    /// The time of the first sample lies before RUN: (counter, RUN).
    BeforeRun(u64, u64),
    /// Times of first samples are closer together than the packets: (apart, due).
    TooClose(u64, u64),
    /// `MoreData` promised a packet and the next call had none.
    PromiseBroken,
    /// Another status than `DEVICE_NOT_READY` when there is no packet.
    Refusal(Status),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Results(packet) => write!(f, "a result is not written or not allowed: {packet:x?}"),
            Self::NotNewer(before, now) => write!(f, "packet {now} comes after packet {before}"),
            Self::TooMany(number, most) => write!(f, "packet {number} is there when {most} can be complete"),
            Self::TooLate(counter, now) => {
                write!(f, "its first sample is of {counter}, now is {now}: that packet is not complete")
            }
            Self::BeforeRun(counter, run) => write!(f, "its first sample is of {counter}, RUN of {run}"),
            Self::TooClose(apart, due) => {
                write!(f, "first samples are {apart} apart, {due} is due (100-ns units)")
            }
            Self::PromiseBroken => f.write_str("MoreData was TRUE and there is no packet"),
            Self::Refusal(status) => write!(f, "{status}, due is DEVICE_NOT_READY"),
        }
    }
}

/// Follows the answers of one run.
pub struct PacketReads {
    packet_100ns: u64,
    run: u64,
    last: Option<(u32, u64)>,
    promised: bool,
    times: bool,
    /// Time that may be missing between packets: see [`with_a_clock_that_stops`](Self::with_a_clock_that_stops).
    stopped_100ns: u64,
    /// What the host [took](Self::host_took) so far, and what of it has lapsed.
    taken_100ns: u64,
    lapsed_100ns: u64,
    /// What it had taken when the last lapsed, and the packets since.
    taken_before: u64,
    packets_since: u64,
    /// Of the one and the other, what was missing so far.
    missing_100ns: u64,
    /// Whole packets that may be there before their time.
    early: u64,
    /// Packets that were skipped.
    pub lost: u64,
    /// Packets that were read.
    pub read: u64,
    /// Calls that found none.
    pub refused: u64,
}

/// After so many packets, and twice as many at most, a driver has caught up with what the host took.
const LAPSE: u64 = 32;

impl PacketReads {
    /// For packets of `packet_100ns` on the client's clock; RUN was called at `run`.
    pub fn new(packet_100ns: u64, run: u64) -> Self {
        Self {
            packet_100ns,
            run,
            last: None,
            promised: false,
            times: true,
            stopped_100ns: 0,
            taken_100ns: 0,
            lapsed_100ns: 0,
            taken_before: 0,
            packets_since: 0,
            missing_100ns: 0,
            early: 0,
            lost: 0,
            read: 0,
            refused: 0,
        }
    }

    /// The machine's clock may stand still while the card goes on, as with QEMU's `stop`: the card, which waits
    /// for its client, records up to a buffer of `packets` then. Their first samples are all of the moment at
    /// which the clock stood, so that in all a buffer's time may be missing between them.
    pub fn with_a_clock_that_stops(self, packets: u32) -> Self {
        let early = u64::from(packets);
        Self { stopped_100ns: early.saturating_mul(self.packet_100ns), early, ..self }
    }

    /// The host has taken so much time since RUN: a driver that goes by a device's completions, as of a virtio
    /// device, believes the device late for so long, and is right again some packets later.
    pub fn host_took(&mut self, taken_100ns: u64) {
        self.taken_100ns = taken_100ns;
        self.packets_since += 1;
        if self.packets_since > LAPSE {
            // What was taken in the turn before this one, and was not missed, is not missed any more.
            let spent = self.missing_100ns.saturating_sub(self.stopped_100ns);
            self.lapsed_100ns = self.lapsed_100ns.max(self.taken_before.saturating_sub(spent));
            (self.taken_before, self.packets_since) = (taken_100ns, 0);
        }
    }

    fn may_be_missing(&self) -> u64 {
        self.stopped_100ns.saturating_add(self.taken_100ns.saturating_sub(self.lapsed_100ns))
    }

    /// For a card whose clock is faster than time (its option `--speed`): the driver can't know that, so that
    /// the times it works out for first samples are not those of the client's clock. Only numbers and
    /// promises are judged.
    pub fn without_times(self) -> Self {
        Self { times: false, ..self }
    }

    /// Judges a packet that was had at `now`. It is counted whatever is found.
    ///
    /// Half a packet of error is allowed in the times: the driver's clock is calibrated, not the card's own.
    pub fn check(&mut self, packet: ReadPacket, now: u64) -> Result<(), Finding> {
        let before = self.last.replace((packet.number, packet.counter));
        self.promised = packet.more == 1;
        self.read += 1;
        if packet.flags != 0 || packet.counter == u64::MAX || !(0..=1).contains(&packet.more) {
            return Err(Finding::Results(packet));
        }
        let steps = before.map_or(packet.number.wrapping_add(1), |(n, _)| packet.number.wrapping_sub(n));
        if steps == 0 || steps > u32::MAX / 2 {
            return Err(Finding::NotNewer(before.map_or(0, |(n, _)| n), packet.number));
        }
        self.lost += u64::from(steps) - 1;
        let passed = now.saturating_sub(self.run) / 50 * 51 / self.packet_100ns.max(1);
        let most = passed.saturating_add(1).saturating_add(self.early);
        if self.read + self.lost > most {
            return Err(Finding::TooMany(packet.number, most));
        }
        if !self.times {
            return Ok(());
        }
        let due = u64::from(steps) * self.packet_100ns;
        let then = before.map(|(_, then)| then);
        let found = self.check_time(packet.counter, then, due, now);
        let other = packet.counter_else.filter(|_| found.is_err());
        match other.filter(|counter| self.check_time(*counter, then, due, now).is_ok()) {
            Some(counter) => {
                self.last = Some((packet.number, counter));
                Ok(())
            }
            None => found,
        }
    }

    /// Judges the time of a first sample; that of the last packet before was `then`, and at least `due` lies
    /// between.
    fn check_time(&mut self, counter: u64, then: Option<u64>, due: u64, now: u64) -> Result<(), Finding> {
        let half = self.packet_100ns / 2;
        let takes = if self.early == 0 { half } else { 0 };
        if counter.saturating_add(takes) > now {
            return Err(Finding::TooLate(counter, now));
        }
        if counter.saturating_add(half) < self.run {
            return Err(Finding::BeforeRun(counter, self.run));
        }
        let Some(apart) = then.map(|then| counter.saturating_sub(then)) else { return Ok(()) };
        if apart.saturating_add(half) >= due {
            return Ok(());
        }
        let missing = self.missing_100ns.saturating_add(due.saturating_sub(apart));
        if missing > self.may_be_missing() {
            return Err(Finding::TooClose(apart, due));
        }
        self.missing_100ns = missing;
        Ok(())
    }

    /// Judges a call that gave no packet.
    pub fn check_refusal(&mut self, status: Status) -> Result<(), Finding> {
        self.refused += 1;
        if core::mem::take(&mut self.promised) {
            return Err(Finding::PromiseBroken);
        }
        if status == Status::DEVICE_NOT_READY { Ok(()) } else { Err(Finding::Refusal(status)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 100_000;
    const RUN: u64 = 5_000_000;

    fn packet(number: u32, more: i32) -> ReadPacket {
        ReadPacket { number, flags: 0, counter: RUN + u64::from(number) * PACKET, counter_else: None, more }
    }

    fn end_of(number: u32) -> u64 {
        RUN + (u64::from(number) + 1) * PACKET
    }

    fn reads() -> PacketReads {
        PacketReads::new(PACKET, RUN)
    }

    #[test]
    fn what_the_host_took_lapses() {
        let late = PACKET / 3 * 2;
        for (packets, may) in [(20, true), (80, false)] {
            let mut reads = reads();
            for number in 0..packets {
                reads.host_took(late);
                assert_eq!(reads.check(packet(number, 0), end_of(number)), Ok(()));
            }
            reads.host_took(late);
            let close = packet(packets, 0).counter - late;
            let found = reads.check(ReadPacket { counter: close, ..packet(packets, 0) }, end_of(packets));
            assert_eq!(found.is_ok(), may, "{packets}: {found:?}");
        }
    }

    #[test]
    fn what_the_host_took_may_be_missing_once() {
        let late = PACKET / 3 * 2;
        let behind = |number: u32| ReadPacket {
            counter: RUN + u64::from(number) * (PACKET - late),
            ..packet(number, 0)
        };
        let close = Err(Finding::TooClose(PACKET - late, PACKET));
        for (taken, second, third) in [(0, close, close), (late - 1, close, close), (late, Ok(()), close)] {
            let mut reads = reads();
            assert_eq!(reads.check(behind(0), end_of(0)), Ok(()));
            reads.host_took(taken);
            assert_eq!(reads.check(behind(1), end_of(9)), second, "{taken}");
            assert_eq!(reads.check(behind(2), end_of(9)), third, "{taken}");
        }
    }

    #[test]
    fn one_packet_after_the_other_is_fine_and_nothing_is_lost() {
        let mut reads = reads();
        for number in 0..10 {
            assert_eq!(reads.check(packet(number, i32::from(number % 2 == 0)), end_of(number)), Ok(()));
        }
        assert_eq!(reads.check_refusal(Status::DEVICE_NOT_READY), Ok(()));
        assert_eq!((reads.read, reads.lost), (10, 0));
    }

    #[test]
    fn what_is_skipped_is_lost_also_before_the_first() {
        let mut reads = reads();
        assert_eq!(reads.check(packet(2, 0), end_of(2)), Ok(()));
        assert_eq!(reads.check(packet(5, 0), end_of(5)), Ok(()));
        assert_eq!((reads.read, reads.lost), (2, 4));
    }

    #[test]
    fn numbers_wrap() {
        let mut reads = reads();
        reads.last = Some((u32::MAX, RUN));
        assert_eq!(reads.check(ReadPacket { counter: RUN + PACKET, ..packet(0, 0) }, end_of(1)), Ok(()));
    }

    #[test]
    fn each_broken_promise_is_named() {
        let cases: [(ReadPacket, u64, Finding); 8] = [
            (ReadPacket::UNWRITTEN, end_of(9), Finding::Results(ReadPacket::UNWRITTEN)),
            (packet(0, 0), end_of(9), Finding::NotNewer(1, 0)),
            (packet(1, 0), end_of(9), Finding::NotNewer(1, 1)),
            (
                ReadPacket { flags: 0x200, ..packet(2, 0) },
                end_of(9),
                Finding::Results(ReadPacket { flags: 0x200, ..packet(2, 0) }),
            ),
            (packet(9, 0), end_of(4), Finding::TooMany(9, 6)),
            (
                packet(2, 0),
                packet(2, 0).counter,
                Finding::TooLate(packet(2, 0).counter, packet(2, 0).counter),
            ),
            (ReadPacket { counter: 7, ..packet(2, 0) }, end_of(9), Finding::BeforeRun(7, RUN)),
            (ReadPacket { counter: RUN + PACKET, ..packet(2, 0) }, end_of(9), Finding::TooClose(0, PACKET)),
        ];
        for (answer, now, finding) in cases {
            let mut reads = reads();
            assert_eq!(reads.check(packet(0, 0), end_of(0)), Ok(()));
            assert_eq!(reads.check(packet(1, 0), end_of(1)), Ok(()));
            assert_eq!(reads.check(answer, now), Err(finding));
        }
    }

    #[test]
    fn around_a_jump_of_the_counter_a_time_is_right_in_one_of_its_two_meanings() {
        let ambiguous = |number: u32, first: u64, other: u64| ReadPacket {
            counter: first,
            counter_else: Some(other),
            ..packet(number, 0)
        };
        let mut reads = reads();
        assert_eq!(reads.check(packet(0, 0), end_of(0)), Ok(()));
        assert_eq!(reads.check(ambiguous(1, 7, packet(1, 0).counter), end_of(1)), Ok(()));
        assert_eq!(reads.check(ambiguous(2, packet(2, 0).counter, 7), end_of(2)), Ok(()));
        // What is right in neither is wrong, and the next is judged by what was taken.
        assert_eq!(reads.check(ambiguous(3, 7, 8), end_of(3)), Err(Finding::BeforeRun(7, RUN)));
        assert_eq!(reads.check(packet(4, 0), end_of(4)), Ok(()));
    }

    #[test]
    fn while_the_clock_stands_still_a_buffer_of_packets_may_come() {
        let at = |number, counter| ReadPacket { counter, ..packet(number, 0) };
        let mut reads = reads().with_a_clock_that_stops(2);
        assert_eq!(reads.check(packet(0, 0), end_of(0)), Ok(()));
        let stands = end_of(0);
        assert_eq!(reads.check(at(1, RUN + PACKET), stands), Ok(()));
        assert_eq!(reads.check(at(2, RUN + PACKET), stands), Ok(()));
        assert_eq!(reads.check(at(3, RUN + PACKET), stands), Ok(()));
        // The third packet in no time is more than the card could record, and so is one before its time.
        assert_eq!(reads.check(at(4, RUN + PACKET), end_of(2)), Err(Finding::TooClose(0, PACKET)));
        assert_eq!(
            reads.check(at(5, end_of(2) + 1), end_of(2)),
            Err(Finding::TooLate(end_of(2) + 1, end_of(2)))
        );
        assert_eq!(reads.check(at(6, end_of(2)), end_of(2)), Err(Finding::TooMany(6, 6)));
    }

    #[test]
    fn times_are_not_judged_when_the_clock_is_faster_than_time() {
        let mut reads = reads().without_times();
        assert_eq!(reads.check(ReadPacket { counter: 7, ..packet(0, 0) }, end_of(0)), Ok(()));
        assert_eq!(reads.check(packet(0, 0), end_of(1)), Err(Finding::NotNewer(0, 0)));
    }

    #[test]
    fn a_packet_that_was_promised_must_come() {
        let mut reads = reads();
        assert_eq!(reads.check(packet(0, 1), end_of(0)), Ok(()));
        assert_eq!(reads.check_refusal(Status::DEVICE_NOT_READY), Err(Finding::PromiseBroken));
        assert_eq!(reads.check_refusal(Status::DEVICE_NOT_READY), Ok(()));
        assert_eq!(
            reads.check_refusal(Status::INVALID_DEVICE_STATE),
            Err(Finding::Refusal(Status::INVALID_DEVICE_STATE))
        );
    }
}
