//! An hour of sound: what was done to it is found, and the program's memory stays small.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringwave_audio::wav::Sound;
use ringwave_audio::{SampleFormat, StreamFormat};

use crate::answer::{self, Answer, Spot};
use crate::verdict;

const RATE: u32 = 48_000;
/// The most memory that `compare` may take.
const KIBIBYTES_MAX: u64 = 64 << 10;
/// Frames of silence before the heard sound.
const SILENCE: u64 = 4800;

/// Writes both files into `folder` (1.4 GB for an hour), has them compared, and says what was wrong.
pub fn run(program: &Path, seconds: u64, folder: &Path) -> Result<Vec<String>, String> {
    let count = seconds * u64::from(RATE);
    // One frame lost after a third, one sample wrong after two thirds.
    let (lost, click) = (count / 3, count / 3 * 2);
    let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let [a, b] = ["expected.wav", "heard.wav"].map(|name| folder.path().join(name));
    write(&a, &b, count, lost, click).map_err(|error| format!("{}: {error}", folder.path().display()))?;
    let begin = Instant::now();
    let (output, kibibytes) = most_memory(program, &a, &b).map_err(|error| error.to_string())?;
    println!(
        "an hour's compare ({seconds} s of sound): {:.1} s, {kibibytes} KiB at most",
        begin.elapsed().as_secs_f64()
    );
    let found = verdict::read(&output.stdout, output.status.code())?;
    let spot =
        |at: u64, expected_at: u64| Spot { at: at as f64, expected_at: expected_at as f64, tolerance: 64.0 };
    let answer = Answer::damaged(vec![
        answer::lost(spot(SILENCE + lost, lost), 1),
        answer::click(spot(SILENCE + click - 1, click), Some(0), 64.0, 0.01),
    ]);
    let mut wrong = answer.at(SILENCE as f64, 0.0).wrong(&found);
    if kibibytes > KIBIBYTES_MAX {
        wrong.push(format!("{kibibytes} KiB of memory, and {KIBIBYTES_MAX} are allowed"));
    }
    Ok(wrong)
}

/// The same noise in both, but for the damage.
fn write(a: &Path, b: &Path, count: u64, lost: u64, click: u64) -> io::Result<()> {
    let format = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: RATE };
    let empty = Sound { format, frames: Vec::new() };
    let frame = u64::from(format.frame_bytes());
    let [mut a, mut b] = [a, b].map(|path| File::create(path).map(BufWriter::new));
    let (a, b) = (a.as_mut().map_err(take)?, b.as_mut().map_err(take)?);
    a.write_all(&verdict::header(&empty, count * frame))?;
    b.write_all(&verdict::header(&empty, (SILENCE + count - 1) * frame))?;
    b.write_all(&vec![0; (SILENCE * frame) as usize])?;
    let mut rng = Rng::with_seed(1);
    for at in 0..count {
        // Two numbers of 14 bits, so that nothing is cut.
        let bits = rng.u32(..) | 1;
        let [left, right] = [bits as i16 >> 2, (bits >> 16) as i16 >> 2];
        let frame = |left: i16| [left.to_le_bytes(), right.to_le_bytes()].concat();
        a.write_all(&frame(left))?;
        if at != lost {
            b.write_all(&frame(if at == click { left + 64 } else { left }))?;
        }
    }
    a.flush()?;
    b.flush()
}

fn take(error: &mut io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// Runs it, and looks at its high-water mark (`VmHWM` of proc(5)) until it ends.
fn most_memory(program: &Path, a: &Path, b: &Path) -> io::Result<(std::process::Output, u64)> {
    let mut command = Command::new(program);
    command.arg("compare").args([a, b]).args(["--align", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait()?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        most = most.max(now);
        std::thread::sleep(Duration::from_millis(2));
    }
    if most == 0 {
        return Err(io::Error::other("its memory was not seen"));
    }
    Ok((child.wait_with_output()?, most))
}
