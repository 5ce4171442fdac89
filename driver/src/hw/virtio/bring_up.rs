//! How a device is found and set up.
//!
//! Always twice. A guest that crashed while it played leaves QEMU's card with the old guest's messages: after
//! a reset it plays on, completes them into the new used ring and writes to the old addresses, and then its
//! queue is broken. What helps is a first set-up in which every stream is stopped and released, and a reset
//! after it. So the device is set up once to be asked what it has, without messages, and once more to work.
//!
//! Both when the interrupt is connected. A device without messages asserts its line for whatever comes back,
//! asked to or not (that the driver wants no interrupt is a hint to it, 2.7.10), and only the service routine
//! drops it: a line that is asserted before there is one interrupts whoever shares it without an end.

use alloc::boxed::Box;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::event::{Event, Kind};
use nt::gate::Gate;
use nt::interrupt::Granted;
use nt::mutex::Mutex;
use nt::pool::try_box;
use nt::spinlock::SpinLock;
use nt::status::{STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_NOT_READY};

use super::control::Control;
use super::events::Events;
use super::lane::Lane;
use super::pci::{CONFIG_BYTES, Structures};
use super::queue::{Queue, SIZE_MAX};
use super::transport::{Config, EVENT_IDX, INDIRECT_DESC, QUEUES, Transport};
use super::wire::{self, ChannelMap, JackInfo, PcmInfo, code};
use super::{
    DeviceMemory, HIGHEST, Hardware, Known, LIMIT_MS, Refusal, Streams, VirtioSound, WORKING_LIMIT_MS,
    number, phase,
};
use crate::hw::{Limits, Resources, STREAMS_MAX, StreamState};

/// Descriptors of the control and of the event queue.
const SMALL_QUEUE: u16 = 16;
/// The most items of a kind that are asked for.
const ITEMS_MAX: u32 = 64;
/// The longest cyclic buffer, in bytes, and its pages.
const BUFFER_BYTES_MAX: u32 = 16 << 20;
pub(super) const SEGMENTS_MAX: u32 = BUFFER_BYTES_MAX / 4096;
/// Zeroes that a message can point to.
const SILENCE_BYTES: usize = 4096;

impl VirtioSound {
    /// Finds the device in its configuration space and behind its BARs, and leaves it reset. It works, and is
    /// asked what it has, from [`enable_interrupts`](crate::hw::Card::enable_interrupts) on.
    ///
    /// # Errors
    /// `STATUS_DEVICE_CONFIGURATION_ERROR` for a device that can't be driven, which the log explains;
    /// `STATUS_DEVICE_NOT_READY` for one that does not answer; what the kernel says when it can't map or has
    /// no memory.
    ///
    /// # Safety
    /// `config` and `resources` are those of a device of this driver that is being started.
    // Not inlined: what it has on the stack is gone when the rest of the start goes on.
    #[inline(never)]
    pub unsafe fn find(config: &[u8; CONFIG_BYTES], resources: &Resources) -> NtResult<Box<Self>> {
        // SAFETY: by contract.
        try_box(unsafe { Self::find_within(config, resources, LIMIT_MS)? })
    }

    /// The same with another time limit, for tests.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    ///
    /// # Safety
    /// As [`find`](Self::find).
    #[inline(never)]
    pub unsafe fn find_within(
        config: &[u8; CONFIG_BYTES],
        resources: &Resources,
        limit_ms: u64,
    ) -> NtResult<Self> {
        let structures = Structures::find(config, resources).ok_or(STATUS_DEVICE_CONFIGURATION_ERROR)?;
        // SAFETY: by contract the structures are the device's.
        let (transport, doorbells, isr) = unsafe { Transport::map(&structures, limit_ms)? };
        // Whoever had it before: from here on it asserts no line.
        transport.reset()?;
        let clock_hz = u32::try_from(nt::clock::frequency()).unwrap_or(u32::MAX);
        let ticks = |ms: u64| u64::from(clock_hz).saturating_mul(ms) / 1000;
        // Last what is not freed by itself: nothing fails after it.
        let answered = Event::try_new(Kind::Synchronization)?;
        let hardware =
            Hardware { transport: Some(transport), states: [StreamState::Stop; STREAMS_MAX as usize] };
        let hardware = Mutex::try_new(hardware)?;
        let card = Self {
            phase: AtomicU32::new(phase::DOWN),
            hardware,
            doorbells: Gate::new(doorbells),
            isr: Gate::new(isr),
            memory: ManuallyDrop::new(device_memory()?),
            keeps_memory: AtomicBool::new(false),
            let_go: AtomicBool::new(false),
            lied: AtomicBool::new(false),
            answered,
            streams: SpinLock::new([None; STREAMS_MAX as usize]),
            connected: AtomicU32::new(0),
            clock_hz,
            limit: ticks(limit_ms),
            working_limit: ticks(limit_ms.min(WORKING_LIMIT_MS)),
        };
        // Before the line is connected: nobody asks it sooner.
        card.isr.open();
        Ok(card)
    }

    /// Asks the device what it has, at its start; not again when D3 is over.
    pub(super) fn ask_once(&self, hardware: &Hardware) -> NtResult {
        if self.streams.lock().iter().any(Option::is_some) {
            return Ok(());
        }
        let found = self.look(hardware)?;
        let count = found.iter().flatten().count();
        if count == 0 {
            log::error!("the virtio sound device has no stream that this driver could use");
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        log::info!("virtio sound device: {count} stream(s)");
        *self.streams.lock() = found;
        Ok(())
    }

    /// The first set-up: what the device has. Every stream of it is stopped and released, whoever began it,
    /// and the device is reset after it.
    // Not inlined: as `find`.
    #[inline(never)]
    pub(super) fn look(&self, hardware: &Hardware) -> NtResult<Streams> {
        self.set_up(hardware, None)?;
        let transport = hardware.transport.as_ref().ok_or(STATUS_DEVICE_NOT_READY)?;
        let config = transport.config()?;
        for id in 0..config.streams.min(ITEMS_MAX) {
            for code in [code::STOP, code::RELEASE] {
                // One that is not begun may be refused.
                if self.ask(hardware, &wire::pcm(code, id), &mut []) == Err(Refusal::Gone) {
                    return Err(STATUS_DEVICE_NOT_READY);
                }
            }
        }
        let streams = self.streams_of(hardware, config);
        if self.is(phase::GONE) {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        self.down(hardware)?;
        Ok(streams)
    }

    /// The device is reset; nobody rings for it any more. A line that it asserts before the reset is over is
    /// acknowledged as ever: a reset may take milliseconds, and another processor meets the line all that time.
    pub(super) fn down(&self, hardware: &Hardware) -> NtResult {
        self.doorbells.shut();
        hardware.transport.as_ref().map_or(Err(STATUS_DEVICE_NOT_READY), Transport::reset)
    }

    /// Reset, features, queues, and the device works. `granted`: what it interrupts by; without it does not.
    pub(super) fn set_up(&self, hardware: &Hardware, granted: Option<Granted>) -> NtResult {
        let transport = hardware.transport.as_ref().ok_or(STATUS_DEVICE_NOT_READY)?;
        self.doorbells.shut();
        transport.reset()?;
        let features = transport.negotiate()?;
        let (event_index, indirect) = (features & EVENT_IDX != 0, features & INDIRECT_DESC != 0);
        if let Some(vector) = config_vector(granted) {
            transport.set_config_vector(vector)?;
        }
        // Open, to program the doorbells; nothing is rung before DRIVER_OK, for nothing is asked.
        self.doorbells.open();
        for queue in 0..u16::try_from(QUEUES).unwrap_or(0) {
            let most = transport.queue_size_max(queue);
            if most == 0 {
                log::error!("the virtio device has no queue {queue}");
                return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
            }
            let layout = self.restart_queue(queue, most, event_index, indirect);
            let vector = queue_vector(granted, queue);
            let set = self.doorbells.with(|doorbells| transport.set_queue(doorbells, queue, layout, vector));
            set.unwrap_or(Err(STATUS_DEVICE_NOT_READY))?;
        }
        transport.start()?;
        let ring = self.memory.events.lock().fill();
        if ring {
            self.ring(number::EVENT);
        }
        Ok(())
    }

    fn restart_queue(
        &self,
        queue: u16,
        most: u16,
        event_index: bool,
        indirect: bool,
    ) -> (u16, super::queue::Addresses) {
        let restart = |queue: &mut Queue| (queue.restart(most, event_index), queue.addresses());
        match queue {
            number::CONTROL => restart(&mut self.memory.control.lock().queue),
            number::EVENT => restart(&mut self.memory.events.lock().queue),
            _ => {
                let [tx, rx] = &self.memory.lanes;
                let mut lane = if queue == number::TX { tx.lock() } else { rx.lock() };
                lane.indirect = indirect;
                restart(&mut lane.queue)
            }
        }
    }

    /// The streams that clients could open, with their jacks.
    // Not inlined: as `find`.
    #[inline(never)]
    fn streams_of(&self, hardware: &Hardware, config: Config) -> Streams {
        let mut streams: Streams = [None; STREAMS_MAX as usize];
        let mut places = streams.iter_mut().zip(0_u32..);
        let jacks_match = config.jacks == config.streams;
        let mut connected = 0;
        for id in 0..config.streams.min(ITEMS_MAX) {
            let mut item = [0; wire::PCM_INFO_BYTES];
            let query = wire::query(code::PCM_INFO, id, item.len());
            if self.ask(hardware, &query, &mut item).is_err() {
                log::warn!("stream {id} of the virtio device: it does not say what it is");
                continue;
            }
            let Some(info) = PcmInfo::parse(&item).filter(PcmInfo::is_usable) else {
                log::warn!("stream {id} of the virtio device has no format that this driver knows");
                continue;
            };
            if info.channels_min > 1 {
                // KSDATARANGE_AUDIO has a maximum alone.
                log::warn!("stream {id} of the virtio device has {} channels at least", info.channels_min);
            }
            let jack = if jacks_match { self.jack_of(hardware, id, &info) } else { None };
            let Some((place, stream)) = places.next() else { break };
            if jack.is_none_or(|jack| jack.connected) {
                connected |= 1 << stream;
            }
            let mut can = info.can;
            can.channels_max = self.channels_in_wave_order(hardware, config, &info);
            *place = Some(Known { direction: info.direction, can, id, jack: jack.map(|_| id) });
        }
        self.connected.store(connected, Ordering::Release);
        streams
    }

    /// The jack of a stream. The specification ties jacks to streams by their node at most; here a device
    /// that has as many of the one as of the other, with the same nodes in the same order, has one for each.
    /// A device that counts jacks and knows no JACK_INFO (QEMU's) has none.
    fn jack_of(&self, hardware: &Hardware, id: u32, info: &PcmInfo) -> Option<JackInfo> {
        let mut item = [0; wire::JACK_INFO_BYTES];
        self.ask(hardware, &wire::query(code::JACK_INFO, id, item.len()), &mut item).ok()?;
        JackInfo::parse(&item).filter(|jack| jack.node == info.node)
    }

    /// How many channels a stream has up to which no map of the device says another order than that of WAV
    /// files, in which Windows has them. Nothing is put into another order here: nothing is copied.
    fn channels_in_wave_order(&self, hardware: &Hardware, config: Config, info: &PcmInfo) -> u32 {
        let mut most = info.can.channels_max;
        for map in 0..config.channel_maps.min(ITEMS_MAX) {
            let mut item = [0; wire::CHMAP_INFO_BYTES];
            if self.ask(hardware, &wire::query(code::CHMAP_INFO, map, item.len()), &mut item).is_err() {
                break;
            }
            let contradicts = |map: &ChannelMap| {
                map.node == info.node && map.direction == info.direction && !map.is_wave_order
            };
            if let Some(map) = ChannelMap::parse(&item).filter(contradicts) {
                most = most.min(map.channels.saturating_sub(1).max(1));
            }
        }
        most
    }
}

/// The message of the device's configuration: the first.
fn config_vector(granted: Option<Granted>) -> Option<u16> {
    matches!(granted, Some(Granted::Messages(_))).then_some(0)
}

/// The message of a queue. The DPC looks at all of them whatever message came, so any spread does: one for
/// each queue if there are five, one for all of them if there are two, else the only one.
fn queue_vector(granted: Option<Granted>, queue: u16) -> Option<u16> {
    match granted? {
        Granted::Line => None,
        Granted::Messages(5..) => Some(queue.saturating_add(1)),
        Granted::Messages(2..) => Some(1),
        Granted::Messages(_) => Some(0),
    }
}

/// What every stream can and can't do.
pub(super) const fn limits(clock_hz: u32, jack: bool) -> Limits {
    Limits {
        dma_highest: HIGHEST,
        buffer_bytes_max: BUFFER_BYTES_MAX,
        segments_max: SEGMENTS_MAX,
        start_frame: true,
        // It forgets everything: it is reset.
        forgets_marks: false,
        position_registers: false,
        volume_min: None,
        jack,
        clock_hz,
    }
}

// Not inlined: as `find`.
#[inline(never)]
fn device_memory() -> NtResult<Box<DeviceMemory>> {
    let queue = |size| Queue::try_new(size, HIGHEST);
    let lane = || Ok::<_, nt::NTSTATUS>(SpinLock::new(Lane::new(queue(SIZE_MAX)?)));
    try_box(DeviceMemory {
        control: Mutex::try_new(Control::try_new(queue(SMALL_QUEUE)?, HIGHEST)?)?,
        events: SpinLock::new(Events::try_new(queue(SMALL_QUEUE)?, HIGHEST)?),
        lanes: [lane()?, lane()?],
        silence: ContiguousMemory::try_new(SILENCE_BYTES, HIGHEST)?,
    })
}
