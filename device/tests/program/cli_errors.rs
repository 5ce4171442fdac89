//! What `ringwave` says to a user who got something wrong: one line that names the thing, and exit code 2 (or
//! 1 where it was not the user).

use std::path::Path;
use std::process::{Command, Output};

fn ringwave(arguments: &[&str], dir: &Path) -> Output {
    Command::new("timeout")
        .args(["-k", "1", "15", env!("CARGO_BIN_EXE_ringwave")])
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

/// Runs it, expects this exit code, and one line on stderr that begins with `ringwave: ` and holds `named`.
fn one_line(arguments: &[&str], dir: &Path, code: i32, named: &str) {
    let output = ringwave(arguments, dir);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    assert!(said.starts_with("ringwave: ") && said.contains(named), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty());
}

/// A refusal of the command line itself: says which option, and what it takes.
fn refused(arguments: &[&str], dir: &Path, named: &[&str]) {
    let output = ringwave(arguments, dir);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(named.iter().all(|named| said.contains(named)), "{arguments:?}: {said}");
}

#[test]
fn no_arguments_teach() {
    let dir = tempfile::tempdir().unwrap();
    refused(&[], dir.path(), &["Usage: ringwave", "serve", "compare", "tone", "Examples:", "vfio-user-pci"]);
}

#[test]
fn places_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    std::fs::write(dir.path().join("file"), "kept").unwrap();
    let long = format!("{}.sock", "x".repeat(120));
    let serve = |socket: &str, options: &[&str], named: &str| {
        let arguments: Vec<_> = ["serve", "--socket", socket].iter().chain(options).copied().collect();
        one_line(&arguments, dir.path(), 2, named);
    };
    serve("nowhere/card.sock", &[], "nowhere/card.sock");
    serve("folder", &[], "folder");
    serve("file", &[], "file");
    serve(&long, &[], &long);
    serve("card.sock", &["--sink", "wav:folder"], "folder");
    serve("card.sock", &["--sink", "wav:nowhere/heard.wav"], "nowhere/heard.wav");
    serve("card.sock", &["--sink", "wav:file/heard.wav"], "file/heard.wav");
    serve("card.sock", &["--stats", "folder"], "folder");
    assert!(!dir.path().join("card.sock").exists(), "no socket is left");
    assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"kept");
}

#[test]
fn values_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    for bad in ["0", "0xffff", "0x10000", "xyz", "-1", ""] {
        let vendor = format!("--vendor={bad}");
        refused(&["serve", "--socket", "s", &vendor], dir.path(), &["--vendor", "0x0001 to 0xfffe"]);
    }
    for bad in ["wav", "wav:", "mp3:x", ""] {
        refused(&["serve", "--socket", "s", "--sink", bad], dir.path(), &["--sink", "wav:FILE"]);
    }
    for bad in ["0", "1001", "fast", "nan"] {
        refused(&["serve", "--socket", "s", "--speed", bad], dir.path(), &["--speed"]);
    }
    refused(&["serve", "--socket", "s", "--clock", "noon"], dir.path(), &["--clock", "lockstep", "realtime"]);
    refused(&["serve"], dir.path(), &["--socket"]);
    refused(&["serve", "--socket", ""], dir.path(), &["--socket"]);
    assert!(!dir.path().join("s").exists());
}

#[test]
fn piece_that_no_wav_file_can_hold_is_refused_before_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["tone", "long.wav", "--seconds", "3600", "--rate", "384000"];
    one_line(&arguments, dir.path(), 2, "long.wav");
    assert!(!dir.path().join("long.wav").exists());
    one_line(&["tone", ".", "--seconds", "1"], dir.path(), 2, "cannot write .");
    one_line(&["tone", "/dev/full", "--seconds", "1"], dir.path(), 1, "/dev/full");
}

/// A WAV file with one chunk of format and one of data: format tag, channels, bits; the sizes that its header
/// tells of RIFF and data.
fn wav(tag: u16, channels: u16, bits: u16, sizes: (u32, u32), data: &[u8]) -> Vec<u8> {
    let frame = channels.wrapping_mul(bits / 8);
    let mut file = b"RIFF".to_vec();
    file.extend(sizes.0.to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(48_000_u32.to_le_bytes());
    file.extend((48_000 * u32::from(frame)).to_le_bytes());
    file.extend(frame.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(sizes.1.to_le_bytes());
    file.extend(data);
    file
}

#[test]
fn files_that_cannot_be_compared() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let data: Vec<u8> = (0..4800_u32).map(|byte| (byte % 251) as u8).collect();
    let whole = |tag, channels, bits| wav(tag, channels, bits, (36 + 4800, 4800), &data);
    put("good.wav", &whole(1, 2, 16));
    put("text.wav", b"this is not a sound");
    put("empty.wav", b"");
    put("header.wav", &whole(1, 2, 16)[..30]);
    put("float.wav", &whole(3, 2, 32));
    put("short.wav", &whole(1, 2, 16)[..3000]);
    put("piped.wav", &wav(1, 2, 16, (u32::MAX, u32::MAX), &data));
    put("odd.wav", &wav(1, 2, 16, (36 + 4799, 4799), &data));
    put("silent.wav", &whole(1, 0, 16));
    put("bits0.wav", &whole(1, 2, 0));
    put("mulaw.wav", &whole(7, 2, 8));
    std::fs::create_dir(dir.path().join("folder.wav")).unwrap();
    for bad in [
        "text.wav",
        "empty.wav",
        "header.wav",
        "short.wav",
        "odd.wav",
        "silent.wav",
        "bits0.wav",
        "mulaw.wav",
        "folder.wav",
        "missing.wav",
    ] {
        one_line(&["compare", "good.wav", bad], dir.path(), 2, bad);
        one_line(&["compare", bad, "good.wav"], dir.path(), 2, bad);
    }
    // PCM of other widths is compared, and a width is a part of the format.
    for (bits, channels) in [(8, 1), (24, 2), (32, 1)] {
        put("other.wav", &whole(1, channels, bits));
        let same = ringwave(&["compare", "other.wav", "other.wav"], dir.path());
        assert_eq!(same.status.code(), Some(0), "{}", String::from_utf8_lossy(&same.stderr));
        let differs = ringwave(&["compare", "good.wav", "other.wav"], dir.path());
        assert_eq!(differs.status.code(), Some(1));
        assert!(String::from_utf8(differs.stdout).unwrap().contains("formats differ"));
    }
    // As a writer leaves it that is killed before it has put the sizes in: taken up to its end, and said so.
    put("killed.wav", &wav(1, 2, 16, (0, 0), &data));
    let killed = ringwave(&["compare", "good.wav", "killed.wav"], dir.path());
    let warning = String::from_utf8(killed.stderr).unwrap();
    assert_eq!(killed.status.code(), Some(0), "{warning}");
    assert!(warning.contains("killed.wav: it says 0 bytes of sound"), "{warning}");
}
