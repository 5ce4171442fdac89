//! What ntguest offers of ntoskrnl.exe and HAL.dll: one table, with the highest IRQL of each function.
//!
//! `exports.txt` lists the names for programs on the host; a test holds it to the table, and another one
//! holds every name to mingw-w64's import libraries or to `exports-allowed.txt`, which gives the source.

#[cfg(target_os = "uefi")]
mod crt;
#[cfg(target_os = "uefi")]
mod debug;
#[cfg(target_os = "uefi")]
mod etw;
#[cfg(target_os = "uefi")]
mod ex;
#[cfg(target_os = "uefi")]
mod io;
#[cfg(target_os = "uefi")]
mod ke;
#[cfg(target_os = "uefi")]
mod lists;
#[cfg(target_os = "uefi")]
mod printf;
#[cfg(target_os = "uefi")]
mod ps;
#[cfg(target_os = "uefi")]
mod query_values;
#[cfg(target_os = "uefi")]
mod rtl;
mod table;
#[cfg(target_os = "uefi")]
mod zw;

/// Where a name is exported from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dll {
    /// ntoskrnl.exe.
    Nt,
    /// HAL.dll and ntoskrnl.exe: the HAL forwards to the kernel since Windows 10 2004.
    Hal,
}

/// One function or datum.
pub struct Export {
    /// Where from.
    pub dll: Dll,
    /// Name.
    pub name: &'static str,
    /// Highest IRQL at which it may be called.
    pub max_irql: u8,
    /// Calls go through a thunk that checks and notes the caller. False for data, and for helpers the
    /// compiler calls with registers of its own choice.
    pub thunk: bool,
    /// Its address.
    #[cfg(target_os = "uefi")]
    pub address: usize,
}

#[cfg(target_os = "uefi")]
pub use debug::flush as flush_debug_output;
#[cfg(target_os = "uefi")]
pub use etw::registered as etw_providers;
#[cfg(target_os = "uefi")]
pub use ex::open_regions;
#[cfg(target_os = "uefi")]
pub use ke::{reference_object, references as event_references};
#[cfg(target_os = "uefi")]
pub use lists::lookasides;
#[cfg(target_os = "uefi")]
pub use rtl::text as rtl_text;

#[cfg(target_os = "uefi")]
pub use on_target::{Found, get_system_routine_address, lookup};

#[cfg(target_os = "uefi")]
mod on_target {
    use super::{Dll, table};
    use crate::kernel::layout::UnicodeString;
    use crate::kernel::{image, irql, rtl_text};

    /// An import that was found.
    #[derive(Clone, Copy)]
    pub struct Found {
        /// Its address.
        pub address: usize,
        /// Highest IRQL at which it may be called.
        pub max_irql: u8,
        /// Whether calls go through a thunk.
        pub thunk: bool,
    }

    /// Looks an import up; `dll` in lower case.
    pub fn lookup(dll: &str, name: &str) -> Option<Found> {
        match dll {
            "ntoskrnl.exe" | "hal.dll" => {
                let export = table::all()
                    .into_iter()
                    .find(|e| e.name == name && (dll == "ntoskrnl.exe" || e.dll == Dll::Hal))?;
                Some(Found { address: export.address, max_irql: export.max_irql, thunk: export.thunk })
            }
            // PortCls states its levels itself.
            _ => {
                let address = crate::portcls::exports::lookup(dll, name)?;
                Some(Found { address, max_irql: irql::HIGH, thunk: true })
            }
        }
    }

    /// MmGetSystemRoutineAddress(name) -> address or null
    pub extern "win64" fn get_system_routine_address(name: *const UnicodeString) -> usize {
        let name = rtl_text(name);
        let found = lookup("ntoskrnl.exe", &name).or_else(|| lookup("hal.dll", &name));
        match found {
            Some(found) if found.thunk => image::late_thunk(&name, found),
            Some(found) => found.address,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dll, table};

    const LIST: &str = include_str!("../../../exports.txt");
    const ALLOWED: &str = include_str!("../../../exports-allowed.txt");

    fn table_as_text() -> String {
        let mut lines: Vec<String> = table::all()
            .iter()
            .map(|e| {
                format!(
                    "{} {} {}\n",
                    if e.dll == Dll::Hal { "HAL.dll" } else { "ntoskrnl.exe" },
                    e.name,
                    e.max_irql
                )
            })
            .collect();
        lines.sort();
        format!(
            "# Made from src/kernel/exports/table.rs: NTGUEST_WRITE_EXPORTS=1 cargo test -p ntguest\n{}",
            lines.concat()
        )
    }

    #[test]
    fn the_list_on_disk_is_the_table() {
        if std::env::var_os("NTGUEST_WRITE_EXPORTS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/exports.txt");
            std::fs::write(path, table_as_text()).unwrap();
            return;
        }
        assert!(
            LIST == table_as_text(),
            "exports.txt is not the table: run this test with NTGUEST_WRITE_EXPORTS=1"
        );
    }

    #[test]
    fn no_name_is_offered_twice() {
        let mut names: Vec<&str> = table::all().iter().map(|e| e.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    /// Names that mingw-w64's import libraries know, or nothing when they are not installed
    /// (Debian's mingw-w64-x86-64-dev; `NTGUEST_IMPLIB_DIR` names another folder).
    fn import_libraries() -> Option<Vec<Vec<u8>>> {
        let folder =
            std::env::var("NTGUEST_IMPLIB_DIR").unwrap_or_else(|_| "/usr/x86_64-w64-mingw32/lib".into());
        ["libntoskrnl.a", "libhal.a"]
            .iter()
            .map(|lib| std::fs::read(format!("{folder}/{lib}")).ok())
            .collect()
    }

    #[test]
    fn every_name_is_one_of_windows() {
        let Some(libraries) = import_libraries() else {
            eprintln!(
                "skipped: no mingw-w64 import libraries (apt install mingw-w64-x86-64-dev, or NTGUEST_IMPLIB_DIR=...)"
            );
            return;
        };
        // The archives' symbol tables hold zero-terminated names; an import is `__imp_Name`.
        let known = |name: &str| {
            let symbol = format!("__imp_{name}\0");
            libraries.iter().any(|lib| lib.windows(symbol.len()).any(|w| w == symbol.as_bytes()))
        };
        let allowed = |name: &str| ALLOWED.lines().any(|l| l.split(' ').next() == Some(name));
        let unknown: Vec<&str> =
            table::all().iter().map(|e| e.name).filter(|n| !known(n) && !allowed(n)).collect();
        assert!(unknown.is_empty(), "neither mingw-w64 nor exports-allowed.txt knows {unknown:?}");
        let needless: Vec<&str> =
            table::all().iter().map(|e| e.name).filter(|n| known(n) && allowed(n)).collect();
        assert!(needless.is_empty(), "mingw-w64 knows {needless:?}: take them off exports-allowed.txt");
    }

    #[test]
    fn every_allowed_name_is_offered_and_has_a_source() {
        for line in ALLOWED.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let (name, source) = line.split_once(' ').expect("NAME SOURCE");
            assert!(!source.trim().is_empty(), "{name} has no source");
            assert!(table::all().iter().any(|e| e.name == name), "{name} is allowed but not offered");
        }
    }
}
