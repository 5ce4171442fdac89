//! Windows as a guest: the answer CD, the machine, and an installation without a person. WINDOWS.md is the
//! contract. **None of it was run on Windows**: what runs here is the host's side, against a stand-in.
//!
//! * [`wim`]: which editions an ISO has; [`family`]: which of them will do, and how they are installed
//! * [`answer`], [`media`]: the answer file and the CD
//! * [`protocol`]: what the guest says on COM1; [`progress`]: how far it has come, and when to give up
//! * [`machine`], [`tpm`], [`guest`]: QEMU, and what it and the guest say
//! * [`install`]: from power-on to an image; [`run`]: a program in it; [`mod@test`]: a song in it, and the
//!   verdict
//! * [`doctor`]: what this host lacks; [`report`]: what a user sends

pub mod answer;
pub mod doctor;
pub mod family;
pub mod guest;
pub mod install;
pub mod iso;
pub mod machine;
pub mod media;
pub mod progress;
pub mod protocol;
pub mod report;
pub mod run;
pub mod test;
pub mod tpm;
pub mod wim;
