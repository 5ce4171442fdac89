//! What is played and heard is changed while the card runs: `ringwave control SOCKET source`, `sink`,
//! `volume` and `--script`, and what a descriptor may be that comes over the control socket.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use crate::guest::{Guest, Setup, piece, wav_bytes};
use crate::serving::{Serving, sandbox};
use ringwave::control::send_line;
use ringwave_audio::wav::WavFile;
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_regs::{pages, stream};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
const CONTROL: [&str; 4] = ["--control", "control.sock", "--speed", "10"];
const CAPTURE: [&str; 4] = ["--render", "0", "--capture", "1"];

/// Frames that are all different, of a kind.
fn frames(kind: u16, count: u16) -> Vec<u8> {
    (0..count).flat_map(|frame| [frame, kind]).flat_map(u16::to_le_bytes).collect()
}

fn wav(path: &Path, format: StreamFormat, frames: &[u8]) {
    let mut file = WavFile::create(path, format).unwrap();
    file.add(frames).unwrap();
    file.flush().unwrap();
}

/// The bytes of packet `n` where the card has stored it.
fn stored(guest: &Guest, setup: Setup, n: u32) -> Vec<u8> {
    let mut bytes = vec![0; setup.packet_bytes()];
    let begin = u64::from(n % 2) * bytes.len() as u64;
    for (index, byte) in bytes.chunks_mut(4).enumerate() {
        let (_, offset) = Guest::place(setup.mode, begin + 4 * index as u64);
        guest.ram.read_exact_at(byte, offset).unwrap();
    }
    bytes
}

/// Records so many packets in lockstep, does something before it takes one, and gives what it found.
fn record(guest: &mut Guest, packets: u32, mut before: impl FnMut(u32)) -> Vec<u8> {
    let setup = Setup::USUAL;
    guest.set_up(setup);
    guest.stream_write(stream::WRITTEN, u32::MAX);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    let mut all = Vec::new();
    for n in 0..packets {
        before(n);
        guest.wait_packets(n + 1);
        all.extend(stored(guest, setup, n));
        guest.stream_write(stream::WRITTEN, n);
    }
    guest.stream_write(stream::STATE, stream::STATE_PAUSE);
    guest.stream_write(stream::STATE, stream::STATE_STOP);
    all
}

/// How many frames of `heard` are the beginning of `expected`.
fn same(heard: &[u8], expected: &[u8]) -> usize {
    heard.chunks(4).zip(expected.chunks(4)).take_while(|(one, other)| one == other).count()
}

#[test]
fn a_source_changes_between_two_frames_and_none_is_lost_behind_all_of_the_sandbox() {
    let (parent, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The second file is where the server may not even look.
    let (first, second) = (frames(0x1111, 60_000), frames(0x2222, 9_000));
    wav(&dir.path().join("first.wav"), STEREO, &first);
    wav(&parent.path().join("second.wav"), STEREO, &second);
    let options = [&CONTROL[..], &CAPTURE, &["--source", "wav:first.wav", sandbox(dir.path())]].concat();
    let serving = Serving::start(dir.path(), &options);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let source = format!("wav:{}", parent.path().join("second.wav").display());
    let heard = record(&mut guest, 20, |n| match n {
        6 => assert_eq!(serving.obeys(&["source", "0", &source]), "source 0 wav: s16 x 2, 48000 Hz"),
        16 => assert_eq!(serving.obeys(&["source 0 tone:12000"]), "source 0 tone:12000"),
        _ => {}
    });
    let before = same(&heard, &first);
    assert!((6 * 1_900..=9 * 1_900).contains(&before), "{before}");
    let rest = &heard[4 * before..];
    let after = same(rest, &second);
    assert_eq!(after, 9_000, "the second file from its first frame to its last, right behind the first");
    let rest = &rest[4 * after..];
    let silent = rest.chunks(4).take_while(|frame| *frame == [0; 4]).count();
    // A quarter turn of a sine of a quarter of full scale, in both channels.
    assert_eq!(rest[4 * silent..][..4], [0, 0x20, 0, 0x20], "its end is silence, then the tone begins");

    // It stays for the next stream, from its beginning.
    assert_eq!(serving.obeys(&["source", "0", &source]), "source 0 wav: s16 x 2, 48000 Hz");
    let heard = record(&mut guest, 3, |_| {});
    assert_eq!(same(&heard, &second), 3 * 1_900);
    serving.obeys(&["source 0 silence"]);
    assert!(record(&mut guest, 2, |_| {}).iter().all(|byte| *byte == 0));
    drop(guest);
    serving.end();
}

/// Plays as [`Guest::play`], and does something when the card has played a packet.
fn play_and(guest: &mut Guest, samples: &[u8], mut when: impl FnMut(u32)) {
    let setup = Setup::USUAL;
    guest.set_up(setup);
    let packets = u32::try_from(samples.len().div_ceil(setup.packet_bytes())).unwrap();
    guest.give_packet(setup, samples, 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    for n in 1..packets {
        guest.wait_packets(n.saturating_sub(1));
        when(n);
        guest.give_packet(setup, samples, n);
    }
    while guest.status32(pages::status::FLAGS) & pages::status::FLAG_ENDED == 0 {
        guest.wait_interrupt();
    }
    guest.stream_write(stream::STATE, stream::STATE_STOP);
}

#[test]
fn a_sink_changes_between_two_frames_and_none_is_lost_behind_all_of_the_sandbox() {
    let (parent, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let music = piece(&dir.path().join("music.wav"), 48_000, 2);
    let options = [&CONTROL[..], &["--sink", "wav:heard.wav", sandbox(dir.path())]].concat();
    let serving = Serving::start(dir.path(), &options);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let [second, raw] = ["second.wav", "third.raw"].map(|name| parent.path().join(name));
    let (to_wav, to_raw) = (format!("wav:{}", second.display()), format!("raw:{}", raw.display()));
    let mut given = 0;
    play_and(&mut guest, &music, |n| match n {
        8 => {
            given = guest_frames(n);
            assert_eq!(serving.obeys(&["sink", "0", &to_wav]), "sink 0 wav");
        }
        16 => assert_eq!(serving.obeys(&["sink", "0", &to_raw]), "sink 0 raw"),
        20 => assert_eq!(serving.obeys(&["sink 0 default"]), "sink 0 default"),
        _ => {}
    });
    // As long as the card has it, nobody else takes the file.
    drop(guest);
    serving.wait_for("the client has left", 1);
    let parts = [
        wav_bytes(&dir.path().join("heard.wav")),
        wav_bytes(&second),
        std::fs::read(&raw).unwrap(),
        wav_bytes(&dir.path().join("heard-2.wav")),
    ];
    assert!(parts.concat() == music, "{:?} of {}", parts.map(|part| part.len()), music.len());
    assert!(parts.iter().all(|part| part.len() >= 4 * 1_900), "each has its part");
    assert!(parts[0].len() >= 4 * given, "what was played before the command is in the first");
    serving.end();
}

/// Frames that the card has played for certain when it has completed packet `n - 2`.
fn guest_frames(n: u32) -> usize {
    (n as usize - 1) * 1_900
}

#[test]
fn a_file_is_for_one_client_and_nobody_else_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = [&CONTROL[..], &["--sink", "wav:heard.wav", "--render", "2"]].concat();
    let serving = Serving::start(dir.path(), &options);
    assert_eq!(serving.obeys(&["sink", "0", "wav:given.wav"]), "sink 0 wav");
    let other = |arguments: &[&str]| {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "10", env!("CARGO_BIN_EXE_ringwave")]).args(arguments);
        let output = command.current_dir(dir.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = other(&["serve", "--socket", "other.sock", "--sink", "wav:given.wav"]);
    assert!(code == Some(2) && said.contains("another process writes there"), "{said}");
    let (code, said) = other(&["control", "control.sock", "sink", "1", "wav:given.wav"]);
    assert!(code == Some(2) && said.contains("another process writes there"), "{said}");
    let samples = frames(7, 5_000);
    for _ in 0..2 {
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        guest.play(Setup::USUAL, &samples);
    }
    serving.wait_for("the client has left", 2);
    assert!(wav_bytes(&dir.path().join("given.wav")) == samples, "the first client's");
    assert!(wav_bytes(&dir.path().join("heard.wav")) == samples, "the second's is where --sink says");
    // It is free again, and known as this program's.
    assert_eq!(serving.obeys(&["sink", "0", "wav:given.wav"]), "sink 0 wav");
    std::fs::write(dir.path().join("mine.txt"), "mine").unwrap();
    for (words, said) in [
        (["sink", "0", "wav:mine.txt"], "nothing tells that ringwave wrote it"),
        (["sink", "0", "wav:no/a.wav"], "its folder is not there"),
        (["sink", "0", "raw:/dev/null"], "no regular file"),
        (["source", "2", "wav:mine.txt"], "not a WAV file"),
        (["source", "2", "wav:gone.wav"], "not found"),
    ] {
        let output = serving.control(&words);
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && line.contains(said), "{words:?}: {line}");
        assert!(line.lines().count() == 1 && line.contains("; "), "{line}");
    }
    for (words, said) in [
        (["source", "0", "tone:440"], "stream 0 plays; a source is for"),
        (["sink", "2", "null"], "stream 2 captures; a sink is for"),
        (["sink", "9", "wav:new.wav"], "no stream 9"),
        (["source", "9", "silence"], "no stream 9"),
        (["volume", "9", "mute"], "no stream 9"),
        (["volume", "0", "6dB"], "write volume STREAM"),
    ] {
        let output = serving.control(&words);
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && line.contains(said), "{words:?}: {line}");
    }
    let output = serving.control(&["jack", "0", "--script", "x.txt"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--script is no part of a command; "));
    assert!(!dir.path().join("new.wav").exists(), "what was made for nothing is gone");
    serving.end();
}

/// Says this with these descriptors, each with a byte of its own, and gives the answer.
fn answer(dir: &Path, line: &str, files: &[&File]) -> String {
    let socket = UnixStream::connect(dir.join("control.sock")).unwrap();
    match files {
        [] => send_line(&socket, line, None).unwrap(),
        [one] => send_line(&socket, line, Some(one.as_fd())).unwrap(),
        many => {
            let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(250))];
            let fds: Vec<_> = many.iter().map(|file| file.as_fd()).collect();
            let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
            let line = format!("{line}\n");
            let parts = [std::io::IoSlice::new(line.as_bytes())];
            rustix::net::sendmsg(&socket, &parts, &mut ancillary, rustix::net::SendFlags::empty()).unwrap();
        }
    }
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).unwrap();
    answer
}

fn memory(content: &[u8], seals: SealFlags) -> File {
    let mut file = File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
    file.write_all(content).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file
}

#[test]
fn what_may_not_be_given_is_refused_and_nothing_of_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    wav(&dir.path().join("source.wav"), STEREO, &frames(1, 100));
    std::fs::write(dir.path().join("empty.raw"), "").unwrap();
    let options = [
        &CONTROL[..],
        &["--render", "2", "--capture", "3", "--source", "wav:source.wav", "--source", "raw:empty.raw"],
        &["--source", "loopback:0", "--channels", "2"],
    ];
    let serving = Serving::start(dir.path(), &options.concat());
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", serving.child.id())).unwrap().count();
    let before = descriptors();
    let create = |name: &str| File::create(dir.path().join(name)).unwrap();
    let sealed = SealFlags::SHRINK | SealFlags::WRITE | SealFlags::GROW;
    let source = std::fs::read(dir.path().join("source.wav")).unwrap();
    let surround = StreamFormat { channels: 6, ..STEREO };
    wav(&dir.path().join("surround.wav"), surround, &[0; 120]);
    let surround = std::fs::read(dir.path().join("surround.wav")).unwrap();
    let odd = StreamFormat { rate: 12_345, ..STEREO };
    wav(&dir.path().join("odd.wav"), odd, &[0; 120]);
    let odd = std::fs::read(dir.path().join("odd.wav")).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer) = (File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer)));
    let socket = File::from(OwnedFd::from(UnixStream::pair().unwrap().0));
    let on_disk = File::open(dir.path().join("source.wav")).unwrap();
    let append = File::options().append(true).create(true).open(dir.path().join("append")).unwrap();
    let readable = File::open(dir.path().join("empty.raw")).unwrap();
    let used = File::options().write(true).open(dir.path().join("empty.raw")).unwrap();
    let writable_source = File::options().write(true).open(dir.path().join("source.wav")).unwrap();
    let folder = File::open(dir.path()).unwrap();
    let good = memory(&source, sealed);
    for (line, files, said) in [
        ("source 2 wav", vec![], "no file came"),
        ("source 2 wav", vec![&on_disk], "sealed memory"),
        ("source 2 wav", vec![&reader], "sealed memory"),
        ("source 2 wav", vec![&socket], "sealed memory"),
        ("source 2 wav", vec![&folder], "sealed memory"),
        ("source 2 wav", vec![&memory(&source, SealFlags::SHRINK)], "sealed memory"),
        ("source 2 wav", vec![&memory(b"RIFF", sealed)], "not a WAV file"),
        ("source 2 wav", vec![&memory(&surround, sealed)], "no stream can take it: it has 6 channels"),
        ("source 2 wav", vec![&memory(&odd, sealed)], "12345 Hz is no rate of the card; convert"),
        ("source 4 wav", vec![&good], "--source loopback"),
        ("source 0 wav", vec![&good], "stream 0 plays"),
        ("source 2 wav", vec![&good, &good], "more files came"),
        ("source 2 wav", vec![&good; 250], "more files came"),
        ("source 2 tone:440", vec![&good], "more files came"),
        ("jack 0", vec![&good], "more files came"),
        ("nonsense", vec![&good], "no command"),
        ("sink 0 wav", vec![], "no file came"),
        ("sink 0 wav", vec![&writer], "no regular file"),
        ("sink 0 raw", vec![&writer], "no regular file"),
        ("sink 0 wav", vec![&folder], "no regular file"),
        ("sink 0 wav", vec![&socket], "no regular file"),
        ("sink 0 wav", vec![&append], "not opened to be written"),
        ("sink 0 wav", vec![&readable], "not opened to be written"),
        ("sink 0 wav", vec![&used], "reads or writes that file already"),
        ("sink 0 wav", vec![&writable_source], "reads or writes that file already"),
        ("sink 3 wav", vec![&create("a.wav")], "stream 3 captures"),
    ] {
        let answer = answer(dir.path(), line, &files);
        assert!(answer.starts_with("error: ") && answer.contains(said), "{line}, {said}: {answer}");
        assert!(answer.contains("; "), "a next step: {answer}");
    }
    let full = create("full.wav");
    full.write_all_at(b"x", 0).unwrap();
    assert!(answer(dir.path(), "sink 0 wav", &[&full]).contains("not empty"));
    // One file for two streams.
    let one = create("one.wav");
    assert_eq!(answer(dir.path(), "sink 0 wav", &[&one]), "sink 0 wav\n");
    assert!(answer(dir.path(), "sink 1 raw", &[&one]).contains("a sink already"));
    assert_eq!(answer(dir.path(), "sink 0 null", &[]), "sink 0 null\n");
    assert_eq!(answer(dir.path(), "sink 1 raw", &[&one]), "sink 1 raw\n", "it is free again");
    assert_eq!(answer(dir.path(), "sink 1 default", &[]), "sink 1 default\n");
    assert_eq!(answer(dir.path(), "source 2 wav", &[&good]), "source 2 wav: s16 x 2, 48000 Hz\n");
    assert_eq!(answer(dir.path(), "source 2 silence", &[]), "source 2 silence\n");
    // Descriptors byte by byte, and a line that never ends.
    let drip = UnixStream::connect(dir.path().join("control.sock")).unwrap();
    for _ in 0..100 {
        let _ = send_line(&drip, "", Some(good.as_fd()));
    }
    drop(drip);
    assert_eq!(serving.obeys(&["jack", "0"]), "jack 0 in");
    assert!(descriptors() <= before + 2, "{} after {before}", descriptors());
    serving.end();
}

#[test]
fn the_hosts_volume_is_behind_the_guests_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let loud: Vec<u8> = [20_000_i16, -8_000].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let loud = loud.repeat(6_000);
    wav(&dir.path().join("loud.wav"), STEREO, &loud);
    let serving = Serving::start(dir.path(), &[&CONTROL[..], &["--sink", "wav:heard.wav"]].concat());
    assert_eq!(serving.obeys(&["volume", "0"]), "volume 0 0dB");
    // A half, to four places.
    assert_eq!(serving.obeys(&["volume", "0", "-6.0206dB"]), serving.obeys(&["volume", "0"]));
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.play(Setup::USUAL, &loud);
    assert_eq!(serving.obeys(&["volume 0 mute"]), "volume 0 mute");
    guest.play(Setup::USUAL, &loud);
    drop(guest);
    serving.wait_for("the client has left", 1);
    let heard = wav_bytes(&dir.path().join("heard.wav"));
    let half: Vec<u8> = [10_000_i16, -4_000].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    assert!(heard[..loud.len()] == half.repeat(6_000), "{:?}", &heard[..8]);
    assert!(heard[loud.len()..].iter().all(|byte| *byte == 0) && heard.len() == 2 * loud.len());
    serving.end();

    let options = [&CONTROL[..], &CAPTURE, &["--source", "wav:loud.wav"]].concat();
    let serving = Serving::start(dir.path(), &options);
    serving.obeys(&["volume", "0", "-6.0206"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let heard = record(&mut guest, 3, |_| {});
    assert_eq!(heard[..4], half, "what it records");
    drop(guest);
    serving.end();
}

fn script(dir: &Path, text: &str) -> (Option<i32>, String, String) {
    std::fs::write(dir.join("script.txt"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    let output =
        command.args(["control", "control.sock", "--script", "script.txt"]).current_dir(dir).output();
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_script_does_each_action_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    wav(&dir.path().join("a b.wav"), STEREO, &frames(1, 100));
    let (code, _, said) = script(dir.path(), "at 0 plug 0\n");
    assert!(code == Some(2) && said.contains("nobody serves there"), "{said}");
    let serving = Serving::start(dir.path(), &[&CONTROL[..], &["--unplugged", "1"]].concat());
    let begin = std::time::Instant::now();
    let text = "# a microphone comes\nat 0 jack 1\nat 0.2 plug 1\nat 0.30 source 1 wav:a b.wav\nat 0.4 sink 0 wav:late.wav # a file\n";
    let (code, told, said) = script(dir.path(), text);
    assert_eq!(code, Some(0), "{said}");
    assert!(begin.elapsed().as_millis() >= 400);
    let lines: Vec<(f64, &str)> = told
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(time, rest)| (time.parse().unwrap(), rest))
        .collect();
    let answers: Vec<&str> = lines.iter().map(|(_, answer)| *answer).collect();
    assert_eq!(answers, ["jack 1 out", "jack 1 in", "source 1 wav: s16 x 2, 48000 Hz", "sink 0 wav"]);
    for ((time, _), wanted) in lines.iter().zip([0.0, 0.2, 0.3, 0.4]) {
        assert!((wanted..wanted + 10.0).contains(time), "{time} for {wanted}");
    }
    for (text, code, why) in [
        ("at 0 unplug 1\nat 0 play 1\n", 2, "script.txt: line 2: no command"),
        (
            "at 0 unplug 1\nat 0 source 1 wav:gone.wav\n",
            2,
            "script.txt: line 2: cannot play gone.wav: not found",
        ),
        ("", 2, "script.txt: it has no command"),
        ("at 0 jack 1\nat 0 unplug 7\nat 0 unplug 1\n", 1, "script.txt: line 2: no stream 7"),
    ] {
        let (found, _, said) = script(dir.path(), text);
        assert!(found == Some(code) && said.contains(why) && said.lines().count() == 1, "{text:?}: {said}");
    }
    assert_eq!(
        serving.obeys(&["jack 1"]),
        "jack 1 in",
        "what a wrong script says before its mistake is not done"
    );
    serving.end();
}

#[test]
fn a_source_that_no_stream_can_take_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    wav(&dir.path().join("odd.wav"), StreamFormat { rate: 12_345, ..STEREO }, &frames(1, 100));
    wav(&dir.path().join("wide.wav"), StreamFormat { channels: 6, ..STEREO }, &[0; 120]);
    for (options, said) in [
        (
            &["--source", "wav:odd.wav"][..],
            "warn: --source wav:odd.wav: no stream can take it: 12345 Hz is no rate",
        ),
        (
            &["--source", "wav:wide.wav", "--channels", "2"],
            "no stream can take it: it has 6 channels, and a stream at most 2; serve with",
        ),
    ] {
        let serving = Serving::start(dir.path(), &[options, &CAPTURE].concat());
        assert_eq!(serving.said(said).len(), 1, "{said}");
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        guest.set_up(Setup::USUAL);
        serving.wait_for("and the stream is s16 x 2, 48000 Hz: it captures silence", 1);
        drop(guest);
        serving.end();
    }
    let serving = Serving::start(dir.path(), &[&["--source", "wav:wide.wav"][..], &CAPTURE].concat());
    assert!(serving.said("no stream can take it").is_empty());
    serving.end();
}
