//! Every message to a user: one line, what is wrong in plain words, and the next step.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ringwave(arguments: &[&str], dir: &Path, user: Option<u32>) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "15", env!("CARGO_BIN_EXE_ringwave")]).args(arguments).current_dir(dir);
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command.output().unwrap()
}

/// The line is one, says `what`, has a next step, and no text that is for programmers. Exit code 2.
#[track_caller]
fn said(arguments: &[&str], dir: &Path, user: Option<u32>, what: &str) {
    let output = ringwave(arguments, dir, user);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
    assert!(line.starts_with("ringwave: ") && line.contains(what), "{arguments:?}, {what}: {line}");
    let (_, next) = line.split_once("; ").unwrap_or_else(|| panic!("{arguments:?}: no next step: {line}"));
    assert!(next.trim_end().len() > 5, "{line}");
    for raw in ["(os error", "contradicts itself", "{ ", "Some(", "Os {"] {
        assert!(!line.contains(raw), "{arguments:?}: {raw} in {line}");
    }
}

/// A WAV file of one `fmt ` chunk and one of data.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, align: u16, extension: &[u8]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVEfmt ".to_vec();
    file.extend((16 + u32::try_from(extension.len()).unwrap()).to_le_bytes());
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(align)).to_le_bytes());
    file.extend(align.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(extension);
    file.extend(b"data\x10\0\0\0");
    file.extend([0; 16]);
    file
}

/// Names and contents of files that are no sound for us, and what is to be said of each.
fn bad_sounds() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let extensible = |guid: &[u8; 16]| [&[22, 0, 16, 0, 3, 0, 0, 0][..], guid].concat();
    let unlike = extensible(b"not a known kind");
    let opaque = wav(0xFFFE, 2, 48_000, 16, 4, &unlike);
    vec![
        ("empty.wav", vec![], "not a WAV file"),
        ("text.wav", b"hello".to_vec(), "not a WAV file"),
        ("rf64.wav", b"RF64\xff\xff\xff\xffWAVEds64".to_vec(), "no fmt chunk"),
        ("bw64.wav", b"BW64\xff\xff\xff\xffWAVEds64".to_vec(), "no fmt chunk"),
        ("rifx.wav", b"RIFX\0\0\0\0WAVE".to_vec(), "RIFX"),
        ("flac.wav", b"fLaC\0\0\0\x22".to_vec(), "FLAC"),
        ("ogg.wav", b"OggS\0\x02".to_vec(), "Ogg"),
        ("aiff.wav", b"FORM\0\0\0\0AIFF".to_vec(), "AIFF"),
        ("mp3.wav", b"ID3\x04".to_vec(), "MP3"),
        ("float64.wav", wav(3, 2, 48_000, 64, 16, &[]), "64-bit float"),
        ("float16.wav", wav(3, 2, 48_000, 16, 4, &[]), "16-bit float"),
        ("pcm64.wav", wav(1, 2, 48_000, 64, 16, &[]), "64-bit PCM"),
        ("alaw.wav", wav(6, 2, 8_000, 8, 2, &[]), "A-law"),
        ("mulaw.wav", wav(7, 2, 8_000, 8, 2, &[]), "mu-law"),
        // The frame of a compressed format is a block: it is no contradiction that it does not fit.
        ("adpcm.wav", wav(2, 2, 44_100, 4, 1024, &[2, 0, 244, 3]), "Microsoft ADPCM"),
        ("ima.wav", wav(0x11, 1, 44_100, 4, 512, &[2, 0, 249, 3]), "IMA ADPCM"),
        ("gsm.wav", wav(0x31, 1, 8_000, 0, 65, &[]), "GSM 6.10"),
        ("tag.wav", wav(0x1234, 0, 0, 0, 0, &[]), "format tag 0x1234"),
        ("guid.wav", opaque, "an extensible format of an unknown kind"),
        ("channels.wav", wav(1, 0, 48_000, 16, 0, &[]), "says 0 channels"),
        ("bits.wav", wav(1, 2, 48_000, 0, 0, &[]), "says 0 bits"),
        ("rate.wav", wav(1, 2, 0, 16, 4, &[]), "says 0 Hz"),
        ("frame.wav", wav(1, 2, 48_000, 16, 5, &[]), "a frame of other bytes"),
        ("fmt.wav", b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0\x01\0\x02\0".to_vec(), "fmt chunk is too short"),
        ("nofmt.wav", b"RIFF\0\0\0\0WAVEdata\0\0\0\0".to_vec(), "no fmt chunk"),
        ("nodata.wav", wav(1, 2, 48_000, 16, 4, &[])[..36].to_vec(), "no data chunk"),
        ("cut.wav", wav(1, 2, 48_000, 16, 4, &[])[..50].to_vec(), "cut short"),
    ]
}

#[test]
fn sound_that_is_refused_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("good.wav"), wav(1, 2, 48_000, 16, 4, &[])).unwrap();
    for (name, content, what) in bad_sounds() {
        std::fs::write(dir.path().join(name), content).unwrap();
        said(&["compare", "good.wav", name], dir.path(), None, what);
        let source = format!("wav:{name}");
        said(&["serve", "--socket", "s", "--source", &source], dir.path(), None, what);
    }
}

/// Arguments, split at spaces, and what is to be said.
const BAD_PLACES: [(&str, &str); 29] = [
    ("compare good.wav missing.wav", "not found"),
    ("compare folder good.wav", "is a directory"),
    ("compare good.wav good.wav/x", "a part of the path is a file"),
    ("trace missing", "not found"),
    ("trace folder", "is a directory"),
    ("trace good.wav", "this is no trace"),
    ("tone folder --seconds 1", "is a directory"),
    ("tone nowhere/x.wav --seconds 1", "its folder is not there"),
    ("tone x.wav --seconds 3600 --rate 384000", "longer than the 4 GiB"),
    ("control missing stats", "nobody serves there"),
    ("control folder stats", "nobody serves there"),
    ("control good.wav stats", "nobody serves there"),
    ("control LONG stats", "too long"),
    ("bringup --socket missing", "nobody serves there"),
    ("bringup --socket good.wav", "nobody serves there"),
    ("bringup --socket LONG", "too long"),
    ("bringup --vfio 0000:ff:1f.7", "no such PCI function"),
    ("bringup --vfio card", "not a PCI address"),
    ("serve --socket nowhere/s", "its folder is not there"),
    ("serve --socket good.wav/s", "a part of the path is a file"),
    ("serve --socket good.wav", "is not a socket"),
    ("serve --socket LONG", "too long"),
    ("serve --socket s --sink wav:nowhere/x.wav", "its folder is not there"),
    ("serve --socket s --sink wav:good.wav/x.wav", "a part of the path is a file"),
    ("serve --socket s --stats nowhere/x", "its folder is not there"),
    ("serve --socket s --trace folder", "is a directory"),
    ("serve --socket s --source raw:missing", "not found"),
    ("serve --socket s --unplugged 99", "no stream 99"),
    ("serve --socket s --source loopback:9", "1 render streams"),
];

#[test]
fn every_bad_place_is_told_with_its_next_step() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("good.wav"), wav(1, 2, 48_000, 16, 4, &[])).unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let long = "x".repeat(150);
    for (arguments, what) in BAD_PLACES {
        let arguments: Vec<_> =
            arguments.split(' ').map(|word| if word == "LONG" { long.as_str() } else { word }).collect();
        said(&arguments, dir.path(), None, what);
    }
    said(&["control", "s", "jack\n0"], dir.path(), None, "more than one line");
    assert!(!dir.path().join("s").exists());
}

#[test]
fn permission_denied_is_called_that() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret.wav");
    std::fs::write(&secret, wav(1, 2, 48_000, 16, 4, &[])).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("card.sock")).unwrap();
    for (name, mode) in [("secret.wav", 0o600), ("card.sock", 0o600), ("", 0o755)] {
        let place = dir.path().join(name);
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    // Only root is let do what the mode of a file forbids, and only root can be another.
    // SAFETY: it takes nothing and only tells.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
        return said(&["compare", "secret.wav", "secret.wav"], dir.path(), None, "permission denied");
    }
    let program = PathBuf::from(env!("CARGO_BIN_EXE_ringwave"));
    // What another user cannot run says nothing.
    let mut version = Command::new(program);
    if version.arg("--version").uid(65_534).gid(65_534).output().is_err() {
        return;
    }
    for arguments in [
        "compare secret.wav secret.wav",
        "tone new.wav --seconds 1",
        "trace secret.wav",
        "control card.sock stats",
        "bringup --socket card.sock",
        "serve --socket new.sock",
    ] {
        let words: Vec<_> = arguments.split(' ').collect();
        said(&words, dir.path(), Some(65_534), "permission denied");
    }
}

/// Every `.rs` file below.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn no_message_is_made_with_debug() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(here, &mut files);
    // Those of every crate of the card, and no tests.
    files.retain(|path| path.components().any(|part| part.as_os_str() == "src"));
    assert!(files.len() > 150, "all of them");
    // Bytes in hexadecimal may be; and words of a client's or of a user's: quoted and escaped, which is what
    // Debug does to text.
    let quoted = ["write!(f, \"{:?}\", self.0)", "format!(\"{name:?}\")"];
    for path in files {
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs")) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let program = text.split("\nmod tests {").next().unwrap();
        let lines = program.lines().map(|line| line.trim().replace(":02x?}", ""));
        for line in lines.filter(|line| !line.starts_with("//")) {
            assert!(!line.contains("?}") || quoted.contains(&line.as_str()), "{}: {line}", path.display());
        }
    }
}
