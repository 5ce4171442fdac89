//! The card leaves the slot that it is plugged into, and another one (or the same) is put in, `rounds=`
//! times: every other time with a stream in RUN, else with one in another state or none; of each two of these
//! once by the button, with QUERY_REMOVE and REMOVE before the slot loses its power, and once without a word,
//! in the middle of whatever the stream does.
//!
//! The card must be behind a port (`kernel/hot_plug.rs`). The host watches the log: at "the button, please"
//! it presses, at "the slot is off" it puts a card in. What the driver holds after each round is what it held
//! after the first (rule `cycle-leak`).
//!
//! Sources: "Handling an IRP_MN_SURPRISE_REMOVAL Request"; "Handling an IRP_MN_QUERY_REMOVE_DEVICE Request";
//! PCI Express base specification, 6.7.1.

use super::held_resources::HeldResources;
use super::player::{Failed, expect, fail};
use super::pnp::{Before, Open, STATES, bring_up_again, expect_granted, in_state};
use super::stream::State;
use crate::kernel::hot_plug::{self, Problem};
use crate::kernel::{self, cfg, thread};
use crate::portcls::layout::IRP_MN_QUERY_REMOVE_DEVICE;
use crate::portcls::pnp;
use alloc::vec::Vec;

/// How long a client does not notice, 100-ns units.
const UNAWARE: i64 = 200_000;

/// All rounds; true when each went well.
pub fn run() -> bool {
    let mut after_first = None;
    for round in 0..cfg::get_u64("rounds", 4) {
        let (before, by_button) = chosen(round);
        crate::kprintln!("hot-plug: round {round}, stream {before:?}, button {by_button}");
        let gone = if by_button { removed(before) } else { pulled(before) };
        let back = gone.and_then(|()| well(hot_plug::power_on())).and_then(|()| bring_up_again());
        if back.is_err() {
            return false;
        }
        crate::kresult!("hot_plugs={}", round + 1);
        let now = HeldResources::read();
        let first = *after_first.get_or_insert(now);
        if now != first {
            let why = format_args!("after round {round} {now:?}, after the first {first:?}");
            kernel::violation("cycle-leak", why);
            return false;
        }
    }
    true
}

/// RUN every other time, the other states in turn in between; each of them by the button and without.
fn chosen(round: u64) -> (Before, bool) {
    let pair = round / 2;
    if round.is_multiple_of(2) {
        return (Some(State::Run), pair.is_multiple_of(2));
    }
    let others = STATES.iter().map(|(_, before)| *before).filter(|before| *before != Some(State::Run));
    let others: Vec<Before> = others.collect();
    let count = others.len() as u64;
    (others[(pair % count) as usize], (pair + pair / count).is_multiple_of(2))
}

fn well(done: Result<(), Problem>) -> Result<(), Failed> {
    done.map_err(|problem| fail("call-failed", format_args!("hot-plug: {problem}")))
}

/// By the button: with a stream open it comes to nothing; then its client lets go.
fn removed(before: Before) -> Result<(), Failed> {
    in_state(before, |stream| {
        expect_granted(true)?;
        stream.map_or(Ok(()), Open::go_on)
    })?;
    crate::kprintln!("hot-plug: the button, please");
    well(hot_plug::wait_for_button())?;
    expect("QUERY_REMOVE", pnp::send_minor(IRP_MN_QUERY_REMOVE_DEVICE))?;
    pnp::remove_device();
    well(hot_plug::power_off())
}

/// Without a word.
fn pulled(before: Before) -> Result<(), Failed> {
    in_state(before, |stream| {
        well(hot_plug::power_off())?;
        thread::sleep_100ns(UNAWARE);
        pnp::surprise_removal();
        stream.map_or(Ok(()), |stream| stream.expect_dead("after SURPRISE_REMOVAL"))
    })?;
    pnp::remove_device();
    Ok(())
}
