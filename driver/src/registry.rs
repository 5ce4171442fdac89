//! What the device's registry key can ask for.

use portcls_sys::ComRef;
use portcls_sys::calls::KeyType;
use portcls_sys::interfaces::IPort;

use crate::default_format::DefaultFormat;
use crate::names::{
    BOTH_MODES, CONTIGUOUS_BUFFER, DEFAULT_BITS, DEFAULT_SAMPLE_RATE, LOCKSTEP, MICROPHONE_CHANNELS,
    PACKET_MICROSECONDS, POSITION_REGISTER, SPEAKER_CHANNELS,
};

/// `MinPacketPeriodInHns`, in 100 ns: 1 ms. The card takes `max(8, rate / 1000)` frames (DATASHEET 5.1),
/// which is 1 ms at every rate it has.
pub const MIN_PACKET_PERIOD: u32 = 10_000;

/// `ProcessingPacketDurationInHns` of every mode, in 100 ns: the shortest packet that shared clients get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModePeriod(u32);

impl Default for ModePeriod {
    /// 2 ms, which is a promise: it has to be the shortest that was measured without a loss of the card under
    /// load (`driver/README.md`, *Packets*). Clients that ask for no period get 10 ms all the same.
    fn default() -> Self {
        Self(20_000)
    }
}

impl ModePeriod {
    /// The shortest that can be asked for: an entry that is not above the minimum is ignored.
    const SHORTEST_MICROS: u32 = MIN_PACKET_PERIOD / 10 + 1;
    /// The longest: what packets have without constraints (WAVERT.md 4.9).
    const LONGEST_MICROS: u32 = 10_000;

    /// The registry's value in microseconds; anything that can't be asked for is the default.
    pub fn from_micros(micros: u32) -> Self {
        if (Self::SHORTEST_MICROS..=Self::LONGEST_MICROS).contains(&micros) {
            Self(micros * 10)
        } else {
            Self::default()
        }
    }

    /// In 100 ns.
    pub const fn hns(self) -> u32 {
        self.0
    }
}

/// What the device's hardware key asks for: `REG_DWORD`s, of 1 where nothing else is said.
#[allow(clippy::struct_excessive_bools, reason = "one for each value of the key, none depends on another")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// `ContiguousBuffer`: physically contiguous cyclic buffers.
    pub contiguous: bool,
    /// `Lockstep`: a card whose operator allows it waits for its clients: until the next packet was written
    /// with SetWritePacket, or one was taken with GetReadPacket. For tests and recordings. SetWritePacket's
    /// page wants the opposite, and a client that misses one packet waits for ever.
    pub lockstep: bool,
    /// `PositionRegister`: clients may map the position page of their stream.
    pub position_register: bool,
    /// `Modes`: host pins list DEFAULT and RAW, not one of them.
    pub both_modes: bool,
    /// `PacketMicroseconds`: the shortest packet that shared clients get.
    pub mode_period: ModePeriod,
    /// `DefaultSampleRate`, `DefaultBits`, `SpeakerChannels`, `MicrophoneChannels`: what endpoints begin
    /// with.
    pub default_format: DefaultFormat,
}

impl RegistryConfig {
    /// Reads the key. One that can't be read asks for nothing. PASSIVE_LEVEL.
    pub fn read(port: &ComRef<IPort>) -> Self {
        let key = match port.registry_key(KeyType::Device) {
            Ok(key) => key,
            Err(status) => {
                log::warn!("the device's registry key can't be read: {status:#010x}");
                return Self::default();
            }
        };
        let number = |name| match key.dword(name) {
            Ok(value) => value.unwrap_or(0),
            Err(status) => {
                log::warn!("a value of the device's registry key can't be read: {status:#010x}");
                0
            }
        };
        let asks = |name| number(name) == 1;
        Self {
            contiguous: asks(CONTIGUOUS_BUFFER),
            lockstep: asks(LOCKSTEP),
            position_register: asks(POSITION_REGISTER),
            both_modes: asks(BOTH_MODES),
            mode_period: ModePeriod::from_micros(number(PACKET_MICROSECONDS)),
            default_format: DefaultFormat::from_registry(
                number(DEFAULT_SAMPLE_RATE),
                number(DEFAULT_BITS),
                number(SPEAKER_CHANNELS),
                number(MICROPHONE_CHANNELS),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcls_sys::host::Numbers;

    use super::*;
    use crate::hw::fake::FakeCard;

    use crate::topology::fixture::Fixture;

    fn read(values: Numbers) -> RegistryConfig {
        Fixture::configured(FakeCard::default(), 0, true, values).miniport.config()
    }

    #[test]
    fn a_value_of_one_asks_and_nothing_else_does() {
        assert_eq!(read(&[]), RegistryConfig::default());
        let wanted = RegistryConfig { both_modes: true, ..RegistryConfig::default() };
        assert_eq!(read(&[("Modes", 1)]), wanted);
        assert_eq!(read(&[("PacketMicroseconds", 3_000)]).mode_period, ModePeriod::from_micros(3_000));
        assert_ne!(ModePeriod::from_micros(3_000), ModePeriod::default());
        for values in [&[("Modes", 0)], &[("Modes", 2)], &[("modes2", 1)]] {
            assert_eq!(read(values), RegistryConfig::default());
        }
        let numbers = &[
            ("DefaultSampleRate", 96_000),
            ("DefaultBits", 16),
            ("SpeakerChannels", 6),
            ("MicrophoneChannels", 2),
        ];
        assert_eq!(read(numbers).default_format, DefaultFormat::from_registry(96_000, 16, 6, 2));
        assert_ne!(read(numbers).default_format, DefaultFormat::default());
        let wanted =
            RegistryConfig { contiguous: true, position_register: true, ..RegistryConfig::default() };
        assert_eq!(read(&[("ContiguousBuffer", 1), ("PositionRegister", 1)]), wanted);
    }
}
