//! `ringwave compare` and `--source wav:` with files of any length, devices and pipes: bounded memory, and an
//! answer in time.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The address space that a child may have, KiB: far less than the files have bytes.
const MEMORY_KIB: u32 = 256 << 10;
/// A pipe from which nothing comes is given up after 5 s; the rest is for a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// `ringwave` with little memory.
fn spawn(arguments: &[&str], folder: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v \"$1\" && shift && exec \"$@\"", "sh", &MEMORY_KIB.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_ringwave")).args(arguments).current_dir(folder);
    command.env("TMPDIR", folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What it said and how it ended, within this time.
fn wait_for_exit(mut child: Child, what: &str) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() >= PATIENCE {
            child.kill().unwrap();
            panic!("{what}: it hangs: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn compare(a: &str, b: &str, folder: &Path) -> (Option<i32>, String) {
    let output = wait_for_exit(spawn(&["compare", a, b], folder), a);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// The header of 16-bit mono with so many bytes of sound; `u32::MAX` = up to the file's end.
fn header(data: u32) -> Vec<u8> {
    let mut file = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    file.extend(48_000_u32.to_le_bytes());
    file.extend(96_000_u32.to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(data.to_le_bytes());
    file
}

/// So many bytes of silence, of which the disk holds almost nothing.
fn sparse(path: &Path, said: u32, bytes: u64) -> File {
    let mut file = File::create(path).unwrap();
    file.write_all(&header(said)).unwrap();
    file.set_len(44 + bytes).unwrap();
    file
}

fn fifo(folder: &Path) {
    assert!(Command::new("mkfifo").arg(folder.join("fifo")).status().unwrap().success());
}

#[test]
fn files_of_any_length_are_compared_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let bytes = 600_u32 << 20;
    sparse(&dir.join("a.wav"), bytes, bytes.into());
    let b = sparse(&dir.join("b.wav"), bytes, bytes.into());
    let (code, said) = compare("a.wav", "b.wav", dir);
    assert!(code == Some(0) && said.contains("bit-exact"), "{code:?}: {said}");
    // Its last sample but one.
    b.write_at(&[1], 44 + u64::from(bytes) - 4).unwrap();
    let (code, said) = compare("a.wav", "b.wav", dir);
    let place = format!("first difference at frame {} channel 0: a=0 b=1", bytes / 2 - 2);
    assert!(code == Some(1) && said.contains(&place), "{code:?}: {said}");
    // More than 32 bits can count.
    sparse(&dir.join("long.wav"), u32::MAX, 5 << 30);
    sparse(&dir.join("short.wav"), 2000, 2000);
    let (code, said) = compare("long.wav", "short.wav", dir);
    let lengths = format!("lengths differ: {} and 1000 frames", (5_u64 << 30) / 2);
    assert!(code == Some(1) && said.contains(&lengths), "{code:?}: {said}");
}

#[test]
fn what_is_no_sound_is_refused_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    sparse(&dir.join("good.wav"), 2000, 2000);
    fifo(dir);
    // Nothing but empty chunks.
    let mut empty = File::create(dir.join("chunks.wav")).unwrap();
    empty.write_all(b"RIFF\0\0\0\0WAVE").unwrap();
    empty.set_len(5 << 30).unwrap();
    // All at once, for some wait for 5 s.
    let mut children = Vec::new();
    for (bad, why) in [
        ("/dev/zero", "not a WAV file"),
        ("/dev/null", "not a WAV file"),
        ("fifo", "nothing has come for 5 s"),
        ("chunks.wav", "it has no fmt chunk"),
    ] {
        let (source, socket) = (format!("wav:{bad}"), format!("card{}.sock", children.len()));
        for arguments in [
            &["compare", bad, "good.wav"][..],
            &["compare", "good.wav", bad],
            &["serve", "--socket", &socket, "--source", &source],
        ] {
            children.push((bad, why, spawn(arguments, dir)));
        }
    }
    for (bad, why, child) in children {
        let output = wait_for_exit(child, bad);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad}: {said}");
        let line = said.lines().last().unwrap_or_default();
        assert!(line.starts_with("ringwave: ") && line.contains(bad) && line.contains(why), "{bad}: {said}");
        assert!(output.stdout.is_empty(), "{bad}");
    }
}

#[test]
fn pipe_is_compared_to_its_end_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let bytes = 300_u32 << 20;
    sparse(&dir.join("a.wav"), bytes, bytes.into());
    fifo(dir);
    let child = spawn(&["compare", "a.wav", "fifo"], dir);
    let path = dir.join("fifo");
    // By a thread of its own: it waits for ever for a reader that has died. The thread ends with the test, if
    // not sooner.
    std::thread::spawn(move || {
        let mut writer = File::options().write(true).open(path).unwrap();
        writer.write_all(&header(u32::MAX)).unwrap();
        let chunk = vec![0; 1 << 20];
        for _ in 0..300 {
            writer.write_all(&chunk).unwrap();
        }
    });
    let output = wait_for_exit(child, "fifo");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.code() == Some(0) && said.contains("bit-exact"), "{said}");
    let left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn source_of_any_length_is_served_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    sparse(&dir.join("long.wav"), u32::MAX, 5 << 30);
    let mut child = spawn(&["serve", "--socket", "card.sock", "--source", "wav:long.wav"], dir);
    let begin = Instant::now();
    while !dir.join("card.sock").exists() && child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < PATIENCE, "no socket");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    let early = child.try_wait().unwrap();
    child.kill().unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(early.is_none(), "{said:?}");
}
