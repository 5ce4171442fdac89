//! Questions to one property in every size and with every verb, and what its answers must be by the
//! documented protocol (WAVERT.md 5.7).

use crate::kernel::{self, harsh};
use crate::portcls::controls_layout::verb;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::Guid;
use crate::portcls::object::Object;
use crate::portcls::port::Port;
use crate::portcls::property::{self, Property, Reply, UNTOUCHED};
use crate::portcls::status::Status;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a `KSPROPERTY_DESCRIPTION`.
const DESCRIPTION: usize = 40;
/// Rooms that are tried behind the right one.
const BEYOND: usize = 8;
/// More than any of these values has.
const MOST: usize = 4096;
/// The verbs that no audio property has to know: none, SETSUPPORT, RELATIONS, SERIALIZESET, UNSERIALIZESET,
/// DEFAULTVALUES.
const OTHER_VERBS: [u32; 6] = [0, 0x100, 0x400, 0x800, 0x1000, verb::DEFAULT_VALUES];

/// What BASICSUPPORT says.
pub struct Support {
    /// The verbs.
    pub access: u32,
    /// Set and number of the value's type.
    pub kind: (Vec<u8>, u32),
    /// What follows the description.
    pub members: Vec<u8>,
}

/// A word of a little-endian structure; 0 beyond its end.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// An instance of `KSP_PIN`, or of a KSNODEPROPERTY_AUDIO_CHANNEL: what comes behind the stripped part.
pub fn instance(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The size protocol is that of the samples' handlers: the pages demand it only where a size is not known
/// beforehand.
fn wrong(property: &Property<'_>, what: &str, room: usize, reply: &Reply, due: &str) {
    kernel::harsh_violation(
        "property-size",
        format_args!(
            "{property}, {what} with room for {room}: {}, ValueSize {}; {due} is due",
            reply.status, reply.size
        ),
    );
}

/// GET with room for `bytes`.
pub fn get(property: &Property<'_>, bytes: usize) -> Reply {
    property.call(verb::GET, &vec![UNTOUCHED; bytes])
}

/// How many bytes GET says that its value has.
pub fn size(property: &Property<'_>) -> Option<usize> {
    let reply = get(property, 0);
    let size = reply.size as usize;
    if reply.status != Status::BUFFER_OVERFLOW || !(1..=MOST).contains(&size) {
        wrong(property, "GET", 0, &reply, "BUFFER_OVERFLOW and the size");
        return None;
    }
    Some(size)
}

/// GET with every room from 0 to eight bytes more than its value has; the value when every answer was right.
pub fn get_every_size(property: &Property<'_>, bytes: usize) -> Option<Vec<u8>> {
    if size(property)? != bytes {
        wrong(property, "GET", 0, &get(property, 0), "the size of its value");
        return None;
    }
    let mut value = Vec::new();
    for room in 1..=bytes + BEYOND {
        let reply = get(property, room);
        if room < bytes {
            if reply.status != Status::BUFFER_TOO_SMALL {
                wrong(property, "GET", room, &reply, "BUFFER_TOO_SMALL");
                return None;
            }
            continue;
        }
        match reply.bytes() {
            Some(read) if read.len() == bytes => value = read.to_vec(),
            _ => {
                wrong(property, "GET", room, &reply, "the value and its size");
                return None;
            }
        }
    }
    Some(value)
}

/// SET.
pub fn set(property: &Property<'_>, value: &[u8]) -> Status {
    property.call(verb::SET, value).status
}

/// SET with every room from 0 to eight bytes more than the value has: too few are refused, more are accepted.
pub fn set_every_size(property: &Property<'_>, value: &[u8]) {
    for room in 0..=value.len() + BEYOND {
        let mut given: Vec<u8> = value.iter().take(room).copied().collect();
        given.resize(room, UNTOUCHED);
        let reply = property.call(verb::SET, &given);
        if reply.status.is_success() != (room >= value.len()) {
            let due = if room < value.len() { "a refusal" } else { "success" };
            wrong(property, "SET", room, &reply, due);
            return;
        }
    }
}

/// Verbs that the item does not list, or nobody knows, must not succeed.
pub fn refuse_verbs(property: &Property<'_>) {
    // Without harsh KS answers these itself, some with success.
    let Some(item) = property.item().filter(|_| harsh::on()) else { return };
    let unlisted = [verb::GET, verb::SET].into_iter().filter(|verb| item.flags & verb == 0);
    let other = OTHER_VERBS.into_iter().filter(|verb| *verb == 0 || item.flags & verb == 0);
    for verb in unlisted.chain(other) {
        let reply = property.call(verb, &[0; 256]);
        if reply.status.is_success() {
            kernel::violation(
                "property-verb",
                format_args!(
                    "{property}: verb {verb:#x} is not listed (Flags {:#x}) and succeeds",
                    item.flags
                ),
            );
        }
    }
}

/// BASICSUPPORT with every room: less than four bytes are too few, four get the verbs, forty the description,
/// more the members.
pub fn basic_support(property: &Property<'_>) -> Option<Support> {
    let item = property.item()?;
    let ask = |room: usize| property.call(verb::BASIC_SUPPORT, &vec![UNTOUCHED; room]);
    let first = ask(DESCRIPTION);
    let full = first.bytes().map_or(0, |bytes| word(bytes, 4) as usize);
    if !(DESCRIPTION..=MOST).contains(&full) {
        wrong(property, "BASICSUPPORT", DESCRIPTION, &first, "a KSPROPERTY_DESCRIPTION");
        return None;
    }
    let mut whole = Vec::new();
    for room in 0..=full + BEYOND {
        let mut reply = ask(room);
        if room == 0 && fault::make(Fault::SupportNoRoom) {
            reply.status = Status::BUFFER_OVERFLOW;
        }
        let due = match room {
            0..4 => None,
            4..DESCRIPTION => Some(4),
            _ if room < full => Some(DESCRIPTION),
            _ => Some(full),
        };
        match (due, reply.bytes()) {
            (None, None) if reply.status == Status::BUFFER_TOO_SMALL => {}
            (Some(due), Some(bytes)) if bytes.len() == due && word(bytes, 0) == word(&first.value, 0) => {
                whole = bytes.to_vec();
            }
            _ => {
                let due = if room < 4 { "BUFFER_TOO_SMALL" } else { "verbs, description or all of it" };
                wrong(property, "BASICSUPPORT", room, &reply, due);
                return None;
            }
        }
    }
    let access = word(&whole, 0);
    if access & verb::ALL != item.flags & verb::ALL {
        kernel::violation(
            "property-verb",
            format_args!("{property}: BASICSUPPORT says {access:#x}, the table {:#x}", item.flags),
        );
    }
    let (kind, members) =
        ((whole.get(8..24)?.to_vec(), word(&whole, 24)), whole.get(DESCRIPTION..)?.to_vec());
    Some(Support { access, kind, members })
}

/// Every property of a filter and of its nodes with instances and rooms that make no sense: only what holds
/// for every answer is judged.
pub fn send_wrong_requests(port: &'static Object) {
    let Some(filter) = port.body::<Port>().and_then(Port::filter) else { return };
    let count = u32::try_from(filter.nodes.len()).unwrap_or(0);
    for node in core::iter::once(None).chain((0..count).map(Some)) {
        let items: Vec<(Guid, u32)> = property::table(port, node, |table| {
            table.properties.iter().map(|item| (item.set, item.id)).collect()
        })
        .unwrap_or_default();
        for (set, id) in items {
            for (length, byte) in
                [(0, 0), (1, 0), (3, 0xff), (4, 0), (7, 0), (8, 0xff), (12, 0), (24, 1), (64, 0xff)]
            {
                let instance = vec![byte; length];
                let property = Property { port, node, set, id, instance: &instance };
                for room in [0, 1, 3, 4, 7, 8, 39, 40, 63, 64, 87, 200] {
                    for verb in [verb::GET, verb::BASIC_SUPPORT, 0, 0x0fff_ff00] {
                        property.call(verb, &vec![UNTOUCHED; room]);
                    }
                }
            }
        }
    }
}
