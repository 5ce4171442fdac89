//! A Linux guest with the driver and the players that Debian ships, and the card as virtio-snd or HD Audio.
//!
//! The guest's root is an initramfs: what `qemu-scripts/lib/linux-guest.sh` unpacked, `init.sh` as the first
//! process, the steps of the run as `/steps`, and the song. What the guest says of its steps comes over a
//! serial line, what it recorded on a disk.

pub mod guest;
pub mod guest_card;
mod judge;
mod report;

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ringwave_audio::{
    SampleFormat, StreamFormat,
    wav::{self, Sound, WavFile},
};
use ringwave_report::SessionReport;

use crate::{
    card::{Card, TRACE, session_wav, socket},
    error::Error,
    html,
    input::Input,
    process::ChildGuard,
    request::Clock,
};
use guest::Artefacts;
pub use guest_card::GuestCard;
pub use judge::take_24_of_32;
pub(crate) use judge::{judge, song_heard, song_recorded};
pub use report::Report;

/// The name of what the card hears.
const HEARD: &str = "heard";
/// Longest time from the start of the machine to its end, beside the sound's own.
const BOOT_MAX: Duration = Duration::from_mins(4);
/// The song in the card's format, which the microphone hears.
const SOURCE: &str = "source.wav";
/// For what the guest records.
const DISK_BYTES: u64 = 256 << 20;
/// Recorded beyond the song, so that its end is in it wherever it begins.
const MORE_SECONDS: u64 = 4;

/// What the guest does with the song.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// `aplay` plays it.
    Play,
    /// The card's microphone hears it, and `arecord` records.
    Record,
    /// The card's microphone hears its speakers: `aplay` and `arecord` at once.
    Both,
}

/// What QEMU boots the kernel by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Firmware {
    /// QEMU's own BIOS
    #[default]
    #[value(name = "seabios")]
    SeaBios,
    /// UEFI
    Ovmf,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The song.
    pub wav: PathBuf,
    /// Where what arrived is to go.
    pub out: Option<PathBuf>,
    /// The card.
    pub card: GuestCard,
    /// More options for `ringwave serve`.
    pub card_options: Vec<String>,
    /// Parameters of the card's driver, `name=value` each.
    pub module_options: Vec<String>,
    /// What QEMU boots.
    pub firmware: Firmware,
    /// The card's clock.
    pub clock: Clock,
    /// What is done.
    pub job: Job,
    /// More songs, for the steps: `/song-2.wav` and so on.
    pub more_songs: Vec<PathBuf>,
    /// Steps after it, in the shell of the guest: lines of `init.sh`'s `step NAME COMMAND`.
    pub more_steps: String,
    /// A folder of programs for them, which comes over the guest's root.
    pub more_root: Option<PathBuf>,
    /// What they may take, beside the songs.
    pub more_time: Duration,
    /// Read the trace, for the page of `--report`.
    pub timeline: bool,
    /// Leave the run's folder.
    pub keep: bool,
}

impl Request {
    /// `job` with this song, on this card and its default clock, and nothing else.
    pub fn new(card: GuestCard, job: Job, wav: impl Into<PathBuf>) -> Self {
        Self {
            wav: wav.into(),
            out: None,
            card,
            card_options: Vec::new(),
            module_options: Vec::new(),
            firmware: Firmware::default(),
            clock: card.default_clock(),
            job,
            more_songs: Vec::new(),
            more_steps: String::new(),
            more_root: None,
            more_time: Duration::ZERO,
            timeline: false,
            keep: false,
        }
    }
}

/// The name that alsa-utils has for a format.
fn alsa_format(sample: SampleFormat) -> &'static str {
    match sample {
        SampleFormat::U8 => "U8",
        SampleFormat::S16 => "S16_LE",
        SampleFormat::S24 => "S24_3LE",
        // GuestCard::guest_sample lets no S24In32 come here.
        SampleFormat::S24In32 | SampleFormat::S32 => "S32_LE",
        SampleFormat::F32 => "FLOAT_LE",
    }
}

/// Runs it. `say` hears what is done.
///
/// # Errors
/// [`Error::BadInput`] before anything is started; [`Error::Failed`] without a verdict.
pub fn run(request: &Request, say: impl Fn(&str)) -> Result<Report, Error> {
    let artefacts = Artefacts::from_env()?;
    let input = Input::open(&request.wav)?;
    let more = request.more_songs.iter().map(|song| Input::open(song)).collect::<Result<Vec<_>, _>>()?;
    let songs: Vec<&Input> = [&input].into_iter().chain(&more).collect();
    for song in &songs {
        request.card.check(song.sound.format, request.job, request.clock)?;
    }
    let options = driver_options(request)?;
    let folder = tempfile::Builder::new().prefix("ringwave-linux-").tempdir().map_err(Error::failed)?;
    let start = Instant::now();
    for (number, song) in (1..).zip(&songs) {
        write_song(song, request.card, &folder.path().join(song_name(number)))?;
    }
    if request.job == Job::Record {
        input.write(&folder.path().join(SOURCE))?;
    }
    write_initramfs(&artefacts, folder.path(), request, (&steps(request, &songs), &options))?;
    let disk = File::create(folder.path().join("disk")).map_err(Error::failed)?;
    disk.set_len(DISK_BYTES).map_err(Error::failed)?;
    let card =
        Card::start(&artefacts.ringwave, folder.path(), HEARD, card_options(request, folder.path(), &songs))?;
    say(&format!("Linux boots in QEMU ({}), with the card as {}", artefacts.accel, request.card.title()));
    let machine = boot(&artefacts, folder.path(), request, songs.iter().map(|song| song.file_bytes).sum())?;
    let playing: Duration = songs.iter().map(|song| song.duration()).sum();
    let ended = wait(machine, playing.mul_f64(4.0 / request.clock.speed().min(1.0)) + request.more_time)?;
    let first = card.session_wav(1);
    let stats = card.finish_untraced()?;
    let timeline =
        request.timeline.then(|| html::timeline(&folder.path().join(TRACE), &stats)).transpose()?;
    let said = fs::read_to_string(folder.path().join("guest.log")).unwrap_or_default();
    let mut report = read(&said, stats, request, start);
    report.ended &= ended;
    report.heard =
        (1..).map_while(|number| heard(folder.path(), number).transpose()).collect::<Result<_, _>>()?;
    let failed = report.steps.iter().any(|(_, code)| *code != 0);
    report.kept = match kept_files(folder.path(), &said) {
        // What a recorder left that failed may be no sound: the report says which step it was.
        Err(_) if failed => Vec::new(),
        kept => kept?,
    };
    report.timeline = timeline;
    judge(&mut report, &input, request);
    if let Some(out) = &request.out {
        let from = if request.job == Job::Record { folder.path().join("recorded.wav") } else { first };
        fs::copy(&from, out).map_err(|e| Error::file("write", out, &e))?;
    }
    if request.keep {
        report.folder = Some(folder.keep());
    }
    report.wall = start.elapsed();
    Ok(report)
}

/// The options of `ringwave serve`.
fn card_options(request: &Request, folder: &Path, songs: &[&Input]) -> Vec<String> {
    let mut options = Card::single_session_options(folder);
    let formats = || songs.iter().map(|song| song.sound.format);
    if let Some(first) = formats().next() {
        let channels = formats().map(|format| format.channels).max();
        options.extend(request.card.serve_options(first, channels.unwrap_or(first.channels)));
    }
    options.extend(request.clock.arguments());
    options.extend(request.card_options.iter().cloned());
    let source = match request.job {
        Job::Play => "null".to_owned(),
        Job::Record => format!("wav:{}", folder.join(SOURCE).display()),
        Job::Both => "loopback:0".to_owned(),
    };
    options.extend(["--source".into(), source]);
    options
}

/// Writes the song as the guest's player takes it.
fn write_song(input: &Input, card: GuestCard, path: &Path) -> Result<(), Error> {
    let format = input.sound.format;
    let sample = card.guest_sample(input);
    if format.sample == sample {
        return input.write(path);
    }
    let frames = &input.sound.frames;
    let frames = match sample {
        // As they lie in the file: the lower of two bytes carries nothing.
        SampleFormat::U8 => frames.as_chunks::<2>().0.iter().map(|[_, high]| high ^ 0x80).collect(),
        // The lowest of four bytes carries nothing.
        SampleFormat::S24 => frames.as_chunks::<4>().0.iter().flat_map(|[_, rest @ ..]| *rest).collect(),
        _ => frames.clone(),
    };
    let failed = |e| Error::file("write", path, &e);
    let mut file = WavFile::create(path, StreamFormat { sample, ..format }).map_err(failed)?;
    file.add(&frames).and_then(|()| file.flush()).map_err(failed)
}

/// The parameters of the card's driver, as `insmod` takes them.
fn driver_options(request: &Request) -> Result<String, Error> {
    let known = |c: char| c.is_ascii_alphanumeric() || "_,.:+-".contains(c);
    for option in &request.module_options {
        let right = option.split_once('=').is_some_and(|(name, value)| {
            !name.is_empty() && !value.is_empty() && option.replacen('=', "", 1).chars().all(known)
        });
        if !right {
            return Err(Error::BadInput(format!(
                "--module-option {option}: write name=value, as single_cmd=1"
            )));
        }
    }
    Ok(format!("{} {}\n", request.card.driver(), request.module_options.join(" ")))
}

/// What the guest does, as its shell reads it.
fn steps(request: &Request, songs: &[&Input]) -> String {
    let Some(input) = songs.first() else { return String::new() };
    let format = input.sound.format;
    let alsa = alsa_format(request.card.guest_sample(input));
    let more = match request.job {
        Job::Both => u64::from(format.rate) * MORE_SECONDS,
        Job::Play | Job::Record => 0,
    };
    let samples = input.frames + more;
    let play = "aplay $times_1 -q -D hw:0,0 /song.wav";
    let record = format!(
        "arecord $times_1 -q -D hw:0,0 -t wav -f {alsa} -c {} -r {} -s {samples} /tmp/recorded.wav",
        format.channels, format.rate
    );
    let mut text = String::new();
    for (number, song) in (1..).zip(songs) {
        let times = request.card.player_options(request.clock, song.sound.format);
        let _ = writeln!(text, "times_{number}='{times}'");
    }
    let _ = match request.job {
        Job::Play => writeln!(text, "step play {play}"),
        Job::Record => writeln!(text, "step record {record}\nkeep recorded /tmp/recorded.wav"),
        Job::Both => writeln!(
            text,
            "both() {{ {record} & records && {play} && wait $!; }}\nstep both both\nkeep recorded /tmp/recorded.wav"
        ),
    };
    text + &request.more_steps
}

/// The guest's root, its steps and its driver's options, and the songs.
fn write_initramfs(
    artefacts: &Artefacts,
    folder: &Path,
    request: &Request,
    (steps, options): (&str, &str),
) -> Result<(), Error> {
    let mut archive = guest::archive(artefacts, steps, request.card.has_modules_of_its_own())?;
    archive.add("driver-options", options.as_bytes());
    for root in [&artefacts.guest.join("root")].into_iter().chain(&request.more_root) {
        archive.add_tree("", root)?;
    }
    for number in 1..=request.more_songs.len() + 1 {
        let name = song_name(number);
        archive.add_file(&name, &folder.join(&name))?;
    }
    guest::write(archive, folder)
}

/// The song and those that [`Request::more_songs`] adds: in the guest's root, and in the run's folder.
fn song_name(number: usize) -> String {
    if number == 1 { "song.wav".into() } else { format!("song-{number}.wav") }
}

/// Starts QEMU. The guest's memory holds the root, the songs and the recording.
fn boot(
    artefacts: &Artefacts,
    folder: &Path,
    request: &Request,
    song_bytes: u64,
) -> Result<ChildGuard, Error> {
    let disk = folder.join("disk");
    let mut devices = request.card.qemu_arguments(&socket(folder), 0);
    devices.extend(["-drive".into(), format!("file={},format=raw,if=none,id=disk", disk.display())]);
    devices.extend(["-device".into(), "virtio-blk-pci,drive=disk".into()]);
    if request.firmware == Firmware::Ovmf {
        devices.extend(guest::ovmf(folder)?);
    }
    let speech = format!("file:{}", folder.join("guest.log").display());
    let programs = if request.more_root.is_some() { 512 } else { 0 };
    guest::boot(artefacts, folder, 512 + programs + (song_bytes >> 20) * 6, &speech, &devices)
}

/// Waits for the guest's end. `false`: it did not come in time.
fn wait(mut machine: ChildGuard, steps: Duration) -> Result<bool, Error> {
    match machine.wait(BOOT_MAX + steps, || Ok(()))? {
        Some(status) => Ok(status.success()),
        None => machine.kill().map(|()| false),
    }
}

/// What the guest said.
fn read(said: &str, card: SessionReport, request: &Request, start: Instant) -> Report {
    let after = |line: &str, word: &str| line.strip_prefix(word).map(str::to_owned);
    let lines = || said.lines().map(str::trim_end);
    let step = |line: String| {
        let (name, code) = line.split_once(" exit=")?;
        Some((name.to_owned(), code.parse().unwrap_or(-1)))
    };
    Report {
        steps: lines().filter_map(|line| after(line, "step ")).filter_map(step).collect(),
        ended: lines().any(|line| line == "end"),
        dmesg: kernel_log(said),
        kernel: lines().find_map(|line| after(line, "kernel ")).unwrap_or_default(),
        played: None,
        recorded: None,
        heard: Vec::new(),
        kept: Vec::new(),
        card,
        timeline: None,
        exact: request.card.is_exact(request.clock),
        wall: start.elapsed(),
        folder: None,
    }
}

/// What the guest told of its kernel's log (`init.sh`), without what every run has.
pub fn kernel_log(said: &str) -> Vec<String> {
    let lines = said.lines().filter_map(|line| line.trim_end().strip_prefix("dmesg "));
    lines.filter(|line| !is_usual(line)).map(str::to_owned).collect()
}

/// Whether a line of the kernel's log is in every run: its measuring of its clock, which a busy host makes;
/// what an HD Audio codec has, and the jacks that become input devices; a card that was plugged in, whose
/// memory no firmware has enabled.
fn is_usual(line: &str) -> bool {
    let pins = line.split_once("snd_hda_codec_generic hdaudioC0D0: ").map(|(_, text)| text);
    line.contains("calibrate_delay_direct")
        || pins.is_some_and(|text| text.starts_with("autoconfig for Generic:") || text.starts_with("   "))
        || (line.contains("] input: HDA ") && line.contains("/sound/card"))
        || line.contains(": enabling device (")
}

/// What is in the card's file of this number, if it began one.
fn heard(folder: &Path, number: u32) -> Result<Option<Sound>, Error> {
    let path = session_wav(folder, HEARD, number);
    if !path.exists() {
        return Ok(None);
    }
    wav::read(&path).map(Some).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))
}

/// The WAV files that the guest has put on its disk, each also beside it.
fn kept_files(folder: &Path, said: &str) -> Result<Vec<(String, Sound)>, Error> {
    let disk = folder.join("disk");
    let all = fs::read(&disk).map_err(|e| Error::file("read", &disk, &e))?;
    let lines = said.lines().filter_map(|line| line.strip_prefix("file "));
    lines.map(|line| kept_file(folder, &all, line)).collect()
}

/// The file of a line: its name, its place and its length.
fn kept_file(folder: &Path, disk: &[u8], line: &str) -> Result<(String, Sound), Error> {
    let number = |key: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        word.and_then(|word| word.parse::<usize>().ok()).unwrap_or(0)
    };
    let name = line.split_whitespace().next().unwrap_or_default().to_owned();
    let (offset, bytes) = (number("offset"), number("bytes"));
    let file = disk.get(offset..offset.saturating_add(bytes));
    let file = file.ok_or_else(|| Error::failed("the guest's recording is not on its disk"))?;
    let path = folder.join(format!("{name}.wav"));
    fs::write(&path, file).map_err(|e| Error::file("write", &path, &e))?;
    match wav::read(&path) {
        Ok(sound) => Ok((name, sound)),
        Err(e) => Err(Error::Failed(format!("the guest's recording {name}: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_hda_codec_what_it_has_is_usual_and_what_fails_is_not() {
        let usual = "\
[    6.456425] snd_hda_codec_generic hdaudioC0D0: autoconfig for Generic: line_outs=1 (0x3/0x0/0x0/0x0/0x0) type:line
[    6.456712] snd_hda_codec_generic hdaudioC0D0:      Mic=0x5
[    6.981076] input: HDA Intel Mic as /devices/pci0000:00/0000:00:02.0/sound/card0/input2
[   21.4] snd_hda_intel 0000:01:00.0: enabling device (0000 -> 0002)";
        let faults = "\
[    6.9] snd_hda_codec_generic hdaudioC0D0: Unable to sync register 0x2f0d00. -5
[    7.0] snd_hda_intel 0000:00:02.0: Invalid position buffer, using LPIB read method instead.
[    7.1] snd_hda_intel 0000:00:02.0: IRQ timing workaround is activated for card #0. Suggest a bigger bdl_pos_adj.
[    7.2] snd_hda_intel 0000:00:02.0: spurious response 0x0:0x0, rp = 5, wp = 6
[    7.3] hdaudio hdaudioC0D0: Unable to bind the codec";
        assert!(usual.lines().all(is_usual) && !faults.lines().any(is_usual));
    }

    #[test]
    fn parameters_of_the_driver_are_words_and_nothing_of_the_shell() {
        let options = |options: &[&str]| {
            let mut request = Request::new(GuestCard::Hda, Job::Play, "song.wav");
            request.module_options = options.iter().map(|option| (*option).to_owned()).collect();
            driver_options(&request)
        };
        let two = options(&["single_cmd=1", "position_fix=1,2"]).expect("two");
        assert_eq!(two, "snd-hda-intel single_cmd=1 position_fix=1,2\n");
        for wrong in ["single_cmd", "=1", "a=", "a=b c", "a=$(b)", "a=b=c", "a=1\nb"] {
            assert!(matches!(options(&[wrong]), Err(Error::BadInput(_))), "{wrong}");
        }
    }

    #[test]
    fn the_guest_gets_8_bits_as_8_bits_where_its_card_has_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, given] = ["song.wav", "given.wav"].map(|name| folder.path().join(name));
        let format = StreamFormat { sample: SampleFormat::U8, channels: 1, rate: 8_000 };
        let mut song = WavFile::create(&file, format).expect("a file");
        song.add(&[0, 1, 127, 128, 129, 255]).and_then(|()| song.flush()).expect("a song");
        let input = Input::open(&file).expect("a song");
        write_song(&input, GuestCard::Virtio, &given).expect("is written");
        assert_eq!(fs::read(&given).expect("it"), fs::read(&file).expect("the song"));
        write_song(&input, GuestCard::Hda, &given).expect("is written");
        assert_eq!(Input::open(&given).expect("16 bits").stored, SampleFormat::S16);
    }
}
