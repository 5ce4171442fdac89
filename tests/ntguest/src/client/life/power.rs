//! Power: the device goes to D3 and comes back while a client uses it, as an idle device does.
//!
//! Power is promised to NewStream alone (page of IAdapterPowerManagement::PowerChangeState): whatever a
//! client calls in between works, or is remembered and done after D0 (WAVERT.md 1.4).

use super::super::player::{Failed, fail};
use super::super::stream::PinStream;
use super::{After, Scene};
use crate::kernel::d3::{self, Context};
use crate::kernel::{gone, irql, sleep, thread, time};
use crate::portcls::idle;
use crate::portcls::power::{self, Sleep};
use crate::portcls::status::Status;
use core::sync::atomic::{AtomicU32, Ordering};

/// How long nothing happens in D3 without a stream, 100-ns units.
const ASLEEP: i64 = 500_000;

/// How much later than its limit the inactivity timer may expire, seconds.
const TIMER_PATIENCE: u64 = 5;

/// How far the performance counter goes on while the system sleeps: ten minutes.
const SLEPT: i64 = 600 * 10_000_000;

/// How often the device went to D3 and came back.
static ROUNDS: AtomicU32 = AtomicU32::new(0);
/// How often the machine slept.
static SUSPENDED: AtomicU32 = AtomicU32::new(0);

/// D3 and back; the card keeps its registers.
pub fn d3(scene: &mut Scene<'_>) -> Result<After, Failed> {
    in_d3(Context::Kept, scene)
}

/// D3 and back; the card comes back as from a reset.
pub fn d3_lost(scene: &mut Scene<'_>) -> Result<After, Failed> {
    in_d3(Context::Lost, scene)
}

/// Nobody uses the device, and it goes to D3 by itself. It has power again before the next call reaches the
/// driver: a stream that is opened, a change of state.
pub fn asleep(scene: &mut Scene<'_>) -> Result<After, Failed> {
    idle::fall_asleep()
        .map_err(|status| fail("call-failed", format_args!("the power IRP of an idle device: {status}")))?;
    scene.expect_frozen();
    thread::sleep_100ns(ASLEEP);
    (scene.meanwhile)()?;
    Ok(After::GoesOn)
}

/// The same by the inactivity timer (cfg `performance_idle_time=`).
pub fn inactivity(scene: &mut Scene<'_>) -> Result<After, Failed> {
    let (before, deadline) = (idle::rounds(), time::ms() + (idle::limit_s() + TIMER_PATIENCE) * 1000);
    while idle::rounds() == before {
        if time::ms() > deadline {
            return Err(fail("event-not-made", format_args!("the inactivity timer never expired")));
        }
        thread::sleep_100ns(ASLEEP);
    }
    scene.expect_frozen();
    (scene.meanwhile)()?;
    Ok(After::GoesOn)
}

/// The system sleeps with its memory powered: what PortCls makes of that for the device, and its registers
/// lost. The machine itself does not sleep.
pub fn s3(scene: &mut Scene<'_>) -> Result<After, Failed> {
    system_sleep(scene, Sleep::S3)
}

/// The same, and the machine sleeps in truth ([`sleep`]).
pub fn suspend(scene: &mut Scene<'_>) -> Result<After, Failed> {
    let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
    let slept = power::in_system_sleep(round.is_multiple_of(2), Sleep::S3, Context::Slept, || {
        time::jump(SLEPT);
        sleep::to_s3()
    });
    slept
        .map_err(|status| fail("call-failed", format_args!("a power IRP of the system: {status}")))?
        .map_err(|why| fail("event-not-made", format_args!("{why}")))?;
    crate::kresult!("suspended={}", SUSPENDED.fetch_add(1, Ordering::Relaxed) + 1);
    (scene.meanwhile)()?;
    Ok(After::GoesOn)
}

/// The system hibernates, and the same card is there when it comes back, reset.
pub fn s4(scene: &mut Scene<'_>) -> Result<After, Failed> {
    system_sleep(scene, Sleep::S4)
}

/// D3, and no card at D0: all its registers read as ones.
pub fn d3_gone(scene: &mut Scene<'_>) -> Result<After, Failed> {
    let (none, round) = (d3::prepare_other_card(), ROUNDS.fetch_add(1, Ordering::Relaxed));
    power::in_d3(round.is_multiple_of(2), Context::Lost, || gone::exchange(none))
        .map_err(|status| fail("call-failed", format_args!("a power IRP of the device: {status}")))?;
    scene.expect_dead()?;
    Ok(After::Lost)
}

/// The system hibernates, and another card is there when it comes back.
pub fn s4_other(scene: &mut Scene<'_>) -> Result<After, Failed> {
    let (other, round) = (d3::prepare_other_card(), ROUNDS.fetch_add(1, Ordering::Relaxed));
    power::in_system_sleep(round.is_multiple_of(2), Sleep::S4, Context::Lost, || {
        time::jump(SLEPT);
        gone::exchange(other);
    })
    .map_err(|status| fail("call-failed", format_args!("a power IRP of the system: {status}")))?;
    scene.expect_dead()?;
    Ok(After::Lost)
}

/// The card that the driver knew is back: with the next D0 it is found. The other one was never written to.
pub fn known_card_again() -> Result<(), Failed> {
    if !d3::other_card_is_untouched() {
        return Err(fail("removal", format_args!("the driver writes to a card that is not the one it knew")));
    }
    power::in_d3(false, Context::Lost, gone::change_back)
        .map_err(|status| fail("call-failed", format_args!("a power IRP of the device: {status}")))
}

/// The performance counter goes on while the system sleeps, the interrupt time does not.
fn system_sleep(scene: &mut Scene<'_>, sleep: Sleep) -> Result<After, Failed> {
    let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
    power::in_system_sleep(round.is_multiple_of(2), sleep, Context::Lost, || time::jump(SLEPT))
        .map_err(|status| fail("call-failed", format_args!("a power IRP of the system: {status}")))?;
    crate::kresult!("d3_rounds={} d3_pending={}", round + 1, d3::pending());
    (scene.meanwhile)()?;
    Ok(After::GoesOn)
}

/// To D3, what the client does meanwhile, and back. Every other time the driver is asked before.
fn in_d3(context: Context, scene: &mut Scene<'_>) -> Result<After, Failed> {
    let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
    let result = power::in_d3(round.is_multiple_of(2), context, || {
        match scene.stream {
            Some((stream, _)) => {
                scene.expect_frozen();
                expect_position(stream)?;
            }
            None => thread::sleep_100ns(ASLEEP),
        }
        (scene.meanwhile)()
    });
    crate::kresult!("d3_rounds={} d3_pending={}", round + 1, d3::pending());
    result.map_err(|status: Status| {
        fail("call-failed", format_args!("a power IRP of the device: {status}"))
    })??;
    Ok(After::GoesOn)
}

/// Positions can be asked for without power, at either level.
fn expect_position(stream: &PinStream) -> Result<(), Failed> {
    for level in [irql::PASSIVE, irql::DISPATCH] {
        let (status, position) = stream.position(level);
        if !status.is_success() {
            return Err(fail("position", format_args!("in D3: GetPosition {status}, {position:?}")));
        }
    }
    Ok(())
}
