//! What CAPS, FORMATS and RATES announce is taken; what they do not is refused and changes nothing. DATASHEET
//! sections 4 and 4.2.

use ringwave_regs::error::{Error, NONE};
use ringwave_regs::{format, stream};

use crate::bringup::{Bringup, StepResult, error_name};
use crate::stream::Stream;

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    for its in bringup.streams()? {
        announced(bringup, &its)?;
        refused(bringup, &its)?;
    }
    Ok(())
}

fn announced(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let defined = |code: &u32| format::sample_bytes(*code).is_some();
    let codes = its.sample_formats();
    let sane = !codes.is_empty() && codes.iter().all(defined);
    bringup.check(its.name("FORMATS"), sane, "some of bits 3:0", format!("{:#x}", its.formats));
    let rates = its.rates_hz();
    let all = its.rates >> format::RATES.len() == 0 && !rates.is_empty();
    let named = rates.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    bringup.check(its.name("RATES"), all, "some of bits 14:0", named);

    let (mut count, mut refused) = (0, Vec::new());
    for code in codes.iter().copied().filter(defined) {
        for channels in 1..=its.channels_max().min(format::CHANNELS_MAX) {
            count += 1;
            let value = format::pack(code, channels);
            if let Some(why) = not_taken(bringup, its, stream::FORMAT, value)? {
                refused.push(format!("{value:#x} {why}"));
            }
        }
    }
    all_taken(bringup, its.name("announced formats are taken"), count, &refused);
    let mut refused = Vec::new();
    for rate in &rates {
        if let Some(why) = not_taken(bringup, its, stream::RATE, *rate)? {
            refused.push(format!("{rate} {why}"));
        }
    }
    all_taken(bringup, its.name("announced rates are taken"), rates.len(), &refused);
    Ok(())
}

fn all_taken(bringup: &mut Bringup<'_>, name: String, count: usize, refused: &[String]) {
    let expected = format!("all {count}");
    let seen = if refused.is_empty() { expected.clone() } else { format!("not {}", refused.join(", ")) };
    bringup.equal(name, expected, seen);
}

/// Why a value that was written does not stand there, if so.
fn not_taken(
    bringup: &mut Bringup<'_>,
    its: &Stream,
    register: u32,
    value: u32,
) -> StepResult<Option<String>> {
    bringup.stream_set(its, register, value)?;
    let error = bringup.take_stream_error(its)?;
    let seen = bringup.stream_get(its, register)?;
    Ok((error != NONE || seen != value).then(|| format!("({}, reads {seen:#x})", error_name(error))))
}

fn refused(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let usual = its.usual(crate::stream::Mode::Contiguous);
    let good = format::pack(usual.code, usual.channels);
    let mut formats = vec![
        ("no such sample format", format::pack(0x20, usual.channels)),
        ("no channels", format::pack(usual.code, 0)),
        ("too many channels", format::pack(usual.code, its.channels_max() + 1)),
    ];
    if let Some(code) = (0..4).find(|code| its.formats >> code & 1 == 0) {
        formats.push(("sample format not announced", format::pack(code, usual.channels)));
    }
    bringup.stream_set(its, stream::FORMAT, good)?;
    for (name, bad) in formats {
        refuse(bringup, its, name, (stream::FORMAT, good, bad), Error::BadFormat)?;
    }
    let mut rates = vec![("rate that none is", usual.rate + 1), ("rate 0", 0)];
    if let Some(rate) = format::RATES.iter().find(|rate| its.rates & format::rate_bit(**rate) == 0) {
        rates.push(("rate not announced", *rate));
    }
    bringup.stream_set(its, stream::RATE, usual.rate)?;
    for (name, bad) in rates {
        refuse(bringup, its, name, (stream::RATE, usual.rate, bad), Error::BadRate)?;
    }
    Ok(())
}

/// A value that must be refused: (register, what stands there, the bad value).
fn refuse(
    bringup: &mut Bringup<'_>,
    its: &Stream,
    name: &str,
    (register, good, bad): (u32, u32, u32),
    error: Error,
) -> StepResult {
    bringup.stream_set(its, register, bad)?;
    let seen = bringup.take_stream_error(its)?;
    let value = bringup.stream_get(its, register)?;
    let text = |code: u32, value: u32| format!("{}, reads {value:#x}", error_name(code));
    bringup
        .equal(its.name(format!("{name} ({bad:#x})")), text(error.code(), good), text(seen, value))
        .means("a refused write changes nothing but ERROR");
    Ok(())
}
