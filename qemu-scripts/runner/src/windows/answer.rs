//! The answer file: what Windows Setup is told instead of a person. WINDOWS.md, 1.
//!
//! Sources: Microsoft's *Unattended Windows Setup Reference*, as far as it was read (`answer_tests.rs` says
//! which pages), and the answer files of two public projects that install Windows in CI. No component is here
//! that is not needed: one that an image does not have stops Setup.

use std::fmt::Write as _;

use ringwave_report::junit::escaped;

use super::family::Family;
use super::wim::Edition;

/// The account that is logged on.
pub const ACCOUNT: &str = "ringwave";
/// Its password. The image is a test machine without a network; a server wants four kinds of characters.
pub const PASSWORD: &str = "Ringwave-1";

/// Finds the answer CD, whatever its letter is, and runs one of its files. `%d` is no environment variable,
/// so that what expands those leaves it alone (*doubt*: not seen in Setup itself).
fn on_the_cd(file_and_arguments: &str) -> String {
    let drives = "D E F G H I J K L M N O P Q R S T U V W Y Z";
    format!(
        "cmd.exe /c \"for %d in ({drives}) do if exist %d:\\ringwave\\stage.cmd call %d:\\ringwave\\{file_and_arguments}\""
    )
}

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A product key, for media that are no evaluation.
    pub key: Option<String>,
    /// The machine has Secure Boot, and Setup may look for it.
    pub secure_boot: bool,
    /// It has a TPM, and Setup may look for that.
    pub tpm: bool,
}

/// The answer file for an edition of this family.
pub fn file(family: Family, edition: &Edition, options: &Options) -> String {
    let mut xml = Writer::default();
    xml.text.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    xml.open(
        "unattend xmlns=\"urn:schemas-microsoft-com:unattend\" \
         xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\"",
    );
    xml.pass("windowsPE", |xml| windows_pe(xml, family, edition, options));
    xml.pass("offlineServicing", |xml| {
        // Everything of the account runs elevated: logon.cmd, and later the tests.
        xml.component("Microsoft-Windows-LUA-Settings", |xml| xml.leaf("EnableLUA", "false"));
    });
    xml.pass("specialize", |xml| specialize(xml, family));
    xml.pass("oobeSystem", |xml| oobe_system(xml, family, edition));
    xml.close("unattend");
    xml.text
}

fn windows_pe(xml: &mut Writer, family: Family, edition: &Edition, options: &Options) {
    xml.component("Microsoft-Windows-International-Core-WinPE", |xml| {
        xml.element("SetupUILanguage", |xml| xml.leaf("UILanguage", &edition.language));
        languages(xml, &edition.language);
    });
    xml.component("Microsoft-Windows-Setup", |xml| {
        disk(xml);
        image(xml, edition.index);
        xml.element("DynamicUpdate", |xml| {
            xml.leaf("Enable", "false");
            xml.leaf("WillShowUI", "Never");
        });
        xml.element("UserData", |xml| {
            xml.leaf("AcceptEula", "true");
            xml.leaf("FullName", ACCOUNT);
            xml.leaf("Organization", ACCOUNT);
            xml.element("ProductKey", |xml| {
                if let Some(key) = &options.key {
                    xml.leaf("Key", key);
                }
                xml.leaf("WillShowUI", "OnError");
            });
        });
        let mut commands = vec![on_the_cd("stage.cmd winpe")];
        if family.checks_hardware() {
            // Undocumented, and used by every project that installs Windows 11 in a machine without a TPM.
            let checks = [
                ("BypassTPMCheck", options.tpm),
                ("BypassSecureBootCheck", options.secure_boot),
                ("BypassRAMCheck", false),
            ];
            commands.extend(checks.iter().filter(|(_, has)| !has).map(|(check, _)| {
                format!("reg.exe add HKLM\\SYSTEM\\Setup\\LabConfig /v {check} /t REG_DWORD /d 1 /f")
            }));
        }
        xml.run_synchronous(&commands);
    });
}

/// GPT with an EFI system partition, as UEFI needs it, and one for Windows. No recovery partition is asked
/// for.
fn disk(xml: &mut Writer) {
    xml.element("DiskConfiguration", |xml| {
        xml.list_item("Disk", |xml| {
            xml.leaf("DiskID", "0");
            xml.leaf("WillWipeDisk", "true");
            xml.element("CreatePartitions", |xml| {
                for (order, kind, size) in
                    [("1", "EFI", Some("260")), ("2", "MSR", Some("16")), ("3", "Primary", None)]
                {
                    xml.list_item("CreatePartition", |xml| {
                        xml.leaf("Order", order);
                        xml.leaf("Type", kind);
                        match size {
                            Some(mebibytes) => xml.leaf("Size", mebibytes),
                            None => xml.leaf("Extend", "true"),
                        }
                    });
                }
            });
            xml.element("ModifyPartitions", |xml| {
                xml.list_item("ModifyPartition", |xml| {
                    xml.leaf("Order", "1");
                    xml.leaf("PartitionID", "1");
                    xml.leaf("Label", "System");
                    xml.leaf("Format", "FAT32");
                });
                xml.list_item("ModifyPartition", |xml| {
                    xml.leaf("Order", "2");
                    xml.leaf("PartitionID", "3");
                    xml.leaf("Label", "Windows");
                    xml.leaf("Letter", "C");
                    xml.leaf("Format", "NTFS");
                });
            });
        });
    });
}

/// By its number, which the image file itself gave: names are not always one image's only.
fn image(xml: &mut Writer, index: u32) {
    xml.element("ImageInstall", |xml| {
        xml.element("OSImage", |xml| {
            // Before InstallTo: a public project found that the other order is not taken everywhere.
            xml.element("InstallFrom", |xml| {
                xml.list_item("MetaData", |xml| {
                    xml.leaf("Key", "/IMAGE/INDEX");
                    xml.leaf("Value", &index.to_string());
                });
            });
            xml.element("InstallTo", |xml| {
                xml.leaf("DiskID", "0");
                xml.leaf("PartitionID", "3");
            });
        });
    });
}

fn specialize(xml: &mut Writer, family: Family) {
    xml.component("Microsoft-Windows-Shell-Setup", |xml| {
        xml.leaf("ComputerName", "RINGWAVE");
        xml.leaf("TimeZone", "UTC");
    });
    xml.component("Microsoft-Windows-Security-SPP-UX", |xml| xml.leaf("SkipAutoActivation", "true"));
    if family.is_server() {
        xml.component("Microsoft-Windows-ServerManager-SvrMgrNc", |xml| {
            xml.leaf("DoNotOpenServerManagerAtLogon", "true");
        });
    }
    xml.component("Microsoft-Windows-Deployment", |xml| {
        xml.run_synchronous(&[on_the_cd("specialize.cmd")]);
    });
}

fn oobe_system(xml: &mut Writer, family: Family, edition: &Edition) {
    xml.component("Microsoft-Windows-International-Core", |xml| languages(xml, &edition.language));
    if !family.is_server() {
        xml.component("Microsoft-Windows-SecureStartup-FilterDriver", |xml| {
            xml.leaf("PreventDeviceEncryption", "true");
        });
    }
    xml.component("Microsoft-Windows-Shell-Setup", |xml| {
        let password = |xml: &mut Writer| {
            xml.element("Password", |xml| {
                xml.leaf("Value", PASSWORD);
                xml.leaf("PlainText", "true");
            });
        };
        xml.element("AutoLogon", |xml| {
            password(xml);
            xml.leaf("Enabled", "true");
            // It counts down; specialize.cmd sets what does not.
            xml.leaf("LogonCount", "65432");
            xml.leaf("Username", ACCOUNT);
        });
        xml.element("FirstLogonCommands", |xml| {
            xml.list_item("SynchronousCommand", |xml| {
                xml.leaf("Order", "1");
                xml.leaf("CommandLine", &on_the_cd("logon.cmd"));
                xml.leaf("Description", "Ringwave: driver and settings");
            });
        });
        xml.element("OOBE", |xml| {
            for page in [
                "HideEULAPage",
                "HideLocalAccountScreen",
                "HideOEMRegistrationScreen",
                "HideOnlineAccountScreens",
                "HideWirelessSetupInOOBE",
            ] {
                xml.leaf(page, "true");
            }
            xml.leaf("ProtectYourPC", "3");
        });
        xml.element("UserAccounts", |xml| {
            if family.is_server() {
                // Else Setup asks for it.
                xml.element("AdministratorPassword", |xml| {
                    xml.leaf("Value", PASSWORD);
                    xml.leaf("PlainText", "true");
                });
            }
            xml.element("LocalAccounts", |xml| {
                xml.list_item("LocalAccount", |xml| {
                    password(xml);
                    xml.leaf("Group", "Administrators");
                    xml.leaf("Name", ACCOUNT);
                });
            });
        });
    });
}

fn languages(xml: &mut Writer, language: &str) {
    for setting in ["InputLocale", "SystemLocale", "UILanguage", "UserLocale"] {
        xml.leaf(setting, language);
    }
}

/// XML as it is written: an element a line, indented.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{:1$}{text}", "", 2 * self.depth);
    }

    /// A start tag, with its attributes.
    fn open(&mut self, tag: &str) {
        self.line(&format!("<{tag}>"));
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.line(&format!("</{name}>"));
    }

    fn element(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.open(name);
        inner(self);
        self.close(name);
    }

    /// An element of a list.
    fn list_item(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.open(&format!("{name} wcm:action=\"add\""));
        inner(self);
        self.close(name);
    }

    fn leaf(&mut self, name: &str, value: &str) {
        self.line(&format!("<{name}>{}</{name}>", escaped(value)));
    }

    fn pass(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.open(&format!("settings pass=\"{name}\""));
        inner(self);
        self.close("settings");
    }

    fn component(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.open(&format!(
            "component name=\"{name}\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" \
             language=\"neutral\" versionScope=\"nonSxS\""
        ));
        inner(self);
        self.close("component");
    }

    fn run_synchronous(&mut self, commands: &[String]) {
        self.element("RunSynchronous", |xml| {
            for (index, command) in commands.iter().enumerate() {
                xml.list_item("RunSynchronousCommand", |xml| {
                    xml.leaf("Order", &(index + 1).to_string());
                    xml.leaf("Path", command);
                });
            }
        });
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
