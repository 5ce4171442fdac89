//! GUIDs: the type, reading them from text at compile time, and every one a WaveRT driver names.
//!
//! Values are WAVERT.md 2.1 and 5.8 (from the genuine `portcls.h`, `ks.h`, `ksmedia.h`). They are data: the
//! driver image carries them, nothing is imported. Interface ids are with their interfaces
//! ([`crate::Interface::IID`]).
use core::fmt;

/// A globally unique identifier, as Windows lays it out (the first three fields little-endian).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GUID {
    /// The first eight digits.
    pub Data1: u32,
    /// The next four.
    pub Data2: u16,
    /// The next four.
    pub Data3: u16,
    /// The rest, byte by byte.
    pub Data4: [u8; 8],
}
const _: () = assert!(size_of::<GUID>() == 16 && align_of::<GUID>() == 4);

impl GUID {
    /// Reads `6994AD04-93EF-11D0-A3CC-00A0C9223196`, either case, without braces. Anything else does not
    /// compile.
    ///
    /// # Panics
    /// On anything else; at compile time, where it is meant to be called.
    #[allow(clippy::cast_possible_truncation)] // the fields are cut out of the number
    pub const fn parse(text: &str) -> Self {
        let text = text.as_bytes();
        assert!(text.len() == 36, "a GUID has 36 characters");
        let mut value: u128 = 0;
        let mut at = 0;
        while at < 36 {
            let character = text[at];
            if at == 8 || at == 13 || at == 18 || at == 23 {
                assert!(character == b'-', "a GUID has dashes after 8, 12, 16 and 20 digits");
            } else {
                let digit = match character {
                    b'0'..=b'9' => character - b'0',
                    b'a'..=b'f' => character - b'a' + 10,
                    b'A'..=b'F' => character - b'A' + 10,
                    _ => panic!("a GUID has hexadecimal digits"),
                };
                value = value << 4 | digit as u128;
            }
            at += 1;
        }
        Self {
            Data1: (value >> 96) as u32,
            Data2: (value >> 80) as u16,
            Data3: (value >> 64) as u16,
            Data4: (value as u64).to_be_bytes(),
        }
    }
}

impl GUID {
    /// Its bytes, as they lie in a structure.
    pub const fn to_bytes(&self) -> [u8; 16] {
        let head = self.Data1 as u128 | (self.Data2 as u128) << 32 | (self.Data3 as u128) << 48;
        (head | (u64::from_le_bytes(self.Data4) as u128) << 64).to_le_bytes()
    }
}

impl fmt::Display for GUID {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, rest @ ..] = self.Data4;
        write!(f, "{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-", self.Data1, self.Data2, self.Data3)?;
        rest.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for GUID {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

macro_rules! guids {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub static $name: crate::GUID = crate::GUID::parse($text);)*
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &crate::GUID, &str)] = &[$((stringify!($name), &$name, $text)),*];
    };
}

pub mod modes;
pub mod names;
pub mod node_types;

pub use modes::*;
pub use names::*;
pub use node_types::*;

// Statics, not constants: descriptors hold their addresses for the life of the driver.
guids! {
    /// No GUID; a wildcard in data ranges.
    GUID_NULL = "00000000-0000-0000-0000-000000000000";

    /// PcNewPort: a WaveRT port.
    CLSID_PortWaveRT = "CC9BE57A-EB9E-42B4-94FC-0CAD3DBCE7FA";
    /// PcNewPort: a topology port.
    CLSID_PortTopology = "B4C90A32-5791-11D0-86F9-00A0C911B544";

    /// Any audio filter.
    KSCATEGORY_AUDIO = "6994AD04-93EF-11D0-A3CC-00A0C9223196";
    /// A filter that renders.
    KSCATEGORY_RENDER = "65E8773E-8F56-11D0-A3B9-00A0C9223196";
    /// A filter that captures.
    KSCATEGORY_CAPTURE = "65E8773D-8F56-11D0-A3B9-00A0C9223196";
    /// A WaveRT filter.
    KSCATEGORY_REALTIME = "EB115FFC-10C8-4964-831D-6DCB02E6F23F";
    /// A topology filter.
    KSCATEGORY_TOPOLOGY = "DDA54A40-1E4C-11D1-A050-405705C10000";

    /// Jack: speakers.
    KSNODETYPE_SPEAKER = "DFF21CE1-F70F-11D0-B917-00A0C9223196";
    /// Jack: headphones.
    KSNODETYPE_HEADPHONES = "DFF21CE2-F70F-11D0-B917-00A0C9223196";
    /// Jack: microphone.
    KSNODETYPE_MICROPHONE = "DFF21BE1-F70F-11D0-B917-00A0C9223196";
    /// Jack: microphone on a desk.
    KSNODETYPE_DESKTOP_MICROPHONE = "DFF21BE2-F70F-11D0-B917-00A0C9223196";
    /// Jack: several microphones.
    KSNODETYPE_MICROPHONE_ARRAY = "DFF21BE5-F70F-11D0-B917-00A0C9223196";
    /// Jack: line.
    KSNODETYPE_LINE_CONNECTOR = "DFF21FE3-F70F-11D0-B917-00A0C9223196";
    /// Jack of no known kind: its endpoint is created hidden (WAVERT.md 5.4).
    KSNODETYPE_ANALOG_CONNECTOR = "DFF21FE1-F70F-11D0-B917-00A0C9223196";
    /// Jack: S/PDIF.
    KSNODETYPE_SPDIF_INTERFACE = "DFF21FE5-F70F-11D0-B917-00A0C9223196";
    /// Node: volume.
    KSNODETYPE_VOLUME = "3A5ACC00-C557-11D0-8A2B-00A0C9255AC1";
    /// Node: mute.
    KSNODETYPE_MUTE = "02B223C0-C557-11D0-8A2B-00A0C9255AC1";
    /// Node: digital to analog.
    KSNODETYPE_DAC = "507AE360-C554-11D0-8A2B-00A0C9255AC1";
    /// Node: analog to digital.
    KSNODETYPE_ADC = "4D837FE0-C555-11D0-8A2B-00A0C9255AC1";
    /// Node: mixes.
    KSNODETYPE_SUM = "DA441A60-C556-11D0-8A2B-00A0C9255AC1";

    /// Name of a volume node.
    KSAUDFNAME_MASTER_VOLUME = "185FEDE3-9905-11D1-95A9-00C04FB925D3";
    /// Name of a mute node.
    KSAUDFNAME_MASTER_MUTE = "185FEDE4-9905-11D1-95A9-00C04FB925D3";
    /// Name of a microphone's volume node.
    KSAUDFNAME_MIC_VOLUME = "185FEDED-9905-11D1-95A9-00C04FB925D3";
    /// Name of a microphone's mute node.
    KSAUDFNAME_MIC_MUTE = "185FEDEE-9905-11D1-95A9-00C04FB925D3";
    /// Name of a capture pin.
    KSAUDFNAME_RECORDING_CONTROL = "185FEDFA-9905-11D1-95A9-00C04FB925D3";

    /// Major format: audio.
    KSDATAFORMAT_TYPE_AUDIO = "73647561-0000-0010-8000-00AA00389B71";
    /// Sub format: PCM.
    KSDATAFORMAT_SUBTYPE_PCM = "00000001-0000-0010-8000-00AA00389B71";
    /// Sub format: 32-bit float.
    KSDATAFORMAT_SUBTYPE_IEEE_FLOAT = "00000003-0000-0010-8000-00AA00389B71";
    /// Sub format: analog (bridge pins).
    KSDATAFORMAT_SUBTYPE_ANALOG = "6DBA3190-67BD-11CF-A0F7-0020AFD156E4";
    /// A WAVEFORMATEX or WAVEFORMATEXTENSIBLE follows.
    KSDATAFORMAT_SPECIFIER_WAVEFORMATEX = "05589F81-C356-11CE-BF01-00AA0055595A";
    /// Nothing follows.
    KSDATAFORMAT_SPECIFIER_NONE = "0F6417D6-C318-11D0-A43F-00A0C9223196";

    /// Properties of pins.
    KSPROPSETID_Pin = "8C134960-51AD-11CF-878A-94F801C10000";
    /// Properties of a filter's topology.
    KSPROPSETID_Topology = "720D4AC0-7533-11D0-A5D6-28DB04C10000";
    /// Properties of a connection.
    KSPROPSETID_Connection = "1D58C920-AC9B-11CF-A5D6-28DB04C10000";
    /// General properties.
    KSPROPSETID_General = "1464EDA5-6A8F-11D1-9AA7-00A0C9223196";
    /// Properties of WaveRT pins; PortCls handles them (WAVERT.md 4.2).
    KSPROPSETID_RtAudio = "A855A48C-2F78-4729-9051-1968746B9EEF";
    /// Properties of audio nodes.
    KSPROPSETID_Audio = "45FFAAA0-6E1B-11D0-BCF2-444553540000";
    /// Properties of jacks.
    KSPROPSETID_Jack = "4509F757-2D46-4637-8E62-CE7DB944F57B";
    /// Value types of properties.
    KSPROPTYPESETID_General = "97E99BA0-BDEA-11CF-A5D6-28DB04C10000";
    /// Event: a control changed.
    KSEVENTSETID_AudioControlChange = "E85E9698-FA2F-11D1-95BD-00C04FB925D3";
    /// Event: a pin's capabilities changed.
    KSEVENTSETID_PinCapsChange = "DD4F192E-3B78-49AD-A534-2C315B822000";

    /// Attribute: signal-processing mode.
    KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE = "E1F89EB5-5F46-419B-967B-FF6770B98401";
    /// Mode: what the system does by default.
    AUDIO_SIGNALPROCESSINGMODE_DEFAULT = "C18E2F7E-933D-4965-B7D1-1EEF228D2AF3";
    /// Mode: no processing.
    AUDIO_SIGNALPROCESSINGMODE_RAW = "9E90EA20-B493-4FD1-A1A8-7E1361A956CF";

    /// Properties of audio engine nodes (offload).
    KSPROPSETID_AudioEngine = "3A2F82DC-886F-4BAA-9EB4-082B9025C536";
    /// Properties of audio modules.
    KSPROPSETID_AudioModule = "C034FDB0-FF75-47C8-AA3C-EE46716B50C6";
    /// Properties of a device that can be turned.
    KSPROPSETID_AudioPosture = "A3FB7B0D-474E-4F51-A379-51282DD4FA8F";
    /// Properties of resource groups.
    KSPROPSETID_AudioResourceManagement = "D0B305E1-B2CC-484C-8F23-E5D28AD9CF88";
    /// Properties of signal-processing modes; PortCls handles them with
    /// [`IMiniportAudioSignalProcessing`](crate::interfaces::IMiniportAudioSignalProcessing).
    KSPROPSETID_AudioSignalProcessing = "4F67B528-30C9-40DE-B2FB-859DDD1F3470";
    /// Properties of buffer durations.
    KSPROPSETID_AudioBufferDuration = "4E73C07F-23CC-4955-A7EA-3DA502496290";
    /// Properties of streams whose reference lies between their channels.
    KSPROPSETID_InterleavedAudio = "E9EBE550-D619-4C0A-976B-7062322B3006";
    /// Properties of keyword detectors.
    KSPROPSETID_SoundDetector = "113C425E-FD17-4057-B422-ED4074F1AFDF";
    /// Properties of keyword detectors, Windows 10.
    KSPROPSETID_SoundDetector2 = "FE07E322-450C-4BD5-84CA-A948500EA6AA";
    /// Properties of protected content; PortCls handles them with
    /// [`IDrmAudioStream`](crate::interfaces::IDrmAudioStream).
    KSPROPSETID_DrmAudioStream = "2F2C8DDD-4198-4FAC-BA29-61BB05B7DE06";
    /// Properties of any node.
    KSPROPSETID_TopologyNode = "45FFAAA1-6E1B-11D0-BCF2-444553540000";
    /// Properties of telephony.
    KSPROPSETID_TelephonyControl = "B6DF7EB1-D099-489F-A6A0-C0106F0887A7";
    /// Properties of telephony's endpoints.
    KSPROPSETID_TelephonyTopology = "ABF25C7E-0E64-4E32-B190-D0F6D7C53E97";
    /// Event: a keyword was heard.
    KSEVENTSETID_SoundDetector = "69785C9B-FC2D-49D6-AC32-4799F87DE9F6";
    /// Event: the volume is limited, or no longer.
    KSEVENTSETID_VolumeLimit = "DA168465-3A7C-4858-9D4A-3E8E24701AEF";
    /// Event: a stream must be made anew with another format.
    KSEVENTSETID_DynamicFormatChange = "162AC456-83D7-4239-96DF-C75FFA138BC6";
    /// Event: telephony's endpoints changed.
    KSEVENTSETID_Telephony = "B77F12B4-CEB4-4484-8D5E-52C1E7D8762D";
    /// Events of a connection.
    KSEVENTSETID_Connection = "7F4BCBE0-9EA5-11CF-A5D6-28DB04C10000";
    /// Notification of an audio module.
    KSNOTIFICATIONID_AudioModule = "9C2220F0-D9A6-4D5C-A036-573857FD50D2";
    /// Notification of a keyword detector.
    KSNOTIFICATIONID_SoundDetector = "6389D844-BB32-4C4C-A802-F4B4B77AFEAD";
    /// Interfaces of pins: standard.
    KSINTERFACESETID_Standard = "1A8766A0-62CE-11CF-A5D6-28DB04C10000";
    /// Mediums of pins: standard.
    KSMEDIUMSETID_Standard = "4747B320-62CE-11CF-A5D6-28DB04C10000";

    /// An echo canceller.
    KSCATEGORY_ACOUSTIC_ECHO_CANCEL = "BF963D80-C559-11D0-8A2B-00A0C9255AC1";
    /// A filter that changes data.
    KSCATEGORY_DATATRANSFORM = "2EB07EA0-7E70-11D0-A5D6-28DB04C10000";
    /// A filter that makes one signal of several microphones.
    KSCATEGORY_MICROPHONE_ARRAY_PROCESSOR = "830A44F2-A32D-476B-BE97-42845673B35A";
    /// A mixer.
    KSCATEGORY_MIXER = "AD809C00-7B88-11D0-A5D6-28DB04C10000";
    /// A filter that multiplies a stream.
    KSCATEGORY_SPLITTER = "0A4252A0-7E70-11D0-A5D6-28DB04C10000";
    /// A virtual device.
    KSCATEGORY_VIRTUAL = "3503EAC4-1F26-11D1-8AB0-00A0C9223196";
    /// Old clients call the device by its pin's name.
    KSCATEGORY_WDMAUD_USE_PIN_NAME = "47A4FA20-A251-11D1-A050-0000F8004788";

    /// Sub format: Aac in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_AAC = "00000006-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Atrac in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_ATRAC = "00000008-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dolby Digital in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DOLBY_DIGITAL = "00000092-0000-0010-8000-00AA00389B71";
    /// Sub format: Dolby Digital Plus in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DOLBY_DIGITAL_PLUS = "0000000A-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dolby Digital Plus Atmos in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DOLBY_DIGITAL_PLUS_ATMOS = "0000010A-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dolby Mat20 in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DOLBY_MAT20 = "0000010C-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dolby Mat21 in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DOLBY_MAT21 = "0000030C-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dolby Mlp in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DOLBY_MLP = "0000000C-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dst in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DST = "0000000D-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dts in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DTS = "00000008-0000-0010-8000-00AA00389B71";
    /// Sub format: Dtsx E1 in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DTSX_E1 = "0000010B-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dtsx E2 in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DTSX_E2 = "0000030B-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Dts Hd in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_DTS_HD = "0000000B-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Mpeg1 in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_MPEG1 = "00000003-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Mpeg2 in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_MPEG2 = "00000004-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Mpeg3 in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_MPEG3 = "00000005-0CEA-0010-8000-00AA00389B71";
    /// Sub format: One Bit Audio in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_ONE_BIT_AUDIO = "00000009-0CEA-0010-8000-00AA00389B71";
    /// Sub format: Wma Pro in IEC 61937 frames.
    KSDATAFORMAT_SUBTYPE_IEC61937_WMA_PRO = "00000164-0000-0010-8000-00AA00389B71";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (&'static str, &'static GUID, &'static str)> {
        [ALL, modes::ALL, names::ALL, node_types::ALL].into_iter().flatten().copied()
    }

    #[test]
    fn text_and_bytes_agree() {
        // The bytes of IID_IUnknown and of a fully mixed GUID, written down by hand.
        let guid = GUID::parse("6994ad04-93EF-11D0-A3CC-00A0C9223196");
        assert_eq!((guid.Data1, guid.Data2, guid.Data3), (0x6994_AD04, 0x93EF, 0x11D0));
        assert_eq!(guid.Data4, [0xA3, 0xCC, 0x00, 0xA0, 0xC9, 0x22, 0x31, 0x96]);
        assert_eq!(
            guid.to_bytes(),
            [4, 0xAD, 0x94, 0x69, 0xEF, 0x93, 0xD0, 0x11, 0xA3, 0xCC, 0, 0xA0, 0xC9, 0x22, 0x31, 0x96]
        );
        for (name, guid, text) in all() {
            assert_eq!(guid.to_string(), text, "{name}");
        }
    }

    #[test]
    fn no_guid_is_used_twice() {
        for (at, (name, guid, _)) in all().enumerate() {
            assert!(all().skip(at + 1).all(|(_, other, _)| guid != other), "{name} has a twin");
        }
    }

    #[test]
    fn families_follow_their_rule() {
        // Jack types count from 0xDFF219E0 by USB terminal type (WAVERT.md 5.8); formats from the wave format
        // tag.
        assert_eq!(KSNODETYPE_SPEAKER.Data1 - 0xDFF2_19E0, 0x0301);
        assert_eq!(KSNODETYPE_MICROPHONE.Data1 - 0xDFF2_19E0, 0x0201);
        assert_eq!(KSNODETYPE_SPDIF_INTERFACE.Data1 - 0xDFF2_19E0, 0x0605);
        assert_eq!(KSDATAFORMAT_SUBTYPE_PCM.Data1, 1);
        assert_eq!(KSDATAFORMAT_TYPE_AUDIO.Data1.to_le_bytes(), *b"auds");
    }

    #[test]
    #[should_panic(expected = "hexadecimal")]
    fn letters_beyond_f_are_refused() {
        let _ = GUID::parse("6994AD0G-93EF-11D0-A3CC-00A0C9223196");
    }
}
