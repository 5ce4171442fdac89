//! The messages of a client, counted: what a running stream costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Messages of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Messages {
    /// All that reached the card: accesses, maps and unmaps, interrupt set-up, resets.
    pub total: u64,
    /// Those that cost a running stream an exit.
    pub while_running: WhileRunning,
}

/// Accesses while a stream was in RUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhileRunning {
    /// Reads.
    pub reads: u64,
    /// Writes, but for the following.
    pub writes: u64,
    /// Writes of WRITTEN.
    pub written: u64,
    /// Writes of LOOK.
    pub look: u64,
    /// Writes of EOS.
    pub eos: u64,
}

impl Messages {
    /// A read that came while a stream was in RUN, or not.
    pub fn read(&mut self, running: bool) {
        self.total += 1;
        self.while_running.reads += u64::from(running);
    }

    /// A write that is none of a register's.
    pub fn write(&mut self, running: bool) {
        self.total += 1;
        self.while_running.writes += u64::from(running);
    }

    /// A write of a register: `before` and `after` it, was a stream in RUN?
    pub fn write_register(&mut self, register: RegisterWrite, before: bool, after: bool) {
        self.total += 1;
        let ends_the_run = !after && register == RegisterWrite::State;
        if !before || ends_the_run {
            return;
        }
        let counted = &mut self.while_running;
        match register {
            RegisterWrite::Written => counted.written += 1,
            RegisterWrite::Look => counted.look += 1,
            RegisterWrite::Eos => counted.eos += 1,
            RegisterWrite::State | RegisterWrite::Other => counted.writes += 1,
        }
    }
}

/// Which register was written, as far as it is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterWrite {
    /// STATE of a stream.
    State,
    /// WRITTEN.
    Written,
    /// LOOK.
    Look,
    /// EOS.
    Eos,
    /// Any other.
    Other,
}

impl RegisterWrite {
    /// The register that has this name in its card's datasheet, if it has one.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            Some("STATE") => Self::State,
            Some("WRITTEN") => Self::Written,
            Some("LOOK") => Self::Look,
            Some("EOS") => Self::Eos,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_while_running_are_sorted_and_the_one_that_ends_the_run_is_not_counted() {
        let mut messages = Messages::default();
        messages.write_register(RegisterWrite::State, false, true);
        messages.write_register(RegisterWrite::Written, true, true);
        messages.write_register(RegisterWrite::Eos, true, true);
        messages.write_register(RegisterWrite::Look, true, true);
        messages.write_register(RegisterWrite::Other, true, true);
        messages.write_register(RegisterWrite::Other, true, true);
        messages.write_register(RegisterWrite::State, true, false);
        messages.write_register(RegisterWrite::Written, false, false);
        messages.read(true);
        messages.read(false);
        let while_running = WhileRunning { reads: 1, writes: 2, written: 1, look: 1, eos: 1 };
        assert_eq!(messages, Messages { total: 10, while_running });
    }
}
