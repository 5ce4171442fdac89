//! A virtio-snd device in a test's memory, written from the specification and from what QEMU's card was seen
//! to do: its registers (4.1.4), its queues ([`ring`]) and its streams ([`sound`]). It asserts what a device
//! may expect of a driver, and does what a test tells it.
#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]
#![allow(clippy::cast_ptr_alignment, reason = "its BAR is aligned, and registers are to their sizes")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use nt::NtResult;
use nt::host;

use super::VirtioSound;
use super::pci::CONFIG_BYTES;
use super::transport::{EVENT_IDX, INDIRECT_DESC, VERSION_1, common, status};
use crate::hw::{MemoryRange, Resources};

pub mod ring;
pub mod sound;

use ring::Ring;
use sound::Sound;

/// Where its structures are in its BAR.
const ISR: usize = 0x1000;
const DEVICE: usize = 0x2000;
const NOTIFY: usize = 0x3000;
const BAR_BYTES: usize = 0x4000;
/// Bytes between two doorbells.
const MULTIPLIER: usize = 4;
/// The time that a driver gives it in tests.
pub const LIMIT_MS: u64 = 50;

/// One queue as its registers have it.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueRegisters {
    pub vector: u16,
    pub enabled: bool,
    pub ring: Ring,
}

/// The device's inside.
#[allow(clippy::struct_excessive_bools, reason = "each is something a test can do to it")]
pub struct Inside {
    bar: *mut u8,
    /// Feature bits that it offers, and those that were accepted.
    pub offered: u64,
    pub accepted: u64,
    /// It takes what was accepted.
    pub takes_features: bool,
    /// How long its queues may be, and how many messages it has.
    pub queue_size: u16,
    pub messages: u16,
    pub config_vector: u16,
    /// Nobody answers: registers read as ones, and what is written is lost.
    pub gone: bool,
    /// It does not come out of reset.
    pub stuck: bool,
    /// While it is stuck: how many looks at its status it takes for it to come out, and the time that passes
    /// with each, in 100 ns of a clock that else stands still.
    pub looks: Option<(u32, u64)>,
    /// It asserts its line just before each reset, and what the service routine said to that each time.
    pub asserts_before_reset: bool,
    pub claimed: Vec<Option<bool>>,
    /// As QEMU's card: a reset does not make it forget the messages that it has.
    pub forgets_nothing: bool,
    pub queues: [QueueRegisters; 4],
    pub sound: Sound,
    /// Resets, and doorbells since the test last looked.
    pub resets: u32,
    pub doorbells: u32,
    /// How often it asserted the line, or raised a message.
    pub asserted: u32,
    isr: bool,
    interrupts: Vec<u16>,
}

/// The hand of a test on it.
#[derive(Clone)]
pub struct SimulatedDevice {
    pub physical: u64,
    pub inside: Rc<RefCell<Inside>>,
}

impl SimulatedDevice {
    /// A device like ours: one render and one capture stream.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0x20_0000_0000);
        let physical = NEXT.fetch_add(0x10_0000, Ordering::Relaxed);
        let bar = host::add_io_space(physical, BAR_BYTES);
        let inside = Inside {
            bar,
            offered: VERSION_1 | EVENT_IDX | INDIRECT_DESC | 1 << 24 | 1 << 30 | 1 << 40,
            accepted: 0,
            takes_features: true,
            queue_size: 64,
            messages: 1,
            config_vector: 0xFFFF,
            gone: false,
            stuck: false,
            looks: None,
            asserts_before_reset: false,
            claimed: vec![],
            forgets_nothing: false,
            queues: [QueueRegisters::default(); 4],
            sound: Sound::default(),
            resets: 0,
            doorbells: 0,
            asserted: 0,
            isr: false,
            interrupts: vec![],
        };
        let device = Self { physical, inside: Rc::new(RefCell::new(inside)) };
        device.with(Inside::reset);
        let (reading, writing) = (device.clone(), device.clone());
        host::on_read(physical, move |offset| reading.with(|inside| inside.before_read(offset)));
        host::on_write(physical, move |offset, value| {
            if (offset, value) == (common::STATUS, 0) {
                writing.assert_before_reset();
            }
            writing.with(|inside| inside.written(offset, value));
            writing.deliver();
        });
        device
    }

    /// Does something to its inside.
    pub fn with<R>(&self, work: impl FnOnce(&mut Inside) -> R) -> R {
        work(&mut self.inside.borrow_mut())
    }

    /// Raises what is to be raised. No lock of the driver is held where a device does that.
    pub fn deliver(&self) {
        let interrupts = self.with(|inside| std::mem::take(&mut inside.interrupts));
        for vector in interrupts {
            let _ = host::interrupt(vector.into());
        }
    }

    /// Asserts its line, if a test wants that, as long as nobody claims it.
    fn assert_before_reset(&self) {
        if self.with(|inside| inside.asserts_before_reset) {
            self.with(|inside| inside.isr = true);
            let claimed = host::interrupt(0);
            self.with(|inside| inside.claimed.push(claimed));
        }
    }

    /// Its configuration space.
    pub fn config(&self) -> [u8; CONFIG_BYTES] {
        let mut config = [0; CONFIG_BYTES];
        config[0..4].copy_from_slice(&[0xF4, 0x1A, 0x59, 0x10]);
        config[6] = 0x10;
        let address = u32::try_from(self.physical & 0xFFFF_FFFF).unwrap();
        config[0x20..0x24].copy_from_slice(&(address | 0xC).to_le_bytes());
        config[0x24..0x28].copy_from_slice(&u32::try_from(self.physical >> 32).unwrap().to_le_bytes());
        config[0x34] = 0x40;
        for (index, (kind, offset)) in [(1, 0), (3, ISR), (4, DEVICE), (2, NOTIFY)].into_iter().enumerate() {
            let at = 0x40 + index * 0x18;
            let next = if index == 3 { 0 } else { u8::try_from(at + 0x18).unwrap() };
            config[at..at + 5].copy_from_slice(&[9, next, 0x14, kind, 4]);
            config[at + 8..at + 12].copy_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
            config[at + 12..at + 16].copy_from_slice(&0x1000_u32.to_le_bytes());
            config[at + 16..at + 20].copy_from_slice(&u32::try_from(MULTIPLIER).unwrap().to_le_bytes());
        }
        config
    }

    /// Its BARs.
    pub fn resources(&self) -> Resources {
        let mut resources = Resources::default();
        resources.0[0] = Some(MemoryRange { address: self.physical, raw: self.physical, bytes: BAR_BYTES });
        resources
    }

    /// Nothing happens any more where it was.
    pub fn forget(&self) {
        host::forget_io_space(self.physical);
    }

    /// Finds it, as a driver does at its start.
    pub fn find(&self) -> NtResult<VirtioSound> {
        // SAFETY: fake device memory.
        unsafe { VirtioSound::find_within(&self.config(), &self.resources(), LIMIT_MS) }
    }
}

impl Default for SimulatedDevice {
    fn default() -> Self {
        Self::new()
    }
}

impl Inside {
    fn get16(&self, offset: usize) -> u16 {
        // SAFETY: a register of the BAR, which stays until the process ends.
        unsafe { self.bar.add(offset).cast::<u16>().read_volatile() }
    }

    fn get64(&self, offset: usize) -> u64 {
        // SAFETY: as above.
        unsafe { self.bar.add(offset).cast::<u64>().read_volatile() }
    }

    fn put8(&self, offset: usize, value: u8) {
        // SAFETY: as above.
        unsafe { self.bar.add(offset).write_volatile(value) }
    }

    fn put16(&self, offset: usize, value: u16) {
        // SAFETY: as above.
        unsafe { self.bar.add(offset).cast::<u16>().write_volatile(value) }
    }

    fn put32(&self, offset: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.bar.add(offset).cast::<u32>().write_volatile(value) }
    }

    fn put64(&self, offset: usize, value: u64) {
        // SAFETY: as above.
        unsafe { self.bar.add(offset).cast::<u64>().write_volatile(value) }
    }

    /// It is there again, reset.
    pub fn come_back(&mut self) {
        self.gone = false;
        self.reset();
    }

    fn reset(&mut self) {
        self.resets += 1;
        self.accepted = 0;
        self.config_vector = 0xFFFF;
        self.isr = false;
        self.interrupts.clear();
        let fresh = QueueRegisters { vector: 0xFFFF, ..QueueRegisters::default() };
        self.queues = [fresh; 4];
        self.sound.reset(self.forgets_nothing);
        self.put8(common::STATUS, if self.stuck { status::DRIVER_OK } else { 0 });
        self.put16(common::NUM_QUEUES, 4);
        self.put16(common::CONFIG_VECTOR, 0xFFFF);
        self.show_queue();
        let [jacks, streams, maps] = self.sound.counts();
        for (index, count) in [jacks, streams, maps].into_iter().enumerate() {
            self.put32(DEVICE + 4 * index, count);
        }
    }

    /// The registers show the queue that is selected.
    fn show_queue(&self) {
        let selected = usize::from(self.get16(common::QUEUE_SELECT));
        let queue = self.queues.get(selected).copied();
        let ring = queue.unwrap_or_default().ring;
        let size = if ring.size == 0 { self.queue_size } else { ring.size };
        self.put16(common::QUEUE_SIZE, if queue.is_some() { size } else { 0 });
        self.put16(common::QUEUE_VECTOR, queue.map_or(0xFFFF, |queue| queue.vector));
        self.put16(common::QUEUE_ENABLE, queue.is_some_and(|queue| queue.enabled).into());
        self.put16(common::QUEUE_NOTIFY_OFFSET, u16::try_from(selected).unwrap());
        for (register, part) in [common::QUEUE_DESCRIPTORS, common::QUEUE_AVAILABLE, common::QUEUE_USED]
            .into_iter()
            .zip(ring.parts)
        {
            self.put64(register, part);
        }
    }

    fn before_read(&mut self, offset: usize) {
        if self.gone {
            self.put64(offset & !7, u64::MAX);
        } else if offset == ISR {
            let pending = std::mem::take(&mut self.isr);
            self.put8(ISR, pending.into());
        } else if offset == common::STATUS && self.sound.needs_reset {
            self.put8(common::STATUS, status::NEEDS_RESET | 0xF);
        } else if offset == common::STATUS
            && self.stuck
            && let Some((left, time)) = &mut self.looks
        {
            host::pass_time_100ns(*time);
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.put8(common::STATUS, 0);
            }
        }
    }

    fn written(&mut self, offset: usize, value: u32) {
        if self.gone {
            return;
        }
        match offset {
            common::DEVICE_FEATURE_SELECT => {
                let half = self.offered.checked_shr(32 * value).unwrap_or(0) & 0xFFFF_FFFF;
                self.put32(common::DEVICE_FEATURE, u32::try_from(half).unwrap());
            }
            common::DRIVER_FEATURE => {
                let select = u32::from(self.get16(common::DRIVER_FEATURE_SELECT));
                self.accepted |= u64::from(value) << (32 * select);
            }
            common::CONFIG_VECTOR => {
                self.config_vector = self.vector(value);
                self.put16(offset, self.config_vector);
            }
            common::STATUS => self.status_written(u8::try_from(value).unwrap()),
            common::QUEUE_SELECT => self.show_queue(),
            common::QUEUE_SIZE..NOTIFY => self.queue_written(),
            NOTIFY.. => {
                assert_eq!(
                    u32::try_from((offset - NOTIFY) / MULTIPLIER),
                    Ok(value),
                    "another queue's doorbell"
                );
                self.doorbells += 1;
                self.notified(usize::try_from(value).unwrap());
            }
            _ => {}
        }
    }

    fn vector(&self, value: u32) -> u16 {
        if value < u32::from(self.messages) { u16::try_from(value).unwrap() } else { 0xFFFF }
    }

    fn status_written(&mut self, value: u8) {
        if value == 0 {
            self.reset();
            return;
        }
        let value = if self.takes_features { value } else { value & !status::FEATURES_OK };
        if value & status::FEATURES_OK != 0 {
            assert_eq!(self.accepted & !self.offered, 0, "what was not offered");
        }
        self.put8(common::STATUS, value);
    }

    fn queue_written(&mut self) {
        let selected = usize::from(self.get16(common::QUEUE_SELECT));
        let size = self.get16(common::QUEUE_SIZE);
        let vector = self.vector(self.get16(common::QUEUE_VECTOR).into());
        let enabled = self.get16(common::QUEUE_ENABLE) != 0;
        let parts = [common::QUEUE_DESCRIPTORS, common::QUEUE_AVAILABLE, common::QUEUE_USED]
            .map(|register| self.get64(register));
        let (size_max, event_index) = (self.queue_size, self.accepted & EVENT_IDX != 0);
        if let Some(queue) = self.queues.get_mut(selected) {
            if size <= size_max && size.is_power_of_two() {
                queue.ring = Ring { size, parts, event_index, ..Ring::default() };
            }
            queue.vector = vector;
            queue.enabled = enabled;
        }
        self.show_queue();
    }

    /// DRIVER_OK was set, and nothing went wrong since.
    pub fn works(&self) -> bool {
        self.get16(common::STATUS) & 0xF == 0xF
    }

    fn notified(&mut self, queue: usize) {
        if !self.works() || !self.queues[queue].enabled {
            return;
        }
        // "Before a request of the control queue is carried out the card takes what is available": ours does.
        for io in [2, 3] {
            while let Some(message) = self.queues[io].ring.pop() {
                self.sound.take(io == 3, message);
            }
        }
        if queue == 1 {
            while let Some(message) = self.queues[1].ring.pop() {
                self.sound.event_buffers.push_back(message);
            }
        }
        while queue == 0
            && let Some(message) = self.queues[0].ring.pop()
        {
            let (completed, written) = self.sound.control(&message);
            for (capture, head, written) in completed {
                self.push(if capture { 3 } else { 2 }, head.into(), written);
            }
            if let Some(written) = written {
                self.push(0, message.head.into(), written);
            }
        }
    }

    /// Gives a message back, and interrupts if that is wanted.
    pub fn push(&mut self, queue: usize, head: u32, written: u32) {
        if self.queues[queue].ring.push(head, written) {
            self.isr = true;
            self.asserted += 1;
            let vector = self.queues[queue].vector;
            self.interrupts.push(if vector == 0xFFFF { 0 } else { vector });
        }
    }

    /// Plays or records the next message of a stream; `false` if it has none.
    pub fn complete(&mut self, stream: usize) -> bool {
        let Some((capture, head, written)) = self.sound.complete(stream) else { return false };
        self.push(if capture { 3 } else { 2 }, head.into(), written);
        true
    }

    /// A jack is plugged or pulled.
    pub fn plug(&mut self, jack: u32, connected: bool) {
        if let Some(head) = self.sound.plug(jack, connected) {
            self.push(1, head.into(), 8);
        }
    }
}
