//! The trace of a card: the file that `ringwave serve --trace` writes, and what `ringwave trace` says of it. The events and the grammar are in
//! [`ringwave_trace`].
pub mod decode;
pub mod perfetto;
pub mod show;
pub mod summary;
