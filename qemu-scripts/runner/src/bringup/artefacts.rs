//! The programs and files of a bring-up run, as `qemu-scripts/lib/build.sh` and `env.sh` name them in the
//! environment.

use std::{env, fs, path::PathBuf};

use crate::error::Error;

/// Where everything is that a run needs.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// The program `ringwave` of the host, which serves the card. `RINGWAVE_BIN`.
    pub ringwave: PathBuf,
    /// The static `ringwave`, the tool in the guest. `RINGWAVE_STATIC`.
    pub tool: PathBuf,
    /// The guest's first process, static. `RINGWAVE_GUEST_INIT`.
    pub init: PathBuf,
    /// A QEMU with the device `vfio-user-pci`. `RINGWAVE_QEMU`.
    pub qemu: PathBuf,
    /// A folder with `vmlinuz`, modules and their `load-order`. `RINGWAVE_KERNEL`.
    pub kernel: PathBuf,
    /// `kvm` or `tcg`. `RINGWAVE_ACCEL`, default `tcg`.
    pub accel: String,
}

impl Artefacts {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Error::BadInput`] names the first variable that is missing or that names nothing.
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self {
            ringwave: existing_path("RINGWAVE_BIN")?,
            tool: existing_path("RINGWAVE_STATIC")?,
            init: existing_path("RINGWAVE_GUEST_INIT")?,
            qemu: existing_path("RINGWAVE_QEMU")?,
            kernel: existing_path("RINGWAVE_KERNEL")?,
            accel: env::var("RINGWAVE_ACCEL").unwrap_or_else(|_| "tcg".into()),
        })
    }

    /// The names of the kernel's modules, in the order in which the guest has to load them.
    ///
    /// # Errors
    /// [`Error::Failed`] if the list can't be read.
    pub fn modules(&self) -> Result<Vec<String>, Error> {
        let path = self.kernel.join("load-order");
        let text = fs::read_to_string(&path).map_err(|e| Error::file("read", &path, &e))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

fn existing_path(variable: &str) -> Result<PathBuf, Error> {
    let next_step = "start through qemu-scripts/bringup or qemu-scripts/test, which set it";
    let path = env::var_os(variable).map(PathBuf::from).ok_or_else(|| {
        Error::BadInput(format!("the environment variable {variable} is not set: {next_step}"))
    })?;
    if path.exists() {
        Ok(path)
    } else {
        Err(Error::BadInput(format!("{variable} names {}, which is not there: {next_step}", path.display())))
    }
}
