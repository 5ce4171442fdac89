//! A Linux guest plays and records with `snd_hda_intel`, through the HD Audio card. `qemu-scripts/test` runs
//! these (`cargo test -- --ignored`): they need what `qemu-scripts/setup --linux-guest` sets up.
//!
//! The clock goes at a quarter of the speed: this card cannot wait, and what a guest rewrites too late is
//! played as it lies.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use ringwave_audio::{
    SampleFormat, StreamFormat,
    compare::Comparison,
    wav::{self, Sound},
};
use ringwave_e2e::linux_guest::{Run, SLEEPS, assert_done, plays_each, runs, song, songs, times};
use ringwave_runner::linux::{
    Firmware, GuestCard, Job, Request, guest::existing_path, guest_card::HDA_RATES, run, take_24_of_32,
};

const CARD: GuestCard = GuestCard::Hda;
const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// Functions for steps, beside those of [`SLEEPS`].
const DRIVER: &str = "
# Loads the driver anew, with these parameters.
reload() {
    busybox rmmod snd_hda_intel && echo \"snd-hda-intel $*\" >/driver-options && load snd-hda-intel && wait_for_card
}
# What the driver says of a parameter, and by what it is interrupted.
parameter() { busybox grep -q \"$2\" /sys/module/snd_hda_intel/parameters/$1; }
interrupts_by() { busybox grep snd_hda_intel /proc/interrupts | busybox grep -q $1; }
";

/// What the codec of `--channels 2` answers to hda-verb: node 2 is the converter of pin 3.
const VERBS: &str = "
verb() { hda-verb /dev/snd/hwC0D0 $1 $2 $3 2>/dev/null | busybox sed -n 's/^value = //p'; }
# Whether a verb has this answer.
answers() {
    answer=$(verb $1 $2 $3)
    [ \"$answer\" = $4 ] || { echo \"verb $*: $answer\" >/dev/console; return 1; }
}
every_parameter() {
    for node in 0 1 2 3 4 5 6; do
        for parameter in $(busybox seq 0 20); do [ -n \"$(verb $node 0xf00 $parameter)\" ] || return 1; done
    done
}
identity() { answers 0 0xf00 0 0x12345248 && answers 0 0xf00 4 0x10001 && answers 1 0xf20 0 0x12340001; }
# A node, a parameter and a verb that are not there.
absent() { answers 0x7f 0xf00 9 0x0 && answers 3 0xf00 0x1f 0x0 && answers 3 0xabc 1 0x0; }
power() {
    answers 1 0x705 3 0x0 && answers 1 0xf05 0 0x33 && answers 1 0x705 0 0x0 && answers 1 0xf05 0 0x0
}
pin() {
    answers 3 0xf1c 0 0x1014010 && answers 3 0x707 0 0x0 && answers 3 0xf07 0 0x0 &&
        answers 3 0x707 0x40 0x0 && answers 3 0xf07 0 0x40
}
# Of the group, twice: the converter forgets its stream, which its driver does not know.
group_reset() { answers 1 0x7ff 0 0x0 && answers 1 0x7ff 0 0x0 && answers 2 0xf06 0 0x0; }
";

fn and_then(steps: &str) -> impl FnOnce(&mut Request) {
    move |request| request.more_steps = format!("{SLEEPS}{DRIVER}{steps}")
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn linux_plays_and_records_at_once_and_plays_with_every_way_to_drive_the_card() {
    let steps = "
step msi interrupts_by PCI-MSI
step every-parameter every_parameter
step identity identity
step absent absent
step power power
step pin pin
step group-reset group_reset
step reload reload
step after-reload again
step load-single-cmd reload single_cmd=1
step single-cmd parameter single_cmd '^[1Y]'
step after-single-cmd again
step load-lpib reload position_fix=1
step lpib parameter position_fix '^1,'
step after-lpib again
step load-position-buffer reload position_fix=2 enable_msi=0
step position-buffer parameter position_fix '^2,'
step line interrupts_by IO-APIC
step after-line again
killed() { aplay $times_1 -q -D hw:0,0 /song.wav & busybox sleep 1; kill -9 $!; wait $!; again; }
step killed killed
";
    let steps = VERBS.to_owned() + steps;
    let Run { report, song, page } = runs((CARD, Job::Both), STEREO, 24_000, |request| {
        request.timeline = true;
        and_then(&steps)(request);
    });
    assert!(report.passed(), "{report}");
    let page = page.expect("it was asked for");
    assert!(page.headline.starts_with("Nothing is wrong: 24,000 frames"), "{}", page.headline);
    assert!(page.timeline.as_ref().is_some_and(|timeline| timeline.streams.values().any(|it| it.bytes > 0)));
    assert!(page.render().contains("The trace of HD Audio has no packets"));
    assert!(report.recorded.as_ref().is_some_and(Comparison::bit_exact), "{report}");
    // Both at once, after each of four loads, and after a player that was killed.
    assert_eq!(times(&report.heard[0].frames, &song), 6, "each whole");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn under_ovmf_linux_plays_odd_formats_bit_exact_asks_all_of_alsa_info_sleeps_and_plays_again() {
    let odd = [
        STEREO,
        StreamFormat { sample: SampleFormat::S32, channels: 8, rate: 192_000 },
        StreamFormat { sample: SampleFormat::S16, channels: 6, rate: 44_100 },
        StreamFormat { sample: SampleFormat::S32, channels: 2, rate: 8_000 },
        StreamFormat { sample: SampleFormat::S16, channels: 4, rate: 11_025 },
    ];
    let steps = "
step alsa-info info 'Codec: Generic' 8086:293e
step mem sleeps mem
step after-mem again
";
    let report = plays_each(CARD, &odd, |request| {
        request.firmware = Firmware::Ovmf;
        and_then(steps)(request);
    });
    assert_eq!(report.heard.last().expect("it was heard").format, STEREO);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn linux_records_24_bits_bit_exact() {
    let format = StreamFormat { sample: SampleFormat::S24, channels: 2, rate: 96_000 };
    let Run { report, .. } = runs((CARD, Job::Record), format, 48_000, |_| ());
    assert!(report.passed(), "{report}");
    assert!(report.recorded.as_ref().is_some_and(Comparison::bit_exact), "{report}");
}

/// 32 bits beside 16 in one boot; 24 in another, for they are offered without 32.
const SAMPLES: [&[SampleFormat]; 2] = [&[SampleFormat::S16, SampleFormat::S32], &[SampleFormat::S24]];

fn every_format(samples: &[SampleFormat], channels: &[u32]) -> Vec<StreamFormat> {
    let rates = HDA_RATES.into_iter();
    rates
        .flat_map(|rate| channels.iter().map(move |channels| (rate, *channels)))
        .flat_map(|(rate, channels)| {
            samples.iter().map(move |sample| StreamFormat { sample: *sample, channels, rate })
        })
        .collect()
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_every_format_rate_and_channel_count_of_the_codec_is_played_bit_exact() {
    let [most, bits_24] = SAMPLES.map(|samples| every_format(samples, &[2, 4, 6, 8]));
    plays_each(CARD, &bits_24, |_| ());
    let steps = "
# Each channel by itself, for three seconds of the card's clock.
each_channel() { speaker-test -D hw:0,0 -c 8 -r 48000 -F S16_LE -p 100000 -b 1000000 -t sine -l 1 >/dev/null; }
step each-channel each_channel
";
    let report = plays_each(CARD, &most, |request| {
        request.more_time += Duration::from_mins(5);
        and_then(steps)(request);
    });
    let sines = report.heard.last().expect("it was heard");
    assert_eq!(sines.format, StreamFormat { channels: 8, ..STEREO });
    let mut alone = [0; 8];
    for frame in sines.frames.as_chunks::<16>().0 {
        let loud = frame.as_chunks::<2>().0.iter().map(|sample| *sample != [0; 2]);
        let mut channels = loud.zip(0..).filter_map(|(loud, channel): (bool, usize)| loud.then_some(channel));
        if let (Some(channel), None) = (channels.next(), channels.next()) {
            alone[channel] += 1;
        }
    }
    assert!(
        alone.iter().all(|frames| *frames > 2 * 48_000),
        "frames in which a channel sounds alone: {alone:?}"
    );
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_every_format_and_rate_of_the_codec_is_recorded_bit_exact() {
    for samples in SAMPLES {
        records_each(&every_format(samples, &[2]));
    }
}

/// One boot in which the guest hears itself in each of these formats.
fn records_each(formats: &[StreamFormat]) {
    let folder = tempfile::tempdir().expect("a folder");
    let songs = songs(folder.path(), formats);
    let mut request = Request::new(CARD, Job::Play, songs[0].clone());
    request.more_songs = songs[1..].to_vec();
    // What is played goes to the microphone.
    request.card_options = ["--source", "loopback:0"].map(String::from).into();
    request.more_time = Duration::from_mins(10);
    request.more_steps = formats.iter().zip(1..).map(recording_step).collect();
    let report = run(&request, |_| ()).expect("a verdict");
    print!("{report}");
    assert_eq!(report.kept.len(), songs.len(), "a recording of each");
    for (song, (name, recorded)) in songs.iter().zip(&report.kept) {
        let (song, mut recorded) = (wav::read(song).expect("the song"), recorded.clone());
        if song.format.sample == SampleFormat::S24In32 {
            take_24_of_32(&mut recorded);
        }
        assert_eq!(recorded.format, song.format, "{name}");
        assert!(is_in(&recorded, &song), "{name}, {:?}: not as it was sent", song.format);
    }
    assert_done(&report);
}

/// Records three quarters of a second while a quarter is played.
fn recording_step((format, number): (&StreamFormat, usize)) -> String {
    let StreamFormat { sample, channels, rate } = format;
    let alsa = if *sample == SampleFormat::S16 { "S16_LE" } else { "S32_LE" };
    let song = if number == 1 { "song".into() } else { format!("song-{number}") };
    format!(
        "both() {{ arecord $times_{number} -q -D hw:0,0 -t wav -f {alsa} -c {channels} -r {rate} -s {} /tmp/r.wav & records && aplay $times_{number} -q -D hw:0,0 /{song}.wav && wait $!; }}
step record-{number} both
keep recorded-{number} /tmp/r.wav
",
        rate / 4 * 3
    )
}

/// Whether the song is in the recording, with silence before and after.
fn is_in(recorded: &Sound, song: &Sound) -> bool {
    let sample = song.format.sample;
    let frame = song.format.frame_bytes() as usize;
    let Some(begin) = recorded.frames.chunks(frame).position(|frame| !sample.is_silence(frame)) else {
        return false;
    };
    let rest = recorded.frames[begin * frame..].strip_prefix(song.frames.as_slice());
    rest.is_some_and(|rest| sample.is_silence(rest))
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_a_hundred_times_opened_and_ten_times_loaded_sleeps_wakes_pauses_and_plays() {
    let steps = "
# A hundredth of a second.
busybox dd if=/song.wav of=/tmp/short.wav bs=1964 count=1 2>/dev/null
opened() { for n in $(busybox seq 100); do aplay $times_1 -q -D hw:0,0 /tmp/short.wav 2>/dev/null || return 1; done; }
step opened opened
step after-opened again
loaded() { for n in $(busybox seq 10); do reload || return 1; done; }
step loaded loaded
step after-loaded again
step pause paused
mapped() { aplay $times_1 -M -q -D hw:0,0 /song.wav; }
step mapped mapped
# The driver asks the codec all there is, and makes no sound card of it.
probed() {
    busybox rmmod snd_hda_intel && echo 'snd-hda-intel probe_only=1' >/driver-options && load snd-hda-intel || return 1
    tries=0
    until busybox grep -q '^AFG Function Id: 0x1 (unsol 1)' /proc/asound/card0/codec#0 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || return 1
        busybox sleep 0.1
    done
    [ ! -e /dev/snd/pcmC0D0p ]
}
step probed probed
step load-after-probed reload
# The card is taken from its driver in the midst of a song, whose player comes to its end (with 0), and given back.
unbound() {
    driver=/sys/bus/pci/drivers/snd_hda_intel
    device=$(busybox basename $(busybox readlink -f /sys/class/sound/card0/device))
    aplay $times_1 -q -D hw:0,0 /song.wav 2>/dev/null &
    busybox sleep 1
    echo $device >$driver/unbind || return 1
    wait $!
    [ ! -e /dev/snd/controlC0 ] && echo $device >$driver/bind && wait_for_card
}
step unbound unbound
step after-unbound again
# Sleeps in the midst of a song: what was queued is lost, as with any card, and the player comes to its end.
asleep() { aplay $times_1 -q -D hw:0,0 /song.wav & busybox sleep 1; sleeps $1; wait $!; }
for turn in 1 2; do
    step alsa-info-$turn info 'Codec: Generic' 8086:293e
    for state in freeze mem; do
        step $state-$turn sleeps $state
        step after-$state-$turn again
        step playing-$state-$turn asleep $state
        step after-playing-$state-$turn again
    done
done
";
    let Run { report, song, .. } = runs((CARD, Job::Both), STEREO, 48_000, |request| {
        request.more_time = Duration::from_mins(10);
        and_then(steps)(request);
    });
    assert_done(&report);
    // Both at once, after a hundred, after ten loads, with a pause, by mmap, after the driver had let go,
    // four after sleep in each of two turns.
    assert!(times(&report.heard[0].frames, &song) >= 6 + 2 * 4, "each whole");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_short_periods_are_played_bit_exact() {
    let steps = "
for period in 1000 2000 5000 10000 20000; do
    # With a period of this many frames, and no other.
    short() {
        aplay -q -D hw:0,0 --period-time=$period --buffer-time=200000 /song.wav &
        until busybox grep -q \"^period_size: $((period * 48 / 1000))$\" /proc/asound/card0/pcm0p/sub0/hw_params; do
            busybox kill -0 $! 2>/dev/null || return 1
            busybox sleep 0.1
        done
        wait $!
    }
    step period-$period short
done
";
    let Run { report, song, .. } = runs((CARD, Job::Play), STEREO, 48_000, and_then(steps));
    assert_done(&report);
    assert_eq!(times(&report.heard[0].frames, &song), 6, "each whole");
    // A period costs its driver six accesses, a verb eight; a start and a stop of a stream some dozens.
    let (card, running) = (&report.card, &report.card.messages.while_running);
    let accesses = running.reads + running.writes;
    assert!(accesses <= 8 * card.interrupts + 500, "{accesses} accesses, {} interrupts", card.interrupts);
}

/// Linux lets a controller of this id sleep with the machine alone, so a driver that is loaded anew after
/// D3hot by hand stands for one that does it by itself.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_with_power_management_the_card_sleeps_in_d3hot_wakes_and_plays() {
    let steps = "
power() {
    setpci -d 8086:293e CAP_PM+4.b=$1 && busybox sleep 1 && state=$(setpci -d 8086:293e CAP_PM+4.b) && [ $((0x$state & 3)) = $1 ]
}
d3hot() { busybox rmmod snd_hda_intel && power 3; }
step d3hot d3hot
step d0 power 0
step load load snd-hda-intel
step card wait_for_card
step after-d3hot again
step mem sleeps mem
step after-mem again
";
    let Run { report, song, .. } = runs((CARD, Job::Play), STEREO, 24_000, |request| {
        request.card_options = vec!["--power-management".to_owned()];
        and_then(steps)(request);
    });
    assert_done(&report);
    assert_eq!(times(&report.heard[0].frames, &song), 3, "each whole");
}

/// What Linux makes of speakers, headphones, a digital output, microphone and line in: three devices that
/// play and one that records, from one of the two inputs: its generic driver takes an input converter of
/// their own for more inputs than one only where each converter reaches every pin (`check_dyn_adc_switch` of
/// the kernel).
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_speakers_headphones_and_digital_output_play_and_an_input_records_all_at_once_bit_exact() {
    let rates = [48_000, 44_100, 96_000];
    let formats = rates.map(|rate| StreamFormat { rate, ..STEREO });
    let folder = tempfile::tempdir().expect("a folder");
    let songs: Vec<_> = (1..)
        .zip(formats)
        .map(|(number, format)| song(folder.path(), number, format, format.rate * 3 / 2))
        .collect();
    let mut request = Request::new(CARD, Job::Play, songs[0].clone());
    request.more_songs = songs[1..].to_vec();
    let options = ["--render", "3", "--capture", "2", "--source", "loopback:0", "--source", "loopback:1"];
    request.card_options = options.map(String::from).into();
    request.more_time = Duration::from_mins(4);
    request.keep = true;
    let steps = "
# The driver has a device for the headphones if it is asked for one.
independent() {
    echo 'indep_hp = yes' >/sys/class/sound/hwC0D0/hints && echo 1 >/sys/class/sound/hwC0D0/reconfig && wait_for_card &&
        amixer -q -c0 cset iface=MIXER,name='Independent HP' 1
}
step independent independent
# What the speakers' converter plays the driver has forgotten, and would leave it there for the headphones' stream.
step speakers again
runs() {
    for device in $*; do busybox grep -q RUNNING /proc/asound/card0/pcm$device/sub0/status || return 1; done
}
# Plays on all three while it records, as the rate $3, what the input $1 hears; $2: the options for that rate.
at_once() {
    amixer -q -c0 cset iface=MIXER,name='Capture Source' $1 || return 1
    arecord $2 -q -D hw:0,0 -t wav -f S16_LE -c 2 -r $3 -s $(($3 * 3)) /tmp/input.wav &
    recorder=$!
    records || return 1
    aplay $times_1 -q -D hw:0,0 /song.wav &
    speakers=$!
    aplay $times_2 -q -D hw:0,2 /song-2.wav &
    phones=$!
    aplay $times_3 -q -D hw:0,1 /song-3.wav &
    digital=$!
    tries=0
    until runs 0p 1p 2p 0c; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || return 1
        busybox sleep 0.1
    done
    wait $speakers && wait $phones && wait $digital && wait $recorder
}
step microphone at_once 0 \"$times_1\" 48000
keep microphone /tmp/input.wav
step line at_once 1 \"$times_2\" 44100
keep line /tmp/input.wav
";
    and_then(steps)(&mut request);
    let mut report = run(&request, |_| ()).expect("a verdict");
    print!("{report}");
    // What it was asked for.
    report.dmesg.retain(|line| !line.ends_with("hda-codec: reconfiguring"));
    let folder = report.folder.clone().expect("kept");
    let song = |number: usize| wav::read(&songs[number]).expect("the song");
    for (stream, wanted) in [(0, 4), (1, 2), (2, 2)] {
        let name = if stream == 0 { "heard.wav".into() } else { format!("heard-stream{stream}.wav") };
        let heard = wav::read(&folder.join(&name)).expect("a file for each stream");
        assert_eq!(heard.format, formats[stream], "{name}");
        assert_eq!(times(&heard.frames, &song(stream).frames), wanted, "{name}: each whole");
    }
    for ((name, recorded), number) in report.kept.iter().zip([0, 1]) {
        assert!(is_in(recorded, &song(number)), "{name}: not what render endpoint {number} played");
    }
    assert_eq!(report.kept.len(), 2);
    assert_done(&report);
    fs::remove_dir_all(folder).expect("the run's folder");
}

/// Also a run that panics ends the host's part.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The host pulls the plug out while the guest waits for that, and puts it in again when the guest has played
/// once more.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_a_jack_that_the_host_pulls_out_is_told_to_linux_and_so_is_its_return() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("control.sock");
    let ringwave = existing_path("RINGWAVE_BIN").expect("the card");
    let control = |words: &[&str]| {
        let output = Command::new(&ringwave).arg("control").arg(&socket).args(words).output();
        output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    };
    let steps = "
# Waits until the kernel has this of the headphones.
headphones() {
    tries=0
    until amixer -c0 cget iface=CARD,name='Front Headphone Jack' | busybox grep -q values=$1; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || return 1
        busybox sleep 0.1
    done
}
alsactl monitor hw:0 >/tmp/monitor 2>&1 &
step plugged headphones on
step first again
step unplugged headphones off
step second again
step plugged-again headphones on
told() { busybox grep -q 'Front Headphone Jack' /tmp/monitor; }
step told told
";
    // How many frames the speakers have played tells where the guest is.
    let played = || {
        let stats: serde_json::Value = serde_json::from_slice(&control(&["stats"])?).ok()?;
        stats["streams"][0]["frames"].as_u64()
    };
    let ended = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            // The run's own song, then those of the steps; of each up to a period more is played.
            for (frames, jack) in [(30_000, "out"), (60_000, "in")] {
                while played().is_none_or(|played| played < frames) {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(100));
                }
                control(&["jack", "1", jack]).expect("the card obeys");
            }
        });
        let _ended = Ended(&ended);
        let Run { report, .. } = runs((CARD, Job::Play), STEREO, 24_000, |request| {
            let control = socket.display().to_string();
            request.card_options = ["--render", "2", "--control", &control].map(String::from).into();
            and_then(steps)(request);
        });
        report
    });
    assert_done(&report);
}

/// ALSA's `snd_pcm_rewind`, as sound servers use it: the card fetches a millisecond ahead and no more, so
/// what is written anew in time is heard.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_what_linux_writes_anew_after_a_rewind_is_what_is_heard() {
    let programs = tempfile::tempdir().expect("a folder");
    fs::copy(existing_path("RINGWAVE_GUEST_PCM").expect("guest-pcm"), programs.path().join("guest-pcm"))
        .expect("a copy");
    // Half a song each; 44 bytes are the header. A period is 200 ms of the guest's time: half of it is in
    // which a guest without KVM has to come, or it says that it was too late.
    let steps = "
busybox tail -c +45 /song.wav | busybox head -c 48000 >/tmp/first
busybox tail -c +48045 /song.wav >/tmp/second
rewind() {
    /guest-pcm rewind first=/tmp/first file=/tmp/second format=s16 channels=2 rate=48000 period=2400 periods=4
}
in_time() { rewind || rewind || rewind; }
step rewind in_time
";
    let Run { report, song, .. } = runs((CARD, Job::Play), STEREO, 24_000, |request| {
        request.keep = true;
        request.more_root = Some(programs.path().to_owned());
        and_then(steps)(request);
    });
    assert_done(&report);
    let folder = report.folder.expect("kept");
    let console = fs::read_to_string(folder.join("console.log")).expect("the console");
    let figure = |name: &str| {
        let word = console.split_whitespace().find_map(|word| word.strip_prefix(name));
        word.and_then(|number| number.parse::<usize>().ok())
            .unwrap_or_else(|| panic!("no {name} in {console}"))
    };
    let (first, rewound) = (figure("first_frames="), figure("rewound="));
    assert!(rewound > 1200, "{first} stay, {rewound} were taken back");
    let wanted = [&song[..first * 4], &song[48_000..]].concat();
    assert_eq!(times(&report.heard[0].frames, &wanted), 1, "the first {first} frames, then the second half");
    assert_eq!(times(&report.heard[0].frames, &song), 1, "that of the run itself");
    fs::remove_dir_all(folder).expect("the run's folder");
}
