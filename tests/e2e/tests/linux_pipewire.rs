//! `PipeWire` in a Linux guest plays through the HD Audio card, by its own timer instead of the card's interrupts (what
//! desktops do): `qemu-scripts/test --long` runs this. It needs what `qemu-scripts/setup --pipewire` sets up.

use std::time::Duration;

use ringwave_audio::wav;
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_e2e::linux_guest::{assert_done, song};
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::linux::{GuestCard, Job, Request, run};
use ringwave_runner::request::Clock;

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// A `PipeWire` without a session manager: one sink that is the card, and nothing else. It goes by its timer
/// unless it is told otherwise (`api.alsa.disable-tsched`).
const STEPS: &str = r#"
export XDG_RUNTIME_DIR=/tmp
cat >/tmp/pipewire.conf <<'CONF'
context.properties = { core.daemon = true core.name = pipewire-0 support.dbus = false mem.allow-mlock = false default.clock.rate = 48000 log.level = 2 }
context.spa-libs = {
    audio.convert.* = audioconvert/libspa-audioconvert
    audio.adapt = audioconvert/libspa-audioconvert
    api.alsa.* = alsa/libspa-alsa
    support.* = support/libspa-support
}
context.modules = [
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-spa-node-factory }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-access }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-link-factory }
]
context.objects = [
    { factory = adapter args = {
        factory.name = api.alsa.pcm.sink node.name = card media.class = Audio/Sink api.alsa.path = "hw:0,0"
        audio.format = S16LE audio.rate = 48000 audio.channels = 2 audio.position = [ FL FR ]
        adapter.auto-port-config = { mode = dsp position = preserve }
    } }
]
CONF
by_pipewire() {
    pipewire -c /tmp/pipewire.conf >/tmp/pipewire.log 2>&1 &
    pw-cat --playback --target card -P '{ node.name = song adapter.auto-port-config = { mode = dsp position = preserve } }' /song-2.wav >/tmp/pw-cat.log 2>&1 &
    player=$!
    for port in FL FR; do
        tries=0
        until pw-link song:output_$port card:playback_$port 2>/tmp/pw-link.log; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] || { busybox cat /tmp/*.log >/dev/console; pw-link -io >/dev/console 2>&1; return 1; }
            busybox sleep 0.1
        done
    done
    wait $player
    code=$?
    busybox cat /tmp/pipewire.log /tmp/pw-cat.log /proc/asound/card0/pcm0p/sub0/hw_params >/dev/console
    return $code
}
step pipewire by_pipewire
"#;

/// Frames at both ends that `PipeWire` may not play: its player begins before both channels are linked, and
/// ends without waiting for what is queued.
const ENDS: usize = 48_000;

/// Without its timer `PipeWire` would ask for an interrupt every 1,024 frames.
const BY_INTERRUPTS: u64 = 60 * 48_000 / 1_024;

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_pipewire_plays_a_minute_by_its_timer_bit_exact() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = song(folder.path(), 1, STEREO, 4_800);
    let minute = song(folder.path(), 2, STEREO, 60 * 48_000);
    let mut request = Request::new(GuestCard::Hda, Job::Play, short);
    request.clock = Clock::Realtime(1.0);
    request.more_root = Some(existing_path("RINGWAVE_PIPEWIRE").expect("PipeWire"));
    request.more_songs = vec![minute.clone()];
    request.more_steps = STEPS.into();
    request.more_time = Duration::from_mins(5);
    let report = run(&request, |_| ()).expect("a verdict");
    print!("{report}");
    assert_done(&report);
    let sent = wav::read(&minute).expect("the song").frames;
    let sent = sent.as_chunks::<4>().0;
    let heard = report.heard[0].frames.as_chunks::<4>().0;
    let middle = &sent[ENDS..sent.len() - ENDS];
    let begins = heard.windows(48).position(|part| part == &middle[..48]).expect("it was played");
    let same = middle.iter().zip(&heard[begins..]).take_while(|(sent, heard)| sent == heard).count();
    assert_eq!(same, middle.len(), "{} ms after its first second", same / 48);
    let interrupts = report.card.interrupts;
    println!("{interrupts} interrupts; by its period PipeWire would have asked for {BY_INTERRUPTS}");
    assert!(interrupts < BY_INTERRUPTS / 10, "{interrupts} interrupts are no timer");
}
