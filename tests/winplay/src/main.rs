//! `winplay.exe`: plays and records inside Windows, and says in JSON what each step did. README.md is the
//! contract.
//!
//! It needs no runtime library, so that it links without a Windows SDK. **It has not been run on Windows**;
//! `tests/winplay/run` runs it in Wine.
//!
//! | module | what |
//! |---|---|
//! | `program` | the steps, one after the other |
//! | `endpoints` | which endpoint is whose, its volume |
//! | `stream` | a stream of any mode, opened |
//! | `render` | plays |
//! | `capture` | records |
//! | `glitches` | the event channel |
//! | `lines` | the lines of JSON |
//! | `watch` | time, limits, Ctrl-C |
//! | `files` | files and standard output |
//! | `runtime` | memory, panic |
#![cfg_attr(windows, no_std, no_main)]
#![allow(clippy::doc_markdown, reason = "names of Windows")]

#[cfg(windows)]
extern crate alloc;

/// Calls Windows: the name is told if it fails, or does not come back in time.
#[cfg(windows)]
macro_rules! ask {
    ($name:literal, $call:expr) => {
        crate::watch::call(&$name, || {
            // SAFETY: a call of an interface or of Windows itself that is alive meanwhile; what it is given
            // is borrowed for as long, and what it writes to has the type that its declaration asks for.
            unsafe { $call }
        })
    };
}

#[cfg(windows)]
#[path = "windows/capture.rs"]
mod capture;
#[cfg(windows)]
#[path = "windows/endpoints.rs"]
mod endpoints;
#[cfg(windows)]
#[path = "windows/files.rs"]
mod files;
#[cfg(windows)]
#[path = "windows/glitches.rs"]
mod glitches;
#[cfg(windows)]
#[path = "windows/lines.rs"]
mod lines;
#[cfg(windows)]
#[path = "windows/program.rs"]
mod program;
#[cfg(windows)]
#[path = "windows/render.rs"]
mod render;
#[cfg(windows)]
#[path = "windows/runtime.rs"]
mod runtime;
#[cfg(windows)]
#[path = "windows/stream.rs"]
mod stream;
#[cfg(windows)]
#[path = "windows/watch.rs"]
mod watch;

#[cfg(not(windows))]
fn main() {
    eprintln!("this is a Windows program; tests/winplay/run builds it and runs it in Wine");
    std::process::exit(2);
}
