//! Cards with one defect each: the real card behind a wrapper that gets one thing wrong, served on a socket
//! of its own.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringwave::engine::{Engine, EngineConfig};
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::{Identity, layout};
use ringwave_card::{CardConfig, Function};
use ringwave_guest_memory::memfd::memfd;
use ringwave_host::SinkSpec;
use ringwave_regs::{global, pages, pci, stream};
use ringwave_vfio_user::wire::pci::{CONFIG_REGION, INTX_IRQ, MSI_IRQ};
use ringwave_vfio_user::{
    Device, DmaAccess, DmaMap, Errno, IrqAction, IrqChange, IrqInfo, Listener, MappedRegion, RegionInfo,
    Stop, accept, serve_client,
};

/// What is wrong with a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Nothing: the wrapper itself must not be what a test finds.
    None,
    /// A register reads this, whatever it is.
    Reads(u32, u32),
    /// A register reads so much more than it is.
    ReadsMore(u32, u32),
    /// A register reads this until it is written.
    ReadsUntilWritten(u32, u32),
    /// A register reads what was written last, as if everything were taken.
    TakesAll(u32),
    /// What is written to a register above 0 or below this is brought into the range, quietly.
    Clamps(u32, i32),
    /// A register grows with every read.
    Grows(u32),
    /// A write to a register does not arrive.
    Ignores(u32),
    /// A write to a register arrives twice.
    Twice(u32),
    /// A register is never answered.
    Hangs(u32),
    /// A byte of configuration space reads as this.
    Configuration(u16, u8),
    /// Command always has Bus Master Enable.
    BusMasterAlways,
    /// The memory of a map is a copy, as without share=on.
    NotShared,
    /// Messages, or the line, go nowhere.
    Lost(u32),
    /// The first two messages go to each other's vectors.
    Swapped,
    /// The pages never change, and their SEQ is this.
    PagesStand(u32),
    /// The file behind BAR 2 is shorter than the BAR.
    PagesShort,
    /// The file behind BAR 2 can be cut short.
    PagesNotSealed,
    /// Function-level reset does nothing.
    NoFunctionLevelReset,
    /// `DEVICE_RESET` does nothing.
    NoDeviceReset,
    /// `D3hot` is shown and not taken.
    NoSleep,
    /// Memory stays reachable after it was unmapped.
    NeverUnmaps,
    /// Every register but MAGIC and VERSION reads noise.
    Noise,
    /// The card's clock is not what it says.
    Speed(&'static str),
}

struct Broken {
    function: Function,
    defect: Defect,
    /// What was written last to the register that the defect is about; `None` before.
    written: Option<u32>,
    reads: u32,
    /// What is shown instead of the pages.
    stand_in: File,
    /// Writes to BAR 0.
    writes: Arc<AtomicU32>,
}

impl Broken {
    fn read_register(&mut self, offset: u32, value: u32) -> u32 {
        match self.defect {
            Defect::Reads(register, reads) if register == offset => reads,
            Defect::ReadsMore(register, more) if register == offset => value.wrapping_add(more),
            Defect::ReadsUntilWritten(register, reads) if register == offset => {
                if self.written.is_none() {
                    reads
                } else {
                    value
                }
            }
            Defect::TakesAll(register) if register == offset => self.written.unwrap_or(value),
            Defect::Grows(register) if register == offset => {
                self.reads += 1;
                value.wrapping_add(self.reads)
            }
            Defect::Noise if offset > global::VERSION => {
                self.reads = self.reads.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
                // Now and then one of the extremes.
                [0, u32::MAX, self.reads, self.reads >> 24][(self.reads >> 13 & 3) as usize]
            }
            Defect::Hangs(register) if register == offset => {
                // Longer than a client waits for an answer.
                std::thread::sleep(Duration::from_secs(6));
                value
            }
            _ => value,
        }
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), Errno> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let write = |function: &mut Function, value: u32| {
            function.region_write(pci::REGISTERS_BAR, offset.into(), &value.to_le_bytes())
        };
        match self.defect {
            Defect::Ignores(register) if register == offset => return Ok(()),
            // What is out of range is brought into it, quietly.
            Defect::Clamps(register, lowest) if register == offset => {
                let value = value.cast_signed().clamp(lowest, 0).cast_unsigned();
                return write(&mut self.function, value);
            }
            Defect::Twice(register) if register == offset => write(&mut self.function, value)?,
            Defect::TakesAll(register) | Defect::ReadsUntilWritten(register, _) => {
                if register == offset {
                    self.written = Some(value);
                } else if offset == global::CONTROL && value & global::CONTROL_RESET != 0 {
                    self.written = None;
                }
            }
            _ => {}
        }
        write(&mut self.function, value)
    }
}

impl Device for Broken {
    fn region(&self, index: u32) -> RegionInfo<'_> {
        let mut region = self.function.region(index);
        let replaced =
            matches!(self.defect, Defect::PagesStand(_) | Defect::PagesShort | Defect::PagesNotSealed);
        if let (true, Some(mapped)) = (replaced, &mut region.mapped) {
            *mapped = MappedRegion { fd: self.stand_in.as_fd(), ..mapped.clone() };
        }
        region
    }

    fn irq(&self, index: u32) -> IrqInfo {
        self.function.irq(index)
    }

    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.function.region_read(region, offset, data)?;
        match (region, self.defect) {
            (pci::REGISTERS_BAR, _) => {
                if let Ok(bytes) = <[u8; 4]>::try_from(&*data) {
                    let offset = u32::try_from(offset).unwrap();
                    let value = self.read_register(offset, u32::from_le_bytes(bytes));
                    data.copy_from_slice(&value.to_le_bytes());
                }
            }
            (CONFIG_REGION, Defect::Configuration(place, byte)) => {
                let place = u64::from(place).checked_sub(offset).map(|place| usize::try_from(place).unwrap());
                if let Some(at) = place.and_then(|place| data.get_mut(place)) {
                    *at = byte;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if let (pci::REGISTERS_BAR, Ok(bytes)) = (region, <[u8; 4]>::try_from(data)) {
            return self.write_register(u32::try_from(offset).unwrap(), u32::from_le_bytes(bytes));
        }
        let mut data = data.to_vec();
        let mut change = |place: usize, clear: u8, set: u8| {
            let at = usize::try_from(offset).ok().and_then(|offset| place.checked_sub(offset));
            if let (CONFIG_REGION, Some(byte)) = (region, at.and_then(|at| data.get_mut(at))) {
                *byte = *byte & !clear | set;
            }
        };
        match self.defect {
            Defect::BusMasterAlways => change(layout::COMMAND, 0, 4),
            Defect::NoFunctionLevelReset => change(layout::DEVICE_CONTROL + 1, 0x80, 0),
            Defect::NoSleep => change(layout::PMCSR, layout::PMCSR_STATE, 0),
            _ => {}
        }
        self.function.region_write(region, offset, &data)
    }

    fn dma_map(&mut self, mut map: DmaMap) -> Result<(), Errno> {
        if let (Defect::NotShared, DmaAccess::Map { fd, offset }) = (self.defect, &mut map.access) {
            let copy = memfd(c"copy", map.size, false).unwrap();
            let mut bytes = vec![0; usize::try_from(map.size).unwrap()];
            File::from(fd.try_clone().unwrap()).read_exact_at(&mut bytes, *offset).unwrap();
            copy.write_all_at(&bytes, 0).unwrap();
            (*fd, *offset) = (copy.into(), 0);
        }
        self.function.dma_map(map)
    }

    fn dma_unmap(&mut self, addresses: RangeInclusive<u64>) {
        if self.defect != Defect::NeverUnmaps {
            self.function.dma_unmap(addresses);
        }
    }

    fn set_irqs(&mut self, index: u32, change: IrqChange<'_>) -> Result<(), Errno> {
        match (self.defect, change) {
            (Defect::Lost(kind), IrqChange::Assign { action: IrqAction::Trigger, start, fds })
                if kind == index =>
            {
                let nowhere = |_| memfd(c"nowhere", 4096, false).unwrap().into();
                let fds = fds.into_iter().map(nowhere).collect();
                self.function.set_irqs(index, IrqChange::Assign { action: IrqAction::Trigger, start, fds })
            }
            (Defect::Swapped, IrqChange::Assign { action: IrqAction::Trigger, start, mut fds })
                if fds.len() > 1 =>
            {
                fds.swap(0, 1);
                self.function.set_irqs(index, IrqChange::Assign { action: IrqAction::Trigger, start, fds })
            }
            (_, change) => self.function.set_irqs(index, change),
        }
    }

    fn reset(&mut self) -> Result<(), Errno> {
        if self.defect == Defect::NoDeviceReset { Ok(()) } else { self.function.reset() }
    }

    fn client_left(&mut self) {
        self.function.client_left();
    }
}

/// A card with a defect, on a socket, until the test's process ends.
pub struct BrokenCard {
    dir: tempfile::TempDir,
    /// Writes to BAR 0 so far.
    pub writes: Arc<AtomicU32>,
}

impl BrokenCard {
    pub fn serve(defect: Defect) -> Self {
        // Lockstep, so that what waits can be looked at.
        Self::of(defect, Config { clock: ClockMode::Lockstep, ..Config::default() })
    }

    /// One that is built like this.
    pub fn of(defect: Defect, controller: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let speed = if let Defect::Speed(speed) = defect { speed } else { "1" };
        let card = CardConfig {
            controller,
            identity: Identity::default(),
            speed: speed.parse().unwrap(),
            trace: false,
        }
        .power_on();
        let card = Arc::new(card.unwrap());
        let files = EngineConfig { sink: SinkSpec::Null, stats: None, trace: None };
        let engine = Engine::start(Arc::clone(&card), files).unwrap();
        let listener = Listener::bind(&dir.path().join("card.sock")).unwrap();
        // The fields that are stored below are all in its first part.
        let bytes = if matches!(defect, Defect::PagesShort) { 0x1_1000 } else { pci::PAGES_BYTES };
        let sealed = !matches!(defect, Defect::PagesNotSealed);
        let stand_in = memfd(c"stand-in", bytes.into(), sealed).unwrap();
        let seq = if let Defect::PagesStand(seq) = defect { seq } else { 0 };
        for (offset, value) in [
            (pages::STATUS_BASE + pages::status::SEQ, seq),
            (pages::CLOCK_PAGE + pages::clock::HZ, global::CLOCK_HZ_VALUE),
            (pages::STATUS_BASE + pages::status::RATE_DEN, global::CLOCK_HZ_VALUE),
        ] {
            stand_in.write_all_at(&u32::to_le_bytes(value), offset.into()).unwrap();
        }
        let writes = Arc::new(AtomicU32::new(0));
        let mut broken = Broken {
            function: Function::new(Arc::clone(&card)),
            defect,
            written: None,
            reads: 0,
            stand_in,
            writes: Arc::clone(&writes),
        };
        std::thread::spawn(move || {
            let _engine = engine;
            let stop = Stop::new().unwrap();
            while let Some(client) = accept(listener.socket(), &stop).unwrap() {
                serve_client(&client, &mut broken, &stop);
                card.client_left();
            }
        });
        Self { dir, writes }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("card.sock")
    }
}

/// A register of stream 0.
pub const fn of_stream(register: u32) -> u32 {
    stream::BLOCK_BASE + register
}

/// The two kinds of interrupts.
pub const MESSAGES: u32 = MSI_IRQ;
pub const LINE: u32 = INTX_IRQ;
