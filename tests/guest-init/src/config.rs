//! What the host wants done: a text file in the initramfs, `key=value` lines.

use std::fs;

use crate::Failure;

/// The host's wishes. `ringwave_runner::bringup` writes them.
#[derive(Debug, Default)]
pub struct Config {
    /// `module=/path parameter=value ...`, to be loaded in this order.
    pub modules: Vec<String>,
    /// `id=VENDOR:DEVICE`, four hexadecimal digits each.
    pub id: String,
    /// `runs=N`: how often the tool runs. Between two runs the card leaves and comes back.
    pub runs: u32,
    /// `argument=TEXT`, once for each argument of the tool after the card's address.
    pub arguments: Vec<String>,
}

impl Config {
    /// Reads `path`. A line that is not known is a failure: host and guest were built from different sources.
    pub fn read(path: &str) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let mut config = Self { runs: 1, ..Self::default() };
        for line in text.lines() {
            match line.split_once('=') {
                Some(("module", value)) => config.modules.push(value.to_owned()),
                Some(("id", value)) => value.clone_into(&mut config.id),
                Some(("runs", value)) => {
                    config.runs = value.parse().map_err(|_| format!("{path}: runs={value}: not a number"))?;
                }
                Some(("argument", value)) => config.arguments.push(value.to_owned()),
                _ => return Err(format!("{path}: a line that is not known: {line}")),
            }
        }
        Ok(config)
    }
}
