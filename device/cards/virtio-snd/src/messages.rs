//! The I/O messages of one stream: what the guest has queued, what of it was moved, and when a message is
//! complete (`VIRTIO-SND.md`, *Completion*).
//!
//! The stream asks for frames; messages are bytes of any length, cut anywhere. Frames that pass while nothing
//! is queued take nothing from here: what is queued later is valid from where the stream then stands.

use std::collections::VecDeque;

use ringwave_engine::stream::transport::TransportError;
use vm_memory::GuestMemoryMmap;

use crate::chain::{Chain, ChainFault};
use crate::wire::{CODE_BYTES, STATUS_BYTES, Status};

/// A message that goes back to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The chain that it came in.
    pub chain: Chain,
    /// What the guest is told.
    pub status: Status,
    /// Bytes that were recorded.
    pub recorded: u64,
}

impl Completion {
    /// One that nothing was done with.
    pub fn refused(chain: Chain, status: Status) -> Self {
        Self { chain, status, recorded: 0 }
    }
}

/// A message that is not complete.
#[derive(Debug)]
struct Message {
    chain: Chain,
    capture: bool,
    /// Bytes of data, and how many of them were moved.
    bytes: u64,
    moved: u64,
    /// Some of its memory was not there.
    failed: bool,
    /// The frame at whose end all of it was moved.
    end: Option<u64>,
}

impl Message {
    fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.moved)
    }

    /// Moves as many bytes as `part` has, which are not more than are left.
    fn move_bytes(&mut self, memory: &GuestMemoryMmap, part: Part<'_>) -> Result<(), TransportError> {
        let result = match part {
            Part::Play(into) => self.chain.readable.read(memory, self.moved + CODE_BYTES as u64, into),
            Part::Record(from) => self.chain.writable.write(memory, self.moved, from),
        };
        self.failed |= result.is_err();
        result.map_err(|_| TransportError::Unreachable)
    }

    /// Where the next `bytes` bytes are.
    fn stretches(&self, bytes: u64, each: impl FnMut(u64, u64)) {
        if self.capture {
            self.chain.writable.stretches(self.moved, bytes, each);
        } else {
            self.chain.readable.stretches(self.moved + CODE_BYTES as u64, bytes, each);
        }
    }

    fn complete(self) -> Completion {
        let status = if self.failed { Status::IoErr } else { Status::Ok };
        let recorded = if self.capture { self.moved } else { 0 };
        Completion { chain: self.chain, status, recorded }
    }
}

/// Bytes of one message that are moved at once.
enum Part<'a> {
    Play(&'a mut [u8]),
    Record(&'a [u8]),
}

/// When a message that was moved wholly is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completing {
    /// When its last frame has passed.
    AtItsEnd,
    /// And when another one waits behind it, or this many ticks have passed since.
    WithGrace(u64),
}

/// The I/O messages of a stream, in order.
#[derive(Debug)]
pub struct Messages {
    capture: bool,
    frame_bytes: u64,
    list: VecDeque<Message>,
    /// How many of the first ones were moved wholly.
    done: usize,
    /// Bytes of the others that were not moved.
    queued: u64,
    /// The frame behind the last one that was recorded, or dropped for want of room.
    recorded_to: u64,
    /// When the last message, with nothing behind it, had passed.
    held_since: Option<u64>,
}

impl Messages {
    /// None yet.
    pub fn new(capture: bool, frame_bytes: u32) -> Self {
        Self {
            capture,
            frame_bytes: u64::from(frame_bytes).max(1),
            list: VecDeque::new(),
            done: 0,
            queued: 0,
            recorded_to: 0,
            held_since: None,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Queues a message.
    ///
    /// # Errors
    /// The chain is not one of this direction: what to answer.
    pub fn push(&mut self, chain: Chain) -> Result<(), Completion> {
        let bytes = match data_bytes(&chain, self.capture) {
            Ok(bytes) => bytes,
            Err(status) => return Err(Completion::refused(chain, status)),
        };
        self.queued = self.queued.saturating_add(bytes);
        let capture = self.capture;
        self.list.push_back(Message { chain, capture, bytes, moved: 0, failed: false, end: None });
        Ok(())
    }

    /// The frame up to which data, or room, is there for a stream that has `fetched` up to that frame.
    pub fn valid_to(&self, fetched: u64) -> u64 {
        let from = if self.capture { self.recorded_to } else { fetched };
        from.saturating_add(self.queued.checked_div(self.frame_bytes).unwrap_or(0))
    }

    /// The first frame, at least `frames` behind `frame`, at whose end a message is moved wholly.
    pub fn boundary(&self, frame: u64, frames: u32) -> Option<u64> {
        let mut bytes = 0_u64;
        for message in self.list.iter().skip(self.done) {
            bytes = bytes.saturating_add(message.left());
            let ahead = bytes.div_ceil(self.frame_bytes);
            if ahead >= u64::from(frames) {
                return frame.checked_add(ahead);
            }
        }
        None
    }

    /// Fills `into` with what is played from `frame` on.
    ///
    /// # Errors
    /// Some of it is not there. All of it is passed over.
    pub fn read(
        &mut self,
        memory: &GuestMemoryMmap,
        frame: u64,
        into: &mut [u8],
    ) -> Result<(), TransportError> {
        let mut result = Ok(());
        let (mut rest, mut moved) = (into, 0_u64);
        while !rest.is_empty() {
            let Some(message) = self.list.get_mut(self.done) else { return Err(TransportError::Unreachable) };
            let now = usize::try_from(message.left()).unwrap_or(usize::MAX).min(rest.len());
            let (part, later) = std::mem::take(&mut rest).split_at_mut(now);
            rest = later;
            result = result.and(message.move_bytes(memory, Part::Play(part)));
            moved = moved.saturating_add(now as u64);
            self.advance(now as u64, frame, moved);
        }
        result
    }

    /// Stores `from`, which was recorded from `frame` on. What finds no room is dropped.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn write(&mut self, memory: &GuestMemoryMmap, frame: u64, from: &[u8]) -> Result<(), TransportError> {
        let mut result = Ok(());
        let (mut rest, mut moved) = (from, 0_u64);
        while !rest.is_empty() {
            let Some(message) = self.list.get_mut(self.done) else { break };
            let now = usize::try_from(message.left()).unwrap_or(usize::MAX).min(rest.len());
            let (part, later) = rest.split_at(now);
            rest = later;
            result = result.and(message.move_bytes(memory, Part::Record(part)));
            moved = moved.saturating_add(now as u64);
            self.advance(now as u64, frame, moved);
        }
        self.recorded_to = frame.saturating_add(self.frames_of(from.len() as u64));
        result
    }

    /// Where in guest memory the next `bytes` bytes are that [`Self::read`] or [`Self::write`] will move:
    /// address and length of each stretch.
    pub fn stretches(&self, bytes: u64, mut each: impl FnMut(u64, u64)) {
        let mut rest = bytes;
        for message in self.list.iter().skip(self.done) {
            let now = message.left().min(rest);
            rest -= now;
            if now == 0 {
                break;
            }
            message.stretches(now, &mut each);
        }
    }

    fn frames_of(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.frame_bytes)
    }

    /// `now` bytes of the message that is being moved are done: `moved` since `frame`.
    fn advance(&mut self, now: u64, frame: u64, moved: u64) {
        self.queued = self.queued.saturating_sub(now);
        let end = frame.saturating_add(self.frames_of(moved));
        let Some(message) = self.list.get_mut(self.done) else { return };
        message.moved = message.moved.saturating_add(now);
        if message.left() == 0 {
            message.end = Some(end);
            self.done += 1;
        }
    }

    /// Takes the next message that is complete when the stream stands at `position` at `time`; with it,
    /// whether nothing waited behind it until its grace was over.
    pub fn take_complete(
        &mut self,
        position: u64,
        time: u64,
        completing: Completing,
    ) -> Option<(Completion, bool)> {
        // One without data has passed when those before it have.
        while self.list.get(self.done).is_some_and(|message| message.left() == 0) {
            self.done += 1;
        }
        let first = self.list.front().filter(|_| self.done > 0)?;
        if first.end.is_some_and(|end| end > position) {
            return None;
        }
        let mut ran_dry = false;
        if let Completing::WithGrace(grace) = completing
            && self.list.len() == 1
        {
            let since = *self.held_since.get_or_insert(time);
            if time < since.saturating_add(grace) {
                return None;
            }
            ran_dry = true;
        }
        self.held_since = None;
        self.done = self.done.saturating_sub(1);
        Some((self.list.pop_front()?.complete(), ran_dry))
    }

    /// When the message that is held for want of another one behind it has to be looked at again.
    pub fn grace_ends(&self, grace: u64) -> Option<u64> {
        self.held_since.map(|since| since.saturating_add(grace))
    }

    /// Takes all messages back, with what was recorded into them.
    pub fn take_all(&mut self) -> impl Iterator<Item = Completion> + '_ {
        self.done = 0;
        self.queued = 0;
        self.held_since = None;
        self.list.drain(..).map(Message::complete)
    }
}

/// Bytes of data in a message's chain.
fn data_bytes(chain: &Chain, capture: bool) -> Result<u64, Status> {
    match chain.fault {
        Some(ChainFault::Truncated | ChainFault::Mixed | ChainFault::TooLong) => return Err(Status::BadMsg),
        None => {}
    }
    let (readable, writable) = (chain.readable.bytes(), chain.writable.bytes());
    let data = readable.checked_sub(CODE_BYTES as u64).ok_or(Status::BadMsg)?;
    let room = writable.checked_sub(STATUS_BYTES as u64).ok_or(Status::BadMsg)?;
    match (capture, data, room) {
        (false, data, 0) => Ok(data),
        (true, 0, room) => Ok(room),
        // Data the wrong way round.
        _ => Err(Status::BadMsg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NEXT, Ring, WRITE};
    use proptest::prelude::*;

    /// A tx message of these data bytes at this place; its head is `head`.
    fn tx(ring: &Ring, head: u16, data: &[u8]) -> Chain {
        let at = 0x8000 + u64::from(head) * 0x1000;
        ring.write(at, &[0; 4]);
        ring.write(at + 4, data);
        let bytes = u32::try_from(data.len()).unwrap() + 4;
        ring.descriptor(head, at, bytes, NEXT, head + 1);
        ring.descriptor(head + 1, at + 0x800, 8, WRITE, 0);
        ring.take(head)
    }

    fn rx(ring: &Ring, head: u16, bytes: u32) -> Chain {
        let at = 0x8000 + u64::from(head) * 0x1000;
        ring.descriptor(head, at, 4, NEXT, head + 1);
        ring.descriptor(head + 1, at + 4, bytes + 8, WRITE, 0);
        ring.take(head)
    }

    #[test]
    fn last_message_waits_for_another_one_or_for_its_grace() {
        let ring = Ring::new(16);
        let mut messages = Messages::new(false, 2);
        let grace = Completing::WithGrace(100);
        messages.push(tx(&ring, 0, &[1, 2, 3, 4])).unwrap();
        assert_eq!((messages.valid_to(10), messages.boundary(10, 1)), (12, Some(12)));
        let mut into = [0; 4];
        let at = messages.list[0].chain.readable.clone();
        let mut stretches = Vec::new();
        messages.stretches(6, |address, bytes| stretches.push((address, bytes)));
        messages.read(&ring.memory(), 10, &mut into).unwrap();
        assert_eq!(into, [1, 2, 3, 4]);
        // Behind the stream's number in the same descriptor, and no more than there is.
        let mut data = Vec::new();
        at.stretches(4, 4, |address, bytes| data.push((address, bytes)));
        assert_eq!((stretches.iter().map(|(_, bytes)| bytes).sum::<u64>(), &stretches), (4, &data));
        assert_eq!(messages.take_complete(11, 5, Completing::AtItsEnd), None, "its last frame is to come");
        assert_eq!(messages.take_complete(12, 5, grace), None);
        assert_eq!(messages.grace_ends(100), Some(105));
        messages.push(tx(&ring, 2, &[5, 6])).unwrap();
        let (completion, ran_dry) = messages.take_complete(12, 50, grace).unwrap();
        assert_eq!((completion.status, completion.chain.head, ran_dry), (Status::Ok, 0, false));
        messages.read(&ring.memory(), 12, &mut into[..2]).unwrap();
        assert_eq!(messages.take_complete(13, 60, grace), None);
        assert_eq!(messages.take_complete(13, 159, grace), None);
        assert!(messages.take_complete(13, 160, grace).unwrap().1);
    }

    #[test]
    fn last_free_message_waits_likewise() {
        let ring = Ring::new(16);
        let mut messages = Messages::new(true, 2);
        let grace = Completing::WithGrace(100);
        let done = |messages: &mut Messages, frame, time| {
            let done = messages.take_complete(frame, time, grace);
            done.map(|(completion, ran_dry)| (completion.chain.head, completion.recorded, ran_dry))
        };
        messages.push(rx(&ring, 0, 4)).unwrap();
        messages.write(&ring.memory(), 10, &[1, 2, 3, 4]).unwrap();
        assert_eq!(done(&mut messages, 12, 5), None, "it is full, and none waits behind it");
        assert_eq!(messages.grace_ends(100), Some(105));
        messages.push(rx(&ring, 2, 4)).unwrap();
        assert_eq!(done(&mut messages, 12, 50), Some((0, 4, false)));
        messages.write(&ring.memory(), 12, &[5, 6, 7, 8]).unwrap();
        assert_eq!((done(&mut messages, 14, 60), done(&mut messages, 14, 159)), (None, None));
        assert_eq!(done(&mut messages, 14, 160), Some((2, 4, true)));
    }

    #[test]
    fn chains_of_the_wrong_shape_are_bad_messages() {
        let ring = Ring::new(16);
        let refused = |capture, chain| Messages::new(capture, 2).push(chain).unwrap_err().status;
        assert_eq!(refused(true, tx(&ring, 0, &[1, 2])), Status::BadMsg, "tx data on rx");
        assert_eq!(refused(false, rx(&ring, 0, 16)), Status::BadMsg, "room on tx");
        ring.descriptor(0, 0x8000, 3, NEXT, 1);
        ring.descriptor(1, 0x9000, 8, WRITE, 0);
        assert_eq!(refused(false, ring.take(0)), Status::BadMsg, "less than a header");
        ring.descriptor(0, 0x8000, 8, NEXT, 1);
        ring.descriptor(1, 0x9000, 7, WRITE, 0);
        assert_eq!(refused(false, ring.take(0)), Status::BadMsg, "no room for a status");
        ring.descriptor(0, 0x8000, 8, NEXT, 0);
        assert_eq!(refused(false, ring.take(0)), Status::BadMsg, "a loop");
    }

    #[test]
    fn memory_that_is_not_there_is_an_error_of_its_message_alone() {
        let ring = Ring::new(16);
        let mut messages = Messages::new(false, 2);
        ring.descriptor(0, 0x8000, 4, NEXT, 1);
        ring.descriptor(1, 0xFFFF_F000, 4, NEXT, 2);
        ring.descriptor(2, 0x9000, 8, WRITE, 0);
        messages.push(ring.take(0)).unwrap();
        messages.push(tx(&ring, 4, &[7, 8])).unwrap();
        let mut into = [0; 6];
        assert_eq!(messages.read(&ring.memory(), 0, &mut into), Err(TransportError::Unreachable));
        assert_eq!(into[4..], [7, 8]);
        let mut status = || messages.take_complete(3, 0, Completing::AtItsEnd).unwrap().0.status;
        assert_eq!([status(), status()], [Status::IoErr, Status::Ok]);
    }

    #[test]
    fn recording_fills_messages_and_what_finds_no_room_is_dropped() {
        let ring = Ring::new(16);
        let mut messages = Messages::new(true, 2);
        messages.push(rx(&ring, 0, 4)).unwrap();
        messages.push(rx(&ring, 2, 4)).unwrap();
        assert_eq!(messages.valid_to(0), 4);
        messages.write(&ring.memory(), 0, &[1, 2, 3, 4, 5, 6]).unwrap();
        let (completion, _) = messages.take_complete(3, 0, Completing::AtItsEnd).unwrap();
        assert_eq!((completion.recorded, completion.chain.head), (4, 0));
        messages.write(&ring.memory(), 3, &[7, 8, 9, 10]).unwrap();
        assert_eq!(messages.valid_to(3), 5, "no room, and the frame that was dropped counts");
        messages.push(rx(&ring, 0, 6)).unwrap();
        messages.write(&ring.memory(), 5, &[11, 12]).unwrap();
        let left: Vec<_> = messages.take_all().map(|done| (done.chain.head, done.recorded)).collect();
        assert_eq!(left, [(2, 4), (0, 2)]);
        let mut read = [0; 4];
        ring.take(2).writable.read(&ring.memory(), 0, &mut read).unwrap();
        assert_eq!(read, [5, 6, 7, 8]);
    }

    proptest! {
        /// Messages of any lengths, read in bursts of any lengths: the same bytes, each message once, in
        /// order, and none before its last frame.
        #[test]
        fn bytes_are_played_in_order_and_each_message_completes_once(
            lengths in proptest::collection::vec(0..50_usize, 1..8),
            bursts in proptest::collection::vec(1..20_u64, 1..60),
        ) {
            let ring = Ring::new(16);
            let mut messages = Messages::new(false, 3);
            let (mut all, mut ends) = (Vec::<u8>::new(), Vec::new());
            for (place, length) in (0_u16..).zip(&lengths) {
                let data: Vec<u8> = (0..*length).map(|_| all.len().to_le_bytes()[0]).collect();
                all.extend(&data);
                ends.push(all.len().div_ceil(3) as u64);
                messages.push(tx(&ring, place * 2, &data)).unwrap();
            }
            let (mut heard, mut frame, mut completed) = (Vec::new(), 0_u64, 0);
            for burst in bursts {
                let frames = burst.min(messages.valid_to(frame) - frame);
                let mut into = vec![0; usize::try_from(frames).unwrap() * 3];
                messages.read(&ring.memory(), frame, &mut into).unwrap();
                heard.extend(into);
                frame += frames;
                while let Some((completion, _)) = messages.take_complete(frame, 0, Completing::AtItsEnd) {
                    prop_assert_eq!(usize::from(completion.chain.head), completed * 2);
                    prop_assert!(ends[completed] <= frame);
                    completed += 1;
                }
            }
            prop_assert_eq!(&heard[..], &all[..heard.len()]);
            prop_assert_eq!(completed + messages.take_all().count(), lengths.len());
        }
    }
}
