//! Property requests as PortCls hands them to a miniport: the item is looked up in the automation table, the
//! client's KSPROPERTY or KSNODEPROPERTY is stripped, and what is left goes to the handler under the device
//! global lock (WAVERT.md 5.7).
//!
//! Request, instance and value end at unmapped pages and are gone when the handler has returned. What holds
//! for every answer is checked here, whoever asked: rules `property-size`, `property-overrun`,
//! `property-request`.

use super::automation::{Automation, Item};
use super::controls_layout::{PcPropertyRequest, PropertyHandler, verb};
use super::fault::{self, Fault};
use super::guid::{Guid, Named};
use super::object::Object;
use super::port::Port;
use super::property_request::{self, Answer};
use super::status::Status;
use super::vtable::This;
use super::{device_lock, idle, pending_request};
use crate::kernel::call::driver_call;
use crate::kernel::pool::Guarded;
use crate::kernel::{self, harsh, irql, stale};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

pub use crate::kernel::stale::UNTOUCHED;
/// Bytes of an IRP.
const IRP_BYTES: usize = 0xd0;
/// Where an IRP says whose it is: 1, a program's.
const REQUESTOR_MODE: usize = 0x40;

/// A property of a filter or of one of its nodes.
#[derive(Clone, Copy)]
pub struct Property<'a> {
    /// The port of the filter.
    pub port: &'static Object,
    /// The node, or the filter itself.
    pub node: Option<u32>,
    /// Its set.
    pub set: Guid,
    /// Its number.
    pub id: u32,
    /// What comes behind the KSPROPERTY (of a filter) or the KSNODEPROPERTY.
    pub instance: &'a [u8],
}

/// What came back.
#[derive(Clone)]
pub struct Reply {
    /// The handler's status; `NOT_FOUND` when the table has no such item.
    pub status: Status,
    /// `ValueSize` as the handler left it.
    pub size: u32,
    /// The value's memory, as long as was offered.
    pub value: Vec<u8>,
}

impl Reply {
    /// The bytes that count, when it succeeded.
    pub fn bytes(&self) -> Option<&[u8]> {
        let bytes = self.value.get(..self.size as usize);
        bytes.filter(|_| self.status.is_success())
    }
}

/// An IRP as far as a handler may look at it: whose request it is.
pub fn client_irp() -> Guarded {
    let irp = Guarded::new(IRP_BYTES);
    // SAFETY: inside the memory just made.
    unsafe { irp.as_mut_ptr().add(REQUESTOR_MODE).write(1) };
    irp
}

/// A table of a port's filter.
pub fn table<R>(port: &Object, node: Option<u32>, f: impl FnOnce(&Automation) -> R) -> Option<R> {
    let filter: Arc<_> = port.body::<Port>()?.filter()?;
    let table = match node {
        None => &filter.automation,
        Some(node) => &filter.nodes.get(node as usize)?.automation,
    };
    Some(f(table))
}

impl Property<'_> {
    /// Its item in the automation table.
    pub fn item(&self) -> Option<Item> {
        table(self.port, self.node, |table| table.property(&self.set, self.id))?
    }

    /// One request; `value` is what the client's memory holds, as long as it is.
    pub fn call(&self, verb: u32, value: &[u8]) -> Reply {
        self.call_item(self.item(), ptr::null_mut(), verb, value)
    }

    /// A request to an open pin: by the pin's own table, or for a node by the node's, with the stream as
    /// minor target.
    pub fn call_on_stream(&self, pin: u32, stream: This, verb: u32, value: &[u8]) -> Reply {
        let of_pin = || {
            let filter: Arc<_> = self.port.body::<Port>()?.filter()?;
            filter.pins.get(pin as usize)?.automation.property(&self.set, self.id)
        };
        let item = if self.node.is_some() { self.item() } else { of_pin() };
        self.call_item(item, stream, verb, value)
    }

    fn call_item(&self, item: Option<Item>, stream: This, verb: u32, value: &[u8]) -> Reply {
        let Some(item) = item else {
            return Reply { status: Status::NOT_FOUND, size: 0, value: value.to_vec() };
        };
        // Every verb reaches the handler where our own driver is judged: it may not rest on what KS does for
        // it.
        if !harsh::on()
            && let Answer::Ks(status, written) = property_request::who_answers(&item, verb, value.len())
        {
            let mut value = value.to_vec();
            value[..written.len()].copy_from_slice(&written);
            return Reply { status, size: u32::try_from(written.len()).unwrap_or(0), value };
        }
        let reply = self.hand_over(&item, stream, self.as_seen(verb), value);
        self.check_reply(verb, value, &reply);
        reply
    }

    /// Documentation lists KSPROPERTY_TYPE_TOPOLOGY among the bits a handler sees, samples never mask it:
    /// every other request has it.
    fn as_seen(&self, verb: u32) -> u32 {
        static REQUESTS: AtomicU32 = AtomicU32::new(0);
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        if self.node.is_some() && number % 2 == 1 { verb | verb::TOPOLOGY } else { verb }
    }

    fn hand_over(&self, item: &Item, stream: This, verb: u32, value: &[u8]) -> Reply {
        let flags = if self.node.is_some() { verb | verb::TOPOLOGY } else { verb };
        let (input, begin) = property_request::input(&self.set, self.id, flags, self.node, self.instance);
        let buffer = Guarded::new(input.len().next_multiple_of(8));
        let memory = Guarded::new(value.len().next_multiple_of(8));
        let request = Guarded::new(size_of::<PcPropertyRequest>());
        let irp = client_irp();
        let slack = value.len().next_multiple_of(8) - value.len();
        let major = self.port.body::<Port>().and_then(Port::miniport).unwrap_or(ptr::null_mut());
        let at = request.as_mut_ptr().cast::<PcPropertyRequest>();
        // SAFETY: three pieces of memory just made, each as long as what is written to it; the instance lies
        // inside the input.
        unsafe {
            buffer.as_mut_ptr().copy_from(input.as_ptr(), input.len());
            memory.as_mut_ptr().copy_from(value.as_ptr(), value.len());
            memory.as_mut_ptr().add(value.len()).write_bytes(UNTOUCHED, slack);
            let instance = buffer.as_mut_ptr().add(begin);
            at.write(PcPropertyRequest {
                major_target: major,
                minor_target: stream,
                node: self.node.unwrap_or(u32::MAX),
                property_item: item.source,
                verb,
                instance_size: u32::try_from(self.instance.len()).unwrap_or(u32::MAX),
                instance: if self.instance.is_empty() { ptr::null_mut() } else { instance.cast() },
                value_size: u32::try_from(value.len()).unwrap_or(u32::MAX),
                value: if value.is_empty() { ptr::null_mut() } else { memory.as_mut_ptr().cast() },
                irp: irp.as_mut_ptr().cast(),
            });
        }
        // SAFETY: the item's handler is a routine of the driver (`automation::check_handlers`).
        let handler = unsafe { core::mem::transmute::<usize, PropertyHandler>(item.handler) };
        let used = idle::begin_use();
        pending_request::begin(at.addr());
        let status = device_lock::with("a property", || {
            if fault::make(Fault::NestedRequest) {
                device_lock::with("a property", || ());
            }
            stale::paint_stack();
            driver_call("a property handler", irql::PASSIVE, || {
                // SAFETY: a handler of the driver and a request for it.
                Status(unsafe { handler(at) })
            })
        });
        let Some(status) = pending_request::finish(at.addr(), status) else {
            // The driver may still write to all of it.
            core::mem::forget((buffer, memory, request, irp));
            return Reply { status: Status::PENDING, size: 0, value: value.to_vec() };
        };
        drop(used);
        if slack > 0 && fault::make(Fault::ValueOverrun) {
            // SAFETY: the slack is a part of the memory.
            unsafe { memory.as_mut_ptr().add(value.len()).write(0) };
        }
        // SAFETY: the request and the value's memory are still there; the handler has returned.
        let (size, bytes, behind) = unsafe {
            let all = core::slice::from_raw_parts(memory.as_mut_ptr(), value.len() + slack);
            let (bytes, behind) = all.split_at(value.len());
            ((*at).value_size, bytes.to_vec(), behind.iter().all(|byte| *byte == UNTOUCHED))
        };
        if !behind {
            kernel::violation("property-overrun", format_args!("{self}: bytes behind the value are written"));
        }
        let mut bytes = bytes;
        if bytes.len() > 3 && value.iter().all(|byte| *byte == UNTOUCHED) && fault::make(Fault::StaleValue) {
            bytes[..4].copy_from_slice(&value[..4]);
        }
        let size = if fault::make(Fault::LongReply) { size.saturating_add(1) } else { size };
        Reply { status, size, value: bytes }
    }

    fn check_reply(&self, verb: u32, before: &[u8], reply: &Reply) {
        let (status, size, offered) = (reply.status, reply.size as usize, before.len());
        if status.is_success() && size > offered {
            kernel::violation(
                "property-size",
                format_args!("{self}: {status} with ValueSize {size}, {offered} bytes were offered"),
            );
        }
        if status.is_success() && verb & verb::SET == 0 {
            let written = size.min(offered);
            if let Some((at, what)) = stale::find(&before[..written], &reply.value[..written]) {
                kernel::violation(
                    "uninitialised",
                    format_args!("{self}: the word at {at} of the value is {what} (verb {verb:#x})"),
                );
            }
        }
        // Two verbs at once are answered as either, which KS keeps from a handler.
        let sets = verb & verb::ALL == verb::SET;
        let kept = if sets { 0 } else { size.min(offered) };
        if status.is_success() && reply.value[kept..] != before[kept..] {
            kernel::violation(
                "property-size",
                format_args!("{self}: more is written than its ValueSize {size} says (verb {verb:#x})"),
            );
        }
    }
}

impl core::fmt::Display for Property<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", Named(self.set), self.id)?;
        self.node.map_or(Ok(()), |node| write!(f, " of node {node}"))
    }
}
