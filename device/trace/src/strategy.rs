//! Any event, for property tests of this crate and of those that read traces.

use proptest::prelude::*;

use crate::{CardEvent, Data, Diagnostic, Dma, ErrorName, Event, IrqChange, IrqKind, Region, StreamState};

fn error() -> impl Strategy<Value = ErrorName> {
    "[A-Z0-9_]{1,16}".prop_filter_map("the name of an error", |name| ErrorName::parse(&name))
}

fn who() -> impl Strategy<Value = Dma> {
    let others = proptest::sample::select(&[Dma::SelfTest, Dma::Rings, Dma::Positions][..]);
    prop_oneof![any::<u32>().prop_map(Dma::Stream), others]
}

fn diagnostic() -> impl Strategy<Value = Diagnostic> {
    prop_oneof![
        (any::<Option<u32>>(), any::<u64>(), any::<Option<u32>>(), error())
            .prop_map(|(stream, offset, value, error)| Diagnostic::Refused { stream, offset, value, error }),
        any::<u32>().prop_map(|stream| Diagnostic::NotLockstep { stream }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| Diagnostic::Underrun { stream, packet }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| Diagnostic::Overrun { stream, packet }),
        (any::<u32>(), error()).prop_map(|(stream, error)| Diagnostic::DmaFault { stream, error }),
        error().prop_map(|error| Diagnostic::Rings { error }),
        error().prop_map(|error| Diagnostic::SelfTest { error }),
    ]
}

fn card_event() -> impl Strategy<Value = CardEvent> {
    let transfer = || (who(), any::<u64>(), any::<u64>());
    prop_oneof![
        any::<u32>().prop_map(CardEvent::Mark),
        (any::<u32>(), proptest::sample::select(&StreamState::ALL[..]))
            .prop_map(|(stream, state)| CardEvent::State { stream, state }),
        transfer().prop_map(|(who, address, bytes)| CardEvent::Table { who, address, bytes }),
        transfer().prop_map(|(who, address, bytes)| CardEvent::Read { who, address, bytes }),
        transfer().prop_map(|(who, address, bytes)| CardEvent::Write { who, address, bytes }),
        any::<(u32, u32)>().prop_map(|(stream, count)| CardEvent::Packet { stream, count }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| CardEvent::Stall { stream, packet }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| CardEvent::MarkSeen { stream, packet }),
        any::<u32>().prop_map(|stream| CardEvent::Ended { stream }),
        any::<u32>().prop_map(|stream| CardEvent::Event { stream }),
        any::<bool>().prop_map(|d3hot| CardEvent::Power { d3hot }),
        diagnostic().prop_map(CardEvent::Diagnostic),
        Just(CardEvent::Reset),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    let number = proptest::sample::select(&[1_usize, 2, 4, 8][..]);
    let number = number.prop_flat_map(|bytes| proptest::collection::vec(any::<u8>(), bytes));
    let other = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![number, other].prop_map(|bytes| Data::of(&bytes))
}

fn change() -> impl Strategy<Value = IrqChange> {
    prop_oneof![
        any::<(u32, u32, u32)>().prop_map(|(start, count, fds)| IrqChange::Connect { start, count, fds }),
        Just(IrqChange::Disconnect),
        any::<(u32, u32)>().prop_map(|(start, count)| IrqChange::Trigger { start, count }),
        Just(IrqChange::Mask),
        Just(IrqChange::Unmask),
    ]
}

/// Any event.
pub fn event() -> impl Strategy<Value = Event> {
    let region = || proptest::sample::select(&Region::ALL[..]);
    let kind = proptest::sample::select(&[IrqKind::Msi, IrqKind::Intx][..]);
    prop_oneof![
        Just(Event::Connected),
        Just(Event::Left),
        (region(), any::<u64>(), data()).prop_map(|(region, offset, data)| Event::RegionRead {
            region,
            offset,
            data
        }),
        (region(), any::<u64>(), data()).prop_map(|(region, offset, data)| Event::RegionWrite {
            region,
            offset,
            data
        }),
        any::<(u64, u64, bool, bool, bool, bool)>().prop_map(|(address, bytes, read, write, fd, taken)| {
            Event::DmaMap { address, bytes, read, write, fd, taken }
        }),
        any::<(u64, u64)>().prop_map(|(address, bytes)| Event::DmaUnmap { address, bytes }),
        Just(Event::DmaUnmapAll),
        (kind, change()).prop_map(|(kind, change)| Event::SetIrqs { kind, change }),
        Just(Event::SetOtherIrqs),
        Just(Event::DeviceReset),
        Just(Event::FunctionLevelReset),
        any::<(u32, bool)>().prop_map(|(stream, plugged)| Event::Jack { stream, plugged }),
        card_event().prop_map(Event::Card),
        any::<u32>().prop_map(Event::Msi),
        any::<bool>().prop_map(Event::IntxLevel),
        Just(Event::IntxRaised),
        any::<u64>().prop_map(Event::Lost),
    ]
}
