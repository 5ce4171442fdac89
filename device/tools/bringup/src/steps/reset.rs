//! Every kind of reset while streams run. DATASHEET section 2, "Reset", and section 7.

use std::time::Duration;

use ringwave_regs::pages::{self, clock};
use ringwave_regs::{global, stream};

use crate::config;
use crate::stream::{Mode, Stream};
use crate::walk::{PATIENCE, Stepped, Walk};

/// How a function is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Control,
    FunctionLevel,
    Outside,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Control => "CONTROL.RESET",
            Self::FunctionLevel => "function-level reset",
            Self::Outside => "DEVICE_RESET",
        }
    }
}

/// The step.
pub fn run(walk: &mut Walk<'_>) -> Stepped {
    for kind in [Kind::Control, Kind::FunctionLevel, Kind::Outside] {
        walk.fresh()?;
        walk.connect_msi()?;
        walk.set(global::CONTROL, global::CONTROL_INT_ENABLE)?;
        let streams = walk.streams()?;
        for its in &streams {
            start(walk, its)?;
        }
        let resets = walk.page(pages::CLOCK_PAGE + clock::RESETS)?;
        if !reset(walk, kind)? {
            walk.skip(kind.name(), "the function has none");
            continue;
        }
        walk.interrupts(0, Duration::from_millis(2))?;
        let quiet: u64 = walk.interrupts(0, Duration::from_millis(25))?.iter().sum();
        walk.equal(format!("{}: messages after", kind.name()), 0, quiet);
        walk.wake()?;
        after(walk, kind, resets, &streams)?;
    }
    Ok(())
}

/// A stream in RUN that has played a packet.
fn start(walk: &mut Walk<'_>, its: &Stream) -> Stepped {
    let mode = Mode::announced(walk)?.first().copied().unwrap_or(Mode::Contiguous);
    walk.configure(its, &its.usual(mode))?;
    walk.reach(its, stream::STATE_RUN)?;
    let (page, there) = walk.wait_status(its, PATIENCE, |page| page.packet_count >= 1)?;
    if !there {
        walk.check(its.name("runs before it is reset"), false, "1 packet", page.packet_count);
    }
    walk.must(there)
}

fn reset(walk: &mut Walk<'_>, kind: Kind) -> Stepped<bool> {
    match kind {
        Kind::Control => {
            let before = config::read16(walk.card, config::COMMAND)?;
            walk.set(global::CONTROL, global::CONTROL_RESET)?;
            let after = config::read16(walk.card, config::COMMAND)?;
            let hex = |command: u16| format!("{command:#06x}");
            walk.equal("CONTROL.RESET: Command stays", hex(before), hex(after));
        }
        Kind::FunctionLevel => {
            if !config::function_level_reset(walk.card)? {
                return Ok(false);
            }
        }
        Kind::Outside => walk.card.reset()?,
    }
    // Behind a kernel configuration space is restored after a reset.
    if kind != Kind::Control && walk.card.own_configuration() {
        let command = config::read16(walk.card, config::COMMAND)?;
        walk.value(format!("{}: Command", kind.name()), 0, command.into());
    }
    Ok(true)
}

fn after(walk: &mut Walk<'_>, kind: Kind, resets: u32, streams: &[Stream]) -> Stepped {
    let now = walk.page(pages::CLOCK_PAGE + clock::RESETS)?;
    let grown = now.wrapping_sub(resets);
    // A kernel may reset more than once for one that was asked for.
    let right = if walk.card.own_configuration() { grown == 1 } else { (1..100).contains(&grown) };
    let expected = if walk.card.own_configuration() { "1 more" } else { "1 more, or a few" };
    walk.check(format!("{}: RESETS", kind.name()), right, expected, format!("{grown} more"));
    let hz = walk.page(pages::CLOCK_PAGE + clock::HZ)?;
    walk.equal(format!("{}: clock page HZ", kind.name()), global::CLOCK_HZ_VALUE, hz);
    let control = walk.get(global::CONTROL)?;
    walk.value(format!("{}: CONTROL", kind.name()), 0, control);
    for its in streams {
        let mut left = Vec::new();
        for register in stream::REGISTERS.iter().filter(|register| register.offset > stream::MESSAGE) {
            let seen = walk.stream_get(its, register.offset)?;
            if seen != 0 {
                left.push(format!("{} {seen:#x}", register.name));
            }
        }
        let seen = if left.is_empty() { "all of them".to_owned() } else { left.join(", ") };
        walk.check(
            its.name(format!("{}: registers are 0", kind.name())),
            left.is_empty(),
            "all of them",
            seen,
        );
        let page = walk.status(its)?;
        let text = |state, count, frame, rate, den| format!("{state}, {count}, {frame}, {rate}/{den}");
        let seen = text(page.state, page.packet_count, page.anchor_frame, page.rate_num, page.rate_den);
        let name = its.name(format!("{}: page's state, count, frame, rate", kind.name()));
        walk.equal(name, text(0, 0, 0, 0, global::CLOCK_HZ_VALUE), seen);
    }
    Ok(())
}
