//! The registers of a virtio device: virtio 1.2, 4.1.4 and 3.1. Reset, features, queues, vectors; and the two
//! that are touched while sound runs, the doorbells ([`Doorbells`]) and the ISR byte ([`IsrByte`]).
//!
//! A register access is an exit to another process. All but the doorbells and the ISR byte are touched at
//! PASSIVE_LEVEL, by one thread at a time; every wait has a limit. All ones in the status register is a
//! device that is not there any more.

use core::sync::atomic::{AtomicUsize, Ordering};

use nt::NtResult;
use nt::clock::{frequency, now, sleep_100ns};
use nt::mmio::MappedIo;
use nt::status::{STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_HARDWARE_ERROR, STATUS_DEVICE_NOT_READY};

use super::LOOKS_MIN;
use super::pci::Structures;
use super::queue::Addresses;
use crate::hw::MemoryRange;

/// Offsets in virtio_pci_common_cfg. 64-bit fields are accessed as two of 32 bits (4.1.3.1).
pub mod common {
    /// Which 32 feature bits `DEVICE_FEATURE` shows.
    pub const DEVICE_FEATURE_SELECT: usize = 0;
    /// Feature bits that the device offers.
    pub const DEVICE_FEATURE: usize = 4;
    /// Which 32 feature bits `DRIVER_FEATURE` takes.
    pub const DRIVER_FEATURE_SELECT: usize = 8;
    /// Feature bits that the driver accepts.
    pub const DRIVER_FEATURE: usize = 12;
    /// 16 bits: the message of changes of configuration.
    pub const CONFIG_VECTOR: usize = 16;
    /// 16 bits: how many queues there are.
    pub const NUM_QUEUES: usize = 18;
    /// 8 bits: device status.
    pub const STATUS: usize = 20;
    /// 8 bits: changes with the device's configuration.
    pub const GENERATION: usize = 21;
    /// 16 bits: which queue the fields below are of.
    pub const QUEUE_SELECT: usize = 22;
    /// 16 bits: its length.
    pub const QUEUE_SIZE: usize = 24;
    /// 16 bits: its message.
    pub const QUEUE_VECTOR: usize = 26;
    /// 16 bits: 1 lets it work.
    pub const QUEUE_ENABLE: usize = 28;
    /// 16 bits: its doorbell, in units of the multiplier.
    pub const QUEUE_NOTIFY_OFFSET: usize = 30;
    /// 64 bits: descriptor table.
    pub const QUEUE_DESCRIPTORS: usize = 32;
    /// 64 bits: available ring.
    pub const QUEUE_AVAILABLE: usize = 40;
    /// 64 bits: used ring.
    pub const QUEUE_USED: usize = 48;
}

/// Device status: 2.1.
pub mod status {
    /// ACKNOWLEDGE.
    pub const ACKNOWLEDGE: u8 = 1;
    /// DRIVER.
    pub const DRIVER: u8 = 2;
    /// DRIVER_OK.
    pub const DRIVER_OK: u8 = 4;
    /// FEATURES_OK.
    pub const FEATURES_OK: u8 = 8;
    /// DEVICE_NEEDS_RESET.
    pub const NEEDS_RESET: u8 = 0x40;
    /// FAILED.
    pub const FAILED: u8 = 0x80;
    /// What a register reads when no device answers.
    pub const NO_DEVICE: u8 = 0xFF;
}

/// VIRTIO_F_INDIRECT_DESC.
pub const INDIRECT_DESC: u64 = 1 << 28;
/// VIRTIO_F_EVENT_IDX.
pub const EVENT_IDX: u64 = 1 << 29;
/// VIRTIO_F_VERSION_1.
pub const VERSION_1: u64 = 1 << 32;
/// VIRTIO_F_ACCESS_PLATFORM: addresses are those of an IOMMU.
pub const ACCESS_PLATFORM: u64 = 1 << 33;
/// What is accepted if it is offered. QEMU's card offers bits (30, 40) that nobody should take.
const ACCEPTED: u64 = INDIRECT_DESC | EVENT_IDX | VERSION_1;

/// Queues of a sound device, in their order.
pub const QUEUES: usize = 4;

/// How long a thread that waits for a reset sleeps at least: 1 ms. It may be a tick of the system, 15.6 ms.
const STEP_100NS: u32 = 10_000;
/// How often configuration may change while it is read.
const CONFIG_READS: u32 = 100;

/// virtio_snd_config, but for the controls, which are there with VIRTIO_SND_F_CTLS alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Jacks.
    pub jacks: u32,
    /// PCM streams.
    pub streams: u32,
    /// Channel maps.
    pub channel_maps: u32,
}

/// Where the device says that it asserts the line.
pub struct IsrByte(MappedIo);

impl IsrByte {
    /// Whether the device asserts the line. Reading acknowledges and drops it (4.1.4.5).
    pub fn acknowledge(&self) -> bool {
        let isr = self.0.read8(0);
        isr != 0 && isr != status::NO_DEVICE
    }
}

/// How the device is told of messages.
pub struct Doorbells {
    notify: MappedIo,
    /// Where each queue's doorbell is in `notify`; `usize::MAX`: the queue is not set up.
    offsets: [AtomicUsize; QUEUES],
}

impl Doorbells {
    /// Notifies the device of a queue: a 16-bit write of its number (4.1.5.2). No lock may be held: it is an
    /// exit to another process, for which whoever wants the lock would wait.
    pub fn ring(&self, queue: u16) {
        let offset = self.offsets.get(usize::from(queue)).map(|offset| offset.load(Ordering::Relaxed));
        if let Some(offset) = offset.filter(|offset| *offset != usize::MAX) {
            self.notify.write16(offset, queue);
        }
    }

    /// Where a queue's doorbell is.
    fn set(&self, queue: u16, offset: usize) {
        if let Some(place) = self.offsets.get(usize::from(queue)) {
            place.store(offset, Ordering::Relaxed);
        }
    }

    /// Bytes of the doorbells.
    fn bytes(&self) -> usize {
        self.notify.bytes()
    }
}

/// The registers that are touched at PASSIVE_LEVEL alone.
pub struct Transport {
    common: MappedIo,
    device: MappedIo,
    notify_multiplier: u32,
    /// How long a reset may take, in milliseconds.
    reset_limit_ms: u64,
}

impl Transport {
    /// Maps the device's structures. A reset may take `limit_ms`.
    ///
    /// # Errors
    /// What the kernel says when it can't map.
    ///
    /// # Safety
    /// They are those of a device of this driver that is being started.
    pub unsafe fn map(structures: &Structures, limit_ms: u64) -> NtResult<(Self, Doorbells, IsrByte)> {
        // SAFETY: by contract the ranges are the device's.
        let map = |range: MemoryRange| unsafe { MappedIo::map(range.address, range.bytes) };
        let transport = Self {
            common: map(structures.common)?,
            device: map(structures.device)?,
            notify_multiplier: structures.notify_multiplier,
            reset_limit_ms: limit_ms,
        };
        let doorbells = Doorbells {
            notify: map(structures.notify)?,
            offsets: [const { AtomicUsize::new(usize::MAX) }; QUEUES],
        };
        Ok((transport, doorbells, IsrByte(map(structures.isr)?)))
    }

    /// Device status.
    pub fn status(&self) -> u8 {
        self.common.read8(common::STATUS)
    }

    /// Whether a device answers at all.
    pub fn is_there(&self) -> bool {
        self.status() != status::NO_DEVICE
    }

    fn set_status(&self, value: u8) {
        self.common.write8(common::STATUS, value);
    }

    /// Resets the device and waits until it says so. After this it uses no memory, says the specification;
    /// QEMU's card does unless its streams were released before.
    ///
    /// # Errors
    /// `STATUS_DEVICE_NOT_READY` if it is not there, `STATUS_DEVICE_HARDWARE_ERROR` if it takes too
    /// long.
    pub fn reset(&self) -> NtResult {
        self.reset_within(self.reset_limit_ms)
    }

    /// The same with another limit, in milliseconds.
    ///
    /// # Errors
    /// As [`reset`](Self::reset).
    pub fn reset_within(&self, limit_ms: u64) -> NtResult {
        self.set_status(0);
        let begin = now();
        let limit = frequency().unsigned_abs().saturating_mul(limit_ms) / 1000;
        // As often as sleeps of the shortest length fit into the limit; not fewer looks than LOOKS_MIN, for the
        // clock may jump forwards while the thread sleeps.
        for look in 0..limit_ms.max(LOOKS_MIN.into()) {
            let late = now().saturating_sub(begin).unsigned_abs() > limit;
            match self.status() {
                0 => return Ok(()),
                status::NO_DEVICE => return Err(STATUS_DEVICE_NOT_READY),
                _ if late && look >= LOOKS_MIN.into() => break,
                _ => sleep_100ns(STEP_100NS),
            }
        }
        log::error!("the device did not come out of reset within {limit_ms} ms");
        Err(STATUS_DEVICE_HARDWARE_ERROR)
    }

    /// Steps 2 to 6 of 3.1.1, after a reset: what was agreed on.
    ///
    /// # Errors
    /// `STATUS_DEVICE_CONFIGURATION_ERROR` for a device that this driver can't drive; the log says why.
    pub fn negotiate(&self) -> NtResult<u64> {
        self.set_status(status::ACKNOWLEDGE);
        self.set_status(status::ACKNOWLEDGE | status::DRIVER);
        let offered = self.offered();
        let accepted = offered & ACCEPTED;
        if accepted & VERSION_1 == 0 {
            return Err(self.refuse("it offers no VIRTIO_F_VERSION_1 (a legacy device)"));
        }
        for (select, half) in [(0, accepted & 0xFFFF_FFFF), (1, accepted >> 32)] {
            self.common.write32(common::DRIVER_FEATURE_SELECT, select);
            self.common.write32(common::DRIVER_FEATURE, u32::try_from(half).unwrap_or(0));
        }
        let wanted = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        self.set_status(wanted);
        // A device that can't do with what was accepted takes the bit back.
        if self.status() & status::FEATURES_OK == 0 {
            return Err(self.refuse(if offered & ACCESS_PLATFORM == 0 {
                "it does not take the features that were accepted"
            } else {
                "it wants VIRTIO_F_ACCESS_PLATFORM (QEMU's iommu_platform=on): addresses of an IOMMU, which \
                 this driver has not"
            }));
        }
        let queues = self.common.read16(common::NUM_QUEUES);
        if usize::from(queues) < QUEUES {
            return Err(self.refuse("it has not the four queues of a sound device"));
        }
        log::debug!("virtio: features {offered:#x} offered, {accepted:#x} accepted");
        Ok(accepted)
    }

    fn refuse(&self, reason: &str) -> nt::NTSTATUS {
        log::error!("the virtio device is refused: {reason}");
        self.set_status(status::FAILED);
        STATUS_DEVICE_CONFIGURATION_ERROR
    }

    fn offered(&self) -> u64 {
        let half = |select| {
            self.common.write32(common::DEVICE_FEATURE_SELECT, select);
            u64::from(self.common.read32(common::DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    /// How long queue number `queue` may be; 0 if there is none.
    pub fn queue_size_max(&self, queue: u16) -> u16 {
        self.common.write16(common::QUEUE_SELECT, queue);
        self.common.read16(common::QUEUE_SIZE)
    }

    /// Gives the device a queue of so many descriptors, at most what
    /// [`queue_size_max`](Self::queue_size_max) says, and lets it work. `vector`: the message that it raises,
    /// if there are messages.
    ///
    /// # Errors
    /// `STATUS_DEVICE_CONFIGURATION_ERROR` if the device does not take it.
    pub fn set_queue(
        &self,
        doorbells: &Doorbells,
        queue: u16,
        (size, at): (u16, Addresses),
        vector: Option<u16>,
    ) -> NtResult {
        self.common.write16(common::QUEUE_SELECT, queue);
        self.common.write16(common::QUEUE_SIZE, size);
        if self.common.read16(common::QUEUE_SIZE) != size {
            log::error!("queue {queue}: the device does not take {size} descriptors");
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        if let Some(vector) = vector {
            self.set_vector(common::QUEUE_VECTOR, vector)?;
        }
        let doorbell = u32::from(self.common.read16(common::QUEUE_NOTIFY_OFFSET));
        let offset =
            doorbell.checked_mul(self.notify_multiplier).and_then(|offset| usize::try_from(offset).ok());
        let inside = |offset: &usize| {
            offset.checked_add(2).is_some_and(|end| end <= doorbells.bytes()) && offset.is_multiple_of(2)
        };
        let Some(offset) = offset.filter(inside) else {
            log::error!("queue {queue}: its doorbell {doorbell} is outside of what the device has");
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        };
        doorbells.set(queue, offset);
        for (register, address) in [
            (common::QUEUE_DESCRIPTORS, at.descriptors),
            (common::QUEUE_AVAILABLE, at.available),
            (common::QUEUE_USED, at.used),
        ] {
            self.common.write32(register, u32::try_from(address & 0xFFFF_FFFF).unwrap_or(0));
            self.common.write32(register.saturating_add(4), u32::try_from(address >> 32).unwrap_or(0));
        }
        self.common.write16(common::QUEUE_ENABLE, 1);
        Ok(())
    }

    /// The message of changes of configuration.
    ///
    /// # Errors
    /// `STATUS_DEVICE_CONFIGURATION_ERROR` if the device has no room for it.
    pub fn set_config_vector(&self, vector: u16) -> NtResult {
        self.set_vector(common::CONFIG_VECTOR, vector)
    }

    /// Read back, for a device that can't do it answers so (4.1.5.1.2.1).
    fn set_vector(&self, register: usize, vector: u16) -> NtResult {
        self.common.write16(register, vector);
        if self.common.read16(register) != vector {
            log::error!("the device does not take message {vector}");
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        Ok(())
    }

    /// The last step of 3.1.1: the device works.
    ///
    /// # Errors
    /// `STATUS_DEVICE_NOT_READY` if it is not there, `STATUS_DEVICE_HARDWARE_ERROR` if it does not.
    pub fn start(&self) -> NtResult {
        let working = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;
        self.set_status(working);
        match self.status() {
            status::NO_DEVICE => Err(STATUS_DEVICE_NOT_READY),
            found if found & (working | status::NEEDS_RESET | status::FAILED) == working => Ok(()),
            found => {
                log::error!("the device does not start: its status is {found:#04x}");
                Err(STATUS_DEVICE_HARDWARE_ERROR)
            }
        }
    }

    /// The device's configuration, of one moment.
    ///
    /// # Errors
    /// `STATUS_DEVICE_HARDWARE_ERROR` if it changes all the time.
    pub fn config(&self) -> NtResult<Config> {
        for _ in 0..CONFIG_READS {
            let before = self.common.read8(common::GENERATION);
            let config = Config {
                jacks: self.device.read32(0),
                streams: self.device.read32(4),
                channel_maps: self.device.read32(8),
            };
            if self.common.read8(common::GENERATION) == before {
                return Ok(config);
            }
        }
        log::error!("the device's configuration never holds still");
        Err(STATUS_DEVICE_HARDWARE_ERROR)
    }
}
