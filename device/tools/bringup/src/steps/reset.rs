//! Every kind of reset while streams run. DATASHEET section 2, "Reset", and section 7.

use std::time::Duration;

use ringwave_regs::pages::{self, clock};
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, PATIENCE, StepResult};
use crate::config;
use crate::stream::{Mode, Stream};

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
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    for kind in [Kind::Control, Kind::FunctionLevel, Kind::Outside] {
        bringup.fresh()?;
        bringup.connect_msi()?;
        bringup.set(global::CONTROL, global::CONTROL_INT_ENABLE)?;
        let streams = bringup.streams()?;
        for its in &streams {
            start(bringup, its)?;
        }
        let resets = bringup.page(pages::CLOCK_PAGE + clock::RESETS)?;
        if !reset(bringup, kind)? {
            bringup.skip(kind.name(), "the function has none");
            continue;
        }
        bringup.interrupts(0, Duration::from_millis(2))?;
        let quiet: u64 = bringup.interrupts(0, Duration::from_millis(25))?.iter().sum();
        bringup.equal(format!("{}: messages after", kind.name()), 0, quiet);
        bringup.wake()?;
        after(bringup, kind, resets, &streams)?;
    }
    Ok(())
}

/// A stream in RUN that has played a packet.
fn start(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    bringup.configure(its, &its.usual(mode))?;
    bringup.step_to(its, stream::STATE_RUN)?;
    let (page, there) = bringup.wait_status(its, PATIENCE, |page| page.packet_count >= 1)?;
    if !there {
        bringup.check(its.name("runs before it is reset"), false, "1 packet", page.packet_count);
    }
    bringup.must(there)
}

fn reset(bringup: &mut Bringup<'_>, kind: Kind) -> StepResult<bool> {
    match kind {
        Kind::Control => {
            let before = config::read16(bringup.card, config::COMMAND)?;
            bringup.set(global::CONTROL, global::CONTROL_RESET)?;
            let after = config::read16(bringup.card, config::COMMAND)?;
            let hex = |command: u16| format!("{command:#06x}");
            bringup.equal("CONTROL.RESET: Command stays", hex(before), hex(after));
        }
        Kind::FunctionLevel => {
            if !config::function_level_reset(bringup.card)? {
                return Ok(false);
            }
        }
        Kind::Outside => bringup.card.reset()?,
    }
    // Behind a kernel configuration space is restored after a reset.
    if kind != Kind::Control && bringup.card.own_configuration() {
        let command = config::read16(bringup.card, config::COMMAND)?;
        bringup.value(format!("{}: Command", kind.name()), 0, command.into());
    }
    Ok(true)
}

fn after(bringup: &mut Bringup<'_>, kind: Kind, resets: u32, streams: &[Stream]) -> StepResult {
    let now = bringup.page(pages::CLOCK_PAGE + clock::RESETS)?;
    let grown = now.wrapping_sub(resets);
    // A kernel may reset more than once for one that was asked for.
    let right = if bringup.card.own_configuration() { grown == 1 } else { (1..100).contains(&grown) };
    let expected = if bringup.card.own_configuration() { "1 more" } else { "1 more, or a few" };
    bringup.check(format!("{}: RESETS", kind.name()), right, expected, format!("{grown} more"));
    let hz = bringup.page(pages::CLOCK_PAGE + clock::HZ)?;
    bringup.equal(format!("{}: clock page HZ", kind.name()), global::CLOCK_HZ_VALUE, hz);
    let control = bringup.get(global::CONTROL)?;
    bringup.value(format!("{}: CONTROL", kind.name()), 0, control);
    for its in streams {
        let mut left = Vec::new();
        for register in stream::REGISTERS.iter().filter(|register| register.offset > stream::MESSAGE) {
            let seen = bringup.stream_get(its, register.offset)?;
            if seen != 0 {
                left.push(format!("{} {seen:#x}", register.name));
            }
        }
        let seen = if left.is_empty() { "all of them".to_owned() } else { left.join(", ") };
        bringup.check(
            its.name(format!("{}: registers are 0", kind.name())),
            left.is_empty(),
            "all of them",
            seen,
        );
        let page = bringup.status(its)?;
        let text = |state, count, frame, rate, den| format!("{state}, {count}, {frame}, {rate}/{den}");
        let seen = text(page.state, page.packet_count, page.anchor_frame, page.rate_num, page.rate_den);
        let name = its.name(format!("{}: page's state, count, frame, rate", kind.name()));
        bringup.equal(name, text(0, 0, 0, 0, global::CLOCK_HZ_VALUE), seen);
    }
    Ok(())
}
