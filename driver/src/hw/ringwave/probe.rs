//! Whether the card behind the registers is one of ours, what it has, and whether it sees this guest's RAM.

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::mmio::MappedIo;
use nt::status::{STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_REVISION_MISMATCH};
use ringwave_regs::{error::Error, format as sample, global, stream as regs};

use super::access::{NOBODY, high, low, read, write};
use super::selftest::{self, Verdict};
use crate::hw::Limits;
use crate::hw::endpoint::{Direction, Endpoint};
use crate::wave::format::Abilities;

/// MAGIC and the major version. Nothing else is touched before.
pub(super) fn check_identity(registers: &MappedIo) -> NtResult {
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

pub(super) fn read_limits(registers: &MappedIo) -> NtResult<Limits> {
    let features = read(registers, global::FEATURES);
    let dma_bits = read(registers, global::DMA_BITS);
    let clock_hz = read(registers, global::CLOCK_HZ);
    let has = |feature| features & feature == feature;
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
        mark_page: has(global::FEATURE_WRITTEN | global::FEATURE_MARK_PAGE),
        start_frame: has(global::FEATURE_START_FRAME),
        position_page: has(global::FEATURE_POSITION_PAGE),
        volume: has(global::FEATURE_VOLUME),
        jack: has(global::FEATURE_JACK),
        clock_hz,
    })
}

/// Lets the card read and rewrite `memory`, a page, and says what is wrong if it can't.
pub(super) fn run_selftest(registers: &MappedIo, memory: &ContiguousMemory) -> NtResult {
    selftest::fill(memory);
    let address = memory.physical();
    write(registers, global::SELFTEST_ADDR_LO, low(address));
    write(registers, global::SELFTEST_ADDR_HI, high(address));
    write(registers, global::SELFTEST_BYTES, selftest::BYTES);
    write(registers, global::SELFTEST_ENTRIES, 0);
    write(registers, global::SELFTEST, selftest::SEED);
    let verdict =
        selftest::judge(read(registers, global::SELFTEST), read(registers, global::SELFTEST_SUM), memory);
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

/// What every stream of the card is.
pub(super) fn endpoints(registers: &MappedIo) -> [Option<Endpoint>; regs::STREAMS_MAX as usize] {
    // Blocks behind the last stream are not to be touched (BAD_ACCESS).
    let streams = read(registers, global::STREAMS);
    let present = (streams & 0xFF).saturating_add(streams >> global::STREAMS_CAPTURE_SHIFT & 0xFF);
    let mut streams = 0..present;
    core::array::from_fn(|_| endpoint(registers, streams.next()?))
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

/// The name of an error code.
pub(super) fn name(code: u32) -> &'static str {
    Error::from_code(code).map_or("unknown error", Error::name)
}
