//! Position and clock register: what a client may map, and that it ticks only while somebody may look.

use super::*;

/// A stream whose registry says this.
fn allowing(number: u32, position_register: bool) -> Fixture {
    fixture_of(
        &FakeCard::default(),
        number,
        RegistryConfig { position_register, ..RegistryConfig::default() },
    )
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

fn ticks(fixture: &Fixture) -> Vec<bool> {
    let calls = fixture.card.take_calls();
    calls
        .iter()
        .filter_map(|call| if let RecordedCall::UpdateRegisters(tick) = call { Some(*tick) } else { None })
        .collect()
}

#[test]
fn nothing_is_granted_unless_the_registry_and_the_card_allow_it() {
    let refused = |fixture: &Fixture| {
        for result in [
            register(|place| fixture.stream.get_position_register(place)),
            register(|place| fixture.stream.get_clock_register(place)),
        ] {
            assert_eq!(result, Err(STATUS_NOT_SUPPORTED));
        }
        assert!(ticks(fixture).is_empty());
    };
    refused(&allowing(0, false));
    let card = FakeCard::default();
    card.change(|inside| inside.limits.position_registers = false);
    refused(&fixture_of(&card, 0, RegistryConfig { position_register: true, ..RegistryConfig::default() }));
    let fixture = allowing(0, true);
    fixture.card.change(|inside| inside.gone = true);
    let result = register(|place| fixture.stream.get_clock_register(place));
    assert_eq!(result, Err(STATUS_DEVICE_NOT_READY));
    assert_eq!(fixture.stream.get_clock_register(Out::none()), Err(STATUS_INVALID_PARAMETER));
}

#[test]
fn the_page_ticks_from_the_first_grant_until_the_stream_goes() {
    let fixture = allowing(0, true);
    let position = register(|place| fixture.stream.get_position_register(place));
    // A millisecond of 48 frames of 4 bytes.
    assert_eq!(position, Ok((0x1000, 32, (0, 0), 192)));
    let clock = register(|place| fixture.stream.get_clock_register(place));
    assert_eq!(clock, Ok((0x1010, 64, (1_000_000_000, 1), 1_000_000)));
    assert_eq!(ticks(&fixture), [true], "once");
    fixture.allocate();
    fixture.go(&[ACQUIRE]);
    assert_eq!(ticks(&fixture), [true], "a card that was reset is told again");
    let Fixture { stream, card, .. } = fixture;
    assert_eq!(card.inspect(|inside| inside.registers_held), 1, "mapped, whatever becomes of the card");
    drop(stream);
    assert!(card.take_calls().contains(&RecordedCall::UpdateRegisters(false)));
    assert_eq!(card.inspect(|inside| inside.registers_held), 0, "the client has let go");
}

#[test]
fn of_a_microphone_only_the_clock() {
    let fixture = allowing(1, true);
    let position = register(|place| fixture.stream.get_position_register(place));
    assert_eq!(position, Err(STATUS_NOT_SUPPORTED));
    let clock = register(|place| fixture.stream.get_clock_register(place));
    assert_eq!(clock, Ok((0x2010, 64, (1_000_000_000, 1), 1_000_000)));
}

#[test]
fn a_page_that_was_granted_without_power_ticks_when_it_is_back() {
    let fixture = allowing(0, true);
    assert!(fixture.adapter.card().set_power(false));
    assert!(register(|place| fixture.stream.get_clock_register(place)).is_ok());
    assert!(ticks(&fixture).is_empty());
    assert!(fixture.adapter.card().set_power(true));
    fixture.adapter.streams().on_power();
    assert_eq!(ticks(&fixture), [true]);
}
