//! The program of a run, as far as this Windows has one.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::cd::{Card, Settings};
use super::hda::Hda;
use super::out::{NotWritten, OutDisk};
use super::ringwave;
use super::virtio;
use super::wave;
use super::words::{self, NOT_FOUND, Word};
use crate::firmware::{File, Firmware};

/// The work folder, on the volume that this program came from.
pub const WORK: &str = "\\ringwave\\work";
const OUT: &str = "\\out";
const LOG: &str = "\\program.log";
const MIB: usize = 1 << 20;
/// Bytes of a file that are read at most.
const LARGEST: usize = 256 * MIB;
/// `ERROR_FILE_NOT_FOUND`, `ERROR_INVALID_DATA` and `ERROR_EXE_MACHINE_TYPE_MISMATCH` of Windows.
const FILE_NOT_FOUND: i64 = 2;
const INVALID_DATA: i64 = 13;
const NO_PROGRAM_FOR_THIS: i64 = 216;

/// How it ended.
pub enum End {
    Code(i64),
    /// It waits until Windows shuts down.
    Waits,
    Hangs,
    Crashes,
}

/// All that it sees of Windows.
pub struct Program<'a> {
    pub firmware: &'a Firmware,
    pub settings: &'a Settings,
    pub out: &'a OutDisk,
    /// The volume with the work folder.
    pub system: &'a File,
}

impl Program<'_> {
    /// Runs it to its end; else the out disk could not be written.
    pub fn run(&self, arguments: &[String]) -> Result<End, NotWritten> {
        self.out.folder(OUT)?;
        let log = self.out.file(LOG)?;
        let say = |text: &str| Ok::<_, NotWritten>(log.append(format!("{text}\r\n").as_bytes())?);
        let words = match words::parse(arguments).map_or_else(|| self.script(arguments), Ok) {
            Ok(words) => words,
            Err((code, text)) => {
                say(&text)?;
                return Ok(End::Code(code));
            }
        };
        for word in words {
            match word {
                Word::Echo(text) => say(&text)?,
                Word::Args(all) => all.iter().try_for_each(|argument| say(&format!("[{argument}]")))?,
                Word::Cat(name) => match self.file(&name) {
                    Some(bytes) => log.append(&bytes)?,
                    None => return fails(say, FILE_NOT_FOUND, &format!("{name} is not there")),
                },
                Word::Write(name, text) => self.out.append(&format!("{OUT}\\{name}"), text.as_bytes())?,
                Word::Fill(mib) => fill(self.out, mib)?,
                Word::Play(name) => match self.play(&name) {
                    Ok(()) => say(&format!("played {name}"))?,
                    Err(why) => return fails(say, INVALID_DATA, &why),
                },
                Word::Reboots(code, boots) if self.settings.boot <= boots => {
                    say(&format!("boot {}", self.settings.boot))?;
                    return Ok(End::Code(code));
                }
                Word::Reboots(..) => {}
                Word::Exit(code) => return Ok(End::Code(code)),
                Word::Wait => return Ok(End::Waits),
                Word::Hang => return Ok(End::Hangs),
                Word::Crash => return Ok(End::Crashes),
            }
        }
        Ok(End::Code(0))
    }

    /// The words of a file that the run brought along.
    fn script(&self, arguments: &[String]) -> Result<Vec<Word>, (i64, String)> {
        let name = arguments.first().map(String::as_str).unwrap_or_default();
        let unknown = format!(
            "'{name}' is not recognized as an internal or external command,\r\noperable program or batch file."
        );
        let bytes = self.file(name).ok_or((NOT_FOUND, unknown))?;
        let text = core::str::from_utf8(&bytes).ok();
        text.and_then(words::script)
            .ok_or((NO_PROGRAM_FOR_THIS, format!("{name} has no words of the stand-in")))
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        let name = name.trim_start_matches(".\\").replace('/', "\\");
        (!name.is_empty()).then_some(())?;
        self.system.open(&format!("{WORK}\\{name}"))?.read_all(LARGEST)
    }

    fn play(&self, name: &str) -> Result<(), String> {
        let file = self.file(name).ok_or_else(|| format!("{name} is not there"))?;
        let song =
            wave::read(&file).ok_or_else(|| format!("{name} is no WAV file of 16 bits, mono or stereo"))?;
        match self.settings.card {
            Card::Ringwave => ringwave::play(self.firmware, song),
            Card::Hda => Hda::open(self.firmware)?.play(song),
            Card::Virtio => virtio::play(self.firmware, song),
        }
    }
}

fn fails(say: impl Fn(&str) -> Result<(), NotWritten>, code: i64, why: &str) -> Result<End, NotWritten> {
    say(why)?;
    Ok(End::Code(code))
}

/// Writes so many MiB to the out folder.
pub fn fill(out: &OutDisk, mib: u64) -> Result<(), NotWritten> {
    let data = vec![0xA5; MIB];
    let (mut file, mut number) = (out.file("\\out\\fill0.bin")?, 0);
    for at in 0..mib {
        // FAT32 has no files of 4 GiB.
        if at / 2048 > number {
            number = at / 2048;
            file = out.file(&format!("\\out\\fill{number}.bin"))?;
        }
        file.append(&data)?;
    }
    Ok(())
}
