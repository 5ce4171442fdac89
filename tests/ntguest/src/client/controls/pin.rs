//! What an open pin can be asked by the automation tables of its pin and of its filter's nodes: requests
//! whose minor target is the stream (page of PCPROPERTY_REQUEST). What holds for every answer is judged by
//! `portcls::property`.

use crate::client::negotiate_modes;
use crate::client::stream::PinStream;
use crate::portcls::controls_layout::verb;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::guid::Guid;
use crate::portcls::port::Port;
use crate::portcls::property::{Property, UNTOUCHED};
use alloc::vec;
use alloc::vec::Vec;

/// Rooms for a value: none, too little, a word, more than any property of a pin has.
const ROOMS: [usize; 6] = [0, 1, 4, 8, 40, 256];

/// Opens the endpoint's pin and asks it all its properties; how many there are.
pub fn check(endpoint: &Endpoint) -> u32 {
    let Some(filter) = endpoint.port.body::<Port>().and_then(Port::filter) else { return 0 };
    let of_pin = filter.pins.get(endpoint.pin as usize).map(|pin| &pin.automation.properties);
    let mut asked: Vec<(Option<u32>, Guid, u32)> =
        of_pin.into_iter().flatten().map(|item| (None, item.set, item.id)).collect();
    for (node, descriptor) in (0u32..).zip(&filter.nodes) {
        let properties = descriptor.automation.properties.iter();
        asked.extend(properties.map(|item| (Some(node), item.set, item.id)));
    }
    if asked.is_empty() {
        return 0;
    }
    let format = negotiate_modes::any_format(endpoint).map(|format| format.bytes());
    let Some(Ok(stream)) = format.map(|format| PinStream::open(endpoint, &format)) else { return 0 };
    let count = u32::try_from(asked.len()).unwrap_or(u32::MAX);
    for (node, set, id) in asked {
        for instance in [&[][..], &[0; 8]] {
            let property = Property { port: endpoint.port, node, set, id, instance };
            for verb in [verb::GET, verb::BASIC_SUPPORT] {
                for room in ROOMS {
                    property.call_on_stream(endpoint.pin, stream.this(), verb, &vec![UNTOUCHED; room]);
                }
            }
        }
    }
    stream.close();
    count
}
