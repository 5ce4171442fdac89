//! The device goes while a stream plays (cfg `client=removal`): SURPRISE_REMOVAL comes with the stream open
//! and its registers in the client's address space; the client finds out, and lets go of everything as if
//! nothing had happened (rule `removal`).
//!
//! By the documents downward SetState, FreeBufferWithNotification and Release go on working (WAVERT.md 1.3),
//! and what was mapped for a client is there until the client unmaps it: the port keeps the address that
//! GetPositionRegister gave. The card itself stays, so that a register that is gone was taken away by the
//! driver.

use super::buffer::{self, Kind};
use super::format::{BufferPlan, PcmFormat};
use super::hw_register::HwRegisters;
use super::play::Label;
use super::player::{self, Failed, SLOTS, buffer_ms, expect, fail};
use super::position::PositionChecker;
use super::stream::{CyclicBuffer, PinStream, State};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::thread;
use crate::portcls::endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::pnp;
use crate::portcls::status::Status;
use ringwave_audio::SampleFormat;

/// `IRP_MN_SURPRISE_REMOVAL`
const SURPRISE_REMOVAL: u8 = 0x17;
/// How long the client notices nothing, 100-ns units.
const UNAWARE: i64 = 500_000;
/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 2000;
const RATE: u32 = 48_000;

/// Plays until the device goes, and lets go; true when all of that went well.
pub fn run() -> bool {
    let Some(endpoint) = endpoint::get(false, 0) else { return false };
    let format = PcmFormat::of(SampleFormat::S16, RATE, 2, true);
    player::open(&endpoint, &format).is_ok_and(|stream| {
        let plan = BufferPlan::new(&format, buffer_ms(), SLOTS).ok_or(Failed);
        let result = plan.and_then(|plan| {
            let kind = Kind::Notification(SLOTS);
            buffer::with(&stream, kind, &format, plan.bytes, |buffer| with_buffer(&stream, buffer, &format))
        });
        stream.close();
        result.is_ok()
    })
}

fn with_buffer(stream: &PinStream, buffer: &CyclicBuffer, format: &PcmFormat) -> Result<(), Failed> {
    let event = Event::new(EventKind::Synchronization, false);
    expect("RegisterNotificationEvent", stream.register(&event))?;
    let block = u64::from(format.block_align());
    let registers = HwRegisters::of(stream, buffer.size, block, u64::from(RATE) * block, Label::ONLY);
    let checker = PositionChecker::new(u64::from(buffer.size), block, u64::from(RATE));
    for state in [State::Acquire, State::Pause, State::Run] {
        expect("SetState", stream.set_state(state))?;
    }
    if !wait(&event, TIMEOUT_MS) {
        return Err(fail("no-notification", format_args!("no event before the device goes")));
    }
    // A client reads its registers whenever it likes, before, while and after the device goes.
    let watch = registers.watch(checker, false);
    let status = pnp::send_minor(SURPRISE_REMOVAL);
    crate::kprintln!("SURPRISE_REMOVAL: {status}");
    thread::sleep_100ns(UNAWARE);
    watch.stop();
    let mapped = registers.expect_mapped("after SURPRISE_REMOVAL");
    let result = let_go(stream);
    registers.expect_mapped("before the client lets go");
    drop(registers);
    expect("UnregisterNotificationEvent", stream.unregister(&event))?;
    event.poison();
    crate::kresult!("removal_registers={mapped}");
    result
}

/// All states down to STOP.
fn let_go(stream: &PinStream) -> Result<(), Failed> {
    for state in [State::Pause, State::Acquire, State::Stop] {
        let mut status = stream.set_state(state);
        if fault::make(Fault::StopRefused) {
            status = Status::DEVICE_NOT_READY;
        }
        if !status.is_success() {
            return Err(fail(
                "removal",
                format_args!("SetState({state:?}) after SURPRISE_REMOVAL: {status}, SUCCESS is due"),
            ));
        }
    }
    Ok(())
}
