//! Any virtio-snd device (1AF4:1059) behind the [`Card`](super::Card) trait: ours (`ringwave serve --card
//! virtio`), QEMU's own, anybody's. The contract is virtio 1.2, sections 2, 4.1 and 5.14.
//!
//! | file | what |
//! |---|---|
//! | `virtio/mod.rs` | the device, its phases, requests and their time limit |
//! | `virtio/card.rs` | the device behind the trait |
//! | `virtio/bring_up.rs` | how it is found, set up (always twice), and compared after D3 |
//! | `virtio/control_streams.rs` | the life of a stream: parameters, states, release |
//! | `virtio/pci.rs`, `virtio/transport.rs` | where its registers are, and what they do |
//! | `virtio/queue.rs` | a split virtqueue |
//! | `virtio/control.rs`, `virtio/events.rs`, `virtio/lane.rs` | what goes over each of the queues |
//! | `virtio/wire.rs` | requests and answers as bytes |
//! | `virtio/stream.rs` | the messages of a stream, and where it stands |
//! | `virtio/pieces.rs`, `virtio/ring_memory.rs` | how the cyclic buffer is cut into them, and where it is |
//! | `virtio/line.rs` | the position between two of them |
//!
//! # Where sound is submitted
//! A message goes to the device from three places: RUN and SetWritePacket (PASSIVE_LEVEL), and the DPC, when
//! messages have come back. The device's completions are the clock of a stream that runs; the adapter's timer
//! only has the DPC look when a packet ends without one ([`Card::next_look`](super::Card::next_look)). Each
//! takes the spin lock of the queue, moves what is due (memory alone), gives the lock back, and then rings
//! the doorbell. That is a register: an access to another process, which may take as long as it likes, so no
//! lock may be held for it (rule `register-under-lock` of tests/ntguest; 25 microseconds, says "Introduction
//! to Spin Locks"). Two processors may ring for one another, which does no harm: a doorbell says "look", not
//! what.
//!
//! What a lock would have done else, that no doorbell is rung in D3 or after the mapping is gone, a
//! [`Gate`] does: it is shut before, and that waits for whoever is at it. The service routine of a line goes
//! through one of its own, which is shut in D3 alone: while a device that asserts its line is being reset,
//! nobody else would claim it.
//!
//! # A device that is wrong
//! One that does not answer a request in its time, gives back what it was not given, or answers with ones, is
//! gone from then on: the log names why, once; every method fails softly, nothing waits again. One that is
//! not there when power comes back (ones) is only absent: it is looked for again at the next D0.
//!
//! What becomes of the memory that it has then:
//!
//! | the device | memory |
//! |---|---|
//! | all ones: nobody is there | freed: what is not there writes nowhere |
//! | is silent, and comes out of a reset | freed: from then on it may not touch it (2.4.1). So it is with a vhost-user device whose process was killed: QEMU, which answers for the registers, resets it, and the process had all its mappings taken with it |
//! | is silent, and says DEVICE_NEEDS_RESET | kept for ever. That is how QEMU's own card ends, and it writes the status of messages that it has even after a reset |
//! | does not come out of reset, or was caught in breaking the specification: kept messages over RELEASE, gave back what it had not | kept for ever: its word is worth nothing |
//!
//! What is gone is never set up again: QEMU aborts at DRIVER_OK, or at a read of the configuration, of a
//! vhost-user device whose process is dead.

use alloc::boxed::Box;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nt::contiguous::ContiguousMemory;
use nt::event::Event;
use nt::gate::Gate;
use nt::mutex::Mutex;
use nt::spinlock::SpinLock;
use nt::status::STATUS_DEVICE_NOT_READY;

use super::format::Capabilities;
use super::{Direction, STREAMS_MAX, StreamState};

mod bring_up;
mod card;
mod control;
mod control_streams;
mod events;
mod lane;
pub mod line;
pub mod pci;
pub mod pieces;
pub mod queue;
pub mod ring_memory;
#[cfg(any(test, feature = "hostile-card"))]
pub mod simulated;
pub mod stream;
pub mod transport;
pub mod wire;

use control::Control;
use events::Events;
use lane::Lane;
use queue::Lie;
use transport::{Doorbells, IsrByte, Transport, status};

/// PCI vendor and device id of a modern sound device: 0x1040 and its virtio number, 25.
pub const PCI_ID: (u16, u16) = (0x1AF4, 0x1059);

/// How long a device may take for an answer at its start and after D3, in milliseconds.
pub const LIMIT_MS: u64 = 2000;
/// How long one that works may take to answer a request, or to give back the messages of a stream that was
/// released. Linux allows 1000 for the one and for the other. It is a limit of each, and a SetState has up to
/// three (STOP, RELEASE, the messages): one that stays silent ends it with the first, one that is slow could
/// take 2.1 s. Driver Verifier has a limit for SetState that it does not name (PcTimedWaveRtStreamSetState):
/// a second, for all that we know.
const WORKING_LIMIT_MS: u64 = 700;
/// How long one that was silent may take to come out of reset.
const SILENT_RESET_MS: u64 = 100;
/// How often a thread that waits looks at least, for a clock may jump forwards while it sleeps.
const LOOKS_MIN: u32 = 8;

/// How long a thread that waits sleeps at most before it looks again: 1 ms. While there is no interrupt (at
/// start, and after D3) that is how an answer is noticed.
const SLICE_100NS: u64 = 10_000;
/// How often it looks before it asks a register whether the device is there at all.
const SLICES_PER_ASKING: u32 = 64;

/// Numbers of the queues.
mod number {
    pub(super) const CONTROL: u16 = 0;
    pub(super) const EVENT: u16 = 1;
    pub(super) const TX: u16 = 2;
    pub(super) const RX: u16 = 3;
}

/// The highest physical address of memory that a device reaches: none is out of reach. (Not above i64::MAX:
/// PHYSICAL_ADDRESS is signed.)
const HIGHEST: u64 = u64::MAX >> 1;

/// What the device is to the driver.
mod phase {
    /// It is reset, in D0.
    pub(super) const DOWN: u32 = 0;
    /// It works.
    pub(super) const UP: u32 = 1;
    /// It has no power.
    pub(super) const ASLEEP: u32 = 2;
    /// It is gone, or given up.
    pub(super) const GONE: u32 = 3;
    /// Nobody was there when power came back: as gone, until the next D0.
    pub(super) const ABSENT: u32 = 4;
}

/// A stream of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    direction: Direction,
    can: Capabilities,
    /// The device's number of it.
    id: u32,
    /// The device's number of its jack.
    jack: Option<u32>,
}

impl Known {
    const fn captures(&self) -> bool {
        matches!(self.direction, Direction::Capture)
    }
}

/// The streams of a device, in its order.
type Streams = [Option<Known>; STREAMS_MAX as usize];

/// What the device reads and writes, freed only if it has let go of all of it.
struct DeviceMemory {
    control: Mutex<Control>,
    events: SpinLock<Events>,
    /// tx and rx.
    lanes: [SpinLock<Lane>; 2],
    /// Zeroes.
    silence: ContiguousMemory,
}

/// Registers, and the state of each stream; held for a whole transition, so that they come one at a time.
struct Hardware {
    transport: Option<Transport>,
    states: [StreamState; STREAMS_MAX as usize],
}

/// A virtio-snd device.
pub struct VirtioSound {
    phase: AtomicU32,
    hardware: Mutex<Hardware>,
    doorbells: Gate<Doorbells>,
    /// Open in D0, whatever else becomes of the device: nobody else drops a line that it asserts.
    isr: Gate<IsrByte>,
    memory: ManuallyDrop<Box<DeviceMemory>>,
    /// The device may still write to that memory.
    keeps_memory: AtomicBool,
    /// It is not there, or was reset for good: nothing that it was given is its own any more.
    let_go: AtomicBool,
    /// It gave back what it was not given: whatever is known of it else, its memory is kept.
    lied: AtomicBool,
    /// An interrupt came: an answer may be there.
    answered: Event,
    /// None is known before the device was asked.
    streams: SpinLock<Streams>,
    /// Bit i: something is plugged into the jack of stream i.
    connected: AtomicU32,
    /// Of the performance counter, per second.
    clock_hz: u32,
    /// [`LIMIT_MS`] and [`WORKING_LIMIT_MS`], in its ticks.
    limit: u64,
    working_limit: u64,
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The device said so.
    Status(u32),
    /// The device is gone.
    Gone,
}

impl VirtioSound {
    fn is(&self, phase: u32) -> bool {
        self.phase.load(Ordering::Acquire) == phase
    }

    /// Gives the device up; `false` if it was gone before. Any level up to DISPATCH_LEVEL.
    fn give_up(&self, reason: core::fmt::Arguments<'_>) -> bool {
        if self.phase.swap(phase::GONE, Ordering::AcqRel) == phase::GONE {
            return false;
        }
        self.keeps_memory.store(true, Ordering::Release);
        log::error!("the virtio sound device is given up: {reason}");
        true
    }

    /// The same; one that is not there any more is gone, and has nothing.
    fn give_up_if_there(&self, hardware: &Hardware, reason: core::fmt::Arguments<'_>) {
        if self.is_there(hardware) {
            self.give_up(reason);
        }
    }

    /// Gives up a device that is silent, and takes back what it was given if it can be reset: see the head of
    /// this module. PASSIVE_LEVEL.
    fn give_up_silent(&self, hardware: &Hardware, reason: core::fmt::Arguments<'_>) {
        if !self.give_up(reason) {
            return;
        }
        let Some(transport) = hardware.transport.as_ref() else { return };
        let broken = transport.status() & status::NEEDS_RESET != 0;
        match transport.reset_within(SILENT_RESET_MS) {
            Ok(()) if broken => {
                log::error!("it says that it is broken: what it was given stays its own after a reset too");
                return;
            }
            Ok(()) => log::warn!("it was reset: what it was given is the driver's again"),
            Err(STATUS_DEVICE_NOT_READY) => log::warn!("it is not there: what it was given is the driver's"),
            Err(_) => return,
        }
        self.doorbells.shut();
        self.let_go.store(true, Ordering::Release);
        self.keeps_memory.store(false, Ordering::Release);
    }

    /// Notifies the device of a queue. No lock is held.
    fn ring(&self, queue: u16) {
        // In D3, and when it is gone, nobody is notified.
        let _ = self.doorbells.with(|doorbells| doorbells.ring(queue));
    }

    /// Rings if it is to be; a device that lied is given up.
    fn after(&self, queue: u16, turned: Result<bool, Lie>) {
        match turned {
            Ok(true) => self.ring(queue),
            Ok(false) => {}
            Err(Lie) => {
                // Also of one that another thread has given up for its silence meanwhile.
                self.lied.store(true, Ordering::Release);
                self.give_up(format_args!("on queue {queue} it gave back what it was not given"));
            }
        }
    }

    /// Asks the device something and waits for the answer's item. PASSIVE_LEVEL, no spin lock held.
    fn ask(&self, hardware: &Hardware, request: &[u8], item: &mut [u8]) -> Result<(), Refusal> {
        let mut control = self.memory.control.lock();
        if self.is(phase::GONE) || !self.is_there(hardware) {
            return Err(Refusal::Gone);
        }
        self.answered.clear();
        let Some(ring) = control.ask(request, item.len()) else {
            self.give_up(format_args!("it has a request that it did not answer"));
            return Err(Refusal::Gone);
        };
        if ring {
            self.ring(number::CONTROL);
        }
        let mut answer = Err(Refusal::Gone);
        let answered = self.wait(hardware, || match control.answer(item) {
            Ok(None) => false,
            Ok(Some(status)) => {
                answer = if status == wire::OK { Ok(()) } else { Err(Refusal::Status(status)) };
                true
            }
            Err(Lie) => {
                self.after(number::CONTROL, Err(Lie));
                true
            }
        });
        if !answered {
            let code = request.first_chunk().map_or(0, |code| u32::from_le_bytes(*code));
            self.give_up_silent(hardware, format_args!("it did not answer request {code:#x} in its time"));
        }
        answer
    }

    /// Waits until `done`, but no longer than the limit, or until the device is gone. Whether it is done.
    fn wait(&self, hardware: &Hardware, mut done: impl FnMut() -> bool) -> bool {
        let begin = stream::now();
        let limit = if self.is(phase::UP) { self.working_limit } else { self.limit };
        let (mut looks, mut slices) = (0_u32, 0_u32);
        loop {
            if done() {
                return true;
            }
            looks = looks.saturating_add(1);
            // A slice is a millisecond at least, whatever the counter does.
            let late = looks > LOOKS_MIN
                && (stream::now().saturating_sub(begin) > limit || u64::from(slices) > LIMIT_MS);
            if late || self.is(phase::GONE) {
                return false;
            }
            if !self.answered.wait_100ns(SLICE_100NS) {
                slices = slices.wrapping_add(1);
                if slices.is_multiple_of(SLICES_PER_ASKING) && !self.is_there(hardware) {
                    return false;
                }
            }
        }
    }

    /// Whether the device answers at all; one that does not is gone.
    fn is_there(&self, hardware: &Hardware) -> bool {
        let there = hardware.transport.as_ref().is_some_and(Transport::is_there);
        if !there && self.phase.swap(phase::GONE, Ordering::AcqRel) != phase::GONE {
            // What is not there writes nowhere.
            self.let_go.store(true, Ordering::Release);
            log::error!("the virtio sound device is gone");
        }
        there
    }

    fn known(&self, stream: u32) -> Option<Known> {
        *self.streams.lock().get(usize::try_from(stream).ok()?)?
    }

    /// The queue of a stream: its lane and its number.
    fn lane(&self, stream: u32) -> Option<(&SpinLock<Lane>, u16)> {
        let captures = self.known(stream)?.captures();
        let queue = if captures { number::RX } else { number::TX };
        Some((self.memory.lanes.get(usize::from(captures))?, queue))
    }

    /// Does something with the messages of a stream that has a cyclic buffer.
    fn with_stream<R>(&self, stream: u32, work: impl FnOnce(&mut stream::PcmStream) -> R) -> Option<R> {
        self.lane(stream)?.0.lock().stream(stream).map(work)
    }

    /// The same, and gives the device what it may have then.
    fn post(&self, stream: u32, work: impl FnOnce(&mut stream::PcmStream)) -> bool {
        let Some((lane, queue)) = self.lane(stream) else { return false };
        let ring = {
            let mut lane = lane.lock();
            let Some(found) = lane.stream(stream) else { return false };
            work(found);
            lane.post(stream::now());
            lane.queue.announce()
        };
        if ring {
            self.ring(queue);
        }
        true
    }
}

impl Drop for VirtioSound {
    fn drop(&mut self) {
        super::Card::remove(self);
        if self.keeps_memory.load(Ordering::Acquire) || self.lied.load(Ordering::Acquire) {
            log::error!(
                "the device may still write to memory of the driver, which is lost until the next boot"
            );
            return;
        }
        // SAFETY: dropped once, here, and not used any more.
        unsafe { ManuallyDrop::drop(&mut self.memory) };
    }
}

#[cfg(test)]
mod tests;
