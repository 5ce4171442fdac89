//! On what the figures were got: a figure without it says nothing.

use std::fmt;

use serde::Serialize;

/// This machine, as far as it explains figures.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Processes that wanted to run in the last minute, when the measurement began.
    pub load: f64,
    /// The program was built without optimization: its figures are of no use.
    pub debug_build: bool,
}

impl Machine {
    /// Reads it from /proc.
    pub fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, model)| model);
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: model.to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            debug_build: cfg!(debug_assertions),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, load, debug_build } = self;
        write!(f, "{cores} cores of {processor}, Linux {kernel}, load {load:.2}")?;
        if *debug_build { write!(f, "; DEBUG BUILD: build with --release") } else { Ok(()) }
    }
}
