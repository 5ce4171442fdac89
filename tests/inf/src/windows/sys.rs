//! The calls and structures of setupapi, advapi32 and kernel32 that the probe needs. Layouts are for x64.
#![allow(missing_docs, reason = "they are Windows' own, under their own names")]
#![allow(non_camel_case_types, non_snake_case, clippy::upper_case_acronyms)]

use core::ffi::c_void;

pub type HANDLE = *mut c_void;
pub const INVALID_HANDLE_VALUE: HANDLE = usize::MAX as HANDLE;
pub const HKEY_CURRENT_USER: HANDLE = 0xFFFF_FFFF_8000_0001_usize as HANDLE;
pub const GENERIC_READ: u32 = 0x8000_0000;
pub const FILE_APPEND_DATA: u32 = 4;
pub const FILE_SHARE_READ_WRITE: u32 = 3;
pub const OPEN_EXISTING: u32 = 3;
pub const OPEN_ALWAYS: u32 = 4;
pub const KEY_ALL_ACCESS: u32 = 0xF003F;
pub const INF_STYLE_WIN4: u32 = 2;
pub const SPINST_REGISTRY: u32 = 4;
pub const DICD_GENERATE_ID: u32 = 1;
pub const SPDRP_HARDWAREID: u32 = 1;
pub const DI_ENUMSINGLEINF: u32 = 0x1_0000;
pub const SPDIT_COMPATDRIVER: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct GUID(pub u32, pub u16, pub u16, pub [u8; 8]);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct INFCONTEXT {
    pub Inf: *mut c_void,
    pub CurrentInf: *mut c_void,
    pub Section: u32,
    pub Line: u32,
}

#[repr(C)]
pub struct SP_DEVINFO_DATA {
    pub cbSize: u32,
    pub ClassGuid: GUID,
    pub DevInst: u32,
    pub Reserved: usize,
}
const _: () = assert!(size_of::<SP_DEVINFO_DATA>() == 32);

#[repr(C)]
pub struct SP_DEVINSTALL_PARAMS_W {
    pub cbSize: u32,
    pub Flags: u32,
    pub FlagsEx: u32,
    pub hwndParent: usize,
    pub InstallMsgHandler: usize,
    pub InstallMsgHandlerContext: usize,
    pub FileQueue: usize,
    pub ClassInstallReserved: usize,
    pub Reserved: u32,
    pub DriverPath: [u16; 260],
}
const _: () = assert!(size_of::<SP_DEVINSTALL_PARAMS_W>() == 584);

#[repr(C)]
pub struct SP_DRVINFO_DATA_W {
    pub cbSize: u32,
    pub DriverType: u32,
    pub Reserved: usize,
    pub Description: [u16; 256],
    pub MfgName: [u16; 256],
    pub ProviderName: [u16; 256],
    pub DriverDate: [u32; 2],
    pub DriverVersion: u64,
}
const _: () = assert!(size_of::<SP_DRVINFO_DATA_W>() == 1568);

#[repr(C)]
pub struct SP_DRVINFO_DETAIL_DATA_W {
    pub cbSize: u32,
    pub InfDate: [u32; 2],
    pub CompatIDsOffset: u32,
    pub CompatIDsLength: u32,
    pub Reserved: usize,
    pub SectionName: [u16; 256],
    pub InfFileName: [u16; 260],
    pub DrvDescription: [u16; 256],
    pub HardwareID: [u16; 1],
}
const _: () = assert!(size_of::<SP_DRVINFO_DETAIL_DATA_W>() == 1584);

#[link(name = "setupapi.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn SetupOpenInfFileW(name: *const u16, class: *const u16, style: u32, error_line: *mut u32)
    -> HANDLE;
    pub fn SetupFindFirstLineW(
        inf: HANDLE,
        section: *const u16,
        key: *const u16,
        context: *mut INFCONTEXT,
    ) -> i32;
    pub fn SetupFindNextLine(from: *const INFCONTEXT, to: *mut INFCONTEXT) -> i32;
    pub fn SetupFindNextMatchLineW(from: *const INFCONTEXT, key: *const u16, to: *mut INFCONTEXT) -> i32;
    pub fn SetupGetFieldCount(context: *const INFCONTEXT) -> u32;
    pub fn SetupGetStringFieldW(
        context: *const INFCONTEXT,
        index: u32,
        text: *mut u16,
        size: u32,
        needed: *mut u32,
    ) -> i32;
    pub fn SetupGetSourceFileLocationW(
        inf: HANDLE,
        context: *const INFCONTEXT,
        file: *const u16,
        source: *mut u32,
        text: *mut u16,
        size: u32,
        needed: *mut u32,
    ) -> i32;
    pub fn SetupInstallFromInfSectionW(
        owner: usize,
        inf: HANDLE,
        section: *const u16,
        flags: u32,
        key: HANDLE,
        source: *const u16,
        copy: u32,
        handler: usize,
        context: usize,
        devices: HANDLE,
        device: usize,
    ) -> i32;
    pub fn SetupDiGetActualSectionToInstallW(
        inf: HANDLE,
        section: *const u16,
        actual: *mut u16,
        size: u32,
        needed: *mut u32,
        extension: *mut *mut u16,
    ) -> i32;
    pub fn SetupDiCreateDeviceInfoList(class: *const GUID, owner: usize) -> HANDLE;
    pub fn SetupDiCreateDeviceInfoW(
        devices: HANDLE,
        name: *const u16,
        class: *const GUID,
        description: *const u16,
        owner: usize,
        flags: u32,
        device: *mut SP_DEVINFO_DATA,
    ) -> i32;
    pub fn SetupDiSetDeviceRegistryPropertyW(
        devices: HANDLE,
        device: *mut SP_DEVINFO_DATA,
        property: u32,
        data: *const u8,
        size: u32,
    ) -> i32;
    pub fn SetupDiSetDeviceInstallParamsW(
        devices: HANDLE,
        device: *mut SP_DEVINFO_DATA,
        parameters: *mut SP_DEVINSTALL_PARAMS_W,
    ) -> i32;
    pub fn SetupDiBuildDriverInfoList(devices: HANDLE, device: *mut SP_DEVINFO_DATA, kind: u32) -> i32;
    pub fn SetupDiEnumDriverInfoW(
        devices: HANDLE,
        device: *mut SP_DEVINFO_DATA,
        kind: u32,
        index: u32,
        driver: *mut SP_DRVINFO_DATA_W,
    ) -> i32;
    pub fn SetupDiGetDriverInfoDetailW(
        devices: HANDLE,
        device: *mut SP_DEVINFO_DATA,
        driver: *mut SP_DRVINFO_DATA_W,
        detail: *mut SP_DRVINFO_DETAIL_DATA_W,
        size: u32,
        needed: *mut u32,
    ) -> i32;
}

#[link(name = "advapi32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn RegCreateKeyExW(
        key: HANDLE,
        name: *const u16,
        reserved: u32,
        class: *const u16,
        options: u32,
        access: u32,
        security: usize,
        result: *mut HANDLE,
        disposition: *mut u32,
    ) -> i32;
    pub fn RegOpenKeyExW(
        key: HANDLE,
        name: *const u16,
        options: u32,
        access: u32,
        result: *mut HANDLE,
    ) -> i32;
    pub fn RegEnumKeyW(key: HANDLE, index: u32, name: *mut u16, size: u32) -> i32;
    pub fn RegEnumValueW(
        key: HANDLE,
        index: u32,
        name: *mut u16,
        name_size: *mut u32,
        reserved: usize,
        kind: *mut u32,
        data: *mut u8,
        data_size: *mut u32,
    ) -> i32;
    pub fn RegDeleteTreeW(key: HANDLE, name: *const u16) -> i32;
    pub fn RegCloseKey(key: HANDLE) -> i32;
}

#[link(name = "kernel32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn GetLastError() -> u32;
    pub fn GetCommandLineW() -> *const u16;
    pub fn GetProcessHeap() -> HANDLE;
    pub fn HeapAlloc(heap: HANDLE, flags: u32, size: usize) -> *mut u8;
    pub fn HeapFree(heap: HANDLE, flags: u32, block: *mut u8) -> i32;
    pub fn GetStdHandle(which: u32) -> HANDLE;
    pub fn WriteFile(file: HANDLE, data: *const u8, size: u32, written: *mut u32, overlapped: usize) -> i32;
    pub fn ReadFile(file: HANDLE, data: *mut u8, size: u32, got: *mut u32, overlapped: usize) -> i32;
    pub fn CreateFileW(
        name: *const u16,
        access: u32,
        share: u32,
        security: usize,
        how: u32,
        flags: u32,
        template: HANDLE,
    ) -> HANDLE;
    pub fn CloseHandle(handle: HANDLE) -> i32;
    pub fn GetEnvironmentVariableW(name: *const u16, value: *mut u16, size: u32) -> u32;
    pub fn ExitProcess(code: u32) -> !;
}

// What the compiler calls by itself; no line of ours does.
#[allow(dead_code)]
#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8;
    fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8;
    fn memset(to: *mut u8, value: i32, size: usize) -> *mut u8;
    fn memcmp(a: *const u8, b: *const u8, size: usize) -> i32;
    fn strlen(text: *const u8) -> usize;
    fn __chkstk();
}
