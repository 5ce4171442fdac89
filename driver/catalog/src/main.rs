//! `ringwave-catalog`: Windows driver catalogs on any host, from the command line.
//!
//! Exit codes: 0 it is so (made, verified, keeps the rules), 1 it is not (a file is not the catalogued one, a
//! rule is broken), 2 it could not be tried (no such file, not a catalog, a wrong option).
#![allow(clippy::doc_markdown, reason = "doc comments are help texts here")]
use clap::{Args, Parser, Subcommand};
use ringwave_catalog::{make, os, pe, read::Catalog, verify};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

mod show;

/// Windows driver catalogs, made and looked into on any host.
///
/// A catalog (.cat) lists the hashes of every file of a driver package. Windows trusts the package if the
/// catalog is signed by somebody it trusts. The order of work: sign the .sys, make the catalog, sign the
/// catalog (osslsigncode does both).
#[derive(Parser)]
#[command(name = "ringwave-catalog", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Make(Make),
    /// Show a catalog: time, systems, hardware ids, and every file with its hashes.
    Show {
        /// The catalog, signed or not.
        catalog: PathBuf,
    },
    /// Check that a catalog is for exactly these files (its signature is for `osslsigncode verify`).
    ///
    /// Exit 0: every file has both its hashes in the catalog, and the catalog has nothing else. Exit 1: the
    /// first difference is named.
    Verify {
        /// The catalog, signed or not.
        catalog: PathBuf,
        /// The package's files, all of them but the catalog.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    CheckPe(CheckPe),
}

/// Make an unsigned catalog of a package's files.
///
/// The same files, options and time give the same bytes. Example:
///
///   ringwave-catalog make --out ringwave.cat --hwid 'PCI\VEN_1234&DEV_5257' --os 10_X64 ringwave.sys
///   ringwave.inf
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct Make {
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A hardware id of the INF's; once for each.
    #[arg(long, value_name = "ID", required = true)]
    hwid: Vec<String>,
    /// A Windows version in Inf2Cat's words, such as `10_X64`; once for each or with commas.
    #[arg(long, value_name = "OS", required = true, value_delimiter = ',')]
    os: Vec<String>,
    /// What every member says of the platform: 2 for NT, and its version.
    #[arg(long, value_name = "TEXT", default_value = "2:10.0")]
    os_attr: String,
    /// The catalog's date, in seconds since 1970; else the variable SOURCE_DATE_EPOCH.
    #[arg(long, value_name = "SECONDS")]
    time: Option<u64>,
    /// The package's files, all of them but the catalog.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Check that a driver image is one Windows loads, and that it gives nothing away.
///
/// Prints every rule and whether it is kept. Exit 1 if one is broken.
#[derive(Args)]
struct CheckPe {
    /// The driver (.sys), signed or not.
    file: PathBuf,
    /// The imports that the oldest Windows we name has; else the list this program was built with
    /// (driver/imports.allow).
    #[arg(long, value_name = "FILE")]
    imports: Option<PathBuf>,
    /// A text that must not be in the file; once for each. Usual places of home and build folders are always
    /// searched for.
    #[arg(long, value_name = "TEXT")]
    forbid: Vec<String>,
}

/// Why it ends with another code than 0: the code and the line to say.
struct Failure(u8, String);

/// It could not be tried.
fn bad(text: impl std::fmt::Display) -> Failure {
    Failure(2, text.to_string())
}

/// It is not so.
fn no(text: impl std::fmt::Display) -> Failure {
    Failure(1, text.to_string())
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Make(options) => run_make(&options),
        Command::Show { catalog } => read_catalog(&catalog).map(|read| print!("{}", show::text(&read))),
        Command::Verify { catalog, files } => run_verify(&catalog, &files),
        Command::CheckPe(options) => run_check_pe(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, text)) => {
            eprintln!("ringwave-catalog: {text}");
            ExitCode::from(code)
        }
    }
}

fn run_make(options: &Make) -> Result<(), Failure> {
    let time = match options.time {
        Some(seconds) => seconds,
        None => time_from_environment()?,
    };
    let recipe = make::Recipe {
        hardware_ids: options.hwid.clone(),
        systems: options.os.iter().map(|word| os::in_catalog(word)).collect::<Result<_, _>>().map_err(bad)?,
        system_attribute: options.os_attr.clone(),
        time: Duration::from_secs(time),
    };
    let files = read_all(&options.files)?;
    let catalog = make::catalog(&recipe, &borrowed(&files)).map_err(bad)?;
    std::fs::write(&options.out, &catalog)
        .map_err(|error| bad(format!("{}: {error}", options.out.display())))?;
    println!("{}: {} files, unsigned, {} bytes", options.out.display(), files.len(), catalog.len());
    Ok(())
}

/// The current time is never taken: two builds of the same sources would differ.
fn time_from_environment() -> Result<u64, Failure> {
    let hint = "give --time SECONDS or set SOURCE_DATE_EPOCH, for example to $(git log -1 --format=%ct)";
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(value) => value
            .parse()
            .map_err(|_| bad(format!("SOURCE_DATE_EPOCH={value} is no number of seconds; {hint}"))),
        Err(_) => Err(bad(format!("a catalog has a date: {hint}"))),
    }
}

fn run_verify(catalog: &Path, files: &[PathBuf]) -> Result<(), Failure> {
    let read = read_catalog(catalog)?;
    let files = read_all(files)?;
    verify::verify(&read, &borrowed(&files)).map_err(no)?;
    println!("{}: {} files verified, SHA-1 and SHA-256", catalog.display(), files.len());
    match read.signatures {
        0 => println!("It is not signed."),
        _ => println!("It is signed; osslsigncode verify checks the signature."),
    }
    Ok(())
}

fn run_check_pe(options: &CheckPe) -> Result<(), Failure> {
    let file = read_file(&options.file)?;
    let allowed = match &options.imports {
        None => pe::AllowList::built_in(),
        Some(path) => {
            let text = String::from_utf8(read_file(path)?)
                .map_err(|error| bad(format!("{}: {error}", path.display())))?;
            pe::AllowList::parse(&text)
        }
    };
    let report = pe::check(&file, &allowed.map_err(bad)?, &options.forbid);
    print!("{}", show::report(&report));
    match report.iter().filter(|(_, findings)| !findings.is_empty()).count() {
        0 => Ok(()),
        broken => Err(no(format!("{}: {broken} of {} rules broken", options.file.display(), report.len()))),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| bad(format!("{}: {error}", path.display())))
}

fn read_catalog(path: &Path) -> Result<Catalog, Failure> {
    Catalog::from_der(&read_file(path)?).map_err(|error| bad(format!("{}: {error}", path.display())))
}

/// Files with the names they have in the package: their last part.
fn read_all(paths: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| bad(format!("{}: not a file name", path.display())))?;
        Ok((name.to_owned(), read_file(path)?))
    };
    paths.iter().map(named).collect()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}
