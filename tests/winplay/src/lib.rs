//! What `winplay` is made of that needs no Windows, and is tested on any host: its command line, its lines of
//! JSON, names of HRESULTs, WAV files, which endpoint is the card's, and what the exit code is.
//!
//! README.md is the contract; `main.rs` is the program.
#![cfg_attr(not(test), no_std)]
#![allow(clippy::doc_markdown, reason = "names of Windows")]

extern crate alloc;

pub mod card;
pub mod clicks;
pub mod command_line;
pub mod endpoint;
pub mod events;
pub mod hresult;
pub mod json;
pub mod outcome;
pub mod position;
pub mod recorded;
pub mod wav;
pub mod wave_format;
