//! `windows report`: the command line, and what was packed.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use ringwave_runner::cli::check_folder;
use ringwave_runner::error::Error;
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::windows::report;

use crate::run::last_run;

#[derive(Args)]
pub struct Report {
    /// The folder that a run or a build left; else that of the last run that left one.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// The dumps as well: they hold what was in the guest's memory.
    #[arg(long)]
    dump: bool,
    /// What is made.
    #[arg(long, value_name = "FILE.tar.gz", default_value = "ringwave-report.tar.gz")]
    out: PathBuf,
}

pub fn main(wanted: &Report) -> Result<(), Error> {
    check_folder("--out", &wanted.out)?;
    let last = || last_run().and_then(|path| fs::read_to_string(path).ok()).map(PathBuf::from);
    let run = wanted.run.clone().or_else(last).ok_or_else(|| {
        Error::BadInput(
            "no run left a folder yet; name that of a build with --run: its last lines have it".into(),
        )
    })?;
    let programs = [existing_path("RINGWAVE_BIN")?, existing_path("RINGWAVE_QEMU")?];
    let report = report::Report { run: &run, dump: wanted.dump, out: &wanted.out, programs: &programs };
    println!("{}: of {}", wanted.out.display(), run.display());
    for (name, bytes) in report.pack()? {
        println!("  {bytes:>9}  {name}");
    }
    println!("No image and no sound is in it; look at program.log and logs before you send it.");
    Ok(())
}
