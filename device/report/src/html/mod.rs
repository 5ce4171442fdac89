//! The report for people: one HTML page that needs nothing but itself. device/REPORT.md says what is on it.
//!
//! All text goes through maud, which escapes it; what does not are pictures (plotters escapes its own text,
//! and is given numbers and our own words alone) and the style sheet. The page has no script, and its
//! Content-Security-Policy allows none, and no network.

mod axis;
mod clips;
mod differences;
mod headline;
mod machine;
mod numbers;
mod output;
mod page;
mod plot;
#[cfg(any(test, feature = "test-support"))]
pub mod read_back;
mod run;
mod section;
mod sound;
mod survey;
#[cfg(test)]
mod tests;
mod timeline;
mod words;

pub use clips::{BYTES_MAX, CLIPS, Clip, SECONDS};
pub use differences::{Difference, Differences};
pub use headline::{Outcome, headline};
pub use machine::{host, machine};
pub use output::ReportFile;
pub use page::{Page, is_page};
pub use plot::Bar;
pub use section::{Section, Table, bars};
pub use sound::{Picture, Sound, differences};
pub use timeline::Timeline;
pub use words::{count, grouped, level, moment, shell_line, short};
