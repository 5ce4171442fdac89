//! A Linux guest with the driver and the players that Debian ships, and the card as virtio-snd.
//!
//! The guest's root is an initramfs: what `qemu-scripts/lib/linux-guest.sh` unpacked, `init.sh` as the first
//! process, the steps of the run as `/steps`, and the song. What the guest says of its steps comes over a
//! serial line, what it recorded on a disk.

pub mod guest;
mod report;

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ringwave_audio::{
    SampleFormat, StreamFormat,
    compare::{Allowed, compare_sounds},
    wav::{self, Sound, WavFile},
};
use ringwave_report::{Direction, SessionReport};

use crate::{
    card::{Card, session_wav, socket},
    error::Error,
    input::Input,
    process::ChildGuard,
    request::Clock,
};
use guest::Artefacts;
pub use report::Report;

/// The name of what the card hears.
const HEARD: &str = "heard";
/// Longest time from the start of the machine to its end, beside the sound's own.
const BOOT_MAX: Duration = Duration::from_mins(4);
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

/// A run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The song.
    pub wav: PathBuf,
    /// Where what arrived is to go.
    pub out: Option<PathBuf>,
    /// The card's clock.
    pub clock: Clock,
    /// What is done.
    pub job: Job,
    /// More songs, for the steps: `/song-2.wav` and so on.
    pub more_songs: Vec<PathBuf>,
    /// Steps after it, in the shell of the guest: lines of `init.sh`'s `step NAME COMMAND`.
    pub more_steps: String,
    /// What they may take, beside the songs.
    pub more_time: Duration,
    /// Leave the run's folder.
    pub keep: bool,
}

/// The name that alsa-utils has for a format.
fn alsa_format(sample: SampleFormat) -> &'static str {
    match sample {
        SampleFormat::U8 => "U8",
        SampleFormat::S16 => "S16_LE",
        // 24 bits in 4 bytes have another end of the word there, so they go in 3.
        SampleFormat::S24 | SampleFormat::S24In32 => "S24_3LE",
        SampleFormat::S32 => "S32_LE",
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
    let alsa = alsa_format(input.sound.format.sample);
    if request.job == Job::Record && alsa == "S24_3LE" {
        let line = "24 bits: the card's source has them in 4 bytes, which no virtio stream takes; play it, or convert it to 32";
        return Err(Error::BadInput(line.into()));
    }
    if matches!(input.rate, 12_000 | 24_000) {
        return Err(Error::BadInput(format!(
            "{} Hz: Linux 6.12 has no such rate for virtio-snd",
            input.rate
        )));
    }
    let folder = tempfile::Builder::new().prefix("ringwave-linux-").tempdir().map_err(Error::failed)?;
    let start = Instant::now();
    let songs: Vec<&Input> = [&input].into_iter().chain(&more).collect();
    for (number, song) in (1..).zip(&songs) {
        write_song(song, &folder.path().join(song_name(number)))?;
    }
    write_initramfs(&artefacts, folder.path(), &steps(request, &input, alsa), songs.len())?;
    let disk = File::create(folder.path().join("disk")).map_err(Error::failed)?;
    disk.set_len(DISK_BYTES).map_err(Error::failed)?;
    let options = card_options(request, folder.path());
    let card = Card::start(&artefacts.ringwave, folder.path(), HEARD, options)?;
    say(&format!("Linux boots in QEMU ({}), with the card as virtio-snd", artefacts.accel));
    let machine = boot(&artefacts, folder.path(), songs.iter().map(|song| song.file_bytes).sum())?;
    let playing: Duration = songs.iter().map(|song| song.duration()).sum();
    let ended = wait(machine, playing * 4 + request.more_time)?;
    let first = card.session_wav(1);
    let (stats, _trace) = card.finish()?;
    let said = fs::read_to_string(folder.path().join("guest.log")).unwrap_or_default();
    let mut report = read(&said, stats, request, start);
    report.ended &= ended;
    report.heard =
        (1..).map_while(|number| heard(folder.path(), number).transpose()).collect::<Result<_, _>>()?;
    judge(&mut report, &input.sound, folder.path(), &said)?;
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
fn card_options(request: &Request, folder: &Path) -> Vec<String> {
    let mut options = Card::single_session_options(folder);
    options.extend(["--card".into(), "virtio".into()]);
    options.extend(request.clock.arguments());
    let source = match request.job {
        Job::Play => "null".to_owned(),
        Job::Record => format!("wav:{}", folder.join("song.wav").display()),
        Job::Both => "loopback:0".to_owned(),
    };
    options.extend(["--source".into(), source]);
    options
}

/// Writes the song as the guest's player takes it.
fn write_song(input: &Input, path: &Path) -> Result<(), Error> {
    let format = input.sound.format;
    if format.sample != SampleFormat::S24In32 {
        return input.write(path);
    }
    // The lowest of four bytes carries nothing.
    let packed: Vec<u8> =
        input.sound.frames.as_chunks::<4>().0.iter().flat_map(|[_, rest @ ..]| *rest).collect();
    let failed = |e| Error::file("write", path, &e);
    let mut file =
        WavFile::create(path, StreamFormat { sample: SampleFormat::S24, ..format }).map_err(failed)?;
    file.add(&packed).and_then(|()| file.flush()).map_err(failed)
}

/// What the guest does, as its shell reads it.
fn steps(request: &Request, input: &Input, alsa: &str) -> String {
    let format = input.sound.format;
    let more = match request.job {
        Job::Both => u64::from(format.rate) * MORE_SECONDS,
        Job::Play | Job::Record => 0,
    };
    let samples = input.frames + more;
    let play = "aplay -q -D hw:0,0 /song.wav";
    let record = format!(
        "arecord -q -D hw:0,0 -t wav -f {alsa} -c {} -r {} -s {samples} /tmp/recorded.wav",
        format.channels, format.rate
    );
    let mut text = String::new();
    let _ = match request.job {
        Job::Play => writeln!(text, "step play {play}"),
        Job::Record => writeln!(text, "step record {record}\nkeep recorded /tmp/recorded.wav"),
        Job::Both => writeln!(
            text,
            "both() {{ {record} & busybox sleep 0.5; {play} && wait $!; }}\nstep both both\nkeep recorded /tmp/recorded.wav"
        ),
    };
    text + &request.more_steps
}

/// The guest's root and the songs.
fn write_initramfs(artefacts: &Artefacts, folder: &Path, steps: &str, songs: usize) -> Result<(), Error> {
    let mut archive = guest::archive(artefacts, steps)?;
    archive.add_tree("", &artefacts.guest.join("root"))?;
    for number in 1..=songs {
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
fn boot(artefacts: &Artefacts, folder: &Path, song_bytes: u64) -> Result<ChildGuard, Error> {
    let disk = folder.join("disk");
    let devices = [
        "-chardev".into(),
        format!("socket,id=card,path={}", socket(folder).display()),
        "-device".into(),
        "vhost-user-snd-pci,chardev=card".into(),
        "-drive".into(),
        format!("file={},format=raw,if=none,id=disk", disk.display()),
        "-device".into(),
        "virtio-blk-pci,drive=disk".into(),
    ];
    let speech = format!("file:{}", folder.join("guest.log").display());
    guest::boot(artefacts, folder, 512 + (song_bytes >> 20) * 6, &speech, &devices)
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
    // A line of the kernel's measuring of its clock, which a busy host makes.
    let about_sound = |line: &String| !line.contains("calibrate_delay_direct");
    Report {
        steps: lines().filter_map(|line| after(line, "step ")).filter_map(step).collect(),
        ended: lines().any(|line| line == "end"),
        dmesg: lines().filter_map(|line| after(line, "dmesg ")).filter(about_sound).collect(),
        kernel: lines().find_map(|line| after(line, "kernel ")).unwrap_or_default(),
        played: None,
        recorded: None,
        heard: Vec::new(),
        card,
        waits: request.clock.waits(),
        wall: start.elapsed(),
        folder: None,
    }
}

/// What is in the card's file of this number, if it began one.
fn heard(folder: &Path, number: u32) -> Result<Option<Sound>, Error> {
    let path = session_wav(folder, HEARD, number);
    if !path.exists() {
        return Ok(None);
    }
    wav::read(&path).map(Some).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))
}

/// Compares what arrived with the song.
fn judge(report: &mut Report, song: &Sound, folder: &Path, said: &str) -> Result<(), Error> {
    // As the guest plays it: 24 bits in 3 bytes.
    let sample = match song.format.sample {
        SampleFormat::S24In32 => SampleFormat::S24,
        other => other,
    };
    let frame_bytes = StreamFormat { sample, ..song.format }.frame_bytes();
    let period = |direction| {
        let stream = report.card.first(direction);
        stream.map_or(1, |stream| stream.packet_frames(frame_bytes)).max(1)
    };
    let (render, capture) = (period(Direction::Render), period(Direction::Capture));
    if let Some(mut first) = report.heard.first().cloned() {
        cut_last_period(&mut first, song, render);
        let allowed = if report.waits { Allowed::Nothing } else { Allowed::Around { packet: render } };
        report.played = Some(compare_sounds(song, &first, allowed));
    }
    if let Some(recorded) = take_file(folder, said, "recorded")? {
        report.recorded = Some(compare_sounds(song, &recorded, Allowed::Around { packet: capture }));
    }
    Ok(())
}

/// `aplay` fills the last period with silence, and what was played after the song is not judged.
fn cut_last_period(heard: &mut Sound, song: &Sound, period: u64) {
    let frame = u64::from(song.format.frame_bytes().max(1));
    let missing = song.len().next_multiple_of(period).saturating_sub(song.len());
    let at = |frames: u64| usize::try_from(frames.saturating_mul(frame)).unwrap_or(usize::MAX);
    let behind = heard.frames.get(at(song.len())..at(song.len().saturating_add(missing)));
    let silence = song.format.sample.silence();
    if heard.format == song.format && behind.is_some_and(|behind| behind.iter().all(|byte| *byte == silence))
    {
        heard.frames.truncate(at(song.len()));
    }
}

/// A file that the guest has put on its disk, kept beside it as a WAV file.
fn take_file(folder: &Path, said: &str, name: &str) -> Result<Option<Sound>, Error> {
    let Some(line) = said.lines().find_map(|line| line.strip_prefix("file ")?.strip_prefix(name)) else {
        return Ok(None);
    };
    let number = |key: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        word.and_then(|word| word.parse::<usize>().ok()).unwrap_or(0)
    };
    let (offset, bytes) = (number("offset"), number("bytes"));
    let disk = folder.join("disk");
    let all = fs::read(&disk).map_err(|e| Error::file("read", &disk, &e))?;
    let end = offset.saturating_add(bytes);
    let file =
        all.get(offset..end).ok_or_else(|| Error::failed("the guest's recording is not on its disk"))?;
    let path = folder.join(format!("{name}.wav"));
    fs::write(&path, file).map_err(|e| Error::file("write", &path, &e))?;
    wav::read(&path).map(Some).map_err(|e| Error::Failed(format!("the guest's recording: {e}")))
}
