//! Packet numbers: which one a client may write next, and what is marked then.
//!
//! The rules of WAVERT.md 4.7. With count = packets that have left the buffer since STOP: while the stream
//! does not run, the packet to write is `count`; while it runs, packet `count` is being played and the one to
//! write is `count + 1`. While the lockstep card *waits* for packet `count`, that one has not begun and is
//! taken too. So it is before the card says that it waits: in lockstep a packet that was not written has not
//! begun (DATASHEET 5.4). Taken for late it would be marked, and written again as the next one. Numbers are
//! 32 bits and wrap.
//!
//! **Late.** Of a packet that is being played SetWritePacket's page lets a driver use some of the data
//! although it answers STATUS_DATA_LATE_ERROR: it is marked, and a card that plays silence for want of it
//! goes on with the rest (DATASHEET 5.4). An older one marks nothing. ENDOFSTREAM that comes late ends
//! nothing: the client got an error, asks for the packet count and writes again, which it could not after the
//! end. A mark never lowers the one before; only an end of stream may stand before what was promised.
//!
//! The count is the truth (WAVERT.md 4.7: packets fully transferred), also while the card waits. So a client
//! that always writes `GetPacketCount() + 1` and comes so late that the card already waits for packet `count`
//! skips that one, as it would on a card that does not wait, and `count + 1` is taken. Counting one less
//! while the card waits would spare it the gap, but let a client that waits for the last packet's end without
//! ENDOFSTREAM wait for ever.

use nt::NTSTATUS;
use nt::status::{
    STATUS_DATA_LATE_ERROR, STATUS_DATA_OVERRUN, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER,
};

use crate::hw::Mark;

/// `KSSTREAM_HEADER_OPTIONSF_ENDOFSTREAM`: the packet is the last, and may be partly filled.
pub const FLAG_END_OF_STREAM: u32 = 0x200;

/// Where the card stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketProgress {
    /// Packets that have left the buffer since STOP.
    pub count: u32,
    /// The card stands still before this packet because it was not written.
    pub stalled_on: Option<u32>,
    /// The card waits for packets that are not written.
    pub lockstep: bool,
}

/// Why a packet number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A flag that is not defined, or an end-of-stream length that is not whole frames within a packet.
    Parameter,
    /// The end of the stream was already written.
    Ended,
    /// The packet is being played: it is marked all the same.
    Playing,
    /// The packet was played.
    Played,
    /// The packet does not fit into the buffer yet.
    Overrun,
}

impl From<Refusal> for NTSTATUS {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Parameter => STATUS_INVALID_PARAMETER,
            Refusal::Ended => STATUS_INVALID_DEVICE_STATE,
            Refusal::Playing | Refusal::Played => STATUS_DATA_LATE_ERROR,
            Refusal::Overrun => STATUS_DATA_OVERRUN,
        }
    }
}

/// The packets of one stream since STOP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packets {
    count: u32,
    signalled: u32,
    written: Option<Mark>,
}

impl Packets {
    /// STOP: numbers start at 0 again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The status page says `count`. It is taken if it is ahead of what is known, seen as a signed
    /// difference; returns what is known now.
    pub fn update_count(&mut self, count: u32) -> u32 {
        if difference(count, self.count) > 0 {
            self.count = count;
        }
        self.count
    }

    /// Whether a card that says `count` knows less than it said before.
    pub const fn is_behind(&self, count: u32) -> bool {
        difference(count, self.count) < 0
    }

    /// Packets that have left the buffer since STOP, as far as is known.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether a packet has left the buffer since this was asked last.
    pub fn take_completed(&mut self) -> bool {
        let completed = self.count != self.signalled;
        self.signalled = self.count;
        completed
    }

    /// The last mark that was accepted.
    pub const fn written(&self) -> Option<Mark> {
        self.written
    }

    /// Judges a `SetWritePacket`. The mark to pass to the card after it is [`written`](Self::written).
    ///
    /// * `running`: the card is in RUN.
    /// * `progress`: from the status page, read just now.
    /// * `packet_bytes`, `frame_bytes`: size of a packet and of a frame.
    /// * `end_bytes` counts only with [`FLAG_END_OF_STREAM`]; 0 is a legal length.
    pub fn write(
        &mut self,
        running: bool,
        progress: PacketProgress,
        (packet_bytes, frame_bytes): (u32, u32),
        (number, flags, end_bytes): (u32, u32, u32),
    ) -> Result<(), Refusal> {
        if flags & !FLAG_END_OF_STREAM != 0 {
            return Err(Refusal::Parameter);
        }
        if self.written.is_some_and(|mark| mark.end_of_stream.is_some()) {
            return Err(Refusal::Ended);
        }
        let end_of_stream = (flags & FLAG_END_OF_STREAM != 0).then_some(end_bytes);
        if end_of_stream
            .is_some_and(|bytes| bytes > packet_bytes || bytes.checked_rem(frame_bytes) != Some(0))
        {
            return Err(Refusal::Parameter);
        }
        let expected = if running { progress.count.wrapping_add(1) } else { progress.count };
        let awaited = running && self.awaits(number, progress);
        let ahead = if awaited { 0 } else { difference(number, expected) };
        match ahead {
            0 => self.mark(Mark { number, end_of_stream }),
            1.. => return Err(Refusal::Overrun),
            // Being played: the rest of it can still be heard.
            -1 if running => {
                self.mark(Mark { number, end_of_stream: None });
                return Err(Refusal::Playing);
            }
            _ => return Err(Refusal::Played),
        }
        Ok(())
    }

    /// Whether the card in RUN has not begun this packet and will not before it is written.
    fn awaits(&self, number: u32, progress: PacketProgress) -> bool {
        let written = self.written.is_some_and(|mark| difference(mark.number, progress.count) >= 0);
        progress.stalled_on == Some(number) || progress.lockstep && number == progress.count && !written
    }

    /// After a PAUSE a client may write again what it had promised: the promise stands. Only an end of stream
    /// goes back.
    fn mark(&mut self, mark: Mark) {
        let stands =
            |promised: Mark| mark.end_of_stream.is_none() && difference(promised.number, mark.number) > 0;
        if !self.written.is_some_and(stands) {
            self.written = Some(mark);
        }
    }
}

/// Signed distance from packet `b` to packet `a`, modulo 2^32.
#[allow(clippy::cast_possible_wrap, reason = "the wrap is the meaning: numbers are compared modulo 2^32")]
const fn difference(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: (u32, u32) = (1920, 4);

    /// What the client is answered, and what is marked then.
    fn write(
        running: bool,
        count: u32,
        stalled_on: Option<u32>,
        number: u32,
    ) -> (Result<(), Refusal>, Option<u32>) {
        let mut packets = Packets::default();
        let answer = packets.write(
            running,
            PacketProgress { count, stalled_on, lockstep: false },
            SIZES,
            (number, 0, 0),
        );
        (answer, packets.written().map(|mark| mark.number))
    }

    #[test]
    fn the_rules_of_set_write_packet() {
        use Refusal::{Overrun, Played, Playing};
        for (running, count, stalled, number, expected) in [
            // Not running: exactly the count.
            (false, 0, None, 0, Ok(())),
            (false, 0, None, 1, Err(Overrun)),
            (false, 0, None, 2, Err(Overrun)),
            (false, 0, None, u32::MAX, Err(Played)),
            (false, 5, None, 5, Ok(())),
            (false, 5, None, 4, Err(Played)),
            (false, 5, None, 6, Err(Overrun)),
            // Running: count is being played, count + 1 is to be written.
            (true, 0, None, 0, Err(Playing)),
            (true, 0, None, 1, Ok(())),
            (true, 0, None, 2, Err(Overrun)),
            (true, 5, None, 4, Err(Played)),
            (true, 5, None, 5, Err(Playing)),
            (true, 5, None, 6, Ok(())),
            (true, 5, None, 7, Err(Overrun)),
            // Waiting for packet 5: it, which has not begun, or the one that the count suggests.
            (true, 5, Some(5), 5, Ok(())),
            (true, 5, Some(5), 6, Ok(())),
            (true, 5, Some(5), 4, Err(Played)),
            (true, 5, Some(5), 7, Err(Overrun)),
            // A wait that PAUSE ended is not a wait.
            (false, 5, Some(5), 5, Ok(())),
            (false, 5, Some(5), 6, Err(Overrun)),
            // The wrap.
            (true, u32::MAX, None, 0, Ok(())),
            (true, u32::MAX, None, u32::MAX, Err(Playing)),
            (true, u32::MAX, None, 1, Err(Overrun)),
            (true, u32::MAX - 1, None, u32::MAX, Ok(())),
            (false, u32::MAX, None, 0, Err(Overrun)),
        ] {
            // What is taken is marked, and of what is late only the packet that is being played.
            let marked = matches!(expected, Ok(()) | Err(Playing));
            assert_eq!(
                write(running, count, stalled, number),
                (expected, marked.then_some(number)),
                "running {running}, count {count}, stalled {stalled:?}, number {number}"
            );
        }
    }

    #[test]
    fn in_lockstep_a_packet_is_late_only_if_it_was_written() {
        // The card has counted, and does not say yet that it waits.
        let progress = PacketProgress { count: 5, stalled_on: None, lockstep: true };
        let mut packets = Packets::default();
        assert_eq!(packets.write(true, progress, SIZES, (4, 0, 0)), Err(Refusal::Played));
        assert_eq!(packets.written(), None);
        assert_eq!(packets.write(true, progress, SIZES, (5, 0, 0)), Ok(()));
        assert_eq!(packets.write(true, progress, SIZES, (5, 0, 0)), Err(Refusal::Playing), "it has begun");
        assert_eq!(packets.write(true, progress, SIZES, (6, 0, 0)), Ok(()));
        // One that does not wait has begun it.
        let progress = PacketProgress { lockstep: false, ..progress };
        assert_eq!(Packets::default().write(true, progress, SIZES, (5, 0, 0)), Err(Refusal::Playing));
        // Nor does it wait for more than the packet that it stands before.
        let progress = PacketProgress { count: u32::MAX, lockstep: true, ..progress };
        assert_eq!(Packets::default().write(true, progress, SIZES, (1, 0, 0)), Err(Refusal::Overrun));
        assert_eq!(Packets::default().write(true, progress, SIZES, (u32::MAX, 0, 0)), Ok(()));
    }

    #[test]
    fn end_of_stream_has_whole_frames_within_a_packet_and_is_the_last() {
        let end = |flags, bytes| {
            let mut packets = Packets::default();
            let answer = packets.write(true, PacketProgress::default(), SIZES, (1, flags, bytes));
            answer.map(|()| packets.written().and_then(|mark| mark.end_of_stream))
        };
        assert_eq!(end(0x200, 0), Ok(Some(0)));
        assert_eq!(end(0x200, 1920), Ok(Some(1920)));
        assert_eq!(end(0x200, 1924), Err(Refusal::Parameter));
        assert_eq!(end(0x200, 2), Err(Refusal::Parameter));
        assert_eq!(end(0x201, 4), Err(Refusal::Parameter));
        assert_eq!(end(0x400, 0), Err(Refusal::Parameter));
        // The length is looked at only with the flag.
        assert_eq!(end(0, 77), Ok(None));

        let mut packets = Packets::default();
        packets.write(true, PacketProgress::default(), SIZES, (1, 0x200, 4)).unwrap();
        let next = PacketProgress { count: 1, ..PacketProgress::default() };
        assert_eq!(packets.write(true, next, SIZES, (2, 0, 0)), Err(Refusal::Ended));
        packets.reset();
        assert!(packets.write(false, PacketProgress::default(), SIZES, (0, 0, 0)).is_ok());
    }

    #[test]
    fn an_end_that_comes_late_ends_nothing_and_marks_its_packet() {
        let mut packets = Packets::default();
        let playing = PacketProgress { count: 5, ..PacketProgress::default() };
        assert_eq!(packets.write(true, playing, SIZES, (5, 0x200, 400)), Err(Refusal::Playing));
        assert_eq!(packets.written(), Some(Mark { number: 5, end_of_stream: None }));
        // So that the client may try again with the next.
        packets.write(true, playing, SIZES, (6, 0x200, 400)).unwrap();
        assert_eq!(packets.written(), Some(Mark { number: 6, end_of_stream: Some(400) }));
        // Of a packet that a card waits for it is in time.
        let mut packets = Packets::default();
        let waiting = PacketProgress { count: 5, stalled_on: Some(5), lockstep: true };
        packets.write(true, waiting, SIZES, (5, 0x200, 400)).unwrap();
        assert_eq!(packets.written(), Some(Mark { number: 5, end_of_stream: Some(400) }));
    }

    #[test]
    fn a_promise_is_not_taken_back_but_by_an_end() {
        let mut packets = Packets::default();
        let playing = PacketProgress { count: 5, ..PacketProgress::default() };
        packets.write(true, playing, SIZES, (6, 0, 0)).unwrap();
        // Late, for the one that is being played: marked long ago.
        assert_eq!(packets.write(true, playing, SIZES, (5, 0, 0)), Err(Refusal::Playing));
        assert_eq!(packets.written(), Some(Mark { number: 6, end_of_stream: None }));
        // Paused in packet 5: it is the one that is expected now.
        packets.write(false, playing, SIZES, (5, 0, 0)).unwrap();
        assert_eq!(packets.written(), Some(Mark { number: 6, end_of_stream: None }));
        packets.write(false, playing, SIZES, (5, 0x200, 400)).unwrap();
        assert_eq!(packets.written(), Some(Mark { number: 5, end_of_stream: Some(400) }));
    }

    #[test]
    fn a_refused_packet_is_not_remembered() {
        let mut packets = Packets::default();
        assert!(packets.write(true, PacketProgress::default(), SIZES, (7, 0x200, 0)).is_err());
        assert_eq!(packets.written(), None);
    }

    #[test]
    fn the_count_never_goes_back_and_wraps() {
        let mut packets = Packets::default();
        assert_eq!(packets.update_count(3), 3);
        assert_eq!(packets.update_count(1), 3);
        assert_eq!(packets.update_count(0x8000_0002), 0x8000_0002);
        assert_eq!(packets.update_count(u32::MAX), u32::MAX);
        assert_eq!(packets.update_count(0), 0);
    }

    #[test]
    fn several_packets_are_one_notification_and_none_is_none() {
        let mut packets = Packets::default();
        assert!(!packets.take_completed());
        packets.update_count(2);
        assert!(packets.take_completed());
        assert!(!packets.take_completed());
    }

    #[test]
    fn refusals_have_the_status_of_the_contract() {
        assert_eq!(NTSTATUS::from(Refusal::Playing), 0xC000_003D_u32.cast_signed());
        assert_eq!(NTSTATUS::from(Refusal::Played), 0xC000_003D_u32.cast_signed());
        assert_eq!(NTSTATUS::from(Refusal::Overrun), 0xC000_003C_u32.cast_signed());
        assert_eq!(NTSTATUS::from(Refusal::Ended), 0xC000_0184_u32.cast_signed());
        assert_eq!(NTSTATUS::from(Refusal::Parameter), 0xC000_000D_u32.cast_signed());
    }
}
