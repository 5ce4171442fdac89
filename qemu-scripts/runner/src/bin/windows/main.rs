//! `ringwave-windows`: what `qemu-scripts/windows` starts once everything is set up and built.

mod report;
mod run;
mod test;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use ringwave_runner::card::Card;
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::windows::answer;
use ringwave_runner::windows::doctor::doctor;
use ringwave_runner::windows::family::{Family, choose};
use ringwave_runner::windows::install::{install, longest};
use ringwave_runner::windows::iso::read_editions;
use ringwave_runner::windows::machine::{Firmware, GuestCard, Machine};
use ringwave_runner::windows::media::{self, Hvci, write_files, write_iso};
use ringwave_runner::windows::progress::minute_with;
use ringwave_runner::windows::tpm::Tpm;
use ringwave_runner::{cli, error::Error, process};

/// Installs Windows without a person, with the driver in it, and runs programs in it.
///
/// Exit code: 0 done, 1 not, 2 bad input. Of run: the program's own, or 124, 125, 127 (WINDOWS.md, 10).
#[derive(Parser)]
#[command(name = "windows", version, max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs Windows onto a new image
    Build(Build),
    /// Only makes the CD that answers Setup's questions
    Media(Media),
    /// Lists what an ISO has
    Editions {
        /// An ISO of Windows.
        #[arg(long)]
        iso: PathBuf,
    },
    /// Runs a program in an image, with a sound card
    Run(run::Run),
    /// Plays a song in an image, and says whether the card heard it
    Test(test::Test),
    /// Packs what a run or a build left, to be sent
    Report(report::Report),
    /// Says what this host lacks
    Doctor,
}

#[derive(Args)]
struct Media {
    /// An ISO of Windows 10 1809 or later, 11, or Server 2019 or later, for x64.
    #[arg(long)]
    iso: PathBuf,
    /// The edition, by its name; needed when the ISO has several.
    #[arg(long, value_name = "NAME")]
    edition: Option<String>,
    /// A product key, for media that are no evaluation.
    #[arg(long, value_name = "XXXXX-XXXXX-XXXXX-XXXXX-XXXXX", value_parser = product_key)]
    key: Option<String>,
    /// The card that the image is for. HD Audio needs no driver of ours and no test signing.
    #[arg(long, value_enum, default_value_t = GuestCard::Ringwave)]
    card: GuestCard,
    /// The driver asks the card to wait for programs that are late.
    #[arg(long)]
    lockstep: bool,
    /// Memory integrity; unless given Windows decides.
    #[arg(long, value_enum)]
    hvci: Option<Hvci>,
    /// The folder of a driver package.
    #[arg(long, value_name = "DIR")]
    driver: Option<PathBuf>,
    /// What is made.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
struct Build {
    #[command(flatten)]
    media: Media,
    /// Size of the disk in GiB; the file grows as it is written.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=2048))]
    disk: u64,
    /// Memory of the machine in MiB.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(256..=1_048_576))]
    memory: u64,
    /// Processors of the machine.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Secure Boot, with Microsoft's keys; with `--card hda` alone.
    #[arg(long)]
    secure_boot: bool,
    /// A TPM 2.0, by swtpm.
    #[arg(long)]
    tpm: bool,
    /// More arguments for QEMU.
    #[arg(last = true, value_name = "QEMU ARGUMENTS")]
    more: Vec<String>,
}

/// The host's side of `run` failed: WINDOWS.md, 10.
const RUN_FAILED: u8 = 125;

fn main() -> ExitCode {
    let arguments: Arguments = match cli::parse("windows") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let done = process::stop_on_signals().and_then(|()| match &arguments.command {
        Command::Editions { iso } => list(iso).map(|()| 0),
        Command::Media(wanted) => make_media(wanted).map(|()| 0),
        Command::Build(wanted) => build(wanted).map(|()| 0),
        Command::Run(wanted) => run::main(wanted),
        Command::Test(wanted) => test::main(wanted),
        Command::Report(wanted) => report::main(wanted).map(|()| 0),
        Command::Doctor => doctor(|line| println!("{line}")).map(|()| 0),
    });
    let is_run = matches!(arguments.command, Command::Run(_));
    ExitCode::from(done.unwrap_or_else(|error| {
        eprintln!("windows: {error}");
        match error {
            // The program may end with 1 itself.
            Error::Failed(_) if is_run => RUN_FAILED,
            error => error.exit_code(),
        }
    }))
}

fn product_key(text: &str) -> Result<String, String> {
    let groups: Vec<&str> = text.split('-').collect();
    let is = |group: &&str| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if groups.len() == 5 && groups.iter().all(is) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err("a product key has five groups of five letters or digits".into())
    }
}

fn list(iso: &Path) -> Result<(), Error> {
    for edition in read_editions(iso)? {
        let said = match Family::of(&edition) {
            Ok(family) => family.proven().to_owned(),
            Err(why) => format!("no: {why}"),
        };
        println!(
            "{:>2}  {:<48} build {}, {}: {said}",
            edition.index, edition.name, edition.build, edition.language
        );
    }
    Ok(())
}

fn make_media(wanted: &Media) -> Result<(), Error> {
    free(&wanted.out)?;
    let folder = tempfile::tempdir().map_err(Error::failed)?;
    // For a machine that somebody else makes: nothing is looked for.
    make_cd(wanted, &answer::Options::default(), folder.path(), &wanted.out)
}

/// Makes the CD, with what has to be known of it said. `machine`: what it has for Setup to look for.
fn make_cd(wanted: &Media, machine: &answer::Options, folder: &Path, out: &Path) -> Result<(), Error> {
    if wanted.lockstep && wanted.card != GuestCard::Ringwave {
        return Err(Error::BadInput(
            "--lockstep: the driver asks the Ringwave card for it; virtio waits by `ringwave serve --clock lockstep` alone, \
             and HD Audio has a clock that cannot wait"
                .into(),
        ));
    }
    let editions = read_editions(&wanted.iso)?;
    let (edition, family) = choose(&editions, wanted.edition.as_deref())?;
    eprintln!("{}, build {}, {}: {}", edition.name, edition.build, edition.language, family.proven());
    if wanted.key.is_none() && !edition.edition_id.ends_with("Eval") {
        eprintln!(
            "without --key: should Setup ask for one, Microsoft's page \"KMS client activation keys\" has those that choose an edition"
        );
    }
    let options = media::Options {
        answer: answer::Options { key: wanted.key.clone(), ..machine.clone() },
        lockstep: wanted.lockstep,
        inbox_driver: wanted.card == GuestCard::Hda,
        hvci: wanted.hvci,
    };
    let driver = wanted.driver.clone().or_else(|| env::var_os("RINGWAVE_DRIVER_PACKAGE").map(PathBuf::from));
    if driver.is_none() && !options.inbox_driver {
        return Err(Error::BadInput(
            "no driver package: start through qemu-scripts/windows, or name one with --driver".into(),
        ));
    }
    let files = folder.join("cd");
    write_files(&files, driver.as_deref(), (edition, family), &options)?;
    write_iso(&files, out)
}

/// What is there stays there.
fn free(out: &Path) -> Result<(), Error> {
    if out.exists() {
        return Err(Error::BadInput(format!(
            "{} is there already; take another name, or remove it",
            out.display()
        )));
    }
    cli::check_folder("--out", out)
}

fn build(wanted: &Build) -> Result<(), Error> {
    let Build { media, disk, memory, cpus, secure_boot, tpm, more } = wanted;
    free(&media.out)?;
    if *secure_boot && media.card != GuestCard::Hda {
        return Err(Error::BadInput(format!(
            "--secure-boot: the driver of the {} card is signed by a test certificate, which Windows does not accept with Secure Boot; \
             --card hda has a driver of Windows' own",
            media.card.name()
        )));
    }
    let kvm = env::var("RINGWAVE_ACCEL").is_ok_and(|accel| accel == "kvm");
    let folder = tempfile::tempdir().map_err(Error::failed)?;
    let answer = folder.path().join("answer.iso");
    let tpm = start_tpm(*tpm, folder.path())?;
    let has = answer::Options { secure_boot: *secure_boot, tpm: tpm.is_some(), ..answer::Options::default() };
    make_cd(media, &has, folder.path(), &answer)?;
    let minute = minute_with(kvm);
    if !kvm {
        eprintln!(
            "no KVM here: each step may take hours, and nothing is promised; see qemu-scripts/windows doctor"
        );
    }
    let (_card, card) = start_card(media.card, folder.path())?;
    let machine = Machine {
        qemu: existing_path("RINGWAVE_QEMU")?,
        kvm,
        minute,
        memory_mib: *memory,
        processors: *cpus,
        card,
        more: tpm.iter().flat_map(Tpm::qemu_arguments).chain(more).cloned().collect(),
    };
    let firmware = if *secure_boot { Firmware::SecureBoot } else { Firmware::Open };
    eprintln!("installing; at most {} minutes", longest(minute));
    install((&machine, firmware), *disk, [&media.iso, &answer, &media.out], |line| eprintln!("{line}"))?;
    let bytes = fs::metadata(&media.out).map_or(0, |metadata| metadata.len());
    println!("{}: {} MiB", media.out.display(), bytes >> 20);
    Ok(())
}

/// The TPM, if one is wanted and this host can have one.
fn start_tpm(wanted: bool, folder: &Path) -> Result<Option<Tpm>, Error> {
    if wanted && !process::is_installed("swtpm") {
        eprintln!(
            "--tpm: no swtpm here, so the machine has no TPM, and Setup is told not to look for one (apt-get install swtpm)"
        );
        return Ok(None);
    }
    wanted.then(|| Tpm::start(folder)).transpose()
}

/// The card that is in the machine while Windows is installed: the driver starts on it, or says why not.
fn start_card(kind: GuestCard, folder: &Path) -> Result<(Card, Option<(GuestCard, PathBuf)>), Error> {
    let card = Card::start(&existing_path("RINGWAVE_BIN")?, folder, "card", ["--card", kind.name()])?;
    let socket = card.socket();
    Ok((card, Some((kind, socket))))
}
