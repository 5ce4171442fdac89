//! Memory that the client maps without sharing it: the map is taken and kept, and DMA to it is refused by
//! name.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ringwave_regs::error::Error;
use ringwave_regs::{global, pci};
use ringwave_vfio_user::{Client, ClientError, Errno};

/// Where the memory is mapped.
const ADDRESS: u64 = 0x8000_0000;
const PAGE: u64 = 4096;

/// The program, ended with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path) -> (Serving, Client) {
    let socket = folder.join("card.sock");
    let command = Command::new(env!("CARGO_BIN_EXE_ringwave"))
        .args(["serve", "--sink", "null", "--socket"])
        .arg(&socket)
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        match Client::connect(&socket) {
            Ok(client) => return (Serving(command), client),
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn self_test(client: &mut Client) -> u32 {
    let bar = pci::REGISTERS_BAR;
    let low = u32::try_from(ADDRESS).unwrap();
    for (register, value) in [
        (global::SELFTEST_ADDR_LO, low),
        (global::SELFTEST_ADDR_HI, 0),
        (global::SELFTEST_BYTES, 4),
        (global::SELFTEST, 7),
    ] {
        client.write32(bar, register.into(), value).unwrap();
    }
    client.read32(bar, global::SELFTEST.into()).unwrap()
}

#[test]
fn map_without_a_descriptor_is_kept_and_refused_for_dma_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (_serving, mut client) = serve(folder.path());
    client.write(ringwave_vfio_user::wire::pci::CONFIG_REGION, 4, &[6]).unwrap();

    client.dma_map(ADDRESS, PAGE, None).unwrap();
    match client.dma_map(ADDRESS, PAGE, None) {
        Err(ClientError::Refused { errno, .. }) => assert_eq!(errno, Errno::EXIST, "it is kept"),
        other => panic!("{other:?}"),
    }
    assert_eq!(self_test(&mut client), Error::DmaUnmapped.code());

    client.dma_unmap(ADDRESS, PAGE).unwrap();
    // Memory, and no file on a disk: that is refused.
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let memory: File = page_of_ram(&shared.path().join("ram"), &0x1234_5678_u32.to_le_bytes());
    client.dma_map(ADDRESS, PAGE, Some((memory.as_fd(), 0))).unwrap();
    assert_eq!(self_test(&mut client), 0, "with a descriptor it is reached");
    let mut word = [0; 4];
    memory.read_exact_at(&mut word, 0).unwrap();
    assert_eq!(u32::from_le_bytes(word), !0x1234_5678);
}

/// A file of one page that begins with these bytes.
fn page_of_ram(path: &Path, bytes: &[u8]) -> File {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(PAGE).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}
