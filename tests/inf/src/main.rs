//! `inf-probe.exe FILE.inf`: tells what setupapi, a parser of INFs that is not ours, makes of the driver's
//! INF: which model it finds for the card, which sections it installs, and the registry values that come out
//! of them. `tests/inf/run` runs it in Wine.
//!
//! It installs nothing: values go to a scratch key below HKEY_CURRENT_USER. It needs no runtime library, so
//! that it links without a Windows SDK.
//!
//! | module | what |
//! |---|---|
//! | `setup` | setupapi: the INF, its lines, the model for a card, values into a key |
//! | `registry` | the scratch key, and what is in it |
//! | `sys` | the calls and structures, as Windows' documentation has them |
//! | `runtime` | memory, output, panic |
#![cfg_attr(windows, no_std, no_main)]
#![allow(clippy::doc_markdown, reason = "names of Windows")]

#[cfg(windows)]
extern crate alloc;
#[cfg(windows)]
#[path = "windows/registry.rs"]
mod registry;
#[cfg(windows)]
#[path = "windows/runtime.rs"]
mod runtime;
#[cfg(windows)]
#[path = "windows/setup.rs"]
mod setup;
#[cfg(windows)]
#[allow(dead_code, reason = "the stand-in's part")]
#[path = "windows/sys.rs"]
mod sys;

#[cfg(windows)]
mod probe {
    use crate::registry::Scratch;
    use crate::runtime::{arguments, exit, say};
    use crate::setup::Inf;
    use alloc::format;
    use alloc::string::String;

    /// What Windows would ask for a driver with: the card's ids, the most exact first.
    const CARD: &[&str] = &[
        r"PCI\VEN_1234&DEV_5257&SUBSYS_00011234&REV_01",
        r"PCI\VEN_1234&DEV_5257&REV_01",
        r"PCI\VEN_1234&DEV_5257",
    ];
    /// The same of a virtio sound device, as QEMU has it.
    const VIRTIO: &[&str] = &[
        r"PCI\VEN_1AF4&DEV_1059&SUBSYS_11001AF4&REV_01",
        r"PCI\VEN_1AF4&DEV_1059&REV_01",
        r"PCI\VEN_1AF4&DEV_1059",
    ];

    /// The program's entry.
    #[unsafe(no_mangle)]
    pub extern "system" fn start() -> ! {
        let Some(path) = arguments().into_iter().nth(1) else {
            say("usage: inf-probe FILE.inf");
            exit(2)
        };
        match tell(&path) {
            Ok(()) => exit(0),
            Err(problem) => {
                say(&problem);
                exit(1)
            }
        }
    }

    /// Tells all of it, section by section.
    fn tell(path: &str) -> Result<(), String> {
        let inf = Inf::open(path)?;
        let model = inf.model(CARD)?;
        for key in ["Class", "CatalogFile", "PnpLockdown"] {
            for fields in inf.lines_of("Version", key)? {
                say(&format!("{key} {}", fields.join(",")));
            }
        }
        say(&format!("model {:?} of {:?}", model.description, model.manufacturer));
        say(&format!("matches {}", model.hardware_id));
        let section = inf.actual_section(&model.section)?;
        say(&format!("installs [{section}]"));
        let virtio = inf.model(VIRTIO)?;
        say(&format!("model {:?}, matches {}", virtio.description, virtio.hardware_id));
        say(&format!("installs [{}]", inf.actual_section(&virtio.section)?));

        for file in inf.lines_of(&section, "CopyFiles")?.into_iter().flatten() {
            for line in inf.lines(&file)? {
                let name = line.first().cloned().unwrap_or_default();
                say(&format!("copies {name} from disk {}", inf.source_disk(&name)?));
            }
        }
        values(&inf, &section, "driver key")?;
        values(&inf, &format!("{section}.HW"), "hardware key")?;
        for line in inf.lines_of(&format!("{section}.Interfaces"), "AddInterface")? {
            let [category, name, install] = &line[..] else {
                return Err(String::from("AddInterface has not three fields"));
            };
            values(&inf, install, &format!("interface {category} {name}"))?;
        }
        for line in inf.lines_of(&format!("{section}.Services"), "AddService")? {
            let [name, flags, install] = &line[..] else {
                return Err(String::from("AddService has not three fields"));
            };
            say(&format!("service {name}, flags {flags}"));
            for key in ["DisplayName", "ServiceType", "StartType", "ErrorControl", "ServiceBinary"] {
                for fields in inf.lines_of(install, key)? {
                    // Without the folder: Wine does not know the driver store's number, 13.
                    let value = fields.join(",");
                    say(&format!("    {key} = {}", value.rsplit('\\').next().unwrap_or_default()));
                }
            }
            values(&inf, install, "service key")?;
        }
        Ok(())
    }

    /// The registry values of a section, as setupapi writes them.
    fn values(inf: &Inf, section: &str, what: &str) -> Result<(), String> {
        let scratch = Scratch::new()?;
        inf.write_values(section, &scratch)?;
        say(what);
        for line in scratch.lines() {
            say(&format!("    {line}"));
        }
        Ok(())
    }
}

#[cfg(not(windows))]
fn main() {
    eprintln!("this is a Windows program; tests/inf/run builds it and runs it in Wine");
    std::process::exit(2);
}
