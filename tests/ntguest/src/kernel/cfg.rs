//! `ntguest.cfg`: lines `key=value`, `#` begins a comment, an unknown key is an error.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Keys that the kernel half knows.
pub const KERNEL_KEYS: &[&str] = &[
    "wav",
    "pci",
    "msi",
    "msi_free",
    "bme",
    "cards",
    "dma_bits",
    "seed",
    "mark_reg",
    "other_card",
    "quiet_regs",
    "trace",
    "harsh",
    "reenter",
    "connect_table",
    "cpus",
    "irq_cpu",
    "qpc_start",
    "jump_at_ms",
    "jump_s",
    "late_timer_ms",
    "stop_every_ms",
    "stop_ms",
    "irq_storm_limit",
    "fail_pool",
    "fail_map_io",
    "fail_contiguous",
    "fail_connect",
    "schedule_seed",
    "selftest",
];
/// Keys that begin like this are registry values: any name goes.
const OPEN_PREFIX: &str = "reg.";

/// Parses the text of the file. The error says which line is wrong and why.
pub fn parse<'a>(text: &'a str, more_keys: &[&str]) -> Result<Vec<(&'a str, &'a str)>, String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (number, raw) in text.lines().enumerate() {
        let line = raw.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let at = number + 1;
        let (key, value) =
            line.split_once('=').ok_or_else(|| format!("ntguest.cfg line {at}: no '=' in \"{line}\""))?;
        let (key, value) = (key.trim(), value.trim());
        let known = KERNEL_KEYS.contains(&key) || more_keys.contains(&key) || key.starts_with(OPEN_PREFIX);
        if !known {
            return Err(format!("ntguest.cfg line {at}: unknown key \"{key}\""));
        }
        if pairs.iter().any(|(k, _)| *k == key) {
            return Err(format!("ntguest.cfg line {at}: key \"{key}\" given twice"));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// A number: decimal, or hexadecimal after `0x`.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A PCI identity `VVVV:DDDD`, both hexadecimal.
pub fn pci_id(text: &str) -> Option<(u16, u16)> {
    let (vendor, device) = text.split_once(':')?;
    Some((u16::from_str_radix(vendor, 16).ok()?, u16::from_str_radix(device, 16).ok()?))
}

#[cfg(target_os = "uefi")]
mod global {
    use super::{Vec, number, parse};
    use crate::kernel::sync::IrqLock;

    static PAIRS: IrqLock<Vec<(&'static str, &'static str)>> = IrqLock::new(Vec::new());

    /// Takes the text of the file; a mistake in it ends the run.
    pub fn init(text: &'static str) {
        match parse(text, crate::portcls::CFG_KEYS) {
            Ok(pairs) => *PAIRS.lock() = pairs,
            Err(why) => crate::kernel::bad_input(format_args!("{why}")),
        }
    }

    /// The value of a key.
    pub fn get(key: &str) -> Option<&'static str> {
        PAIRS.lock().iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    /// The value of a key as a number; a value that is none ends the run.
    pub fn get_u64(key: &str, default: u64) -> u64 {
        let Some(text) = get(key) else { return default };
        number(text).unwrap_or_else(|| {
            crate::kernel::bad_input(format_args!("ntguest.cfg: {key}={text} is not a number"))
        })
    }

    /// The value of a key as 0 or 1.
    pub fn get_bool(key: &str, default: bool) -> bool {
        match get(key) {
            None => default,
            Some("0") => false,
            Some("1") => true,
            Some(text) => {
                crate::kernel::bad_input(format_args!("ntguest.cfg: {key}={text} is neither 0 nor 1"))
            }
        }
    }

    /// All keys that begin with `prefix`, without it, and their values.
    pub fn with_prefix(prefix: &str) -> Vec<(&'static str, &'static str)> {
        PAIRS.lock().iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?, *v))).collect()
    }
}
#[cfg(target_os = "uefi")]
pub use global::{get, get_bool, get_u64, init, with_prefix};

#[cfg(test)]
mod tests {
    use super::{number, parse, pci_id};

    #[test]
    fn comments_blanks_and_spaces_do_not_matter() {
        let pairs =
            parse("# a comment\n\n wav = a.wav # this one\r\nmine=1\nreg.DmaMode=2\n", &["mine"]).unwrap();
        assert_eq!(pairs, [("wav", "a.wav"), ("mine", "1"), ("reg.DmaMode", "2")]);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        assert!(parse("wav=a\nwva=b", &[]).unwrap_err().contains("line 2: unknown key \"wva\""));
        assert!(parse("wav", &[]).unwrap_err().contains("line 1: no '='"));
        assert!(parse("wav=a\nwav=b", &[]).unwrap_err().contains("given twice"));
    }

    #[test]
    fn numbers_and_identities() {
        assert_eq!((number("0x10"), number("16"), number("x")), (Some(16), Some(16), None));
        assert_eq!(pci_id("1234:11e8"), Some((0x1234, 0x11e8)));
        assert_eq!(pci_id("1234"), None);
    }
}
