//! A Linux guest plays and records with its own driver and players, through virtio-snd. `qemu-scripts/test`
//! runs these (`cargo test -- --ignored`): they need what `qemu-scripts/setup --linux-guest` sets up.

use ringwave_audio::{SampleFormat, StreamFormat, compare::Comparison};
use ringwave_e2e::linux_guest::{Run, SLEEPS, plays_each, runs, times};
use ringwave_report::html::Outcome;
use ringwave_runner::{
    linux::{GuestCard, Job, Request},
    request::Clock,
};

const CARD: GuestCard = GuestCard::Virtio;
const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
/// What is heard is the same at any speed.
const FAST: Clock = Clock::Lockstep(4.0);

/// These steps after the song, with the functions of [`SLEEPS`].
fn and_then(steps: &str) -> impl FnOnce(&mut Request) {
    move |request| request.more_steps = SLEEPS.to_owned() + steps
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn linux_plays_and_records_bit_exact_and_after_drains_pauses_and_a_reload_of_its_driver() {
    let more = "
step again again
step third again
step pause paused
reload() { busybox rmmod virtio_snd && load virtio_snd && wait_for_card; }
step reload reload
step after-reload again
killed() { aplay -q -D hw:0,0 /song.wav & busybox sleep 1; kill -9 $!; wait $!; again; }
step killed killed
";
    let Run { report, song, page } = runs((CARD, Job::Both), STEREO, 96_000, |request| {
        request.timeline = true;
        and_then(more)(request);
    });
    assert!(report.passed(), "{report}");
    assert_eq!(report.card.streams[0].underruns, Some(0));
    // And so says its page, which has both sounds, the packets of the trace and the steps.
    let page = page.expect("it was asked for");
    assert_eq!(page.outcome, Outcome::Passed);
    assert!(page.headline.starts_with("Nothing is wrong: 96,000 frames"), "{}", page.headline);
    assert_eq!(page.sounds.len(), 2);
    assert!(page.timeline.as_ref().is_some_and(|timeline| timeline.streams[&0].packet_count > 0));
    let text = page.render();
    assert!(text.contains("Packets and stalls") && text.contains("after-reload"), "the run and the guest");
    // Both at once, two more, one with a pause, one after the reload, one after a player that was killed.
    assert_eq!(times(&report.heard[0].frames, &song), 6, "each whole, and nothing of the sound before in it");
}

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
    let steps = "step alsa-info info 'VirtIO PCM' 1af4:1059
step speaker-test speaker
step mem sleeps mem
step after-mem again
";
    let report = plays_each(CARD, &odd, |request| {
        request.clock = FAST;
        request.more_steps = SLEEPS.to_owned() + steps;
    });
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
        plays_each(CARD, &formats, |request| request.clock = FAST);
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
        let Run { report, .. } = runs((CARD, Job::Record), format, rate * 2, |_| ());
        assert!(report.passed(), "{format:?}: {report}");
        assert!(report.recorded.as_ref().is_some_and(Comparison::bit_exact), "{format:?}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_three_times_in_a_row_asks_sleeps_wakes_reloads_and_plays_and_records() {
    let more = "
record() { arecord -q -D hw:0,0 -t wav -f S16_LE -c 2 -r 48000 -d 2 /tmp/more.wav; }
reload() { busybox rmmod virtio_snd && load virtio_snd && wait_for_card; }
# Sleeps in the midst of a song: what was queued is lost, as with any card, and the player comes to its end.
asleep() { aplay -q -D hw:0,0 /song.wav & busybox sleep 1; sleeps $1; wait $!; }
for turn in 1 2 3; do
    step alsa-info-$turn info 'VirtIO PCM' 1af4:1059
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
";
    let Run { report, song, .. } = runs((CARD, Job::Both), STEREO, 96_000, and_then(more));
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
    let Run { report, song, .. } = runs((CARD, Job::Play), STEREO, 60 * 48_000, |request| {
        request.clock = Clock::Realtime(1.0);
        request.more_steps = more.into();
    });
    assert!(report.passed(), "{report}");
    let stream = &report.card.streams[0];
    println!(
        "a minute by 125 ms, a minute by 20 ms: {:?} xruns, {} silent frames",
        stream.underruns, stream.silence_frames
    );
    assert!(stream.underruns.is_some(), "xruns are counted");
    // Silence may be between any two frames, where the guest was late; of the sound none is lost, and none is
    // old.
    let sounding = |bytes: &[u8]| {
        let frames = bytes.as_chunks::<4>().0.iter().filter(|frame| **frame != [0; 4]);
        frames.copied().collect::<Vec<_>>()
    };
    let (heard, song) = (sounding(&report.heard[0].frames), sounding(&song));
    let sent = [&song[..], &song].concat();
    let right = heard.iter().zip(&sent).take_while(|(heard, sent)| heard == sent).count();
    assert_eq!(right, sent.len(), "each frame of both, in order");
}
