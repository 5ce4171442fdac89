//! Property requests that no client would send: every item of every table, with any verb, instance and room.

use super::super::walk::Random;
use super::answer;
use crate::kernel;
use crate::kernel::harsh;
use crate::portcls::controls_layout::verb;
use crate::portcls::endpoint;
use crate::portcls::guid::Guid;
use crate::portcls::object::Object;
use crate::portcls::property::{self, Property, UNTOUCHED};
use crate::portcls::subdevice;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// GET, SET, SETSUPPORT, BASICSUPPORT, RELATIONS, SERIALIZESET, UNSERIALIZESET, SERIALIZERAW, UNSERIALIZERAW,
/// SERIALIZESIZE, DEFAULTVALUES (header `ks.h`), two at once, none, and what is no verb.
const VERBS: [u32; 15] = [
    1,
    2,
    0x100,
    0x200,
    0x400,
    0x800,
    0x1000,
    0x2000,
    0x4000,
    0x8000,
    0x10000,
    1 | 2,
    2 | 0x200,
    0,
    0x0fff_ff00,
];
/// Bytes of a value: none, short of it, exact, long, huge.
const ROOMS: [usize; 16] = [0, 1, 2, 3, 4, 5, 7, 8, 28, 36, 39, 40, 63, 88, 104, 70_000];
/// Bytes behind the KSPROPERTY.
const INSTANCES: [usize; 10] = [0, 1, 4, 7, 8, 12, 16, 24, 96, 70_000];
/// What they hold: nothing, all ones, the first pins and channels, or the sizes of lists.
const FILLS: [u8; 5] = [0, 0xff, 1, 2, 0x28];

/// Requests, and those that succeeded.
pub static SENT: AtomicU64 = AtomicU64::new(0);
pub static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// The filters.
pub struct Requests {
    ports: Vec<&'static Object>,
    /// The filter whose controls change what is heard of the client that plays.
    audible: Option<&'static Object>,
}

impl Requests {
    /// To every filter.
    pub fn new() -> Self {
        Self {
            ports: subdevice::registered().into_iter().map(|(_, port)| port).collect(),
            audible: endpoint::get(false, 0).map(|endpoint| endpoint.jack().0),
        }
    }

    /// One request.
    pub fn step(&mut self, random: &mut Random) {
        let Some(port) = pick(&self.ports, random).copied() else { return };
        let node = random.below(5).checked_sub(1);
        let items: Vec<(Guid, u32, u32)> = property::table(port, node, |table| {
            table.properties.iter().map(|item| (item.set, item.id, item.flags)).collect()
        })
        .unwrap_or_default();
        let Some((set, id, flags)) = pick(&items, random).copied() else { return };
        let Some((verb, room)) = pick(&VERBS, random).copied().zip(pick(&ROOMS, random).copied()) else {
            return;
        };
        let audible = self.audible.is_some_and(|audible| ptr::eq(audible, port));
        // A whole value would change the volume of what is being played.
        let room = if audible && verb & verb::SET != 0 { room.min(3) } else { room };
        let mut instance =
            vec![pick(&FILLS, random).copied().unwrap_or(0); pick(&INSTANCES, random).copied().unwrap_or(0)];
        if let Some(first) = instance.first_mut().filter(|_| random.once_in(2)) {
            *first = random.below(256) as u8;
        }
        let fill = if verb & verb::SET == 0 { UNTOUCHED } else { pick(&FILLS, random).copied().unwrap_or(0) };
        let property = Property { port, node, set, id, instance: &instance };
        let reply = property.call(verb, &vec![fill; room]);
        SENT.fetch_add(1, Ordering::Relaxed);
        ACCEPTED.fetch_add(u64::from(reply.status.is_success()), Ordering::Relaxed);
        answer(format_args!("{property}, verb {verb:#x}, {} and {room} bytes", instance.len()), reply.status);
        let listed = verb & (flags | verb::BASIC_SUPPORT) != 0;
        if reply.status.is_success() && !listed && harsh::on() {
            kernel::violation(
                "property-verb",
                format_args!("{property}: verb {verb:#x} of Flags {flags:#x} succeeds"),
            );
        }
    }
}

fn pick<'a, T>(items: &'a [T], random: &mut Random) -> Option<&'a T> {
    items.get(random.below(u32::try_from(items.len()).unwrap_or(u32::MAX)) as usize)
}
