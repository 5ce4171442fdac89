//! Whether the card behind the registers is one of ours, what it has, and whether it sees this guest's RAM.

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::mmio::MappedIo;
use nt::status::{STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_REVISION_MISMATCH};
use ringwave_regs::{error::Error, format as sample, global, stream as regs};

use super::access::{NO_DEVICE, high, low, read, write};
use super::selftest::{self, Verdict};
use super::status_page::error_name;
use crate::hw::format::{Capabilities, RATES, SampleFormat, rate_bit};
use crate::hw::{Direction, Endpoint, Limits};

/// What the card has: what concerns this module alone, and the limits that the driver above knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    /// Takes a cyclic buffer in one piece by its address.
    pub(super) contiguous: bool,
    /// The most entries of a scatter-gather table; 0: takes none.
    pub(super) entries_max: u32,
    /// Wants to know which packets are written.
    pub(super) written: bool,
    /// Looks for that in a page, so that saying it costs no message.
    pub(super) mark_page: bool,
    /// What is the same for each of its streams.
    pub(super) limits: Limits,
}

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

/// What the card has, from its global registers.
pub(super) fn read_features(registers: &MappedIo) -> NtResult<Features> {
    let features = read(registers, global::FEATURES);
    let dma_bits = read(registers, global::DMA_BITS);
    let clock_hz = read(registers, global::CLOCK_HZ);
    let has = |feature| features & feature == feature;
    if features == NO_DEVICE || !(32..=64).contains(&dma_bits) || clock_hz == 0 || clock_hz == NO_DEVICE {
        log::error!(
            "the card answers nonsense: features {features:#x}, {dma_bits} address bits, {clock_hz} Hz"
        );
        return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
    }
    let contiguous = has(global::FEATURE_CONTIGUOUS);
    let entries_max = read(registers, global::SG_ENTRIES_MAX).min(ringwave_regs::dma::ENTRIES_MAX);
    let entries_max = if has(global::FEATURE_SCATTER_GATHER) { entries_max } else { 0 };
    let mark_page = has(global::FEATURE_WRITTEN | global::FEATURE_MARK_PAGE);
    Ok(Features {
        contiguous,
        written: has(global::FEATURE_WRITTEN),
        mark_page,
        entries_max,
        limits: Limits {
            // Not above i64::MAX: PHYSICAL_ADDRESS is signed, and no processor has that many bits.
            dma_highest: (u64::MAX >> (64 - dma_bits)) & (u64::MAX >> 1),
            buffer_bytes_max: read(registers, global::RING_BYTES_MAX).min(global::RING_BYTES_MAX_VALUE),
            segments_max: entries_max.max(u32::from(contiguous)),
            start_frame: has(global::FEATURE_START_FRAME),
            // The mark page (DATASHEET 7.4).
            forgets_marks: mark_page,
            position_registers: has(global::FEATURE_POSITION_PAGE),
            volume_min: has(global::FEATURE_VOLUME).then_some(regs::VOLUME_MIN),
            jack: has(global::FEATURE_JACK),
            clock_hz,
        },
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
        selftest::verdict(read(registers, global::SELFTEST), read(registers, global::SELFTEST_SUM), memory);
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
        Verdict::Refused(code) => log::error!("DMA self-test failed: {}", error_name(code)),
    }
    Err(STATUS_DEVICE_CONFIGURATION_ERROR)
}

/// What every stream of the card is.
pub(super) fn endpoints(
    registers: &MappedIo,
    limits: Limits,
) -> [Option<Endpoint>; regs::STREAMS_MAX as usize] {
    // Blocks behind the last stream are not to be touched (BAD_ACCESS).
    let streams = read(registers, global::STREAMS);
    let present = (streams & 0xFF).saturating_add(streams >> global::STREAMS_CAPTURE_SHIFT & 0xFF);
    let mut streams = 0..present;
    core::array::from_fn(|_| endpoint(registers, streams.next()?, limits))
}

/// What stream number `stream` of the card is.
fn endpoint(io: &MappedIo, stream: u32, limits: Limits) -> Option<Endpoint> {
    let block = regs::block(stream)?;
    let caps = read(io, block + regs::CAPS);
    if caps == NO_DEVICE || caps & regs::CAPS_PRESENT == 0 {
        return None;
    }
    let (formats, rates) = (read(io, block + regs::FORMATS), read(io, block + regs::RATES));
    let has_format = |format: &SampleFormat| formats & 1 << code(*format) != 0;
    let has_rate = |rate: &u32| rates & sample::rate_bit(*rate) != 0;
    let can = Capabilities {
        samples: SampleFormat::ALL.into_iter().filter(has_format).fold(0, |bits, format| bits | format.bit()),
        rates: RATES.into_iter().filter(has_rate).fold(0, |bits, rate| bits | rate_bit(rate)),
        channels_max: (caps >> regs::CAPS_CHANNELS_SHIFT & 0xFF).min(sample::CHANNELS_MAX),
    };
    let captures = caps & regs::CAPS_CAPTURE != 0;
    let direction = if captures { Direction::Capture } else { Direction::Render };
    Some(Endpoint { stream, direction, can, limits })
}

/// The card's code of a sample format.
pub(super) const fn code(format: SampleFormat) -> u32 {
    match format {
        SampleFormat::S16 => sample::S16,
        SampleFormat::S24In32 => sample::S24_32,
        SampleFormat::S32 => sample::S32,
        SampleFormat::F32 => sample::F32,
    }
}
