//! What is told of a card: the stats of a client's session, as JSON for scripts and as a line for people.
//! Whoever reads them back takes the same types.

#[cfg(feature = "html")]
pub mod html;
pub mod junit;
mod line;
mod messages;
pub mod one_file;
mod session;
mod words;

pub use messages::{Messages, RegisterWrite, WhileRunning};
pub use session::{Client, Direction, DmaMode, Margin, SCHEMA, SessionReport, StreamReport, micros, seconds};
