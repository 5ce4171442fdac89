//! The Ringwave card: its registers and pages behind the [`Card`] trait. The contract is
//! `device/DATASHEET.md`; every offset comes from `ringwave-regs`.
//!
//! A register access is a message to another process and takes some 20 us, or as long as that process likes;
//! reading a page, and marking a packet in one, costs nothing. So a stream that runs makes no message, and
//! registers are reached at PASSIVE_LEVEL only, under a mutex. The one exception is the service routine of a
//! line interrupt, which must acknowledge it.
//!
//! | file | what |
//! |---|---|
//! | `ringwave.rs` | the card behind the trait |
//! | `ringwave/probe.rs` | how it is found and checked |
//! | `ringwave/power.rs` | how it sleeps, wakes and goes |
//! | `ringwave/marks.rs` | the mark page |
//! | `ringwave/status_page.rs` | reading a status page |
//! | `ringwave/table.rs` | the scatter-gather table |
//! | `ringwave/selftest.rs` | does the card see this guest's RAM |
//! | `ringwave/access.rs` | registers and pages as words |

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::interrupt::Granted;
use nt::mmio::MappedIo;
use nt::mutex::Mutex;
use nt::spinlock::SpinLock;
use nt::status::{STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_HARDWARE_ERROR, STATUS_DEVICE_NOT_READY};
use ringwave_regs::{format as sample, global, pages, pci, stream as regs};

use super::format::{AudioFormat, CHANNELS_MAX};
use super::geometry::BufferGeometry;
use super::segments::PageList;
use super::{Card, Endpoint, Limits, Mark, PositionRegisters, Resources, Status, StreamState};

mod access;
mod marks;
mod power;
mod probe;
mod selftest;
mod status_page;
mod table;
use access::{NO_DEVICE, Page, high, low, read, write};
use power::{PageClients, bit};
use probe::Features;
use status_page::{Words, error_name};
use table::Attached;

/// PCI vendor and device id of the card, unless its operator gave it others.
pub const PCI_ID: (u16, u16) = (pci::VENDOR, pci::DEVICE);

const _: () = assert!(regs::STREAMS_MAX <= super::STREAMS_MAX && sample::CHANNELS_MAX <= CHANNELS_MAX);

/// The STATE register counts as KSSTATE does.
const _: () = assert!(
    StreamState::Stop.number() == regs::STATE_STOP
        && StreamState::Acquire.number() == regs::STATE_ACQUIRE
        && StreamState::Pause.number() == regs::STATE_PAUSE
        && StreamState::Run.number() == regs::STATE_RUN
);

/// Index of the BAR with the registers among the memory BARs.
const REGISTERS: usize = 0;
/// Index of the BAR with the pages.
const PAGES: usize = 1;

/// A Ringwave card whose registers and pages are mapped.
pub struct Ringwave {
    registers: Mutex<Option<MappedIo>>,
    /// The DPC reads them.
    pages: SpinLock<Option<MappedIo>>,
    /// In D0. Written with both of the above held; the line's service routine reads it without.
    powered: AtomicBool,
    /// It came back to D0 as another card. Written with `registers` held.
    exchanged: AtomicBool,
    /// Bit i: stream i has to be stopped when power comes back. Written with `registers` held.
    stop_at_d0: AtomicU32,
    /// INT_STATUS for the line's service routine, which may take no spin lock; NULL once the card is removed.
    int_status: AtomicPtr<u32>,
    clients: SpinLock<PageClients>,
    /// The cyclic buffer of each stream.
    attached: Mutex<[Option<Attached>; regs::STREAMS_MAX as usize]>,
    features: Features,
    endpoints: [Option<Endpoint>; regs::STREAMS_MAX as usize],
}

impl Ringwave {
    /// Finds the card behind its two BARs: checks that it is one, resets it, and proves that it sees this
    /// guest's RAM.
    ///
    /// # Errors
    /// `STATUS_DEVICE_CONFIGURATION_ERROR` for BARs that are missing or too small, another card, or a failed
    /// self-test; `STATUS_REVISION_MISMATCH` for another major version of the interface; what the kernel says
    /// when it can't map.
    ///
    /// # Safety
    /// `resources` are those of a device of this driver that is being started.
    // Not inlined: what it has on the stack is gone when the rest of the start goes on.
    #[inline(never)]
    pub unsafe fn find(resources: &Resources) -> NtResult<Self> {
        let (registers, pages) = (resources.memory(REGISTERS)?, resources.memory(PAGES)?);
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
        probe::check_identity(&registers)?;
        write(&registers, global::CONTROL, global::CONTROL_RESET);
        let features = probe::read_features(&registers)?;
        let memory = ContiguousMemory::try_new(selftest::BYTES as usize, features.limits.dma_highest)?;
        probe::run_selftest(&registers, &memory)?;
        let endpoints = probe::endpoints(&registers, features.limits);
        log::info!(
            "card: features {:#x}, {} stream(s)",
            read(&registers, global::FEATURES),
            endpoints.iter().flatten().count()
        );
        // The BAR was checked to hold all registers.
        let int_status = registers.as_ptr().wrapping_add(global::INT_STATUS as usize).cast();
        Ok(Self {
            registers: Mutex::try_new(Some(registers))?,
            pages: SpinLock::new(Some(pages)),
            powered: AtomicBool::new(true),
            exchanged: AtomicBool::new(false),
            stop_at_d0: AtomicU32::new(0),
            int_status: AtomicPtr::new(int_status),
            clients: SpinLock::new(PageClients::default()),
            attached: Mutex::try_new([const { None }; _])?,
            features,
            endpoints,
        })
    }

    /// Does something with the registers if the card is there and in D0. PASSIVE_LEVEL, no spin lock held.
    fn with_registers<R>(&self, work: impl FnOnce(&MappedIo) -> R) -> Option<R> {
        let registers = self.registers.lock();
        if !self.powered.load(Ordering::Relaxed) {
            return None;
        }
        registers.as_ref().map(work)
    }

    /// A word of the status page of `stream`; `None` if the card is gone or without power.
    fn page_word(&self, stream: u32, field: u32) -> Option<u32> {
        let base = pages::status_page(stream)?;
        let pages = self.pages.lock();
        // The pages are memory of the device like its registers: in D3hot no device may answer there.
        if !self.powered.load(Ordering::Relaxed) {
            return None;
        }
        Some(Page { io: pages.as_ref()?, base }.word(field))
    }

    const fn limits(&self) -> &Limits {
        &self.features.limits
    }

    /// INT_ENABLE of every stream, whatever its state: packets and errors are events of a stream that runs
    /// only.
    const fn stream_interrupts(&self) -> u32 {
        let jack = if self.limits().jack { regs::INT_JACK } else { 0 };
        regs::INT_PACKET | regs::INT_ERROR | jack
    }
}

impl Card for Ringwave {
    fn endpoint(&self, stream: u32) -> Option<Endpoint> {
        *self.endpoints.get(stream as usize)?
    }

    fn packet_frames_min(&self, _stream: u32, rate: u32) -> u32 {
        regs::packet_frames_min(rate)
    }

    fn fifo_frames(&self, _stream: u32, rate: u32, geometry: Option<&BufferGeometry>) -> u32 {
        regs::fifo_frames(rate, geometry.map_or(u32::MAX, BufferGeometry::packet_frames))
    }

    fn attach(&self, stream: u32, pages: &dyn PageList, bytes: u32) -> NtResult {
        let Features { contiguous, entries_max, limits, .. } = self.features;
        let attached = Attached::try_new(pages, bytes, contiguous, entries_max, limits.dma_highest)?;
        match &attached {
            Attached::Contiguous(address) => log::info!("stream {stream}: contiguous at {address:#x}"),
            Attached::ScatterGather(table) => log::info!(
                "stream {stream}: scatter-gather, {} entries in {} page(s)",
                table.entries(),
                table.page_count()
            ),
        }
        let mut streams = self.attached.lock();
        *streams.get_mut(stream as usize).ok_or(STATUS_DEVICE_NOT_READY)? = Some(attached);
        Ok(())
    }

    fn detach(&self, stream: u32) -> bool {
        // A card in STOP, without power or gone reaches no memory (DATASHEET 5.1).
        let attached = self.attached.lock().get_mut(stream as usize).and_then(Option::take);
        drop(attached);
        true
    }

    fn configure(&self, stream: u32, format: AudioFormat, geometry: BufferGeometry) -> NtResult {
        let block = regs::block(stream).ok_or(STATUS_DEVICE_NOT_READY)?;
        let (mode, address, entries) = match self.attached.lock().get(stream as usize) {
            Some(Some(Attached::Contiguous(address))) => (regs::DMA_MODE_CONTIGUOUS, *address, 0),
            Some(Some(Attached::ScatterGather(table))) => {
                (regs::DMA_MODE_SCATTER_GATHER, table.address(), table.entries())
            }
            _ => return Err(STATUS_DEVICE_NOT_READY),
        };
        self.with_registers(|io| {
            write(io, block + regs::ERROR, 0);
            write(io, block + regs::FORMAT, sample::pack(probe::code(format.sample), format.channels));
            write(io, block + regs::RATE, format.rate);
            write(io, block + regs::RING_BYTES, geometry.bytes);
            write(io, block + regs::PACKETS, geometry.packets);
            write(io, block + regs::DMA_MODE, mode);
            write(io, block + regs::SG_ENTRIES, entries);
            write(io, block + regs::DMA_ADDR_LO, low(address));
            write(io, block + regs::DMA_ADDR_HI, high(address));
            write(io, block + regs::INT_ENABLE, self.stream_interrupts());
        })
        .ok_or(STATUS_DEVICE_NOT_READY)
    }

    fn set_state(&self, stream: u32, state: StreamState) -> NtResult {
        let block = regs::block(stream).ok_or(STATUS_DEVICE_NOT_READY)?;
        {
            let registers = self.registers.lock();
            let io = registers.as_ref().ok_or(STATUS_DEVICE_NOT_READY)?;
            if !self.powered.load(Ordering::Relaxed) {
                if state == StreamState::Stop {
                    self.note_stop(stream);
                }
                return Err(STATUS_DEVICE_NOT_READY);
            }
            write(io, block + regs::STATE, state.number());
        }
        // The card has written its page before the write returned, so that looking costs no message; the
        // register only if the page can't be read. One aligned word: it can't be torn (DATASHEET 7).
        let reached = match self.page_word(stream, pages::status::STATE) {
            Some(state) => state,
            None => self.with_registers(|io| read(io, block + regs::STATE)).unwrap_or(NO_DEVICE),
        };
        if reached == state.number() {
            return Ok(());
        }
        if reached == NO_DEVICE {
            log::error!("the card is gone");
            return Err(STATUS_DEVICE_NOT_READY);
        }
        let error = self.with_registers(|io| read(io, block + regs::ERROR)).unwrap_or(NO_DEVICE);
        log::error!("stream {stream}: {state:?} refused: {}", error_name(error));
        Err(STATUS_DEVICE_HARDWARE_ERROR)
    }

    fn state(&self, stream: u32) -> Option<StreamState> {
        let block = regs::block(stream)?;
        StreamState::from_number(self.with_registers(|io| read(io, block + regs::STATE))?)
    }

    fn start_at(&self, stream: u32, frame: u64, packet: u32) {
        let Some(block) = regs::block(stream) else { return };
        self.with_registers(|io| {
            write(io, block + regs::START_FRAME_LO, low(frame));
            write(io, block + regs::START_FRAME_HI, high(frame));
            write(io, block + regs::START_PACKET, packet);
        });
    }

    fn ask_lockstep(&self, stream: u32, ask: bool) {
        let Some(block) = regs::block(stream).filter(|_| self.features.written) else { return };
        self.with_registers(|io| write(io, block + regs::LOCKSTEP, if ask { regs::LOCKSTEP_ASK } else { 0 }));
    }

    fn mark(&self, stream: u32, mark: Mark, clock: u64, at_once: bool) -> bool {
        if !self.features.written {
            return true; // a card without FEATURE_WRITTEN takes every packet for valid
        }
        if self.features.mark_page && mark.end_of_stream.is_none() {
            return self.mark_by_page(stream, mark.number, clock, at_once);
        }
        let Some(block) = regs::block(stream) else { return false };
        self.with_registers(|io| {
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
        // The pages are memory of the device like its registers: in D3hot no device may answer there.
        if !self.powered.load(Ordering::Relaxed) {
            return None;
        }
        status_page::read(&Page { io: pages.as_ref()?, base })
    }

    /// One aligned word: it can't be torn (DATASHEET 7).
    fn packet_count(&self, stream: u32) -> Option<u32> {
        let count = self.page_word(stream, pages::status::PACKET_COUNT)?;
        // Looked at afterwards: a card that is gone now may have been before.
        (self.page_word(stream, pages::status::SEQ)? != NO_DEVICE).then_some(count)
    }

    fn update_position_registers(&self, stream: u32, update: bool) {
        let Some(block) = regs::block(stream).filter(|_| self.limits().position_registers) else { return };
        let value = if update { regs::POSITION_TICK } else { 0 };
        self.with_registers(|io| write(io, block + regs::POSITION_CONTROL, value));
    }

    /// Both are in a page of the stream's own with nothing else in it, which the card never reads back
    /// (DATASHEET 7.3).
    fn position_registers(&self, stream: u32) -> Option<PositionRegisters> {
        let offset = pages::position_page(stream).filter(|_| self.limits().position_registers)?;
        let pages = self.pages.lock();
        // The BAR was checked to hold all pages.
        let page = pages.as_ref()?.as_ptr().wrapping_add(offset as usize);
        let at = |field: u32| NonNull::new(page.wrapping_add(field as usize));
        let (position, clock) = (at(pages::position::RING_OFFSET)?, at(pages::position::CLOCK)?);
        self.clients.lock().streams |= bit(stream);
        let updates_per_second = 1_000_000 / regs::POSITION_TICK_MICROS;
        Some(PositionRegisters { position, clock, updates_per_second })
    }

    fn release_position_registers(&self, stream: u32) {
        self.forget_client(stream);
    }

    fn set_volume(&self, stream: u32, channel: u32, volume: i32) {
        let (Some(block), Some(register)) = (regs::block(stream), regs::volume(channel)) else { return };
        if self.limits().volume_min.is_some() {
            let volume = volume.clamp(regs::VOLUME_MIN, 0).cast_unsigned();
            self.with_registers(|io| write(io, block.saturating_add(register), volume));
        }
    }

    fn set_mute(&self, stream: u32, channels: u32) {
        let Some(block) = regs::block(stream).filter(|_| self.limits().volume_min.is_some()) else { return };
        self.with_registers(|io| write(io, block + regs::MUTE, channels & regs::MUTE_CHANNELS));
    }

    fn watch_jack(&self, stream: u32) {
        let Some(block) = regs::block(stream).filter(|_| self.limits().jack) else { return };
        self.with_registers(|io| write(io, block + regs::INT_ENABLE, self.stream_interrupts()));
    }

    fn unplugged(&self, stream: u32) -> Option<bool> {
        // One aligned word: it can't be torn (DATASHEET 7).
        let flags = self.page_word(stream, pages::status::FLAGS).filter(|_| self.limits().jack)?;
        (flags != NO_DEVICE).then_some(flags & pages::status::FLAG_UNPLUGGED != 0)
    }

    /// With messages or a line alike: whatever message an event raises, the DPC looks at all (DATASHEET 2.1).
    fn enable_interrupts(&self, _granted: Granted) -> NtResult {
        self.with_registers(|io| write(io, global::CONTROL, global::CONTROL_INT_ENABLE));
        Ok(())
    }

    fn disable_interrupts(&self) {
        self.with_registers(|io| write(io, global::CONTROL, 0));
    }

    unsafe fn acknowledge_line(&self) -> bool {
        let int_status = self.int_status.load(Ordering::Relaxed);
        if int_status.is_null() || !self.powered.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: the mapped, aligned register; `remove` does not run at the same time (contract of this
        // function).
        unsafe {
            let pending = int_status.read_volatile();
            if pending == 0 || pending == NO_DEVICE {
                return false;
            }
            int_status.write_volatile(pending);
        }
        true
    }

    /// Nothing arrives with an interrupt: registers answer at once, and the pages hold the rest. Any
    /// interrupt may be about any stream (DATASHEET 2.1).
    fn on_interrupt(&self) -> u32 {
        u32::MAX
    }

    fn set_power(&self, on: bool) -> bool {
        if on {
            return self.wake();
        }
        self.sleep();
        true
    }

    fn asleep(&self) -> bool {
        let registers = self.registers.lock();
        registers.is_some()
            && !self.powered.load(Ordering::Relaxed)
            && !self.exchanged.load(Ordering::Relaxed)
    }

    fn is_present(&self) -> bool {
        let pages = self.pages.lock();
        let Some((io, base)) = pages.as_ref().zip(pages::status_page(0)) else { return false };
        if self.exchanged.load(Ordering::Relaxed) {
            return false;
        }
        // Without power nothing of it is touched.
        !self.powered.load(Ordering::Relaxed) || Page { io, base }.word(pages::status::SEQ) != NO_DEVICE
    }

    fn remove(&self) {
        let registers = {
            let mut registers = self.registers.lock();
            // Whatever streams are still open: the card lets go of their memory. (Lost, if the card is gone
            // already.) Taken away with the same lock held: a SetState that comes now must not start one
            // again.
            if let Some(io) = registers.as_ref().filter(|_| self.powered.load(Ordering::Relaxed)) {
                write(io, global::CONTROL, global::CONTROL_RESET);
            }
            self.int_status.store(null_mut(), Ordering::Relaxed);
            registers.take()
        };
        // Unmapped here, when no lock is held and no thread can reach them any more.
        drop(registers);
        self.retire_pages();
    }
}

#[cfg(any(test, feature = "hostile-card"))]
pub mod memory_card;
#[cfg(test)]
mod tests;
