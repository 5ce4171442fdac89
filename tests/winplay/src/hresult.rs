//! HRESULTs: what they are called, and whom to suspect.
//!
//! Numbers of AUDCLNT_E_ are those of audioclient.h, as Microsoft's pages and the `windows` crate have them.

use alloc::format;
use alloc::string::String;

use crate::outcome::Suspect;

/// A code as Windows gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hresult(pub u32);

impl Hresult {
    /// S_OK.
    pub const OK: Self = Self(0);
    /// AUDCLNT_E_DEVICE_INVALIDATED.
    pub const DEVICE_INVALIDATED: Self = Self(0x8889_0004);
    /// AUDCLNT_E_UNSUPPORTED_FORMAT.
    pub const UNSUPPORTED_FORMAT: Self = Self(0x8889_0008);
    /// AUDCLNT_E_BUFFER_SIZE_NOT_ALIGNED.
    pub const BUFFER_SIZE_NOT_ALIGNED: Self = Self(0x8889_0019);
    /// AUDCLNT_E_RESOURCES_INVALIDATED.
    pub const RESOURCES_INVALIDATED: Self = Self(0x8889_0026);
    /// AUDCLNT_E_RAW_MODE_UNSUPPORTED.
    pub const RAW_MODE_UNSUPPORTED: Self = Self(0x8889_0027);

    /// Whether it says that something failed.
    pub const fn failed(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }
}

const NAMES: &[(u32, &str)] = &[
    (0x0000_0000, "S_OK"),
    (0x0000_0001, "S_FALSE"),
    (0x0889_0001, "AUDCLNT_S_BUFFER_EMPTY"),
    (0x0889_0002, "AUDCLNT_S_THREAD_ALREADY_REGISTERED"),
    (0x0889_0003, "AUDCLNT_S_POSITION_STALLED"),
    (0x8000_4001, "E_NOTIMPL"),
    (0x8000_4002, "E_NOINTERFACE"),
    (0x8000_4003, "E_POINTER"),
    (0x8000_4005, "E_FAIL"),
    (0x8000_FFFF, "E_UNEXPECTED"),
    (0x8004_0154, "REGDB_E_CLASSNOTREG"),
    (0x8007_0002, "ERROR_FILE_NOT_FOUND"),
    (0x8007_0003, "ERROR_PATH_NOT_FOUND"),
    (0x8007_0005, "E_ACCESSDENIED"),
    (0x8007_0006, "E_HANDLE"),
    (0x8007_000E, "E_OUTOFMEMORY"),
    (0x8007_001F, "ERROR_GEN_FAILURE"),
    (0x8007_0032, "ERROR_NOT_SUPPORTED"),
    (0x8007_0057, "E_INVALIDARG"),
    (0x8007_0070, "ERROR_DISK_FULL"),
    (0x8007_0078, "ERROR_CALL_NOT_IMPLEMENTED"),
    (0x8007_007A, "ERROR_INSUFFICIENT_BUFFER"),
    (0x8007_048F, "ERROR_DEVICE_NOT_CONNECTED"),
    (0x8007_0490, "ERROR_NOT_FOUND"),
    (0x8007_06BA, "RPC_S_SERVER_UNAVAILABLE"),
    (0x8007_3A9F, "ERROR_EVT_CHANNEL_NOT_FOUND"),
    (0x8889_0001, "AUDCLNT_E_NOT_INITIALIZED"),
    (0x8889_0002, "AUDCLNT_E_ALREADY_INITIALIZED"),
    (0x8889_0003, "AUDCLNT_E_WRONG_ENDPOINT_TYPE"),
    (0x8889_0004, "AUDCLNT_E_DEVICE_INVALIDATED"),
    (0x8889_0005, "AUDCLNT_E_NOT_STOPPED"),
    (0x8889_0006, "AUDCLNT_E_BUFFER_TOO_LARGE"),
    (0x8889_0007, "AUDCLNT_E_OUT_OF_ORDER"),
    (0x8889_0008, "AUDCLNT_E_UNSUPPORTED_FORMAT"),
    (0x8889_0009, "AUDCLNT_E_INVALID_SIZE"),
    (0x8889_000A, "AUDCLNT_E_DEVICE_IN_USE"),
    (0x8889_000B, "AUDCLNT_E_BUFFER_OPERATION_PENDING"),
    (0x8889_000C, "AUDCLNT_E_THREAD_NOT_REGISTERED"),
    (0x8889_000E, "AUDCLNT_E_EXCLUSIVE_MODE_NOT_ALLOWED"),
    (0x8889_000F, "AUDCLNT_E_ENDPOINT_CREATE_FAILED"),
    (0x8889_0010, "AUDCLNT_E_SERVICE_NOT_RUNNING"),
    (0x8889_0011, "AUDCLNT_E_EVENTHANDLE_NOT_EXPECTED"),
    (0x8889_0012, "AUDCLNT_E_EXCLUSIVE_MODE_ONLY"),
    (0x8889_0013, "AUDCLNT_E_BUFDURATION_PERIOD_NOT_EQUAL"),
    (0x8889_0014, "AUDCLNT_E_EVENTHANDLE_NOT_SET"),
    (0x8889_0015, "AUDCLNT_E_INCORRECT_BUFFER_SIZE"),
    (0x8889_0016, "AUDCLNT_E_BUFFER_SIZE_ERROR"),
    (0x8889_0017, "AUDCLNT_E_CPUUSAGE_EXCEEDED"),
    (0x8889_0018, "AUDCLNT_E_BUFFER_ERROR"),
    (0x8889_0019, "AUDCLNT_E_BUFFER_SIZE_NOT_ALIGNED"),
    (0x8889_0020, "AUDCLNT_E_INVALID_DEVICE_PERIOD"),
    (0x8889_0021, "AUDCLNT_E_INVALID_STREAM_FLAG"),
    (0x8889_0022, "AUDCLNT_E_ENDPOINT_OFFLOAD_NOT_CAPABLE"),
    (0x8889_0023, "AUDCLNT_E_OUT_OF_OFFLOAD_RESOURCES"),
    (0x8889_0024, "AUDCLNT_E_OFFLOAD_MODE_ONLY"),
    (0x8889_0025, "AUDCLNT_E_NONOFFLOAD_MODE_ONLY"),
    (0x8889_0026, "AUDCLNT_E_RESOURCES_INVALIDATED"),
    (0x8889_0027, "AUDCLNT_E_RAW_MODE_UNSUPPORTED"),
    (0x8889_0028, "AUDCLNT_E_ENGINE_PERIODICITY_LOCKED"),
    (0x8889_0029, "AUDCLNT_E_ENGINE_FORMAT_LOCKED"),
    (0x8889_0030, "AUDCLNT_E_HEADTRACKING_ENABLED"),
    (0x8889_0040, "AUDCLNT_E_HEADTRACKING_UNSUPPORTED"),
];

/// What a code is called.
pub fn name(code: Hresult) -> Option<&'static str> {
    NAMES.iter().find(|(number, _)| *number == code.0).map(|(_, name)| *name)
}

/// As in the lines: `0x88890008`.
pub fn text(code: Hresult) -> String {
    format!("0x{:08X}", code.0)
}

/// Whom to suspect for a call that answered this. The driver, unless the code names somebody else.
pub fn suspect(code: Hresult) -> Suspect {
    match code.0 {
        // Exclusive mode not allowed; a microphone that privacy settings keep.
        0x8889_000E | 0x8007_0005 => Suspect::Settings,
        // Another program has the device, or the audio service is not there, or this Windows lacks the call.
        0x8889_000A | 0x8889_0010 | 0x8889_0017 | 0x8000_4001 | 0x8000_4002 | 0x8004_0154 | 0x8007_06BA
        | 0x8007_0078 => Suspect::Windows,
        // What was asked for.
        0x8889_0008 => Suspect::Command,
        // How this program asked.
        0x8889_0001..=0x8889_0003
        | 0x8889_0005..=0x8889_0007
        | 0x8889_0009
        | 0x8889_0011
        | 0x8889_0013..=0x8889_0014
        | 0x8889_0021
        | 0x8000_4003 => Suspect::Program,
        _ => Suspect::Driver,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_have_their_names() {
        assert_eq!(name(Hresult(0x8889_000E)), Some("AUDCLNT_E_EXCLUSIVE_MODE_NOT_ALLOWED"));
        assert_eq!(name(Hresult::OK), Some("S_OK"));
        assert_eq!(name(Hresult(0x8889_001A)), None);
        assert_eq!(text(Hresult(0x8000_4001)), "0x80004001");
        let codes: BTreeSet<u32> = NAMES.iter().map(|(code, _)| *code).collect();
        let names: BTreeSet<&str> = NAMES.iter().map(|(_, name)| *name).collect();
        assert_eq!((codes.len(), names.len()), (NAMES.len(), NAMES.len()), "each stands once");
    }

    #[test]
    fn who_is_suspected() {
        assert_eq!(suspect(Hresult(0x8889_000E)), Suspect::Settings);
        assert_eq!(suspect(Hresult(0x8889_0010)), Suspect::Windows);
        assert_eq!(suspect(Hresult::UNSUPPORTED_FORMAT), Suspect::Command);
        assert_eq!(suspect(Hresult(0x8007_001F)), Suspect::Driver);
        assert!(Hresult(0x8000_4005).failed() && !Hresult(0x0889_0001).failed());
    }
}
