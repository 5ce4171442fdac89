//! Position and clock register: what a client may map, and that it ticks only while somebody may look.

use super::*;

/// A stream whose registry says this.
fn allowing(number: u32, position_register: bool) -> Rig {
    rig_of(&FakeCard::default(), number, RegistryConfig { position_register, ..RegistryConfig::default() })
}

/// Address, width, frequency and accuracy.
type Seen = (usize, u32, (u64, u64), u32);

fn register(get: impl FnOnce(Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult) -> Result<Seen, nt::NTSTATUS> {
    // SAFETY: numbers and a pointer, for which zero is a value.
    let mut register: KSRTAUDIO_HWREGISTER = unsafe { core::mem::zeroed() };
    get(Out::new(&mut register))?;
    let KSRTAUDIO_HWREGISTER { Register, Width, Numerator, Denominator, Accuracy } = register;
    Ok((Register.addr(), Width, (Numerator, Denominator), Accuracy))
}

fn ticks(rig: &Rig) -> Vec<bool> {
    let told = rig.card.take_calls();
    told.iter()
        .filter_map(|told| if let RecordedCall::UpdateRegisters(tick) = told { Some(*tick) } else { None })
        .collect()
}

#[test]
fn nothing_is_granted_unless_the_registry_and_the_card_allow_it() {
    let refused = |rig: &Rig| {
        for result in [
            register(|place| rig.stream.get_position_register(place)),
            register(|place| rig.stream.get_clock_register(place)),
        ] {
            assert_eq!(result, Err(STATUS_NOT_SUPPORTED));
        }
        assert!(ticks(rig).is_empty());
    };
    refused(&allowing(0, false));
    let card = FakeCard::default();
    card.change(|inside| inside.limits.position_registers = false);
    refused(&rig_of(&card, 0, RegistryConfig { position_register: true, ..RegistryConfig::default() }));
    let rig = allowing(0, true);
    rig.card.change(|inside| inside.gone = true);
    let result = register(|place| rig.stream.get_clock_register(place));
    assert_eq!(result, Err(STATUS_DEVICE_NOT_READY));
    assert_eq!(rig.stream.get_clock_register(Out::none()), Err(STATUS_INVALID_PARAMETER));
}

#[test]
fn the_page_ticks_from_the_first_grant_until_the_stream_goes() {
    let rig = allowing(0, true);
    let position = register(|place| rig.stream.get_position_register(place));
    // A millisecond of 48 frames of 4 bytes.
    assert_eq!(position, Ok((0x1000, 32, (0, 0), 192)));
    let clock = register(|place| rig.stream.get_clock_register(place));
    assert_eq!(clock, Ok((0x1010, 64, (1_000_000_000, 1), 1_000_000)));
    assert_eq!(ticks(&rig), [true], "once");
    rig.allocate();
    rig.go(&[ACQUIRE]);
    assert_eq!(ticks(&rig), [true], "a card that was reset is told again");
    let Rig { stream, card, .. } = rig;
    assert_eq!(card.sees(|inside| inside.registers_held), 1, "mapped, whatever becomes of the card");
    drop(stream);
    assert!(card.take_calls().contains(&RecordedCall::UpdateRegisters(false)));
    assert_eq!(card.sees(|inside| inside.registers_held), 0, "the client has let go");
}

#[test]
fn of_a_microphone_only_the_clock() {
    let rig = allowing(1, true);
    let position = register(|place| rig.stream.get_position_register(place));
    assert_eq!(position, Err(STATUS_NOT_SUPPORTED));
    let clock = register(|place| rig.stream.get_clock_register(place));
    assert_eq!(clock, Ok((0x2010, 64, (1_000_000_000, 1), 1_000_000)));
}

#[test]
fn a_page_that_was_granted_without_power_ticks_when_it_is_back() {
    let rig = allowing(0, true);
    assert!(rig.adapter.card().set_power(false));
    assert!(register(|place| rig.stream.get_clock_register(place)).is_ok());
    assert!(ticks(&rig).is_empty());
    assert!(rig.adapter.card().set_power(true));
    rig.adapter.streams().on_power();
    assert_eq!(ticks(&rig), [true]);
}
