//! One stream: how it is set up, what it does as time passes, who its client is, and what is counted.

pub mod active;
pub mod counters;
pub mod margins;
pub mod params;
pub mod stats;
pub mod transport;
pub mod validity;
