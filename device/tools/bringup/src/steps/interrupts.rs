//! Every message arrives once, at its own vector; INTx is a level that is acknowledged. DATASHEET 2.1.

use std::time::Duration;

use ringwave_regs::error::Error;
use ringwave_regs::global;

use crate::access::AccessError;
use crate::bringup::{Bringup, StepEnd, StepResult};
use crate::config;

/// How long an interrupt that must not come is waited for.
const QUIET: Duration = Duration::from_millis(5);

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let granted = bringup.connect_msi()?;
    messages(bringup, granted)?;
    bringup.card.disconnect()?;
    match bringup.connect_intx() {
        Err(StepEnd::Refused(why)) => {
            bringup.skip("INTx", why);
            Ok(())
        }
        connected => connected.and_then(|()| line(bringup)),
    }
}

fn messages(bringup: &mut Bringup<'_>, granted: u32) -> StepResult {
    for message in 0..granted {
        bringup.set(global::INT_RAISE, message)?;
        let seen = bringup.interrupts(1, QUIET)?;
        // One count for each vector that is connected, granted or not.
        let expected = arrivals(seen.len() as u64, message.into());
        let others =
            seen.iter().enumerate().filter(|(vector, count)| **count != 0 && *vector != message as usize);
        let meaning = match others.map(|(vector, _)| vector).next() {
            Some(vector) => format!("it came at vector {vector}: the messages' numbers are mixed up"),
            None if seen.iter().all(|count| *count == 0) => {
                "it was never sent, or is lost on its way: the MSI address is not the interrupt controller's, or \
                 interrupt remapping rejects it"
                    .to_owned()
            }
            None => "it came more than once".to_owned(),
        };
        let seen = seen.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        bringup.equal(format!("INT_RAISE {message}: arrivals by vector"), expected, seen).means(meaning);
    }
    bringup.set(global::INT_RAISE, granted)?;
    let error = bringup.take_error()?;
    bringup.error(format!("INT_RAISE {granted}, which was not granted"), Some(Error::BadAccess), error);
    let seen: u64 = bringup.interrupts(0, QUIET)?.iter().sum();
    bringup.equal("and no message", 0, seen);
    Ok(())
}

/// `0 1 0 0`: one arrival at vector 1 of 4.
fn arrivals(vectors: u64, one: u64) -> String {
    (0..vectors).map(|vector| if vector == one { "1" } else { "0" }).collect::<Vec<_>>().join(" ")
}

fn line(bringup: &mut Bringup<'_>) -> StepResult {
    bringup.set(global::INT_RAISE, 0)?;
    let quiet: u64 = bringup.interrupts(0, QUIET)?.iter().sum();
    bringup.equal("INTx while CONTROL.INT_ENABLE is off", 0, quiet);
    let pending = bringup.get(global::INT_STATUS)?;
    bringup.value("INT_STATUS", 1, pending);
    bringup.set(global::CONTROL, global::CONTROL_INT_ENABLE)?;
    let raised: u64 = bringup.interrupts(1, QUIET)?.iter().sum();
    bringup
        .equal("INTx: arrivals", 1, raised)
        .means("no interrupt line is routed to this device, or Interrupt Disable is set");
    bringup.must(raised != 0)?;
    let shown = config::read16(bringup.card, config::STATUS)? & config::STATUS_INTERRUPT != 0;
    bringup.check("Status: Interrupt Status", shown, "pending", if shown { "pending" } else { "no" });

    unmask(bringup)?;
    let again: u64 = bringup.interrupts(1, QUIET)?.iter().sum();
    bringup.check("not acknowledged, unmasked: it is a level", again >= 1, "again", format!("{again} more"));

    bringup.set(global::INT_STATUS, 1)?;
    let pending = bringup.get(global::INT_STATUS)?;
    bringup.value("INT_STATUS after the acknowledgement", 0, pending);
    bringup.lines.take();
    unmask(bringup)?;
    let after: u64 = bringup.interrupts(0, QUIET)?.iter().sum();
    bringup.equal("acknowledged: arrivals", 0, after);
    let shown = config::read16(bringup.card, config::STATUS)? & config::STATUS_INTERRUPT != 0;
    bringup.check("Status: Interrupt Status", !shown, "no", if shown { "pending" } else { "no" });

    let disable = config::COMMAND_INTERRUPT_DISABLE;
    config::change16(bringup.card, config::COMMAND, disable, 0)?;
    bringup.set(global::INT_RAISE, 0)?;
    let held: u64 = bringup.interrupts(0, QUIET)?.iter().sum();
    bringup.equal("Interrupt Disable: arrivals", 0, held);
    config::change16(bringup.card, config::COMMAND, 0, disable)?;
    let raised: u64 = bringup.interrupts(1, QUIET)?.iter().sum();
    bringup.check("and when it is cleared", raised >= 1, "1 or more", raised);
    bringup.set(global::INT_STATUS, 1)?;
    bringup.set(global::CONTROL, 0)
}

fn unmask(bringup: &mut Bringup<'_>) -> StepResult {
    match bringup.card.unmask_intx() {
        Ok(()) => Ok(()),
        Err(AccessError::Refused(why)) => {
            bringup.check("INTx is unmasked", false, "yes", why);
            Err(StepEnd::Failed)
        }
        Err(lost) => Err(lost.into()),
    }
}
