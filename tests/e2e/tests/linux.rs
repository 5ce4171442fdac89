//! A Linux guest plays and records with its own driver and players. `qemu-scripts/test` runs these
//! (`cargo test -- --ignored`): they need what `qemu-scripts/setup --linux-guest` sets up.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ringwave_audio::{
    SampleFormat, StreamFormat,
    compare::Comparison,
    wav::{self, WavFile},
};
use ringwave_runner::{
    linux::{Job, Report, Request, run},
    request::Clock,
};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// A song in which no frame is silent, and no two periods are alike.
fn song(folder: &Path, number: usize, format: StreamFormat, frames: u32) -> PathBuf {
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
struct Run {
    report: Report,
    song: Vec<u8>,
}

fn runs(format: StreamFormat, frames: u32, job: Job, clock: Clock, more_steps: &str) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let wav = song(folder.path(), 1, format, frames);
    let song = wav::read(&wav).expect("the song").frames;
    // Each step takes seconds; a busy host without KVM takes its time.
    let more_time =
        Duration::from_secs(10) * u32::try_from(more_steps.matches("step ").count() * 3).unwrap_or(0);
    let (more_songs, more_steps) = (Vec::new(), more_steps.into());
    let report =
        run(&Request { wav, out: None, clock, job, more_songs, more_steps, more_time, keep: false }, |_| ());
    let report = report.expect("a verdict");
    print!("{report}");
    Run { report, song }
}

/// One boot in which `aplay` plays a quarter of a second in each of these formats, and then `more_steps`.
fn plays_each(formats: &[StreamFormat], more_steps: &str) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let songs: Vec<PathBuf> = (1..)
        .zip(formats)
        .map(|(number, format)| song(folder.path(), number, *format, format.rate / 4))
        .collect();
    let steps =
        (2..=formats.len()).map(|number| format!("step song-{number} aplay -q -D hw:0,0 /song-{number}.wav"));
    let steps = steps.collect::<Vec<_>>().join("\n") + "\n";
    let request = Request {
        wav: songs[0].clone(),
        out: None,
        clock: Clock::Lockstep(4.0),
        job: Job::Play,
        more_songs: songs[1..].to_vec(),
        more_steps: steps + more_steps,
        more_time: Duration::from_mins(2),
        keep: false,
    };
    let report = run(&request, |_| ()).expect("a verdict");
    print!("{report}");
    // Not `passed`: it takes the period of the last format for that of the first.
    let done = report.steps.iter().all(|(_, code)| *code == 0);
    assert!(report.ended && done && report.dmesg.is_empty(), "{report}");
    // The card begins a file whenever the format changes.
    for (number, (song, heard)) in songs.iter().zip(&report.heard).enumerate() {
        let song = wav::read(song).expect("the song");
        assert_eq!(heard.format, song.format, "file {number}");
        let (sound, rest) = heard.frames.split_at_checked(song.frames.len()).expect("all of it was heard");
        assert!(sound == song.frames, "{:?}: not as it was sent", song.format);
        // aplay fills the last period with silence.
        let silence = song.format.sample.silence();
        let silent = |rest: &[u8]| rest.iter().all(|byte| *byte == silence);
        assert!(number + 1 == songs.len() || silent(rest), "{:?}: more than was sent", song.format);
    }
    assert!(report.heard.len() >= songs.len(), "only {} of {} were heard", report.heard.len(), songs.len());
    report
}

/// How often the song is in what was heard, whole and without a gap.
fn times(heard: &[u8], song: &[u8]) -> usize {
    let (mut at, mut times) = (0, 0);
    while let Some(found) = heard[at..].windows(song.len()).step_by(4).position(|part| part == song) {
        at += found * 4 + song.len();
        times += 1;
    }
    times
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn linux_plays_and_records_bit_exact_and_after_drains_pauses_and_a_reload_of_its_driver() {
    let more = "
again() { aplay -q -D hw:0,0 /song.wav; }
step again again
step third again
paused() { (busybox sleep 1; printf ' '; busybox sleep 1; printf ' '; busybox sleep 4) | aplay -q -i -D hw:0,0 /song.wav; }
step pause paused
reload() { busybox rmmod virtio_snd && load virtio_snd && wait_for_card; }
step reload reload
step after-reload again
killed() { aplay -q -D hw:0,0 /song.wav & busybox sleep 1; kill -9 $!; wait $!; again; }
step killed killed
";
    let Run { report, song } = runs(STEREO, 96_000, Job::Both, Clock::LOCKSTEP, more);
    assert!(report.passed(), "{report}");
    assert_eq!(report.card.streams[0].underruns, Some(0));
    // Both at once, two more, one with a pause, one after the reload, one after a player that was killed.
    assert_eq!(times(&report.heard[0].frames, &song), 6, "each whole, and nothing of the sound before in it");
}

/// Steps that ask what alsa-utils asks and let the machine sleep.
const SLEEPS: &str = "
# The kernel's own name of the driver, and each stream's formats.
info() { alsa-info --stdout --with-dmesg >/tmp/info 2>&1 && busybox grep -q 'VirtIO PCM' /tmp/info && busybox grep -q 1af4:1059 /tmp/info; }
step alsa-info info
speaker() { speaker-test -D hw:0,0 -c 2 -r 48000 -F S16_LE -t sine -l 1 >/dev/null; }
step speaker-test speaker
# mem: sleeps, and is woken by the real-time clock. freeze: nothing wakes QEMU's machine from it (11.1.3), so the kernel lets its
# drivers sleep for 5 s and wakes them (pm_test).
sleeps() {
    case $1 in
    mem) echo none >/sys/power/pm_test; echo +2 >/sys/class/rtc/rtc0/wakealarm ;;
    freeze) echo devices >/sys/power/pm_test ;;
    esac && echo $1 >/sys/power/state
}
again() { aplay -q -D hw:0,0 /song.wav; }
";

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn linux_plays_odd_formats_bit_exact_asks_all_of_alsa_info_sleeps_and_plays_again() {
    let odd = [
        STEREO,
        StreamFormat { sample: SampleFormat::U8, channels: 1, rate: 8_000 },
        StreamFormat { sample: SampleFormat::S24, channels: 6, rate: 96_000 },
        StreamFormat { sample: SampleFormat::F32, channels: 1, rate: 11_025 },
        StreamFormat { sample: SampleFormat::S32, channels: 8, rate: 192_000 },
    ];
    let steps = format!("{SLEEPS}step mem sleeps mem\nstep after-mem again\n");
    let report = plays_each(&odd, &steps);
    // speaker-test and what came after it are in the format of the first.
    let heard = report.heard.last().expect("it was heard");
    assert_eq!(heard.format, STEREO);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_every_format_at_every_rate_that_alsa_takes_is_bit_exact() {
    // 12,000 and 24,000 Hz are virtio 1.4's: Linux 6.12 does not know them.
    let rates = [
        8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000,
        384_000,
    ];
    let samples =
        [SampleFormat::U8, SampleFormat::S16, SampleFormat::S24, SampleFormat::S32, SampleFormat::F32];
    for channels in [1, 2, 6, 8] {
        let formats: Vec<StreamFormat> = rates
            .iter()
            .flat_map(|rate| samples.map(|sample| StreamFormat { sample, channels, rate: *rate }))
            .collect();
        plays_each(&formats, "");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_every_format_is_recorded_bit_exact() {
    for (sample, channels, rate) in [
        (SampleFormat::S16, 1, 8_000),
        (SampleFormat::S16, 8, 48_000),
        (SampleFormat::S16, 2, 384_000),
        (SampleFormat::S32, 8, 192_000),
        (SampleFormat::F32, 2, 48_000),
        (SampleFormat::F32, 1, 11_025),
    ] {
        let format = StreamFormat { sample, channels, rate };
        let Run { report, .. } = runs(format, rate * 2, Job::Record, Clock::LOCKSTEP, "");
        assert!(report.passed(), "{format:?}: {report}");
        assert!(report.recorded.as_ref().is_some_and(Comparison::bit_exact), "{format:?}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_three_times_in_a_row_asks_sleeps_wakes_reloads_and_plays_and_records() {
    let more = format!(
        "{SLEEPS}
record() {{ arecord -q -D hw:0,0 -t wav -f S16_LE -c 2 -r 48000 -d 2 /tmp/more.wav; }}
reload() {{ busybox rmmod virtio_snd && load virtio_snd && wait_for_card; }}
paused() {{ (busybox sleep 1; printf ' '; busybox sleep 1; printf ' '; busybox sleep 4) | aplay -q -i -D hw:0,0 /song.wav; }}
# Sleeps in the midst of a song: what was queued is lost, as with any card, and the player comes to its end.
asleep() {{ aplay -q -D hw:0,0 /song.wav & busybox sleep 1; sleeps $1; wait $!; }}
for turn in 1 2 3; do
    step alsa-info-$turn info
    step speaker-test-$turn speaker
    step record-$turn record
    step pause-$turn paused
    for state in freeze mem; do
        step $state-$turn sleeps $state
        step after-$state-$turn again
        step playing-$state-$turn asleep $state
        step after-playing-$state-$turn again
    done
    step reload-$turn reload
    step after-reload-$turn again
done
"
    );
    let Run { report, song } = runs(STEREO, 96_000, Job::Both, Clock::LOCKSTEP, &more);
    assert!(report.passed(), "{report}");
    // Both at once; in each turn one with a pause, four after sleep, one after the reload.
    assert!(times(&report.heard[0].frames, &song) > 3 * 6, "each whole");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_a_minute_in_real_time_with_periods_of_20_ms_counts_its_xruns() {
    let more = "
short() { aplay -q -D hw:0,0 --period-time=20000 --buffer-time=160000 /song.wav; }
step short short
speaker() { speaker-test -D hw:0,0 -c 2 -r 48000 -F S16_LE -t sine -l 1 >/dev/null; }
step speaker-test speaker
";
    let Run { report, song } = runs(STEREO, 60 * 48_000, Job::Play, Clock::Realtime(1.0), more);
    assert!(report.passed(), "{report}");
    let stream = &report.card.streams[0];
    println!(
        "a minute by 125 ms, a minute by 20 ms: {:?} xruns, {} silent frames",
        stream.underruns, stream.silence_frames
    );
    let loud = report.heard[0].frames.as_chunks::<4>().0.iter().filter(|frame| **frame != [0; 4]).count();
    assert!(loud >= 2 * song.len() / 4, "each frame of both, whatever silence is between them");
}
