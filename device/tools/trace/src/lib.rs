//! What a trace says, for `ringwave trace`: the names and values of registers, an event in words and as JSON,
//! the summary, and the time line that viewers open. The events and the grammar are in [`ringwave_trace`].
mod decode;
mod hda;
pub mod perfetto;
pub mod show;
pub mod summary;

pub use decode::Card;
