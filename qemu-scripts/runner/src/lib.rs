//! The program behind `qemu-scripts/play`, `record`, `bringup`, `linux`, `ntguest`, `windows` and
//! `bench-cards`: it boots a guest in QEMU beside a card, waits for its end, and says what came of it.
//!
//! * [`run::run`]: a WAV file goes through the shipped `ringwave.sys` in ntguest, over vfio-user, into
//!   `ringwave serve` and a WAV file, or the other way round; the two are compared, and the card's DMA is
//!   checked against its trace and the guest's log
//! * [`bringup::run`]: a Linux guest runs `ringwave bringup --vfio`
//! * [`linux::run`]: a Linux guest plays and records with its own driver through the card as virtio-snd or HD
//!   Audio
//! * [`foreign::run`]: ntguest loads anybody's driver
//! * [`bench_cards::run`]: sound cards side by side, measured
//! * [`windows`]: the answer CD, and an installation of Windows without a person
//!
//! The programs in `src/bin` are these with a command line; `tests/e2e` calls them directly, and
//! [`card::Card`] and [`machine::Machine`] where it kills and unplugs. Nothing of the card, the driver or the
//! guests is linked in: they are programs that are started, and files and log lines that are read.

pub mod artefacts;
pub mod bench_cards;
pub mod bringup;
pub mod card;
pub mod cli;
pub mod comparison;
pub mod dma_checker;
pub mod error;
pub mod foreign;
pub mod guest_log;
pub mod html;
pub mod input;
pub mod linux;
pub mod machine;
pub mod output_paths;
pub mod process;
pub mod qmp;
pub mod report;
pub mod request;
pub mod run;
pub mod windows;
