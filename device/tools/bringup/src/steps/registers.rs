//! Reset values after everything was dirtied, bits that do not take, and accesses that are none. DATASHEET sections 2.2, 3 and 4.

use ringwave_regs::error::Error;
use ringwave_regs::{global, stream};

use crate::stream::Stream;
use crate::walk::{Stepped, Walk};

/// Global registers that can be written and what a reset makes of them. CONTROL.RESET is not among what is written.
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
pub fn run(walk: &mut Walk<'_>) -> Stepped {
    read_only(walk)?;
    reserved(walk)?;
    global_reset(walk)?;
    for its in walk.streams()? {
        stream_reset(walk, &its)?;
    }
    bad_accesses(walk)
}

/// Puts a check on the list that is about many registers: as expected when there is no offender.
fn offenders(walk: &mut Walk<'_>, name: impl Into<String>, expected: &str, offenders: &[String]) {
    let seen = if offenders.is_empty() { "all of them".to_owned() } else { offenders.join(", ") };
    walk.check(name, offenders.is_empty(), expected, seen);
}

fn read_only(walk: &mut Walk<'_>) -> Stepped {
    let mut changed = Vec::new();
    for (name, register) in GLOBAL_CONSTANT {
        let value = walk.get(register)?;
        walk.set(register, !value)?;
        if walk.get(register)? != value {
            changed.push(name.to_owned());
        }
    }
    offenders(walk, "read-only registers ignore writes", "all of them", &changed);
    let error = walk.take_error()?;
    walk.error("and that is no error", None, error);
    Ok(())
}

fn reserved(walk: &mut Walk<'_>) -> Stepped {
    walk.set(global::CONTROL, !global::CONTROL_RESET)?;
    let control = walk.get(global::CONTROL)?;
    walk.value("CONTROL: reserved bits read 0", global::CONTROL_INT_ENABLE, control);
    walk.set(global::CONTROL, 0)?;
    for its in walk.streams()? {
        walk.stream_set(&its, stream::INT_ENABLE, u32::MAX)?;
        let enabled = walk.stream_get(&its, stream::INT_ENABLE)?;
        let jack = if walk.get(global::FEATURES)? & global::FEATURE_JACK == 0 { 0 } else { stream::INT_JACK };
        let expected = stream::INT_PACKET | stream::INT_ERROR | jack;
        // Bit 2 without JACK may be reserved, or a bit that never comes to anything.
        let enabled = enabled & !(stream::INT_JACK & !expected);
        walk.value(its.name("INT_ENABLE: reserved bits read 0"), expected, enabled);
    }
    Ok(())
}

fn global_reset(walk: &mut Walk<'_>) -> Stepped {
    let mut not_taken = Vec::new();
    for (name, register, value) in GLOBAL_WRITTEN {
        walk.set(register, value)?;
        // SELFTEST reads what came of it: anything but "done".
        let seen = walk.get(register)?;
        let taken = if register == global::SELFTEST { seen != 0 } else { seen == value };
        if !taken {
            not_taken.push(format!("{name} {seen:#x}"));
        }
    }
    offenders(walk, "registers keep what was written", "all of them", &not_taken);
    let constants = constants(walk)?;
    walk.get(0x05C)?;
    walk.set(global::CONTROL, global::CONTROL_RESET)?;
    let mut wrong = Vec::new();
    for (name, register) in GLOBAL_ZERO {
        let seen = walk.get(register)?;
        if seen != 0 {
            wrong.push(format!("{name} {seen:#x}"));
        }
    }
    offenders(walk, "CONTROL.RESET: registers are 0", "all of them", &wrong);
    let same = constants == self::constants(walk)?;
    let said = |same| if same { "as before" } else { "changed" };
    walk.equal("CONTROL.RESET: constants", said(true), said(same));
    Ok(())
}

fn constants(walk: &mut Walk<'_>) -> Stepped<Vec<u32>> {
    GLOBAL_CONSTANT.iter().map(|(_, register)| walk.get(*register)).collect()
}

/// What is written to a stream to dirty it: (register, value). Addresses and sizes that are never used, for the stream stays in STOP.
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

fn stream_reset(walk: &mut Walk<'_>, its: &Stream) -> Stepped {
    let mut not_taken = Vec::new();
    let features = walk.get(global::FEATURES)?;
    for (register, value) in dirt(its, features) {
        walk.stream_set(its, register, value)?;
        let seen = walk.stream_get(its, register)?;
        if seen != value {
            not_taken.push(format!("{} {seen:#x}", name_of(register)));
        }
    }
    offenders(walk, its.name("registers keep what was written"), "all of them", &not_taken);
    // An error, too: 4 is no state.
    walk.stream_set(its, stream::STATE, 4)?;
    let error = walk.stream_get(its, stream::ERROR)?;
    walk.error(its.name("STATE = 4"), Some(Error::BadState), error);
    walk.set(global::CONTROL, global::CONTROL_RESET)?;
    let mut wrong = Vec::new();
    for register in stream::REGISTERS.iter().filter(|register| register.offset > stream::MESSAGE) {
        let seen = walk.stream_get(its, register.offset)?;
        if seen != 0 {
            wrong.push(format!("{} {seen:#x}", register.name));
        }
    }
    offenders(walk, its.name("CONTROL.RESET: registers are 0"), "all of them", &wrong);
    let same = Stream::look(walk, its.index)?;
    let constants = |of: &Stream| format!("{:#x} {:#x} {:#x}", of.caps, of.formats, of.rates);
    walk.equal(its.name("CONTROL.RESET: CAPS FORMATS RATES"), constants(its), constants(&same));
    Ok(())
}

fn name_of(register: u32) -> &'static str {
    stream::REGISTERS.iter().find(|its| its.offset == register).map_or("?", |its| its.name)
}

/// Accesses that are none read all ones (an absent stream's block 0) and leave `BAD_ACCESS`. DATASHEET 2.2.
fn bad_accesses(walk: &mut Walk<'_>) -> Stepped {
    let mut words = [0; 8];
    walk.card.read(global::MAGIC, &mut words)?;
    let expected = u64::from(global::MAGIC_VALUE) | u64::from(walk.get(global::VERSION)?) << 32;
    let hex = |value: u64| format!("{value:#x}");
    walk.equal("64 bits are two times 32", hex(expected), hex(u64::from_le_bytes(words)));

    bad_read(walk, "8 bits at 0x000", global::MAGIC, 1, 0xFF)?;
    bad_read(walk, "16 bits at 0x004", global::VERSION, 2, 0xFF)?;
    bad_read(walk, "32 bits at 0x002", 2, 4, 0xFF)?;
    bad_read(walk, "no register at 0x05C", 0x05C, 4, 0xFF)?;
    bad_read(walk, "nothing at 0x2000", 0x2000, 4, 0xFF)?;
    let absent = walk.streams()?.len();
    match u32::try_from(absent).ok().and_then(stream::block) {
        Some(block) => bad_read(walk, "absent stream", block + stream::CAPS, 4, 0)?,
        None => walk.skip("absent stream", "all 16 are there"),
    }
    walk.set(0x05C, 1)?;
    let error = walk.take_error()?;
    walk.error("write where no register is", Some(Error::BadAccess), error);
    let error = walk.take_error()?;
    walk.error("a write clears ERROR", None, error);
    for its in walk.streams()? {
        let mut byte = [0];
        walk.card.read(its.block, &mut byte)?;
        let error = walk.take_stream_error(&its)?;
        walk.error(its.name("8 bits of CAPS"), Some(Error::BadAccess), error);
        let global = walk.take_error()?;
        walk.error(its.name("and that is the stream's own"), None, global);
    }
    Ok(())
}

fn bad_read(walk: &mut Walk<'_>, name: &str, offset: u32, bytes: usize, fill: u8) -> Stepped {
    let mut data = vec![!fill; bytes];
    walk.card.read(offset, &mut data)?;
    let error = walk.take_error()?;
    let text = |data: &[u8], code: u32| {
        let digits = data.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        format!("{digits}, {}", crate::walk::error_name(code))
    };
    walk.equal(name, text(&vec![fill; bytes], Error::BadAccess.code()), text(&data, error));
    Ok(())
}
