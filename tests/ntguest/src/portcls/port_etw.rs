//! `IPortClsEtwHelper` and `IPortClsVersion` of the ports: what a miniport tells Event Tracing for Windows,
//! and what it asks about the system. Events are counted by type; the result line says how many glitches the
//! driver reported.

use super::fault::{self, Fault};
use super::guid::{IID_PORT_CLS_ETW_HELPER, IID_PORT_CLS_VERSION};
use super::object::{self, Interface};
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::{self, harsh_violation, inject, irql};
use core::sync::atomic::{AtomicU32, Ordering};

/// `eMINIPORT_GLITCH_REPORT`
const GLITCH_REPORT: u32 = 7;
/// `eMINIPORT_MaxValue`
const EVENT_TYPES: u32 = 11;
/// The last code of a glitch: 1 underrun, 2 decoder, 3 the same write position twice.
const GLITCH_CODES: u64 = 3;
/// `kVersionWindowsLonghorn`, the last one that portcls.h names.
const VERSION: u32 = 14;

#[repr(C)]
struct EtwVtable {
    unknown: Unknown,
    write: unsafe extern "win64" fn(This, u32, u64, u64, u64, u64) -> i32,
}

#[repr(C)]
struct VersionVtable {
    unknown: Unknown,
    get_version: unsafe extern "win64" fn(This) -> u32,
}

static ETW: EtwVtable = EtwVtable { unknown: object::UNKNOWN, write: write_event };
static VERSION_TABLE: VersionVtable = VersionVtable { unknown: object::UNKNOWN, get_version };

static EVENTS: AtomicU32 = AtomicU32::new(0);
static GLITCHES: AtomicU32 = AtomicU32::new(0);

/// The two interfaces, for a new port.
pub fn interfaces() -> [Interface; 2] {
    [
        Interface { iids: &[IID_PORT_CLS_ETW_HELPER], vtable: (&raw const ETW).cast() },
        Interface { iids: &[IID_PORT_CLS_VERSION], vtable: (&raw const VERSION_TABLE).cast() },
    ]
}

/// Glitches that the driver reported so far.
pub fn glitches() -> u32 {
    GLITCHES.load(Ordering::Relaxed)
}

/// The result line, when there was an event.
pub fn report() {
    let events = EVENTS.load(Ordering::Relaxed);
    if events > 0 {
        crate::kresult!("etw_events={events} glitch_reports={}", glitches());
    }
}

/// What each parameter is stands on the page of `EPcMiniportEngineEvent`. The page of this method names no
/// level. The samples call it from their DPC and under a spin lock; an older edition of the interface's page
/// says PASSIVE_LEVEL, which is harsher than Windows.
unsafe extern "win64" fn write_event(
    this: This,
    kind: u32,
    at: u64,
    written: u64,
    code: u64,
    minor: u64,
) -> i32 {
    const METHOD: &str = "IPortClsEtwHelper::MiniportWriteEtwEvent";
    irql::require(METHOD, irql::DISPATCH);
    if object::find(this, METHOD).is_none() {
        return Status::INVALID_PARAMETER.0;
    }
    let level = if fault::make(Fault::GlitchAtDispatch) { irql::DISPATCH } else { irql::current() };
    if level > irql::PASSIVE {
        harsh_violation("etw-irql", format_args!("{METHOD} at IRQL {level}, {}", object::lately()));
    }
    let kind = if fault::make(Fault::UnknownEvent) { EVENT_TYPES } else { kind };
    if kind >= EVENT_TYPES {
        kernel::violation("etw-event", format_args!("{METHOD} of type {kind}, {}", object::lately()));
        return Status::INVALID_PARAMETER.0;
    }
    if let Some(status) = inject::WRITE_EVENT.fails() {
        return status.0;
    }
    EVENTS.fetch_add(1, Ordering::Relaxed);
    if kind == GLITCH_REPORT {
        crate::kprintln!("glitch {code} ({minor}) at byte {at}, written to {written}");
        if !(1..=GLITCH_CODES).contains(&code) {
            kernel::violation("etw-event", format_args!("a glitch report with code {code}"));
        }
        if !fault::make(Fault::LostGlitch) {
            GLITCHES.fetch_add(1, Ordering::Relaxed);
        }
    }
    Status::SUCCESS.0
}

unsafe extern "win64" fn get_version(this: This) -> u32 {
    const METHOD: &str = "IPortClsVersion::GetVersion";
    irql::require(METHOD, irql::PASSIVE);
    if object::find(this, METHOD).is_some() { VERSION } else { 0 }
}
