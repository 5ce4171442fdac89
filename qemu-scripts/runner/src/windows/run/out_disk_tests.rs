//! A disk as the guest would leave it, written by mtools, and damaged.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A disk with these files in it; a name that ends in `/` is a folder.
fn disk_with(files: &[(&str, &[u8])]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("out.img");
    make(&disk).unwrap();
    let image = format!("{}@@{}", disk.display(), START * SECTOR);
    for (name, bytes) in files {
        if name.ends_with('/') {
            mtools("mmd", image.as_ref(), &[], &format!("::/{}", name.trim_end_matches('/'))).unwrap();
        } else {
            let from = folder.path().join("file");
            fs::write(&from, bytes).unwrap();
            mtools("mcopy", image.as_ref(), &["-o".as_ref(), from.as_ref()], &format!("::/{name}")).unwrap();
        }
    }
    (folder, disk)
}

/// What is below a folder, by its path.
fn tree(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(
                tree(&entry.path()).into_iter().map(|(inside, size)| (format!("{name}/{inside}"), size)),
            );
        } else {
            found.push((name, entry.metadata().unwrap().len()));
        }
    }
    found.sort();
    found
}

fn taken(disk: &Path) -> (TempDir, Vec<String>) {
    let to = tempfile::tempdir().unwrap();
    let left_out = take(disk, to.path()).unwrap();
    (to, left_out)
}

#[test]
fn what_the_guest_wrote_comes_out_and_what_windows_adds_does_not() {
    let long: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let (_folder, disk) = disk_with(&[
        ("program.log", b"hello\r\n"),
        ("out/", b""),
        ("out/A long name with spaces, and a comma.bin", &long),
        ("out/empty.txt", b""),
        ("System Volume Information/", b""),
        ("System Volume Information/x", b"x"),
    ]);
    let (to, left_out) = taken(&disk);
    assert_eq!(left_out, Vec::<String>::new());
    let name = "out/A long name with spaces_ and a comma.bin";
    let wanted = [(name, 400_000), ("out/empty.txt", 0), ("program.log", 7)];
    assert_eq!(tree(to.path()), wanted.map(|(name, size)| (name.to_owned(), size)));
    assert_eq!(fs::read(to.path().join(name)).unwrap(), long);
    assert_eq!(fs::read(to.path().join("program.log")).unwrap(), b"hello\r\n");
}

/// Where these bytes are first in the disk's first 8 MiB.
fn place(disk: &Path, bytes: &[u8]) -> u64 {
    let mut start = vec![0; 8 << 20];
    File::open(disk).unwrap().read_exact_at(&mut start, 0).unwrap();
    let found = start.windows(bytes.len()).position(|part| part == bytes).unwrap();
    found as u64
}

fn overwrite(disk: &Path, at: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(disk).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn name_with_slashes_stays_below_the_folder() {
    let (_folder, disk) = disk_with(&[("NAME.TXT", b"x"), ("OTHER.TXT", b"y")]);
    overwrite(&disk, place(&disk, b"NAME    TXT"), b"../../ABTXT");
    overwrite(&disk, place(&disk, b"OTHER   TXT"), b"../..|ABTXT");
    let (to, _) = taken(&disk);
    let names: Vec<String> = tree(to.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [".._.._AB-2.TXT", ".._.._AB.TXT"]);
}

#[test]
fn name_that_is_plain_is_kept_and_others_that_become_it_are_numbered_before_their_ending() {
    for (names, wanted) in [
        (&["a;b.txt", "a_b.txt", "a&b.txt"][..], &["a_b-2.txt", "a_b.txt", "a_b-3.txt"][..]),
        (&["a_b.txt", "A;B.TXT"], &["a_b.txt", "A_B-2.TXT"]),
        (&["a;b", "a&b", "a_b-2"], &["a_b", "a_b-3", "a_b-2"]),
        (&["?", "*", ".;"], &["_", "_-2", "._"]),
        (&[".;x", ".&x"], &["._x", "._x-2"]),
    ] {
        let entry = |name: &&str| Entry::named(name);
        assert_eq!(host_names(&names.iter().map(entry).collect::<Vec<_>>()), wanted, "{names:?}");
    }
    let long = ["x".repeat(121), "x".repeat(122)];
    let names = host_names(&long.map(|name| Entry::named(&name)));
    assert_eq!(names, ["x".repeat(120), format!("{}-2", "x".repeat(120))]);
}

#[test]
fn disk_that_windows_had_not_finished_with_is_said_and_a_chain_that_is_a_ring_ends() {
    let (_folder, disk) = disk_with(&[("LONG.BIN", &[7; 100])]);
    let table = START * SECTOR + 32 * SECTOR;
    let mut entries = [0; 16];
    File::open(&disk).unwrap().read_exact_at(&mut entries, table).unwrap();
    assert_eq!(taken(&disk).1, Vec::<String>::new());
    let clean = u32::from_le_bytes(entries[4..8].try_into().unwrap());
    overwrite(&disk, table + 4, &(clean & !(1 << 27)).to_le_bytes());
    let left_out = taken(&disk).1;
    assert!(matches!(left_out.as_slice(), [line] if line.contains("may be incomplete")), "{left_out:?}");
    overwrite(&disk, table + 4, &clean.to_le_bytes());
    let entry = place(&disk, b"LONG    BIN");
    overwrite(&disk, entry + 28, &u32::MAX.to_le_bytes());
    let mut first = [0; 2];
    File::open(&disk).unwrap().read_exact_at(&mut first, entry + 26).unwrap();
    overwrite(&disk, table + 4 * u64::from(u16::from_le_bytes(first)), &[first[0], first[1], 0, 0]);
    let (to, left_out) = taken(&disk);
    assert!(left_out.iter().any(|line| line.ends_with("only 32768 of 4294967295 bytes")), "{left_out:?}");
    assert_eq!(fs::metadata(to.path().join("LONG.BIN")).unwrap().len(), 32_768);
}

#[test]
fn folder_that_holds_itself_and_file_that_is_longer_than_its_clusters_have_an_end() {
    let (_folder, disk) = disk_with(&[("LOOP/", b""), ("LONG.BIN", b"0123456789")]);
    // LOOP's first cluster becomes the root's, which is 2.
    let entry = place(&disk, b"LOOP       ");
    overwrite(&disk, entry + 26, &2u16.to_le_bytes());
    let entry = place(&disk, b"LONG    BIN");
    overwrite(&disk, entry + 28, &u32::MAX.to_le_bytes());
    let (to, left_out) = taken(&disk);
    assert!(left_out.iter().any(|line| line.ends_with("too deep")), "{left_out:?}");
    assert!(left_out.iter().any(|line| line.contains("of 4294967295 bytes")), "{left_out:?}");
    assert!(to.path().join("LOOP/LOOP/LONG.BIN").exists());
}

#[test]
fn disk_that_is_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("out.img");
    for bytes in [0, 512, 1 << 20] {
        fs::write(&disk, vec![0; bytes]).unwrap();
        let why = take(&disk, folder.path()).unwrap_err().to_string();
        assert!(why.contains("cannot be read"), "{why}");
    }
}

/// Whatever the numbers are, nothing panics, and nothing is written beside the folder.
#[test]
fn damaged_numbers_do_no_harm() {
    let (_folder, disk) = disk_with(&[("out/", b""), ("out/long name here.txt", b"text")]);
    let boot = START * SECTOR;
    let root = place(&disk, b"RINGWAVE   ");
    for (start, length) in [(0x1BE, 16), (boot + 11, 40), (root, 128)] {
        for at in start..start + length {
            for value in [0x00, 0xFF] {
                let mut was = [0];
                File::open(&disk).unwrap().read_exact_at(&mut was, at).unwrap();
                overwrite(&disk, at, &[value]);
                let to = tempfile::tempdir().unwrap();
                let inside = to.path().join("inside");
                fs::create_dir(&inside).unwrap();
                let _ = take(&disk, &inside);
                assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
                overwrite(&disk, at, &was);
            }
        }
    }
}
