//! What runs in the Linux guests of `qemu-scripts/bench-cards`: it plays on the guest's sound cards as the
//! host tells it to, and says what it saw of their time.
//!
//! A conversation over the second serial line, a line each. The host: `play cards=1 rate=48000 ...`; the
//! guest: `began` when sound runs, then `done xruns=0 ...`, or `failed` with the reason. With an order as its
//! arguments it does that alone, and writes what came of it to standard output: so a test's shell uses it. It
//! talks to the kernel's PCM devices itself (`sound/asound.h`), with nothing between: no library, no
//! conversion, no second buffer.

#![allow(clippy::cast_precision_loss, reason = "frames and nanoseconds of a run are far below 2^52")]

mod asound;
mod cells;
mod figures;
mod order;
mod pcm;
mod serial;

use std::io::{BufRead, BufReader, Write};

use order::Order;

/// What went wrong, in one line.
type Failure = String;

fn main() -> Result<(), Failure> {
    // One order, of a shell.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(order) = Order::parse(&words.join(" ")) {
        return cells::run(&order, || ()).map(|figures| println!("{figures}"));
    }
    let mut port = serial::open("/dev/ttyS1")?;
    let lines = BufReader::new(port.try_clone().map_err(|error| error.to_string())?).lines();
    say(&mut port, "ready");
    for line in lines {
        let line = line.map_err(|error| error.to_string())?;
        let Some(order) = Order::parse(&line) else { continue };
        if order.name == "end" {
            break;
        }
        let mut voice = port.try_clone().map_err(|error| error.to_string())?;
        match cells::run(&order, || say(&mut voice, "began")) {
            Ok(figures) => say(&mut port, &format!("done{figures}")),
            Err(failure) => say(&mut port, &format!("failed {failure}")),
        }
    }
    Ok(())
}

/// A host that does not listen any more ends the machine.
fn say(port: &mut impl Write, line: &str) {
    let _ = port.write_all(format!("{line}\n").as_bytes()).and_then(|()| port.flush());
}
