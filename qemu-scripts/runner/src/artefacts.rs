//! The programs and files that a run is made of, as `qemu-scripts/lib/build.sh` names them in the
//! environment.

use std::{env, path::PathBuf};

use crate::error::Error;

/// Where everything is that a run needs.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// The program `ringwave`. `RINGWAVE_BIN`.
    pub ringwave: PathBuf,
    /// The driver under test, the very file that ships. `RINGWAVE_SYS`.
    pub driver: PathBuf,
    /// The guest program. `RINGWAVE_NTGUEST`.
    pub ntguest: PathBuf,
    /// A QEMU with the device `vfio-user-pci`. `RINGWAVE_QEMU`.
    pub qemu: PathBuf,
    /// OVMF's code volume. `RINGWAVE_OVMF_CODE`.
    pub ovmf_code: PathBuf,
    /// OVMF's variable store, copied for each run. `RINGWAVE_OVMF_VARS`.
    pub ovmf_vars: PathBuf,
    /// `kvm` or `tcg`. `RINGWAVE_ACCEL`, default `tcg`.
    pub accel: String,
}

impl Artefacts {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Error::BadInput`] names the first variable that is missing or that names no file.
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self {
            ringwave: existing_file("RINGWAVE_BIN")?,
            driver: existing_file("RINGWAVE_SYS")?,
            ntguest: existing_file("RINGWAVE_NTGUEST")?,
            qemu: existing_file("RINGWAVE_QEMU")?,
            ovmf_code: existing_file("RINGWAVE_OVMF_CODE")?,
            ovmf_vars: existing_file("RINGWAVE_OVMF_VARS")?,
            accel: env::var("RINGWAVE_ACCEL").unwrap_or_else(|_| "tcg".into()),
        })
    }
}

/// The program that drives the bare card. `RINGWAVE_BAREGUEST`. Only the tests of failures need it.
///
/// # Errors
/// [`Error::BadInput`] if the variable is missing or names no file.
pub fn bareguest() -> Result<PathBuf, Error> {
    existing_file("RINGWAVE_BAREGUEST")
}

/// The C++ driver of tests/foreign, which shares nothing with the shipped one. `RINGWAVE_FOREIGN_SYS`. Only
/// its own tests need it.
///
/// # Errors
/// [`Error::BadInput`] if the variable is missing or names no file.
pub fn foreign_driver() -> Result<PathBuf, Error> {
    existing_file("RINGWAVE_FOREIGN_SYS")
}

/// The example of portcls-sys, a driver without hardware. `RINGWAVE_SINE_SYS`. Only its own test needs it.
///
/// # Errors
/// [`Error::BadInput`] if the variable is missing or names no file.
pub fn example_driver() -> Result<PathBuf, Error> {
    existing_file("RINGWAVE_SINE_SYS")
}

fn existing_file(variable: &str) -> Result<PathBuf, Error> {
    let next_step = "start through qemu-scripts/play or qemu-scripts/test, which set it";
    let path = env::var_os(variable).map(PathBuf::from).ok_or_else(|| {
        Error::BadInput(format!("the environment variable {variable} is not set: {next_step}"))
    })?;
    if path.is_file() {
        Ok(path)
    } else {
        Err(Error::BadInput(format!("{variable} names {}, which is no file: {next_step}", path.display())))
    }
}
