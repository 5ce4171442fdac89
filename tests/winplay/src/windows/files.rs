//! Files, standard output, the command line.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use windows::Win32::Foundation::{CloseHandle, GENERIC_READ, GENERIC_WRITE, HANDLE};
use windows::Win32::Storage::FileSystem::{
    CREATE_ALWAYS, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_BEGIN, FILE_CREATION_DISPOSITION,
    FILE_SHARE_READ, FlushFileBuffers, GetFileSizeEx, OPEN_EXISTING, ReadFile, SetFilePointerEx, WriteFile,
};
use windows::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE, STD_HANDLE, STD_OUTPUT_HANDLE};
use windows::Win32::System::Environment::GetCommandLineW;
use windows::Win32::UI::Shell::CommandLineToArgvW;
use windows::core::{HSTRING, Result};

/// The longest file that is read.
const LONGEST: i64 = 256 << 20;

/// An open file; it is closed with this value.
pub struct File(HANDLE);

// SAFETY: a handle of a file may be used by any thread.
unsafe impl Send for File {}

impl File {
    fn open(path: &str, access: u32, how: FILE_CREATION_DISPOSITION) -> Result<Self> {
        let path = HSTRING::from(path);
        // SAFETY: a text that ends in NUL; no template.
        let handle =
            unsafe { CreateFileW(&path, access, FILE_SHARE_READ, None, how, FILE_ATTRIBUTE_NORMAL, None)? };
        Ok(Self(handle))
    }

    /// A new, empty one.
    pub fn create(path: &str) -> Result<Self> {
        Self::open(path, GENERIC_WRITE.0, CREATE_ALWAYS)
    }

    /// Appends.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        write(self.0, bytes)
    }

    /// Writes over the beginning.
    pub fn rewrite(&self, bytes: &[u8]) -> Result<()> {
        // SAFETY: our own handle.
        unsafe { SetFilePointerEx(self.0, 0, None, FILE_BEGIN)? };
        self.write(bytes)
    }

    /// Hands all to the disk.
    pub fn flush(&self) -> Result<()> {
        // SAFETY: our own handle.
        unsafe { FlushFileBuffers(self.0) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: our own handle, for the last time. What was written is written, whatever this answers.
        let _ = unsafe { CloseHandle(self.0) };
    }
}

fn write(handle: HANDLE, bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut written = 0;
        // SAFETY: the buffer is as long as the slice.
        unsafe { WriteFile(handle, Some(rest), Some(&raw mut written), None)? };
        rest = rest.get(written as usize..).unwrap_or_default();
    }
    Ok(())
}

/// All of a file.
pub fn read(path: &str) -> core::result::Result<Vec<u8>, String> {
    let cannot = |error: windows::core::Error| format!("{path}: can't be read ({:#010x})", error.code().0);
    let file = File::open(path, GENERIC_READ.0, OPEN_EXISTING).map_err(cannot)?;
    let mut size = 0;
    // SAFETY: our own handle.
    unsafe { GetFileSizeEx(file.0, &raw mut size).map_err(cannot)? };
    if size > LONGEST {
        return Err(format!("{path}: longer than 256 MiB"));
    }
    let mut bytes = alloc::vec![0; usize::try_from(size).unwrap_or(0)];
    let mut at = 0;
    while at < bytes.len() {
        let mut got = 0;
        // SAFETY: the buffer is as long as the slice.
        unsafe { ReadFile(file.0, bytes.get_mut(at..), Some(&raw mut got), None).map_err(cannot)? };
        if got == 0 {
            return Err(format!("{path}: became shorter while it was read"));
        }
        at += got as usize;
    }
    Ok(bytes)
}

/// Writes to standard output. What nobody reads is lost: the lines are in their file as well.
pub fn say(text: &str) {
    to(STD_OUTPUT_HANDLE, text);
}

/// Writes to standard error.
pub fn complain(text: &str) {
    to(STD_ERROR_HANDLE, text);
}

fn to(which: STD_HANDLE, text: &str) {
    // SAFETY: asks for this process's own handle.
    if let Ok(handle) = unsafe { GetStdHandle(which) } {
        let _ = write(handle, text.as_bytes());
    }
}

/// The command line as Windows splits it, without the program's name.
pub fn arguments() -> Vec<String> {
    let mut count = 0;
    // SAFETY: Windows' own command line; it answers an array of that many texts that end in NUL, which stays
    // for the life of the program, or null.
    unsafe {
        let all = CommandLineToArgvW(GetCommandLineW(), &raw mut count);
        let count = usize::try_from(count).unwrap_or(0);
        let all = if all.is_null() { &[][..] } else { core::slice::from_raw_parts(all, count) };
        all.iter().skip(1).map(|text| String::from_utf16_lossy(text.as_wide())).collect()
    }
}
