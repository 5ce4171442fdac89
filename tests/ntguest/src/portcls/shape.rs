//! The shape of a whole filter: which pins a render or a capture filter has, what they are called, and what
//! goes through them (WAVERT.md 5.2 to 5.4). The single structures are `descriptor`'s business.

use super::descriptor::{FLOW_IN, FLOW_OUT, Filter, Pin, Role};
use super::guid::{
    KSAUDFNAME_RECORDING_CONTROL, KSCATEGORY_AUDIO, KSCATEGORY_CAPTURE, KSCATEGORY_RENDER, SPECIFIER_NONE,
    SPECIFIER_WAVEFORMATEX, SUBTYPE_ANALOG, SUBTYPE_PCM, TYPE_AUDIO,
};
use super::layout::KsDataFormat;
use super::report::Report;
use core::ops::RangeInclusive;

/// First words of the jack categories of devices that take sound in: 0xDFF219E0 and a USB terminal type of
/// 0x200 to 0x2FF.
const INPUT_JACKS: RangeInclusive<u32> = 0xDFF2_1BE0..=0xDFF2_1CDF;
/// The same of devices that make sound: terminal types 0x300 to 0x3FF.
const OUTPUT_JACKS: RangeInclusive<u32> = 0xDFF2_1CE0..=0xDFF2_1DDF;

/// Checks the whole of a filter.
pub fn check(filter: &Filter, role: Role, report: &mut dyn Report) {
    for (id, pin) in filter.pins.iter().enumerate() {
        check_ranges(id, pin, report);
    }
    match role {
        Role::Wave => check_wave(filter, report),
        Role::Topology => check_topology(filter, report),
    }
}

/// A bridge carries analog sound in no format; a pin that clients open has at least one range of PCM.
fn check_ranges(id: usize, pin: &Pin, report: &mut dyn Report) {
    if pin.is_bridge() {
        let right = |format: &KsDataFormat| {
            (format.major_format, format.sub_format, format.specifier)
                == (TYPE_AUDIO, SUBTYPE_ANALOG, SPECIFIER_NONE)
                && format.format_size == 64
        };
        if !pin.ranges.iter().all(|range| right(&range.format)) {
            report.harsh(format_args!("pin {id} is a bridge with a range that is not analog"));
        }
    } else if pin.is_host() {
        let pcm = pin.ranges.iter().any(|range| {
            range.format.specifier == SPECIFIER_WAVEFORMATEX && range.format.sub_format == SUBTYPE_PCM
        });
        if !pcm && !pin.ranges.is_empty() {
            report.harsh(format_args!("pin {id} is opened by clients and has no range of PCM"));
        }
    }
}

/// A wave filter has pins that clients open and bridges, and each leads to one of the other kind (5.2).
fn check_wave(filter: &Filter, report: &mut dyn Report) {
    let ways = |pin: usize| -> usize {
        let pins = 0..filter.pins.len();
        let leads = |from: usize, to: usize| {
            u32::try_from(from).is_ok_and(|from| filter.reachable(from).iter().any(|end| *end as usize == to))
        };
        pins.filter(|other| leads(pin, *other) || leads(*other, pin)).count()
    };
    for (id, pin) in filter.pins.iter().enumerate() {
        if pin.category.is_some_and(|category| category != KSCATEGORY_AUDIO) {
            report.harsh(format_args!("wave pin {id} has another category than KSCATEGORY_AUDIO"));
        }
        if pin.is_host() && ways(id) > 1 {
            report.harsh(format_args!("pin {id} leads to {} pins, one bridge belongs to it", ways(id)));
        }
        if !pin.is_host() {
            continue;
        }
        let (category, direction) = if pin.flow == FLOW_OUT {
            (KSCATEGORY_CAPTURE, "capture")
        } else {
            (KSCATEGORY_RENDER, "render")
        };
        if !filter.categories.contains(&category) {
            report.harsh(format_args!(
                "pin {id} is for {direction}, the filter's interface categories are not"
            ));
        }
        if pin.flow == FLOW_OUT && pin.name.is_some_and(|name| name != KSAUDFNAME_RECORDING_CONTROL) {
            report
                .harsh(format_args!("pin {id} is recorded from and has another name than RECORDING_CONTROL"));
        }
    }
    // PortCls' default, when the driver lists none, has both.
    let default =
        filter.categories.contains(&KSCATEGORY_RENDER) && filter.categories.contains(&KSCATEGORY_CAPTURE);
    for (category, flow, direction) in
        [(KSCATEGORY_RENDER, FLOW_IN, "render"), (KSCATEGORY_CAPTURE, FLOW_OUT, "capture")]
    {
        if !default
            && filter.categories.contains(&category)
            && !filter.pins.iter().any(|pin| pin.is_host() && pin.flow == flow)
        {
            report.harsh(format_args!("the interface categories say {direction} and no pin is for it"));
        }
    }
}

/// A topology filter has bridges only, towards a wave filter and towards jacks, and a jack of the right
/// direction (5.3).
fn check_topology(filter: &Filter, report: &mut dyn Report) {
    for (id, pin) in filter.pins.iter().enumerate() {
        if !pin.is_bridge() {
            report.harsh(format_args!("topology pin {id} is no bridge"));
        }
        let Some(category) = pin.category.filter(|category| *category != KSCATEGORY_AUDIO) else { continue };
        let wrong = match pin.flow {
            FLOW_IN => OUTPUT_JACKS.contains(&category.data1),
            FLOW_OUT => INPUT_JACKS.contains(&category.data1),
            _ => false,
        };
        if wrong {
            report
                .found(format_args!("topology pin {id} is a jack whose category is of the other direction"));
        }
    }
    if !filter.pins.iter().any(|pin| pin.category == Some(KSCATEGORY_AUDIO)) {
        report.harsh(format_args!("no topology pin of category KSCATEGORY_AUDIO leads to a wave filter"));
    }
}

#[cfg(test)]
mod tests;
