//! What a property request looks like in memory, and which of its verbs KS answers itself: pure, and tested
//! on the host.
//!
//! The client's input buffer begins with a KSPROPERTY, or for a node with a KSNODEPROPERTY. The handler gets
//! what comes behind, as a pointer into that very buffer (page "Audio Property Handlers"): Microsoft's
//! samples go back from there to the whole KSP_PIN.

use super::automation::Item;
use super::controls_layout::verb;
use super::guid::Guid;
use super::status::Status;
use alloc::vec::Vec;

/// Bytes of a `KSPROPERTY`: set, number, flags.
const PROPERTY_BYTES: usize = 24;
/// Bytes of a `KSNODEPROPERTY`: a KSPROPERTY, the node, a reserved word.
const NODE_PROPERTY_BYTES: usize = 32;
/// Bytes of a `KSPROPERTY_DESCRIPTION`.
const DESCRIPTION_BYTES: usize = 40;

/// The input buffer of a request, and where in it the handler's instance begins.
pub fn input(set: &Guid, id: u32, flags: u32, node: Option<u32>, instance: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = Vec::from(set.bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    if let Some(node) = node {
        bytes.extend(node.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
    }
    let begin = bytes.len();
    bytes.extend(instance);
    (bytes, begin)
}
const _: () = assert!(PROPERTY_BYTES == 16 + 4 + 4 && NODE_PROPERTY_BYTES == PROPERTY_BYTES + 4 + 4);

/// Who answers a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The driver's handler.
    Handler,
    /// KS: status, and what it writes into a value of the size that was offered.
    Ks(Status, Vec<u8>),
}

/// Who answers `verb` of an item for a value of `room` bytes: only verbs that the item's Flags list reach its
/// handler (page of PCPROPERTY_ITEM). BASICSUPPORT that it does not list KS makes of the other flags;
/// SETSUPPORT it answers for the set (pages of KSPROPERTY and `KsPropertyHandler`).
pub fn who_answers(item: &Item, verb: u32, room: usize) -> Answer {
    const SET_SUPPORT: u32 = 0x100;
    let verb = verb & !verb::TOPOLOGY;
    if verb == SET_SUPPORT {
        return Answer::Ks(Status::SUCCESS, Vec::new());
    }
    if verb.is_power_of_two() && item.flags & verb != 0 {
        return Answer::Handler;
    }
    if verb != verb::BASIC_SUPPORT {
        // A verb that KS knows and the item does not is no such property; anything else is no request at all.
        let known = verb.is_power_of_two() && verb & (verb::ALL | verb::DEFAULT_VALUES | 0xfc00) != 0;
        return Answer::Ks(if known { Status::NOT_FOUND } else { Status::INVALID_PARAMETER }, Vec::new());
    }
    let access = (item.flags & (verb::GET | verb::SET)).to_le_bytes();
    match room {
        0..4 => Answer::Ks(Status::BUFFER_TOO_SMALL, Vec::new()),
        4..DESCRIPTION_BYTES => Answer::Ks(Status::SUCCESS, Vec::from(access)),
        _ => {
            let mut description = Vec::from(access);
            description.extend(u32::try_from(DESCRIPTION_BYTES).unwrap_or(0).to_le_bytes());
            description.resize(DESCRIPTION_BYTES, 0);
            Answer::Ks(Status::SUCCESS, description)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::guid::KSPROPSETID_PIN;
    use super::*;
    use core::ptr;

    fn item(flags: u32) -> Item {
        Item { source: ptr::null(), set: KSPROPSETID_PIN, id: 14, flags, handler: 0 }
    }

    #[test]
    fn a_handler_finds_the_whole_ksp_pin_in_front_of_its_instance() {
        // PinId and Reserved of a KSP_PIN.
        let instance = [1, 0, 0, 0, 0, 0, 0, 0];
        let (bytes, begin) = input(&KSPROPSETID_PIN, 14, verb::SET, None, &instance);
        assert_eq!((bytes.len(), begin), (32, 24));
        assert_eq!(bytes[..16], KSPROPSETID_PIN.bytes());
        assert_eq!(bytes[16..24], [14, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[begin..], instance);
    }

    #[test]
    fn a_handler_of_a_node_finds_the_node_in_front_of_its_channel() {
        let channel = 0xffff_ffffu32.to_le_bytes();
        let flags = verb::GET | verb::TOPOLOGY;
        let (bytes, begin) = input(&KSPROPSETID_PIN, 4, flags, Some(7), &channel);
        assert_eq!((bytes.len(), begin), (36, 32));
        assert_eq!(bytes[20..32], [1, 0, 0, 0x10, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[begin..], channel);
    }

    #[test]
    fn only_listed_verbs_reach_the_handler() {
        let all = item(verb::ALL);
        for verb in [verb::GET, verb::SET, verb::BASIC_SUPPORT, verb::GET | verb::TOPOLOGY] {
            assert_eq!(who_answers(&all, verb, 4), Answer::Handler, "{verb:#x}");
        }
        for (verb, status) in [
            (0x100, Status::SUCCESS),
            (verb::SET, Status::NOT_FOUND),
            (verb::DEFAULT_VALUES, Status::NOT_FOUND),
            (0x400, Status::NOT_FOUND),
            (0, Status::INVALID_PARAMETER),
            (verb::GET | verb::SET, Status::INVALID_PARAMETER),
            (0x0fff_ff00, Status::INVALID_PARAMETER),
        ] {
            let answer = who_answers(&item(verb::GET), verb, 64);
            assert_eq!(answer, Answer::Ks(status, Vec::new()), "{verb:#x}");
        }
    }

    #[test]
    fn basic_support_that_is_not_listed_is_made_of_the_flags() {
        let get = item(verb::GET);
        let ask = |room| who_answers(&get, verb::BASIC_SUPPORT, room);
        assert_eq!(ask(3), Answer::Ks(Status::BUFFER_TOO_SMALL, Vec::new()));
        assert_eq!(ask(39), Answer::Ks(Status::SUCCESS, Vec::from([1, 0, 0, 0])));
        let Answer::Ks(status, description) = ask(64) else { panic!("the handler is asked") };
        assert_eq!((status, description.len()), (Status::SUCCESS, 40));
        assert_eq!(description[..8], [1, 0, 0, 0, 40, 0, 0, 0]);
    }
}
