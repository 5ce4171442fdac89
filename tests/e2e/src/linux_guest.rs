//! A Linux guest that plays and records with its own driver: what the tests of its cards share.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ringwave_audio::{
    StreamFormat,
    wav::{self, Sound, WavFile},
};
use ringwave_report::html::Page;
use ringwave_runner::html;
use ringwave_runner::linux::{GuestCard, Job, Report, Request, run};

/// A song in which no frame is silent, and no two periods are alike.
///
/// # Panics
/// If it can't be written.
pub fn song(folder: &Path, number: usize, format: StreamFormat, frames: u32) -> PathBuf {
    let path = folder.join(format!("song-{number}.wav"));
    let mut file = WavFile::create(&path, format).expect("a song");
    let mut number = 0x1234_5678_u32.wrapping_mul(format.rate | 1);
    let bytes: Vec<u8> = (0..frames * format.frame_bytes())
        .map(|_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Floats below 2, and no byte of silence.
            (number.to_be_bytes()[0] & 0x3F) | 1
        })
        .collect();
    file.add(&bytes).expect("a song");
    file.flush().expect("a song");
    path
}

/// A song of a run, and what the run showed.
pub struct Run {
    /// What the run showed.
    pub report: Report,
    /// The song's frames.
    pub song: Vec<u8>,
    /// The page of `--report`, if the run asked for its time line.
    pub page: Option<Page>,
}

/// One boot with a song of this format. `adjust` says what else is asked for.
///
/// # Panics
/// If there is no verdict.
pub fn runs(
    (card, job): (GuestCard, Job),
    format: StreamFormat,
    frames: u32,
    adjust: impl FnOnce(&mut Request),
) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let wav = song(folder.path(), 1, format, frames);
    let song = wav::read(&wav).expect("the song").frames;
    let mut request = Request::new(card, job, wav);
    adjust(&mut request);
    // Each step takes seconds; a busy host without KVM takes its time.
    let steps = u32::try_from(request.more_steps.matches("step ").count()).unwrap_or(0);
    request.more_time += Duration::from_secs(30) * steps;
    let report = run(&request, |_| ()).expect("a verdict");
    print!("{report}");
    let page = request.timeline.then(|| html::linux::page(&request, &report, vec![]).expect("a page"));
    Run { report, song, page }
}

/// One boot in which `aplay` plays a quarter of a second in each of these formats, and then whatever steps
/// `adjust` adds.
///
/// # Panics
/// If a step failed, the kernel's log has something to say, or a sound was not heard to the bit.
pub fn plays_each(card: GuestCard, formats: &[StreamFormat], adjust: impl FnOnce(&mut Request)) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let songs = songs(folder.path(), formats);
    let mut request = Request::new(card, Job::Play, songs[0].clone());
    request.more_songs = songs[1..].to_vec();
    request.more_time =
        Duration::from_mins(2) + Duration::from_secs(5) * u32::try_from(songs.len()).unwrap_or(0);
    adjust(&mut request);
    let steps = (2..=formats.len())
        .map(|number| format!("step song-{number} aplay $times_{number} -q -D hw:0,0 /song-{number}.wav\n"));
    request.more_steps = steps.collect::<String>() + &request.more_steps;
    let report = run(&request, |_| ()).expect("a verdict");
    print!("{report}");
    // The card begins a file whenever the format changes.
    for (number, (song, heard)) in songs.iter().zip(&report.heard).enumerate() {
        let song = wav::read(song).expect("the song");
        assert_eq!(heard.format, song.format, "file {number}");
        let rest = behind(heard, &song).unwrap_or_else(|| panic!("{:?}: not as it was sent", song.format));
        // aplay fills the last period with silence.
        let silent = song.format.sample.is_silence(rest);
        assert!(number + 1 == songs.len() || silent, "{:?}: more than was sent", song.format);
    }
    assert!(report.heard.len() >= songs.len(), "only {} of {} were heard", report.heard.len(), songs.len());
    assert_done(&report);
    report
}

/// A quarter of a second in each format.
pub fn songs(folder: &Path, formats: &[StreamFormat]) -> Vec<PathBuf> {
    let numbered = (1..).zip(formats);
    numbered.map(|(number, format)| song(folder, number, *format, format.rate / 4)).collect()
}

/// Not [`Report::passed`], which takes the period of the last format for that of the first. A guest without
/// KVM on a busy host handles an interrupt late by half a period now and then, and its driver says so: that
/// is no fault here.
///
/// # Panics
/// If a step failed, or the kernel's log has something else to say.
pub fn assert_done(report: &Report) {
    let done = report.steps.iter().all(|(_, code)| *code == 0);
    let quiet = report.dmesg.iter().all(|line| line.contains("IRQ timing workaround is activated"));
    assert!(report.ended && done && quiet, "{report}");
}

/// What was heard behind the song, if it begins with the song.
fn behind<'a>(heard: &'a Sound, song: &Sound) -> Option<&'a [u8]> {
    heard.frames.strip_prefix(song.frames.as_slice())
}

/// How often the song is in what was heard, whole and without a gap.
pub fn times(heard: &[u8], song: &[u8]) -> usize {
    let (mut at, mut times) = (0, 0);
    while let Some(found) = heard[at..].windows(song.len()).step_by(4).position(|part| part == song) {
        at += found * 4 + song.len();
        times += 1;
    }
    times
}

/// Steps that ask what alsa-utils asks and let the machine sleep. `info` looks for two lines that every run
/// has.
pub const SLEEPS: &str = "
# The kernel's own name of the driver, and each stream's formats.
info() { alsa-info --stdout --with-dmesg >/tmp/info 2>&1 && busybox grep -q \"$1\" /tmp/info && busybox grep -q $2 /tmp/info; }
speaker() { speaker-test -D hw:0,0 -c 2 -r 48000 -F S16_LE -t sine -l 1 >/dev/null; }
# mem: sleeps, and is woken by the real-time clock: 10 s, for an alarm that comes before a busy machine sleeps never wakes it.
# freeze: nothing wakes QEMU's machine from it (11.1.3), so the kernel lets its
# drivers sleep for 5 s and wakes them (pm_test).
sleeps() {
    case $1 in
    mem) echo none >/sys/power/pm_test; echo +10 >/sys/class/rtc/rtc0/wakealarm ;;
    freeze) echo devices >/sys/power/pm_test ;;
    esac && echo $1 >/sys/power/state
}
again() { aplay $times_1 -q -D hw:0,0 /song.wav; }
paused() { (busybox sleep 1; printf ' '; busybox sleep 1; printf ' '; busybox sleep 6) | aplay $times_1 -q -i -D hw:0,0 /song.wav; }
";
