//! GUIDs as Windows lays them out, parsed from their text form at compile time.
//!
//! The texts are those of WAVERT.md 2.1 and 5.8. ntguest keeps its own list so that a wrong digit in the
//! driver's list is seen here.

use core::fmt;

/// A GUID in memory order (16 bytes, first three fields little-endian).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Guid {
    /// First eight digits.
    pub data1: u32,
    /// Next four digits.
    pub data2: u16,
    /// Next four digits.
    pub data3: u16,
    /// The last sixteen digits, in the order they are written.
    pub data4: [u8; 8],
}

const _: () = assert!(size_of::<Guid>() == 16 && align_of::<Guid>() == 4);

impl Guid {
    /// Parses `XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX`; anything else fails the build.
    pub const fn parse(text: &str) -> Self {
        let text = text.as_bytes();
        assert!(text.len() == 36, "a GUID has 36 characters");
        let mut nibbles = [0u8; 32];
        let (mut at, mut found) = (0, 0);
        while at < text.len() {
            let byte = text[at];
            if at == 8 || at == 13 || at == 18 || at == 23 {
                assert!(byte == b'-', "hyphen expected");
            } else {
                nibbles[found] = match byte {
                    b'0'..=b'9' => byte - b'0',
                    b'a'..=b'f' => byte - b'a' + 10,
                    b'A'..=b'F' => byte - b'A' + 10,
                    _ => panic!("not a hexadecimal digit"),
                };
                found += 1;
            }
            at += 1;
        }
        let mut value = 0u128;
        let mut digit = 0;
        while digit < 32 {
            value = value << 4 | nibbles[digit] as u128;
            digit += 1;
        }
        Self::from_digits(value)
    }

    #[expect(clippy::cast_possible_truncation, reason = "each field takes its own digits")]
    const fn from_digits(value: u128) -> Self {
        Self {
            data1: (value >> 96) as u32,
            data2: (value >> 80) as u16,
            data3: (value >> 64) as u16,
            data4: (value as u64).to_be_bytes(),
        }
    }
}

impl Guid {
    /// The GUID whose bytes these are, in memory order.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let [a0, a1, a2, a3, b0, b1, c0, c1, data4 @ ..] = *bytes;
        Self {
            data1: u32::from_le_bytes([a0, a1, a2, a3]),
            data2: u16::from_le_bytes([b0, b1]),
            data3: u16::from_le_bytes([c0, c1]),
            data4,
        }
    }

    /// Its bytes in memory order.
    pub fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.data1.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.data2.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.data3.to_le_bytes());
        bytes[8..].copy_from_slice(&self.data4);
        bytes
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, rest @ ..] = self.data4;
        write!(f, "{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-", self.data1, self.data2, self.data3)?;
        rest.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! guids {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Guid = Guid::parse($text);)*
        /// Every GUID ntguest knows with the name it has in the headers.
        pub const NAMES: &[(Guid, &str)] = &[$(($name, stringify!($name))),*];
    };
}

guids! {
    /// The root interface as the kernel's headers define it (punknown.h: Data4 is 00 00 C0 00 00 00 00 46).
    /// COM's in user mode is another one, 00000000-0000-0000-C000-000000000046: real PortCls never asks with
    /// it, and its objects do not know it.
    IID_UNKNOWN = "00000000-0000-0000-0000-C00000000046";
    /// What every miniport is.
    IID_MINIPORT = "B4C90A24-5791-11D0-86F9-00A0C911B544";
    /// What every port is.
    IID_PORT = "B4C90A25-5791-11D0-86F9-00A0C911B544";
    /// The topology port.
    IID_PORT_TOPOLOGY = "B4C90A30-5791-11D0-86F9-00A0C911B544";
    /// The topology miniport.
    IID_MINIPORT_TOPOLOGY = "B4C90A31-5791-11D0-86F9-00A0C911B544";
    /// Class of the topology port.
    CLSID_PORT_TOPOLOGY = "B4C90A32-5791-11D0-86F9-00A0C911B544";
    /// The WaveRT port.
    IID_PORT_WAVE_RT = "339FF909-68A9-4310-B09B-274E96EE4CBD";
    /// Class of the WaveRT port.
    CLSID_PORT_WAVE_RT = "CC9BE57A-EB9E-42B4-94FC-0CAD3DBCE7FA";
    /// What a WaveRT stream gets its pages from.
    IID_PORT_WAVE_RT_STREAM = "1809CE5A-64BC-4E62-BD7D-95BCE43DE393";
    /// The WaveRT miniport.
    IID_MINIPORT_WAVE_RT = "0F9FC4D6-6061-4F3C-B1FC-075E35F7960A";
    /// A stream.
    IID_MINIPORT_WAVE_RT_STREAM = "000AC9AB-FAAB-4F3D-9455-6FF8306A74A0";
    /// A stream that signals packet ends.
    IID_MINIPORT_WAVE_RT_STREAM_NOTIFICATION = "23759128-96F1-423B-AB4D-81635BCF8CA1";
    /// Packet mode, capture.
    IID_MINIPORT_WAVE_RT_INPUT_STREAM = "CD8E756A-5FC7-4624-984B-2AF02925B91F";
    /// Packet mode, render.
    IID_MINIPORT_WAVE_RT_OUTPUT_STREAM = "831FC7BC-6347-44BC-B47B-C0C657B5BF73";
    /// Digital rights of a stream.
    IID_DRM_AUDIO_STREAM = "1915C967-3299-48CB-A3E4-69FD1D1B306E";
    /// Power notices to a miniport.
    IID_POWER_NOTIFY = "3DD648B8-969F-11D1-95A9-00C04FB925D3";
    /// Adapter power management, first version.
    IID_ADAPTER_POWER_MANAGEMENT = "793417D0-35FE-11D1-AD08-00A0C90AB1B0";
    /// Adapter power management, second version.
    IID_ADAPTER_POWER_MANAGEMENT2 = "E0F92E5D-67F5-48EE-B57A-7D1E90C5F43D";
    /// Adapter power management, third version.
    IID_ADAPTER_POWER_MANAGEMENT3 = "A8C7303E-F80C-4BC9-B2E3-FB2D08BE920F";
    /// Event lists of a port.
    IID_PORT_EVENTS = "A80F29C4-5498-11D2-95D9-00C04FB925D3";
    /// Adapter power management by a port.
    IID_PORT_CLS_POWER = "47BA0351-BC4B-4869-8134-B74FE17852D8";
    /// Power controls by a port.
    IID_PORT_CLS_RUNTIME_POWER = "E057C351-0430-4DBC-B172-C711D40A2373";
    /// Adapter PnP management by a port.
    IID_PORT_CLS_PNP = "0485791B-17F5-4B73-902A-20344860B9CA";
    /// Event tracing by a port.
    IID_PORT_CLS_ETW_HELPER = "80EF6667-E8B1-4252-AB09-8F6D5EBBD19F";
    /// The version of PortCls.
    IID_PORT_CLS_VERSION = "7D89A7BB-869B-4567-8DBE-1E168CC853DE";
    /// Stream resources by a port, first version.
    IID_PORT_CLS_STREAM_RESOURCE_MANAGER = "E1CD9915-CAB1-4103-BB2F-7DC09C9BE942";
    /// Stream resources by a port, second version.
    IID_PORT_CLS_STREAM_RESOURCE_MANAGER2 = "0D500BAE-D565-469D-A0E2-F283760D7148";
    /// Digital rights by a port, first version.
    IID_DRM_PORT = "286D3DF8-CA22-4E2E-B9BC-20B4F0E201CE";
    /// Digital rights by a port, second version.
    IID_DRM_PORT2 = "1ACCE59C-7311-4B6B-9FBA-CC3BA59ACDCE";
    /// An adapter that takes part in a rebalance of resources.
    IID_ADAPTER_PNP_MANAGEMENT = "706F2368-4086-47F5-B913-57B76EED1A32";
    /// A miniport that is told of STOP.
    IID_MINIPORT_PNP_NOTIFY = "6B735365-9487-464C-93E3-FA2C6391D5A4";
    /// A miniport that changes the instance counts of its pins.
    IID_PIN_COUNT = "5DADB7DC-A2CB-4540-A4A8-425EE4AE9051";
    /// Interrupt synchronization.
    IID_INTERRUPT_SYNC = "22C6AC63-851B-11D0-9A7F-00AA0038ACFE";
    /// A resource list.
    IID_RESOURCE_LIST = "22C6AC60-851B-11D0-9A7F-00AA0038ACFE";
    /// A registry key.
    IID_REGISTRY_KEY = "E8DA4302-F304-11D0-958B-00C04FB925D3";
    /// Takes a subdevice back.
    IID_UNREGISTER_SUBDEVICE = "16738177-E199-41F9-9A87-ABB2A5432F21";
    /// Takes a physical connection back.
    IID_UNREGISTER_PHYSICAL_CONNECTION = "6C38E231-2A0D-428D-81F8-07CC428BB9A4";
    /// Category: any audio filter.
    KSCATEGORY_AUDIO = "6994AD04-93EF-11D0-A3CC-00A0C9223196";
    /// Category: render filters.
    KSCATEGORY_RENDER = "65E8773E-8F56-11D0-A3B9-00A0C9223196";
    /// Category: capture filters.
    KSCATEGORY_CAPTURE = "65E8773D-8F56-11D0-A3B9-00A0C9223196";
    /// Category: WaveRT filters.
    KSCATEGORY_REALTIME = "EB115FFC-10C8-4964-831D-6DCB02E6F23F";
    /// Category: topology filters.
    KSCATEGORY_TOPOLOGY = "DDA54A40-1E4C-11D1-A050-405705C10000";
    /// A jack the endpoint builder can't name, so it hides the endpoint.
    KSNODETYPE_ANALOG_CONNECTOR = "DFF21FE1-F70F-11D0-B917-00A0C9223196";
    /// A loudspeaker.
    KSNODETYPE_SPEAKER = "DFF21CE1-F70F-11D0-B917-00A0C9223196";
    /// A microphone.
    KSNODETYPE_MICROPHONE = "DFF21BE1-F70F-11D0-B917-00A0C9223196";
    /// A node that makes sound louder and softer.
    KSNODETYPE_VOLUME = "3A5ACC00-C557-11D0-8A2B-00A0C9255AC1";
    /// A node that silences.
    KSNODETYPE_MUTE = "02B223C0-C557-11D0-8A2B-00A0C9255AC1";
    /// A node that makes analog sound.
    KSNODETYPE_DAC = "507AE360-C554-11D0-8A2B-00A0C9255AC1";
    /// A node that takes analog sound.
    KSNODETYPE_ADC = "4D837FE0-C555-11D0-8A2B-00A0C9255AC1";
    /// A node that mixes: the one with more than one way in.
    KSNODETYPE_SUM = "DA441A60-C556-11D0-8A2B-00A0C9255AC1";
    /// Properties of pins.
    KSPROPSETID_PIN = "8C134960-51AD-11CF-878A-94F801C10000";
    /// Properties of audio nodes.
    KSPROPSETID_AUDIO = "45FFAAA0-6E1B-11D0-BCF2-444553540000";
    /// Properties of jacks.
    KSPROPSETID_JACK = "4509F757-2D46-4637-8E62-CE7DB944F57B";
    /// The types of values in a property's description.
    KSPROPTYPESETID_GENERAL = "97E99BA0-BDEA-11CF-A5D6-28DB04C10000";
    /// Events of nodes whose control changed.
    KSEVENTSETID_AUDIO_CONTROL_CHANGE = "E85E9698-FA2F-11D1-95BD-00C04FB925D3";
    /// Events of pins whose formats or jack changed.
    KSEVENTSETID_PIN_CAPS_CHANGE = "DD4F192E-3B78-49AD-A534-2C315B822000";
    /// Signal-processing mode: the usual one.
    MODE_DEFAULT = "C18E2F7E-933D-4965-B7D1-1EEF228D2AF3";
    /// Signal-processing mode: nothing is changed.
    MODE_RAW = "9E90EA20-B493-4FD1-A1A8-7E1361A956CF";
    /// A miniport that knows signal-processing modes.
    IID_MINIPORT_AUDIO_SIGNAL_PROCESSING = "B532678C-BE50-472D-9973-8A6F16594989";
    /// Interface property: packet sizes, first form (its number is 2).
    DEVPKEY_PACKET_SIZE_CONSTRAINTS = "13E004D6-B066-43BD-913B-A415CD13DA87";
    /// Interface property: packet sizes, second form (its number is 2).
    DEVPKEY_PACKET_SIZE_CONSTRAINTS2 = "9404F781-7191-409B-8B0B-80BF6EC229AE";
    /// Name of a pin that clients record from.
    KSAUDFNAME_RECORDING_CONTROL = "185FEDFA-9905-11D1-95A9-00C04FB925D3";
    /// Major format: audio.
    TYPE_AUDIO = "73647561-0000-0010-8000-00AA00389B71";
    /// Subformat: PCM.
    SUBTYPE_PCM = "00000001-0000-0010-8000-00AA00389B71";
    /// Subformat: float.
    SUBTYPE_IEEE_FLOAT = "00000003-0000-0010-8000-00AA00389B71";
    /// Subformat of a bridge pin.
    SUBTYPE_ANALOG = "6DBA3190-67BD-11CF-A0F7-0020AFD156E4";
    /// The format block is a WAVEFORMATEX.
    SPECIFIER_WAVEFORMATEX = "05589F81-C356-11CE-BF01-00AA0055595A";
    /// There is no format block.
    SPECIFIER_NONE = "0F6417D6-C318-11D0-A43F-00A0C9223196";
    /// Attribute: signal-processing mode.
    ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE = "E1F89EB5-5F46-419B-967B-FF6770B98401";
    /// Nobody's interface: QueryInterface must refuse it.
    IID_NOBODY = "7E57C0DE-0BAD-4F00-8000-00000000F00D";
}

/// The name of a GUID for a message, or the text of its digits.
pub struct Named(pub Guid);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(guid, _)| *guid == self.0) {
            Some((_, name)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_survives_the_round_trip() {
        let text = "E1F89EB5-5F46-419B-967B-FF6770B98401";
        assert_eq!(Guid::parse(text).to_string(), text);
    }

    #[test]
    fn fields_are_in_memory_order() {
        let guid = Guid::parse("01020304-0506-0708-090A-0B0C0D0E0F10");
        assert_eq!((guid.data1, guid.data2, guid.data3), (0x0102_0304, 0x0506, 0x0708));
        assert_eq!(guid.data4, [9, 10, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn bytes_are_those_of_memory() {
        let guid = Guid::parse("01020304-0506-0708-090A-0B0C0D0E0F10");
        assert_eq!(guid.bytes(), [4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(Guid::from_bytes(&guid.bytes()), guid);
    }

    #[test]
    fn the_root_interface_is_the_kernels_and_not_that_of_user_mode() {
        let guid = IID_UNKNOWN;
        assert_eq!((guid.data1, guid.data2, guid.data3), (0, 0, 0));
        assert_eq!(guid.data4, [0, 0, 0xc0, 0, 0, 0, 0, 0x46]);
    }

    #[test]
    fn no_guid_is_listed_twice() {
        for (i, (guid, name)) in NAMES.iter().enumerate() {
            for (other, twin) in &NAMES[i + 1..] {
                assert!(guid != other, "{name} equals {twin}");
            }
        }
    }
}
