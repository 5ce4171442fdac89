//! A Linux guest plays and records with its own driver and players. `qemu-scripts/test` runs these
//! (`cargo test -- --ignored`): they need what `qemu-scripts/setup --linux-guest` sets up.

use std::path::{Path, PathBuf};

use ringwave_audio::{SampleFormat, StreamFormat, compare::Comparison, wav::WavFile};
use ringwave_runner::{
    linux::{Job, Report, Request, run},
    request::Clock,
};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// A song in which no frame is silent, and no two periods are alike.
fn song(folder: &Path, format: StreamFormat, frames: u32) -> PathBuf {
    let path = folder.join("song.wav");
    let mut file = WavFile::create(&path, format).expect("a song");
    let mut number = 0x1234_5678_u32;
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

fn runs(format: StreamFormat, frames: u32, job: Job, clock: Clock, more_steps: &str) -> (Report, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let wav = song(folder.path(), format, frames);
    let request =
        Request { wav: wav.clone(), out: None, clock, job, more_steps: more_steps.into(), keep: false };
    let report = run(&request, |_| ()).expect("a verdict");
    print!("{report}");
    let sound = ringwave_audio::wav::read(&wav).expect("the song");
    (report, sound.frames)
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
    let (report, song) = runs(STEREO, 96_000, Job::Both, Clock::LOCKSTEP, more);
    assert!(report.passed(), "{report}");
    assert_eq!(report.card.streams[0].underruns, Some(0));
    let heard = report.heard.expect("it was heard");
    // Both at once, two more, one with a pause, one after the reload, one after a player that was killed.
    assert_eq!(times(&heard.frames, &song), 6, "each whole, and nothing of the sound before in it");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_every_format_and_the_ends_of_the_rates_are_bit_exact_both_ways() {
    for (sample, channels, rate) in [
        (SampleFormat::S16, 1, 8_000),
        (SampleFormat::S16, 8, 48_000),
        (SampleFormat::S16, 2, 384_000),
        (SampleFormat::S24, 2, 44_100),
        (SampleFormat::S24, 6, 96_000),
        (SampleFormat::S32, 8, 192_000),
        (SampleFormat::F32, 2, 48_000),
        (SampleFormat::F32, 1, 11_025),
    ] {
        let format = StreamFormat { sample, channels, rate };
        // A source of 24 bits has them in 4 bytes, which no stream of virtio takes.
        let jobs: &[Job] = if sample == SampleFormat::S24 { &[Job::Play] } else { &[Job::Play, Job::Record] };
        for &job in jobs {
            let (report, _) = runs(format, rate * 2, job, Clock::LOCKSTEP, "");
            assert!(report.passed(), "{format:?} {job:?}: {report}");
            let arrived = if job == Job::Play { &report.played } else { &report.recorded };
            assert!(arrived.as_ref().is_some_and(Comparison::bit_exact), "{format:?} {job:?}");
        }
    }
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
    let (report, song) = runs(STEREO, 60 * 48_000, Job::Play, Clock::Realtime(1.0), more);
    assert!(report.passed(), "{report}");
    let stream = &report.card.streams[0];
    println!(
        "a minute by 125 ms, a minute by 20 ms: {:?} xruns, {} silent frames",
        stream.underruns, stream.silence_frames
    );
    let heard = report.heard.expect("it was heard");
    let loud = heard.frames.as_chunks::<4>().0.iter().filter(|frame| **frame != [0; 4]).count();
    assert!(loud >= 2 * song.len() / 4, "each frame of both, whatever silence is between them");
}
