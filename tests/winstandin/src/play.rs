//! From the entry point to a boot's end.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;

use guest_ports::{halt, inb, outb};

use crate::behaviour::{Action, Behaviour, INVALID_DATA, State, WRITE_FAULT, from_cd, from_disk};
use crate::firmware::{Disk, Firmware, NOT_FOUND, Status, SystemTable, TIMEOUT};
use crate::run;
use crate::serial;
use crate::setup::{self, AnswerCd, Problem};
use crate::state;

const CONFIG: &str = "\\STANDIN.CFG";
const CONFIG_BYTES: usize = 512;
/// The step at which the image is whole.
const INSTALLED: u32 = 3;
/// Seconds that the CD waits for a key.
const SECONDS: u32 = 5;
/// QEMU's pvpanic device: which events it takes, and that of a crash. Nobody answers a read with all ones.
const PVPANIC: u16 = 0x505;
const PVPANIC_ABSENT: u8 = 0xFF;
const PVPANIC_PANICKED: u8 = 1;

#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(image: *mut c_void, table: *const SystemTable) -> Status {
    // SAFETY: the arguments of the entry point; nothing in this program ends the boot services.
    let firmware = unsafe { Firmware::new(image, table) };
    let end = match config(&firmware) {
        Some(From::Cd(behaviour)) => boot_cd(&firmware, &behaviour),
        Some(From::Disk(behaviour)) => boot_disk(&firmware, &behaviour),
        Some(From::Image(behaviour)) => run::agent::boot(firmware, &behaviour),
        None => fail((INVALID_DATA, format!("the stand-in does not understand its {CONFIG}"))),
    };
    match end {
        Ok(status) => status,
        Err(problem) => fail(problem),
    }
}

/// Where this program came from, and the behaviour.
enum From {
    /// Microsoft's ISO.
    Cd(Behaviour),
    /// The disk that is being installed, or has been.
    Disk(Behaviour),
    /// An image of `make-image`.
    Image(run::behaviour::Behaviour),
}

fn config(firmware: &Firmware) -> Option<From> {
    let mut bytes = [0; CONFIG_BYTES];
    let length = firmware.own_file(CONFIG)?.read(&mut bytes)?;
    let text = core::str::from_utf8(bytes.get(..length)?).ok()?;
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value.trim())
    };
    let behaviour = value("behaviour")?;
    match value("from")? {
        "cd" => Behaviour::parse(behaviour).map(From::Cd),
        "disk" => Behaviour::parse(behaviour).map(From::Disk),
        "image" => run::behaviour::Behaviour::parse(behaviour).map(From::Image),
        _ => None,
    }
}

/// The CD: the question, the checks, the image.
fn boot_cd(firmware: &Firmware, behaviour: &Behaviour) -> Result<Status, Problem> {
    let begun = state::find(firmware).filter(|_| *behaviour == Behaviour::AskAgain);
    if *behaviour != Behaviour::NoKeyNeeded && !key_pressed(firmware) {
        let Some((disk, found)) = begun else { return Ok(TIMEOUT) };
        // Nobody was tempted; the disk goes on.
        keep(&disk, State { asked: 1, ..found })?;
        firmware.reset()
    }
    if begun.is_some() {
        return Err((INVALID_DATA, "a key was pressed on a later boot: Setup starts again".into()));
    }
    firmware.connect_all();
    serial::line(&format!("note a stand-in for Windows, from the CD: {behaviour:?}"));
    let answer_cd = AnswerCd::find(firmware)?;
    answer_cd.check(firmware, behaviour)?;
    let disk = setup::disk(firmware)?;
    play(firmware, behaviour, &disk, from_cd(behaviour))
}

/// The disk: one boot of the installed Windows.
fn boot_disk(firmware: &Firmware, behaviour: &Behaviour) -> Result<Status, Problem> {
    firmware.connect_all();
    let Some((disk, state)) = state::find(firmware) else {
        return Err((INVALID_DATA, "no disk says how far the installation is".into()));
    };
    if state.step >= INSTALLED {
        // What was installed is an image, and a run on it has nothing wrong.
        run::agent::boot(*firmware, &run::behaviour::Behaviour::Plain)
    }
    if *behaviour == Behaviour::AskAgain && state.asked == 0 {
        // The firmware goes on with the CD, which asks.
        return Ok(NOT_FOUND);
    }
    // None is asked for any more; a reset takes those from before away.
    if firmware.key() {
        serial::line("note a key was pressed on a boot from the disk");
    }
    // The scripts come from the answer CD until the image is whole.
    AnswerCd::find(firmware)?;
    play(firmware, behaviour, &disk, from_disk(behaviour, state))
}

/// Asks as Microsoft's boot image does, and waits. Keys from before the question do not count.
fn key_pressed(firmware: &Firmware) -> bool {
    while firmware.key() {}
    firmware.print("Press any key to boot from CD or DVD...");
    let pressed = (0..SECONDS).any(|_| {
        firmware.print(".");
        firmware.key_within_a_second()
    });
    firmware.print("\r\n");
    pressed
}

fn play(
    firmware: &Firmware,
    behaviour: &Behaviour,
    disk: &Disk,
    plan: Vec<Action>,
) -> Result<Status, Problem> {
    for action in plan {
        match action {
            Action::Say(line) => {
                firmware.print(&format!("Windows (stand-in): {line}\r\n"));
                serial::line(&line);
            }
            Action::Log(name, text) => {
                serial::line(&format!("log {name}"));
                serial::write(text.as_bytes());
                serial::line(&format!("end {name}"));
            }
            Action::Raw(bytes) => serial::write(&bytes),
            Action::WriteImage => setup::write_image(firmware, disk, behaviour)?,
            Action::Panic => panic_device(),
            Action::Reset(state) => {
                keep(disk, state)?;
                firmware.reset()
            }
            Action::PowerOff => firmware.power_off(),
            Action::Halt => halt(),
        }
    }
    halt()
}

fn keep(disk: &Disk, state: State) -> Result<(), Problem> {
    if state::write(disk, state) {
        Ok(())
    } else {
        Err((WRITE_FAULT, "the disk does not take how far the installation is".into()))
    }
}

/// Tells QEMU of a crash, if it listens.
pub fn panic_device() {
    if inb(PVPANIC) != PVPANIC_ABSENT {
        outb(PVPANIC, PVPANIC_PANICKED);
    }
}

/// Says what is wrong, and stands still: the host ends the machine.
fn fail((code, text): Problem) -> ! {
    let text: String =
        text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect();
    serial::line(&format!("problem {code} {text}"));
    serial::line(&format!("done {code}"));
    halt()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    fail((INVALID_DATA, format!("the stand-in itself failed: {info}")))
}

/// Named by the unwind tables of a `core` that was built to unwind; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn __CxxFrameHandler3() -> ! {
    halt()
}
