//! The Ringwave card: its registers and pages behind the [`Card`] trait. The contract is `device/DATASHEET.md`; every offset
//! comes from `ringwave-regs`.
//!
//! A register access is a message to another process and takes some 20 us; reading a page costs nothing. So nothing here
//! touches a register while a stream runs but [`Card::mark`] and the change of state.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::mmio::MappedIo;
use nt::spinlock::SpinLock;
use nt::status::{
    STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_HARDWARE_ERROR, STATUS_DEVICE_NOT_READY,
    STATUS_REVISION_MISMATCH,
};
use ringwave_regs::{error::Error, format as sample, global, pages, pci, stream as regs};

use super::selftest::{self, Verdict};
use super::status::{Status, Words};
use super::{Card, Dma, Limits, State};
use crate::endpoint::{Direction, Endpoint};
use crate::wave::format::{Abilities, AudioFormat};
use crate::wave::packets::Mark;
use crate::wave::ring::Ring;

/// What a register reads when nobody answers.
const NOBODY: u32 = u32::MAX;

/// A range of device memory from the resource list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Translated physical address.
    pub address: u64,
    /// Length in bytes.
    pub bytes: usize,
}

/// A Ringwave card whose registers and pages are mapped.
pub struct Ringwave {
    registers: SpinLock<Option<MappedIo>>,
    pages: SpinLock<Option<MappedIo>>,
    /// In D0. Written under the locks of `registers` and `pages`; the line's service routine reads it without.
    powered: AtomicBool,
    /// INT_STATUS for the line's service routine, which may take no spin lock; NULL once the card is removed.
    int_status: AtomicPtr<u32>,
    limits: Limits,
    endpoints: [Option<Endpoint>; regs::STREAMS_MAX as usize],
}

impl Ringwave {
    /// Finds the card behind the two BARs: checks that it is one, resets it, and proves that it sees this guest's RAM.
    ///
    /// # Errors
    /// `STATUS_DEVICE_CONFIGURATION_ERROR` for BARs that are too small, another card, or a failed self-test;
    /// `STATUS_REVISION_MISMATCH` for another major version of the interface; what the kernel says when it can't map.
    ///
    /// # Safety
    /// The ranges are memory resources of this driver's device.
    pub unsafe fn find(registers: Range, pages: Range) -> NtResult<Self> {
        if registers.bytes < pci::REGISTERS_BYTES as usize || pages.bytes < pci::PAGES_BYTES as usize {
            log::error!(
                "BARs of {:#x} and {:#x} bytes, {:#x} and {:#x} expected",
                registers.bytes,
                pages.bytes,
                pci::REGISTERS_BYTES,
                pci::PAGES_BYTES
            );
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        // SAFETY: by contract the ranges are the device's.
        let (registers, pages) = unsafe {
            (MappedIo::map(registers.address, registers.bytes)?, MappedIo::map(pages.address, pages.bytes)?)
        };
        check_identity(&registers)?;
        write(&registers, global::CONTROL, global::CONTROL_RESET);
        let limits = read_limits(&registers)?;
        run_selftest(&registers, limits.dma_highest)?;
        // Blocks behind the last stream are not to be touched (BAD_ACCESS).
        let streams = read(&registers, global::STREAMS);
        let present = (streams & 0xFF).saturating_add(streams >> global::STREAMS_CAPTURE_SHIFT & 0xFF);
        let mut streams = 0..present;
        let endpoints = core::array::from_fn(|_| endpoint(&registers, streams.next()?));
        log::info!(
            "card: features {:#x}, {} stream(s)",
            read(&registers, global::FEATURES),
            endpoints.iter().flatten().count()
        );
        // The BAR was checked to hold all registers.
        let int_status = registers.as_ptr().wrapping_add(global::INT_STATUS as usize).cast();
        Ok(Self {
            registers: SpinLock::new(Some(registers)),
            pages: SpinLock::new(Some(pages)),
            powered: AtomicBool::new(true),
            int_status: AtomicPtr::new(int_status),
            limits,
            endpoints,
        })
    }

    /// Does something with the registers if the card is there and in D0.
    fn with<R>(&self, work: impl FnOnce(&MappedIo) -> R) -> Option<R> {
        let registers = self.registers.lock();
        if !self.powered.load(Ordering::Relaxed) {
            return None;
        }
        registers.as_ref().map(work)
    }

    /// INT_ENABLE of every stream, whatever its state: packets and errors are events of a stream that runs only.
    const fn stream_interrupts(&self) -> u32 {
        let jack = if self.limits.jack { regs::INT_JACK } else { 0 };
        regs::INT_PACKET | regs::INT_ERROR | jack
    }
}

impl Card for Ringwave {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn endpoint(&self, stream: u32) -> Option<Endpoint> {
        *self.endpoints.get(stream as usize)?
    }

    fn configure(&self, stream: u32, format: AudioFormat, ring: Ring, dma: Dma) -> NtResult {
        let block = regs::block(stream).ok_or(STATUS_DEVICE_NOT_READY)?;
        let (mode, address, entries) = match dma {
            Dma::Contiguous { address } => (regs::DMA_MODE_CONTIGUOUS, address, 0),
            Dma::ScatterGather { table, entries } => (regs::DMA_MODE_SCATTER_GATHER, table, entries),
        };
        self.with(|io| {
            // A stream that was closed while the card was without power may still be in PAUSE.
            write(io, block + regs::STATE, regs::STATE_STOP);
            write(io, block + regs::ERROR, 0);
            write(io, block + regs::FORMAT, sample::pack(format.sample as u32, format.channels));
            write(io, block + regs::RATE, format.rate);
            write(io, block + regs::RING_BYTES, ring.bytes);
            write(io, block + regs::PACKETS, ring.packets);
            write(io, block + regs::DMA_MODE, mode);
            write(io, block + regs::SG_ENTRIES, entries);
            write(io, block + regs::DMA_ADDR_LO, low(address));
            write(io, block + regs::DMA_ADDR_HI, high(address));
            write(io, block + regs::INT_ENABLE, self.stream_interrupts());
        })
        .ok_or(STATUS_DEVICE_NOT_READY)
    }

    fn set_state(&self, stream: u32, state: State) -> NtResult {
        let block = regs::block(stream).ok_or(STATUS_DEVICE_NOT_READY)?;
        self.with(|io| write(io, block + regs::STATE, state.number())).ok_or(STATUS_DEVICE_NOT_READY)?;
        // The card has written its page before the write returned, so that looking costs no message; the register only if the
        // page can't be read.
        let reached = match self.status(stream) {
            Some(status) => status.state,
            None => self.with(|io| read(io, block + regs::STATE)).unwrap_or(NOBODY),
        };
        if reached == state.number() {
            return Ok(());
        }
        if reached == NOBODY {
            log::error!("the card is gone");
            return Err(STATUS_DEVICE_NOT_READY);
        }
        let error = self.with(|io| read(io, block + regs::ERROR)).unwrap_or(NOBODY);
        log::error!("stream {stream}: {state:?} refused: {}", name(error));
        Err(STATUS_DEVICE_HARDWARE_ERROR)
    }

    fn state(&self, stream: u32) -> Option<State> {
        let block = regs::block(stream)?;
        State::from_number(self.with(|io| read(io, block + regs::STATE))?)
    }

    fn start_at(&self, stream: u32, frame: u64, packet: u32) {
        let Some(block) = regs::block(stream) else { return };
        self.with(|io| {
            write(io, block + regs::START_FRAME_LO, low(frame));
            write(io, block + regs::START_FRAME_HI, high(frame));
            write(io, block + regs::START_PACKET, packet);
        });
    }

    fn mark(&self, stream: u32, mark: Mark) -> bool {
        if !self.limits.written {
            return true; // a card that does not ask is told all there is
        }
        let Some(block) = regs::block(stream) else { return false };
        self.with(|io| {
            if let Some(bytes) = mark.end_of_stream {
                write(io, block + regs::EOS, regs::EOS_ARM | (bytes & regs::EOS_BYTES));
            }
            write(io, block + regs::WRITTEN, mark.number);
        })
        .is_some()
    }

    fn status(&self, stream: u32) -> Option<Status> {
        let base = pages::status_page(stream)?;
        let pages = self.pages.lock();
        // The pages are memory of the device like its registers: in D3hot nobody may answer there.
        if !self.powered.load(Ordering::Relaxed) {
            return None;
        }
        Status::read(&Page { io: pages.as_ref()?, base })
    }

    fn tick_position(&self, stream: u32, tick: bool) {
        let Some(block) = regs::block(stream).filter(|_| self.limits.position_page) else { return };
        let value = if tick { regs::POSITION_TICK } else { 0 };
        self.with(|io| write(io, block + regs::POSITION_CONTROL, value));
    }

    fn position_page(&self, stream: u32) -> Option<NonNull<u8>> {
        let offset = pages::position_page(stream).filter(|_| self.limits.position_page)?;
        // The BAR was checked to hold all pages.
        NonNull::new(self.pages.lock().as_ref()?.as_ptr().wrapping_add(offset as usize))
    }

    fn set_volume(&self, stream: u32, channel: u32, volume: i32) {
        let (Some(block), Some(register)) = (regs::block(stream), regs::volume(channel)) else { return };
        if self.limits.volume {
            let volume = volume.clamp(regs::VOLUME_MIN, 0).cast_unsigned();
            self.with(|io| write(io, block.saturating_add(register), volume));
        }
    }

    fn set_mute(&self, stream: u32, channels: u32) {
        let Some(block) = regs::block(stream).filter(|_| self.limits.volume) else { return };
        self.with(|io| write(io, block + regs::MUTE, channels & regs::MUTE_CHANNELS));
    }

    fn watch_jack(&self, stream: u32) {
        let Some(block) = regs::block(stream).filter(|_| self.limits.jack) else { return };
        self.with(|io| write(io, block + regs::INT_ENABLE, self.stream_interrupts()));
    }

    fn unplugged(&self, stream: u32) -> Option<bool> {
        let base = pages::status_page(stream).filter(|_| self.limits.jack)?;
        let pages = self.pages.lock();
        if !self.powered.load(Ordering::Relaxed) {
            return None;
        }
        // One aligned word: it can't be torn (DATASHEET 7).
        let flags = Page { io: pages.as_ref()?, base }.word(pages::status::FLAGS);
        (flags != NOBODY).then_some(flags & pages::status::FLAG_UNPLUGGED != 0)
    }

    fn enable_interrupts(&self, enable: bool) {
        self.with(|io| write(io, global::CONTROL, if enable { global::CONTROL_INT_ENABLE } else { 0 }));
    }

    unsafe fn acknowledge_line(&self) -> bool {
        let int_status = self.int_status.load(Ordering::Relaxed);
        if int_status.is_null() || !self.powered.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: the mapped, aligned register; `remove` does not run at the same time (contract of this function).
        unsafe {
            let pending = int_status.read_volatile();
            if pending == 0 || pending == NOBODY {
                return false;
            }
            int_status.write_volatile(pending);
        }
        true
    }

    fn set_power(&self, on: bool) {
        // Both, in this order (nobody else holds two): whoever is at either has left it when this returns.
        let _registers = self.registers.lock();
        let _pages = self.pages.lock();
        self.powered.store(on, Ordering::Relaxed);
    }

    fn remove(&self) {
        // Whatever streams are still open: the card lets go of their memory. (Lost, if the card is gone already.)
        self.with(|io| write(io, global::CONTROL, global::CONTROL_RESET));
        self.int_status.store(null_mut(), Ordering::Relaxed);
        let registers = self.registers.lock().take();
        let pages = self.pages.lock().take();
        // Unmapped here, when no lock is held and nobody can reach them any more.
        drop((registers, pages));
    }
}

/// What stream number `stream` of the card is.
fn endpoint(io: &MappedIo, stream: u32) -> Option<Endpoint> {
    let block = regs::block(stream)?;
    let caps = read(io, block + regs::CAPS);
    if caps == NOBODY || caps & regs::CAPS_PRESENT == 0 {
        return None;
    }
    let can = Abilities {
        samples: read(io, block + regs::FORMATS) & sample::FORMATS_ALL,
        rates: read(io, block + regs::RATES) & sample::RATES_ALL,
        channels_max: (caps >> regs::CAPS_CHANNELS_SHIFT & 0xFF).min(sample::CHANNELS_MAX),
    };
    let captures = caps & regs::CAPS_CAPTURE != 0;
    let direction = if captures { Direction::Capture } else { Direction::Render };
    Some(Endpoint { stream, direction, can })
}

/// One status page in the page BAR.
struct Page<'a> {
    io: &'a MappedIo,
    base: u32,
}

impl Words for Page<'_> {
    fn word(&self, offset: u32) -> u32 {
        self.io.read32(self.base.saturating_add(offset) as usize)
    }
}

fn read(io: &MappedIo, offset: u32) -> u32 {
    io.read32(offset as usize)
}
fn write(io: &MappedIo, offset: u32, value: u32) {
    io.write32(offset as usize, value);
}
const fn low(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}
const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
fn name(code: u32) -> &'static str {
    Error::from_code(code).map_or("unknown error", Error::name)
}

/// MAGIC and the major version. Nothing else is touched before.
fn check_identity(registers: &MappedIo) -> NtResult {
    let magic = read(registers, global::MAGIC);
    if magic != global::MAGIC_VALUE {
        log::error!("not a Ringwave card: MAGIC is {magic:#010x}");
        return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
    }
    let version = read(registers, global::VERSION);
    if version >> 16 != u32::from(global::VERSION_MAJOR) {
        log::error!(
            "the card speaks version {}.{} of the register interface, this driver {}.x: update the older one",
            version >> 16,
            version & 0xFFFF,
            global::VERSION_MAJOR
        );
        return Err(STATUS_REVISION_MISMATCH);
    }
    Ok(())
}

fn read_limits(registers: &MappedIo) -> NtResult<Limits> {
    let features = read(registers, global::FEATURES);
    let dma_bits = read(registers, global::DMA_BITS);
    let clock_hz = read(registers, global::CLOCK_HZ);
    let has = |feature| features & feature != 0;
    if features == NOBODY || !(32..=64).contains(&dma_bits) || clock_hz == 0 || clock_hz == NOBODY {
        log::error!(
            "the card answers nonsense: features {features:#x}, {dma_bits} address bits, {clock_hz} Hz"
        );
        return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
    }
    Ok(Limits {
        // Not above i64::MAX: PHYSICAL_ADDRESS is signed, and no processor has that many bits.
        dma_highest: (u64::MAX >> (64 - dma_bits)) & (u64::MAX >> 1),
        ring_bytes_max: read(registers, global::RING_BYTES_MAX).min(global::RING_BYTES_MAX_VALUE),
        entries_max: read(registers, global::SG_ENTRIES_MAX).min(ringwave_regs::dma::ENTRIES_MAX),
        contiguous: has(global::FEATURE_CONTIGUOUS),
        scatter_gather: has(global::FEATURE_SCATTER_GATHER),
        written: has(global::FEATURE_WRITTEN),
        start_frame: has(global::FEATURE_START_FRAME),
        position_page: has(global::FEATURE_POSITION_PAGE),
        volume: has(global::FEATURE_VOLUME),
        jack: has(global::FEATURE_JACK),
        clock_hz,
    })
}

/// Lets the card read and rewrite a page, and says what is wrong if it can't.
fn run_selftest(registers: &MappedIo, highest: u64) -> NtResult {
    let memory = ContiguousMemory::try_new(selftest::BYTES as usize, highest)?;
    selftest::fill(&memory);
    let address = memory.physical();
    write(registers, global::SELFTEST_ADDR_LO, low(address));
    write(registers, global::SELFTEST_ADDR_HI, high(address));
    write(registers, global::SELFTEST_BYTES, selftest::BYTES);
    write(registers, global::SELFTEST_ENTRIES, 0);
    write(registers, global::SELFTEST, selftest::SEED);
    let verdict =
        selftest::judge(read(registers, global::SELFTEST), read(registers, global::SELFTEST_SUM), &memory);
    match verdict {
        Verdict::Passed => return Ok(()),
        Verdict::OtherMemory => log::error!(
            "the card does not see this guest's RAM: start QEMU with share=on on the memory backend"
        ),
        Verdict::Refused(code) if Error::from_code(code) == Some(Error::DmaUnmapped) => log::error!(
            "the card does not see this guest's RAM at {address:#x} (DMA_UNMAPPED): start QEMU with share=on on the memory backend"
        ),
        Verdict::Refused(code) if Error::from_code(code) == Some(Error::BusMasterOff) => log::error!(
            "DMA self-test failed: Bus Master Enable is off in the PCI command register; the bus driver should have set it"
        ),
        Verdict::Refused(code) => log::error!("DMA self-test failed: {}", name(code)),
    }
    Err(STATUS_DEVICE_CONFIGURATION_ERROR)
}

#[cfg(test)]
mod tests {
    use nt::host;

    use super::*;

    /// Plain memory in the place of a card: what is written is read back.
    fn find(physical: u64, magic: u32, version: u32) -> Result<(), nt::NTSTATUS> {
        let registers = host::add_io_space(physical, 0x4000);
        host::add_io_space(physical + 0x10_0000, 0x4_0000);
        let set = |offset: u32, value: u32| {
            // SAFETY: within the memory.
            unsafe { registers.add(offset as usize).cast::<[u8; 4]>().write(value.to_le_bytes()) }
        };
        set(global::MAGIC, magic);
        set(global::VERSION, version);
        set(global::DMA_BITS, 64);
        set(global::CLOCK_HZ, 1_000_000_000);
        let pages = Range { address: physical + 0x10_0000, bytes: 0x4_0000 };
        // SAFETY: fake device memory.
        unsafe { Ringwave::find(Range { address: physical, bytes: 0x4000 }, pages) }.map(|_| ())
    }

    #[test]
    fn strange_cards_are_refused_and_let_go() {
        let good = global::MAGIC_VALUE;
        assert_eq!(find(0x1000_0000, NOBODY, NOBODY), Err(STATUS_DEVICE_CONFIGURATION_ERROR));
        assert_eq!(find(0x2000_0000, good, 0x0002_0000), Err(STATUS_REVISION_MISMATCH));
        // A later minor version is no reason; that plain memory does not do the self-test is.
        assert_eq!(find(0x3000_0000, good, 0x0001_0007), Err(STATUS_DEVICE_CONFIGURATION_ERROR));
        assert_eq!(host::io_mappings(), 0);
    }

    #[test]
    fn without_power_neither_registers_nor_pages_are_touched() {
        let (physical, block) = (0x4000_0000, regs::block(0).unwrap());
        let registers = host::add_io_space(physical, 0x4000);
        let shown = host::add_io_space(physical + 0x10_0000, 0x4_0000);
        // SAFETY: fake device memory.
        let map = |at, bytes| unsafe { MappedIo::map(at, bytes) }.unwrap();
        let (io, pages) = (map(physical, 0x4000), map(physical + 0x10_0000, 0x4_0000));
        let card = Ringwave {
            registers: SpinLock::new(Some(io)),
            pages: SpinLock::new(Some(pages)),
            powered: AtomicBool::new(true),
            int_status: AtomicPtr::new(null_mut()),
            limits: crate::hw::fake::FakeCard::default().limits(),
            endpoints: [None; 16],
        };
        let mark = |number| card.mark(0, Mark { number, end_of_stream: None });
        // SAFETY: within the memory.
        let written =
            || unsafe { registers.add((block + regs::WRITTEN) as usize).cast::<u32>().read_unaligned() };
        // SAFETY: within the memory.
        let register = |at| unsafe { registers.add((block + at) as usize).cast::<i32>().read_unaligned() };
        let controls = || [regs::VOLUME_7, regs::MUTE, regs::INT_ENABLE].map(register);
        assert!(mark(7) && card.status(0).is_some() && card.state(0).is_some());
        assert_eq!(card.unplugged(0), Some(false));
        card.set_power(false);
        assert_eq!((card.status(0), card.state(0), card.unplugged(0)), (None, None, None));
        assert!(!mark(8), "who writes must know that it did not arrive");
        assert!(card.set_state(0, State::Stop).is_err());
        card.set_volume(0, 7, -65_536);
        card.set_mute(0, 0xFF);
        card.watch_jack(0);
        assert_eq!((written(), controls()), (7, [0; 3]));
        card.set_power(true);
        assert!(card.status(0).is_some() && mark(8) && written() == 8);
        card.set_volume(0, 7, i32::MIN);
        card.set_volume(0, 8, -65_536);
        card.set_mute(0, u32::MAX);
        card.watch_jack(0);
        assert_eq!(controls(), [regs::VOLUME_MIN, 0xFF, 7], "no more than what the card takes");
        // SAFETY: within the memory.
        let flags = |value: u32| unsafe {
            let page = pages::status_page(0).unwrap() + pages::status::FLAGS;
            shown.add(page as usize).cast::<u32>().write_unaligned(value);
        };
        flags(pages::status::FLAG_UNPLUGGED | pages::status::FLAG_LOCKSTEP);
        assert_eq!((card.unplugged(0), card.unplugged(1)), (Some(true), Some(false)));
        flags(NOBODY);
        assert_eq!(card.unplugged(0), None, "the card is gone");
    }

    #[test]
    fn bars_that_are_too_small_are_not_mapped() {
        let (small, large) = (Range { address: 0, bytes: 0x1000 }, Range { address: 0, bytes: 0x4_0000 });
        // SAFETY: refused before anything is mapped.
        let found = unsafe { [Ringwave::find(small, large).err(), Ringwave::find(large, small).err()] };
        assert_eq!(found, [Some(STATUS_DEVICE_CONFIGURATION_ERROR); 2]);
    }
}
