//! Reset values after everything was dirtied, bits that do not take, and accesses that are none. DATASHEET
//! sections 2.2, 3 and 4.

use ringwave_regs::error::Error;
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, StepResult};
use crate::stream::Stream;

/// Global registers that can be written and what a reset makes of them. CONTROL.RESET is not among what is
/// written.
const GLOBAL_WRITTEN: [(&str, u32, u32); 6] = [
    ("CONTROL", global::CONTROL, global::CONTROL_INT_ENABLE),
    ("SELFTEST_ADDR_LO", global::SELFTEST_ADDR_LO, 0xFFFF_FFFC),
    ("SELFTEST_ADDR_HI", global::SELFTEST_ADDR_HI, 0x7FFF_FFFF),
    ("SELFTEST_BYTES", global::SELFTEST_BYTES, 64),
    ("SELFTEST_ENTRIES", global::SELFTEST_ENTRIES, 3),
    // Runs, and fails: nobody maps that address.
    ("SELFTEST", global::SELFTEST, 1),
];

/// Global registers that never change.
const GLOBAL_CONSTANT: [(&str, u32); 10] = [
    ("MAGIC", global::MAGIC),
    ("VERSION", global::VERSION),
    ("FEATURES", global::FEATURES),
    ("STREAMS", global::STREAMS),
    ("DMA_BITS", global::DMA_BITS),
    ("SG_ENTRIES_MAX", global::SG_ENTRIES_MAX),
    ("RING_BYTES_MAX", global::RING_BYTES_MAX),
    ("CLOCK_HZ", global::CLOCK_HZ),
    ("MESSAGES", global::MESSAGES),
    ("CLOCK_MODE", global::CLOCK_MODE),
];

/// Global registers that are 0 after a reset.
const GLOBAL_ZERO: [(&str, u32); 11] = [
    ("CONTROL", global::CONTROL),
    ("INT_STATUS", global::INT_STATUS),
    ("INT_RAISE", global::INT_RAISE),
    ("SELFTEST_ADDR_LO", global::SELFTEST_ADDR_LO),
    ("SELFTEST_ADDR_HI", global::SELFTEST_ADDR_HI),
    ("SELFTEST_BYTES", global::SELFTEST_BYTES),
    ("SELFTEST_ENTRIES", global::SELFTEST_ENTRIES),
    ("SELFTEST", global::SELFTEST),
    ("SELFTEST_SUM", global::SELFTEST_SUM),
    ("ERROR", global::ERROR),
    ("TRACE_MARK", global::TRACE_MARK),
];

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    read_only(bringup)?;
    reserved(bringup)?;
    global_reset(bringup)?;
    for its in bringup.streams()? {
        stream_reset(bringup, &its)?;
    }
    bad_accesses(bringup)
}

/// Puts a check on the list that is about many registers: as expected when there is no offender.
fn offenders(bringup: &mut Bringup<'_>, name: impl Into<String>, expected: &str, offenders: &[String]) {
    let seen = if offenders.is_empty() { "all of them".to_owned() } else { offenders.join(", ") };
    bringup.check(name, offenders.is_empty(), expected, seen);
}

fn read_only(bringup: &mut Bringup<'_>) -> StepResult {
    let mut changed = Vec::new();
    for (name, register) in GLOBAL_CONSTANT {
        let value = bringup.get(register)?;
        bringup.set(register, !value)?;
        if bringup.get(register)? != value {
            changed.push(name.to_owned());
        }
    }
    offenders(bringup, "read-only registers ignore writes", "all of them", &changed);
    let error = bringup.take_error()?;
    bringup.error("and that is no error", None, error);
    Ok(())
}

fn reserved(bringup: &mut Bringup<'_>) -> StepResult {
    bringup.set(global::CONTROL, !global::CONTROL_RESET)?;
    let control = bringup.get(global::CONTROL)?;
    bringup.value("CONTROL: reserved bits read 0", global::CONTROL_INT_ENABLE, control);
    bringup.set(global::CONTROL, 0)?;
    for its in bringup.streams()? {
        bringup.stream_set(&its, stream::INT_ENABLE, u32::MAX)?;
        let enabled = bringup.stream_get(&its, stream::INT_ENABLE)?;
        let jack =
            if bringup.get(global::FEATURES)? & global::FEATURE_JACK == 0 { 0 } else { stream::INT_JACK };
        let expected = stream::INT_PACKET | stream::INT_ERROR | jack;
        // Bit 2 without JACK may be reserved, or a bit that never comes to anything.
        let enabled = enabled & !(stream::INT_JACK & !expected);
        bringup.value(its.name("INT_ENABLE: reserved bits read 0"), expected, enabled);
    }
    Ok(())
}

fn global_reset(bringup: &mut Bringup<'_>) -> StepResult {
    let mut not_taken = Vec::new();
    for (name, register, value) in GLOBAL_WRITTEN {
        bringup.set(register, value)?;
        // SELFTEST reads what came of it: anything but "done".
        let seen = bringup.get(register)?;
        let taken = if register == global::SELFTEST { seen != 0 } else { seen == value };
        if !taken {
            not_taken.push(format!("{name} {seen:#x}"));
        }
    }
    offenders(bringup, "registers keep what was written", "all of them", &not_taken);
    let constants = constants(bringup)?;
    bringup.get(0x05C)?;
    bringup.set(global::CONTROL, global::CONTROL_RESET)?;
    let mut wrong = Vec::new();
    for (name, register) in GLOBAL_ZERO {
        let seen = bringup.get(register)?;
        if seen != 0 {
            wrong.push(format!("{name} {seen:#x}"));
        }
    }
    offenders(bringup, "CONTROL.RESET: registers are 0", "all of them", &wrong);
    let same = constants == self::constants(bringup)?;
    let said = |same| if same { "as before" } else { "changed" };
    bringup.equal("CONTROL.RESET: constants", said(true), said(same));
    Ok(())
}

fn constants(bringup: &mut Bringup<'_>) -> StepResult<Vec<u32>> {
    GLOBAL_CONSTANT.iter().map(|(_, register)| bringup.get(*register)).collect()
}

/// What is written to a stream to dirty it: (register, value). Addresses and sizes that are never used, for
/// the stream stays in STOP.
fn dirt(its: &Stream, features: u32) -> Vec<(u32, u32)> {
    let usual = its.usual(crate::stream::Mode::Contiguous);
    let volumes = if features & global::FEATURE_VOLUME == 0 {
        &[][..]
    } else {
        &[(stream::MUTE, 0x81), (stream::VOLUME_0, u32::MAX), (stream::VOLUME_7, 0xFFA0_0000)]
    };
    let registers = [
        (stream::FORMAT, ringwave_regs::format::pack(usual.code, usual.channels)),
        (stream::RATE, usual.rate),
        (stream::RING_BYTES, usual.ring_bytes()),
        (stream::PACKETS, usual.packets),
        (stream::SG_ENTRIES, 7),
        (stream::DMA_ADDR_LO, 0x1234_5670),
        (stream::DMA_ADDR_HI, 0x1),
        (stream::INT_ENABLE, stream::INT_PACKET),
    ];
    let lockstep: &[_] = if features & global::FEATURE_WRITTEN == 0 {
        &[]
    } else {
        &[(stream::LOCKSTEP, stream::LOCKSTEP_ASK)]
    };
    [&registers[..], volumes, lockstep].concat()
}

fn stream_reset(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let mut not_taken = Vec::new();
    let features = bringup.get(global::FEATURES)?;
    for (register, value) in dirt(its, features) {
        bringup.stream_set(its, register, value)?;
        let seen = bringup.stream_get(its, register)?;
        if seen != value {
            not_taken.push(format!("{} {seen:#x}", name_of(register)));
        }
    }
    offenders(bringup, its.name("registers keep what was written"), "all of them", &not_taken);
    // An error, too: 4 is no state.
    bringup.stream_set(its, stream::STATE, 4)?;
    let error = bringup.stream_get(its, stream::ERROR)?;
    bringup.error(its.name("STATE = 4"), Some(Error::BadState), error);
    bringup.set(global::CONTROL, global::CONTROL_RESET)?;
    let mut wrong = Vec::new();
    for register in stream::REGISTERS.iter().filter(|register| register.offset > stream::MESSAGE) {
        let seen = bringup.stream_get(its, register.offset)?;
        if seen != 0 {
            wrong.push(format!("{} {seen:#x}", register.name));
        }
    }
    offenders(bringup, its.name("CONTROL.RESET: registers are 0"), "all of them", &wrong);
    let same = Stream::read(bringup, its.index)?;
    let constants = |of: &Stream| format!("{:#x} {:#x} {:#x}", of.caps, of.formats, of.rates);
    bringup.equal(its.name("CONTROL.RESET: CAPS FORMATS RATES"), constants(its), constants(&same));
    Ok(())
}

fn name_of(register: u32) -> &'static str {
    stream::REGISTERS.iter().find(|its| its.offset == register).map_or("?", |its| its.name)
}

/// Accesses that are none read all ones (an absent stream's block 0) and leave `BAD_ACCESS`. DATASHEET 2.2.
fn bad_accesses(bringup: &mut Bringup<'_>) -> StepResult {
    let mut words = [0; 8];
    bringup.card.read(global::MAGIC, &mut words)?;
    let expected = u64::from(global::MAGIC_VALUE) | u64::from(bringup.get(global::VERSION)?) << 32;
    let hex = |value: u64| format!("{value:#x}");
    bringup.equal("64 bits are two times 32", hex(expected), hex(u64::from_le_bytes(words)));

    bad_read(bringup, "8 bits at 0x000", global::MAGIC, 1, 0xFF)?;
    bad_read(bringup, "16 bits at 0x004", global::VERSION, 2, 0xFF)?;
    bad_read(bringup, "32 bits at 0x002", 2, 4, 0xFF)?;
    bad_read(bringup, "no register at 0x05C", 0x05C, 4, 0xFF)?;
    bad_read(bringup, "nothing at 0x2000", 0x2000, 4, 0xFF)?;
    let absent = bringup.streams()?.len();
    match u32::try_from(absent).ok().and_then(stream::block) {
        Some(block) => bad_read(bringup, "absent stream", block + stream::CAPS, 4, 0)?,
        None => bringup.skip("absent stream", "all 16 are there"),
    }
    bringup.set(0x05C, 1)?;
    let error = bringup.take_error()?;
    bringup.error("write where no register is", Some(Error::BadAccess), error);
    let error = bringup.take_error()?;
    bringup.error("a write clears ERROR", None, error);
    for its in bringup.streams()? {
        let mut byte = [0];
        bringup.card.read(its.block, &mut byte)?;
        let error = bringup.take_stream_error(&its)?;
        bringup.error(its.name("8 bits of CAPS"), Some(Error::BadAccess), error);
        let global = bringup.take_error()?;
        bringup.error(its.name("and that is the stream's own"), None, global);
    }
    Ok(())
}

fn bad_read(bringup: &mut Bringup<'_>, name: &str, offset: u32, bytes: usize, fill: u8) -> StepResult {
    let mut data = vec![!fill; bytes];
    bringup.card.read(offset, &mut data)?;
    let error = bringup.take_error()?;
    let text = |data: &[u8], code: u32| {
        let digits = data.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        format!("{digits}, {}", crate::bringup::error_name(code))
    };
    bringup.equal(name, text(&vec![fill; bytes], Error::BadAccess.code()), text(&data, error));
    Ok(())
}
