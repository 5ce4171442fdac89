//! Damages sounds on purpose, and asks the judge of `ringwave compare --align` what is wrong with them.
//!
//! The sounds, the damage and the answers that are demanded come from `device/COMPARE.md` alone: whoever
//! changes them must not look at the judge. A case that cannot be decided by the text is no case.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "frames, levels and seeds are made here, and are small"
)]
#![allow(clippy::float_cmp, reason = "samples are the same, or they are not")]
#![allow(clippy::unnecessary_wraps, reason = "whatever makes a case has one signature")]
#![allow(
    clippy::format_push_string,
    clippy::needless_for_each,
    clippy::needless_pass_by_value,
    clippy::needless_range_loop,
    clippy::similar_names,
    clippy::too_many_lines,
    reason = "a list of channels is worked on by number, and in one line where it can be"
)]

mod answer;
mod case;
mod changes;
mod damaged;
mod foreign;
mod hour;
mod odd;
mod place;
mod sounds;
#[cfg(test)]
mod tests;
mod undamaged;
mod verdict;
mod wave;
mod whole;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use ringwave_audio::SampleFormat;
use ringwave_audio::compare::judge;

use crate::case::Family;
use crate::judge::Conclusion;

/// Damages sounds on purpose, and asks the judge of `ringwave compare --align` what is wrong with them.
#[derive(Parser)]
enum Args {
    /// Many cases, of all kinds.
    Cases(Cases),
    /// An hour of sound: found, and in little memory.
    Hour {
        /// The program `ringwave`.
        program: PathBuf,
        /// How long the sound is.
        #[arg(long, default_value_t = 3600)]
        seconds: u64,
        /// Where there is room for two files.
        #[arg(long, default_value = "target")]
        folder: PathBuf,
    },
    /// Writes a sound for another program.
    Sound {
        /// The WAV file.
        file: PathBuf,
        /// music, speech, sweep or noise
        #[arg(long, default_value = "music")]
        like: String,
        /// Frames per second.
        #[arg(long, default_value_t = 48_000)]
        rate: u32,
        /// 24 bits, and not 16.
        #[arg(long)]
        fine: bool,
    },
    /// Compares two files with the program, and looks whether the answer is what is demanded.
    Check {
        /// The program `ringwave`.
        program: PathBuf,
        /// The expected file.
        expected: PathBuf,
        /// The heard file.
        heard: PathBuf,
        /// same, damaged, or kinds of findings: KIND, KIND|KIND, KIND=NUMBER, ?KIND (may be there).
        #[arg(required = true)]
        demands: Vec<String>,
    },
}

#[derive(clap::Args)]
struct Cases {
    /// How many cases.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// The seed of the first; each further one has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cases of these kinds alone: those whose name begins like that.
    #[arg(long)]
    only: Option<String>,
    /// At most so many wrong verdicts are shown for each kind.
    #[arg(long, default_value_t = 3)]
    show: usize,
    /// How many are judged at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// By this program `ringwave`, from files, with its exit code; and not by the library.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Writes every verdict into this file, a line for each seed: to compare two versions of the judge.
    #[arg(long)]
    list: Option<PathBuf>,
    /// Writes both sounds of the first case into this folder, and ends.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// What came of the cases of one kind.
#[derive(Default)]
struct Count {
    cases: u64,
    cannot_tell: u64,
    wrong: Vec<String>,
    making: Duration,
    judging: Duration,
}

/// What came of all cases.
#[derive(Default)]
struct Results {
    /// By kind.
    counts: BTreeMap<&'static str, Count>,
    /// By seed, for `--list`.
    lines: BTreeMap<u64, String>,
}

fn main() -> ExitCode {
    let wrong = match Args::parse() {
        Args::Cases(args) => return cases(&args),
        Args::Hour { program, seconds, folder } => hour::run(&program, seconds, &folder),
        Args::Sound { file, like, rate, fine } => {
            let sample = if fine { SampleFormat::S24 } else { SampleFormat::S16 };
            foreign::write(&file, &like, rate, sample, 6.0).map(|()| Vec::new())
        }
        Args::Check { program, expected, heard, demands } => {
            foreign::check(&program, &expected, &heard, &demands)
        }
    };
    match wrong {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            println!("WRONG: {}", wrong.join("; "));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("verdicts: {why}");
            ExitCode::FAILURE
        }
    }
}

fn cases(args: &Cases) -> ExitCode {
    let wanted =
        |family: &&'static Family| args.only.as_ref().is_none_or(|only| family.name.starts_with(only));
    let families: Vec<&'static Family> = case::families().into_iter().filter(wanted).collect();
    if families.is_empty() {
        eprintln!("verdicts: no such kind; there are:");
        case::families().iter().for_each(|family| eprintln!("  {}", family.name));
        return ExitCode::from(2);
    }
    if let Some(folder) = &args.write {
        return write(args.seed, &families, folder);
    }
    let next = AtomicU64::new(0);
    let results = Mutex::new(Results::default());
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = seed(args, index) else { break };
                    try_one(args, seed, &families, &results);
                }
            });
        }
    });
    let Results { counts, lines } = results.into_inner().expect("no thread failed");
    if let Some(file) = &args.list {
        let text: String = lines.values().flat_map(|line| [line.as_str(), "\n"]).collect();
        if let Err(error) = std::fs::write(file, text) {
            eprintln!("verdicts: {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    report(args, &counts)
}

/// The seeds that are asked for; behind them the samples, if those are from the first on, and of all kinds.
fn seed(args: &Cases, index: u64) -> Option<u64> {
    match index.checked_sub(args.count) {
        None => Some(args.seed + index),
        Some(_) if args.seed != 1 || args.only.is_some() => None,
        Some(sample) => case::SAMPLES.get(usize::try_from(sample).ok()?).copied(),
    }
}

fn write(seed: u64, families: &[&'static Family], folder: &Path) -> ExitCode {
    let (name, case) = case::from_seed(seed, families);
    println!("{name}: {}\ndemanded: {}", case.injected, case.answer.text());
    for (file, sound) in [("expected.wav", &case.expected), ("heard.wav", &case.heard)] {
        if let Err(error) = std::fs::write(folder.join(file), verdict::wav(sound)) {
            eprintln!("verdicts: {}: {error}", folder.join(file).display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn try_one(args: &Cases, seed: u64, families: &[&'static Family], results: &Mutex<Results>) {
    let begin = Instant::now();
    let (name, case) = case::from_seed(seed, families);
    let made = Instant::now();
    let verdict = match &args.program {
        Some(program) => verdict::of_program(program, &case.expected, &case.heard, &case.tolerance),
        None => Ok(verdict::of_library(&case.expected, &case.heard, case.tolerance)),
    };
    let judged = Instant::now();
    let (wrong, came) = match &verdict {
        Ok(verdict) => (
            case.answer.wrong(verdict),
            format!("{:?}, offset {:?}, {:?}", verdict.conclusion, verdict.offset_frames, verdict.findings),
        ),
        Err(why) => (vec![why.clone()], "no answer".to_owned()),
    };
    let mut results = results.lock().expect("no thread failed");
    if args.list.is_some() {
        results.lines.insert(seed, format!("{seed} {name} {came}"));
    }
    let count = results.counts.entry(name).or_default();
    count.cases += 1;
    count.making += made - begin;
    count.judging += judged - made;
    let cannot_tell = verdict.is_ok_and(|verdict| matches!(verdict.conclusion, Conclusion::CannotTell(_)));
    count.cannot_tell += u64::from(cannot_tell);
    if !wrong.is_empty() {
        count.wrong.push(format!(
            "seed {seed}: {}\n    demanded: {}\n    came: {came}\n    wrong: {}",
            case.injected,
            case.answer.text(),
            wrong.join("; ")
        ));
    }
}

fn report(args: &Cases, counts: &BTreeMap<&str, Count>) -> ExitCode {
    for (name, count) in counts {
        for wrong in count.wrong.iter().take(args.show) {
            println!("WRONG ({name}) {wrong}");
        }
    }
    println!("{:>7} {:>6} {:>12} {:>8} {:>8}  kind", "cases", "wrong", "cannot tell", "make ms", "judge ms");
    let mut sum = Count::default();
    for (name, count) in counts {
        line(name, count);
        sum.cases += count.cases;
        sum.cannot_tell += count.cannot_tell;
        sum.wrong.extend(count.wrong.iter().cloned());
        sum.making += count.making;
        sum.judging += count.judging;
    }
    line("all", &sum);
    if sum.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(name: &str, count: &Count) {
    let each = |time: Duration| time.as_secs_f64() * 1e3 / count.cases.max(1) as f64;
    println!(
        "{:>7} {:>6} {:>12} {:>8.2} {:>8.2}  {name}",
        count.cases,
        count.wrong.len(),
        count.cannot_tell,
        each(count.making),
        each(count.judging)
    );
}
