//! setupapi, asked about one INF.

use crate::registry::Scratch;
use crate::runtime::{text, wide};
use crate::sys::{self, INFCONTEXT};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::{null, null_mut};

/// Class MEDIA.
static MEDIA: sys::GUID =
    sys::GUID(0x4d36_e96c, 0xe325, 0x11ce, [0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18]);

/// An open INF.
pub struct Inf {
    handle: sys::HANDLE,
    path: String,
}

/// A model that setupapi found for a card.
pub struct Model {
    /// What people read.
    pub description: String,
    /// Whose it is.
    pub manufacturer: String,
    /// The id by which it was found.
    pub hardware_id: String,
    /// Its install section, undecorated.
    pub section: String,
}

impl Inf {
    /// Opens the INF, and says in which line setupapi stumbles.
    pub fn open(path: &str) -> Result<Self, String> {
        let (name, mut line) = (wide(path), 0);
        // SAFETY: a valid name and place.
        let handle =
            unsafe { sys::SetupOpenInfFileW(name.as_ptr(), null(), sys::INF_STYLE_WIN4, &raw mut line) };
        if handle == sys::INVALID_HANDLE_VALUE {
            return Err(failed(&format!("line {line}: setupapi does not open {path}")));
        }
        Ok(Self { handle, path: path.into() })
    }

    /// The model for a card with these hardware ids, found as for a new device.
    pub fn model(&self, ids: &[&str]) -> Result<Model, String> {
        let (mut driver, mut detail) = (zeroed_driver(), zeroed_detail());
        // SAFETY: each structure carries its size; the texts end in NUL; the device is of the list.
        unsafe {
            let devices = sys::SetupDiCreateDeviceInfoList(&raw const MEDIA, 0);
            let mut device = sys::SP_DEVINFO_DATA { cbSize: 32, ClassGuid: MEDIA, DevInst: 0, Reserved: 0 };
            let name = wide("RingwaveInfProbe");
            let made = sys::SetupDiCreateDeviceInfoW(
                devices,
                name.as_ptr(),
                &raw const MEDIA,
                null(),
                0,
                sys::DICD_GENERATE_ID,
                &raw mut device,
            );
            done(made, "SetupDiCreateDeviceInfo")?;
            let mut list: Vec<u16> = ids.iter().flat_map(|id| wide(id)).collect();
            list.push(0);
            let bytes = u32::try_from(list.len() * 2).unwrap_or(0);
            let data = list.as_ptr().cast();
            let set = sys::SetupDiSetDeviceRegistryPropertyW(
                devices,
                &raw mut device,
                sys::SPDRP_HARDWAREID,
                data,
                bytes,
            );
            done(set, "SetupDiSetDeviceRegistryProperty")?;
            let mut parameters: sys::SP_DEVINSTALL_PARAMS_W = core::mem::zeroed();
            parameters.cbSize = 584;
            parameters.Flags = sys::DI_ENUMSINGLEINF;
            for (to, from) in parameters.DriverPath.iter_mut().zip(wide(&self.path)) {
                *to = from;
            }
            done(
                sys::SetupDiSetDeviceInstallParamsW(devices, &raw mut device, &raw mut parameters),
                "SetupDiSetDeviceInstallParams",
            )?;
            let kind = sys::SPDIT_COMPATDRIVER;
            done(
                sys::SetupDiBuildDriverInfoList(devices, &raw mut device, kind),
                "SetupDiBuildDriverInfoList",
            )?;
            done(
                sys::SetupDiEnumDriverInfoW(devices, &raw mut device, kind, 0, &raw mut driver),
                "the INF has no driver for the card: SetupDiEnumDriverInfo",
            )?;
            // The size asked for leaves no room for more than the fixed part; that is enough, so its answer
            // is not looked at.
            sys::SetupDiGetDriverInfoDetailW(
                devices,
                &raw mut device,
                &raw mut driver,
                &raw mut detail,
                1584,
                null_mut(),
            );
        }
        let section = text(&detail.SectionName);
        Ok(Model {
            description: text(&driver.Description),
            manufacturer: text(&driver.MfgName),
            hardware_id: self.matched(ids, &section)?,
            section,
        })
    }

    /// Which of the ids the models section has for an install section.
    fn matched(&self, ids: &[&str], section: &str) -> Result<String, String> {
        for manufacturer in self.lines("Manufacturer")? {
            let [.., base, decoration] = &manufacturer[..] else { continue };
            for line in self.lines(&format!("{base}.{decoration}"))? {
                let [.., install, id] = &line[..] else { continue };
                if install == section && ids.contains(&id.as_str()) {
                    return Ok(id.clone());
                }
            }
        }
        Err(format!("no model leads to [{section}]"))
    }

    /// The section that is installed for an undecorated one on this Windows.
    pub fn actual_section(&self, section: &str) -> Result<String, String> {
        let (section, mut actual) = (wide(section), [0_u16; 256]);
        // SAFETY: the size is the buffer's.
        let found = unsafe {
            sys::SetupDiGetActualSectionToInstallW(
                self.handle,
                section.as_ptr(),
                actual.as_mut_ptr(),
                256,
                null_mut(),
                null_mut(),
            )
        };
        done(found, "SetupDiGetActualSectionToInstall")?;
        Ok(text(&actual))
    }

    /// The fields of every line of a section, strings replaced; the key, if there is one, first.
    pub fn lines(&self, section: &str) -> Result<Vec<Vec<String>>, String> {
        self.collect(section, None)
    }

    /// The fields of every line with this key.
    pub fn lines_of(&self, section: &str, key: &str) -> Result<Vec<Vec<String>>, String> {
        self.collect(section, Some(key))
    }

    fn collect(&self, section: &str, key: Option<&str>) -> Result<Vec<Vec<String>>, String> {
        let (name, key) = (wide(section), key.map(wide));
        let key = key.as_ref().map_or(null(), Vec::as_ptr);
        let mut context = INFCONTEXT { Inf: null_mut(), CurrentInf: null_mut(), Section: 0, Line: 0 };
        // SAFETY: an open INF, names that end in NUL.
        let mut found =
            unsafe { sys::SetupFindFirstLineW(self.handle, name.as_ptr(), key, &raw mut context) };
        if found == 0 {
            return Err(failed(&format!("nothing in [{section}]")));
        }
        let mut lines = Vec::new();
        while found != 0 {
            // SAFETY: a context that setupapi filled.
            let count = unsafe { sys::SetupGetFieldCount(&raw const context) };
            // Field 0 is the key; a search for the key has no need of it.
            let first = u32::from(!key.is_null());
            lines.push((first..=count).filter_map(|index| field(&context, index)).collect());
            let from = context;
            // SAFETY: as above.
            found = unsafe {
                if key.is_null() {
                    sys::SetupFindNextLine(&raw const from, &raw mut context)
                } else {
                    sys::SetupFindNextMatchLineW(&raw const from, key, &raw mut context)
                }
            };
        }
        Ok(lines)
    }

    /// The number of the source disk of a file.
    pub fn source_disk(&self, file: &str) -> Result<u32, String> {
        let (name, mut disk, mut folder) = (wide(file), 0, [0_u16; 260]);
        // SAFETY: the size is the buffer's.
        let found = unsafe {
            sys::SetupGetSourceFileLocationW(
                self.handle,
                null(),
                name.as_ptr(),
                &raw mut disk,
                folder.as_mut_ptr(),
                260,
                null_mut(),
            )
        };
        done(found, &format!("{file} has no source disk: SetupGetSourceFileLocation"))?;
        Ok(disk)
    }

    /// Writes the values of a section's AddReg to a key.
    pub fn write_values(&self, section: &str, key: &Scratch) -> Result<(), String> {
        let name = wide(section);
        // SAFETY: an open INF and an open key; only registry values are asked for.
        let written = unsafe {
            sys::SetupInstallFromInfSectionW(
                0,
                self.handle,
                name.as_ptr(),
                sys::SPINST_REGISTRY,
                key.handle(),
                null(),
                0,
                0,
                0,
                null_mut(),
                0,
            )
        };
        done(written, &format!("[{section}]: SetupInstallFromInfSection"))
    }
}

/// A field of a line; `None` when the line has no such field.
fn field(context: &INFCONTEXT, index: u32) -> Option<String> {
    let mut buffer = [0_u16; 512];
    // SAFETY: the size is the buffer's.
    let got = unsafe { sys::SetupGetStringFieldW(context, index, buffer.as_mut_ptr(), 512, null_mut()) };
    (got != 0).then(|| text(&buffer))
}

fn zeroed_driver() -> sys::SP_DRVINFO_DATA_W {
    // SAFETY: all fields are numbers.
    let mut driver: sys::SP_DRVINFO_DATA_W = unsafe { core::mem::zeroed() };
    driver.cbSize = 1568;
    driver
}

fn zeroed_detail() -> sys::SP_DRVINFO_DETAIL_DATA_W {
    // SAFETY: all fields are numbers.
    let mut detail: sys::SP_DRVINFO_DETAIL_DATA_W = unsafe { core::mem::zeroed() };
    detail.cbSize = 1584;
    detail
}

/// What a call says, with the error's number if it failed.
fn done(result: i32, what: &str) -> Result<(), String> {
    if result == 0 { Err(failed(what)) } else { Ok(()) }
}

fn failed(what: &str) -> String {
    // SAFETY: reads this thread's own number.
    format!("{what}: error {:#x}", unsafe { sys::GetLastError() })
}
