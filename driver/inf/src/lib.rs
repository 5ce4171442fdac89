//! The driver's INF: made from `driver/ringwave.inx`, and judged.
//!
//! An INF names things that the driver names too: its subdevices, its registry value, the card's PCI id. A
//! name spelled differently in the two makes a device that installs and stays mute. So the names come out of
//! the driver's own crates:
//!
//! | module | what |
//! |---|---|
//! | [`facts`] | what the sources know: names, ids, GUIDs, version |
//! | [`make`] | the INX with the facts filled in, as Windows wants to read it |
//! | [`parse`] | sections, keys, fields and strings of an INF |
//! | [`check`] | the rules, each with a name, over a parsed INF |
//!
//! Whether a parser that is not ours reads the same from the INF is asked by `tests/inf`, of Wine's setupapi.

// Directives, keys and calls go by their Windows names; as code each would shout.
#![allow(clippy::doc_markdown)]

pub mod check;
pub mod facts;
pub mod make;
pub mod parse;
