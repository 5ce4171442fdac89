//! The client against servers that lie, stammer, or say nothing: an error with a name, never a panic, and
//! nothing believed.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "these are tests")]

mod common;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::*;
use ringwave_vfio_user::wire::{HEADER_BYTES, Header, command, header_flags, region_flags};
use ringwave_vfio_user::{Client, ClientError, Errno, RawClient};
use zerocopy::{FromBytes, IntoBytes};

/// A reply to `header`.
fn reply(header: &Header, payload: &[u8]) -> Vec<u8> {
    let ours = Header {
        flags: header_flags::REPLY.into(),
        ..Header::command(header.id.get(), header.command.get(), payload.len())
    };
    [ours.as_bytes(), payload].concat()
}

/// A server that answers `VERSION` as it should, and then each command with what `answer` makes of it; it
/// closes when that is nothing.
fn lying(mut answer: impl FnMut(&Header, &[u8]) -> Vec<u8> + Send + 'static) -> Client {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut greeted = false;
        loop {
            let mut bytes = [0; HEADER_BYTES];
            if theirs.read_exact(&mut bytes).is_err() {
                return;
            }
            let header = Header::read_from_bytes(&bytes).unwrap();
            let mut payload = vec![0; header.size.get() as usize - HEADER_BYTES];
            theirs.read_exact(&mut payload).unwrap();
            let bytes = if greeted { answer(&header, &payload) } else { reply(&header, &[0, 0, 1, 0]) };
            greeted = true;
            if bytes.is_empty() || theirs.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    Client::over(ours).unwrap()
}

fn protocol<T: std::fmt::Debug>(result: Result<T, ClientError>) {
    assert!(matches!(result, Err(ClientError::Protocol(_))), "{result:?}");
}

#[test]
fn what_the_server_does_not_say_has_the_default_of_the_specification() {
    let limits = lying(|_, _| Vec::new()).limits();
    assert_eq!((limits.minor, limits.fds, limits.data_bytes, limits.write_multiple), (1, 1, 1 << 20, false));
}

#[test]
fn version_that_was_not_proposed_is_refused() {
    for payload in [&[1, 0, 0, 0][..], &[0, 0, 2, 0], &[0, 0, 1], b"\0\0\x01\0{}", b"\0\0\x01\0[\0"] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let payload = payload.to_vec();
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            let _ = theirs.read(&mut bytes).unwrap();
            let header = Header::read_from_prefix(&bytes).unwrap().0;
            theirs.write_all(&reply(&header, &payload)).unwrap();
        });
        protocol(Client::over(ours));
    }
}

#[test]
fn reply_to_something_else_is_no_reply() {
    type Change = fn(&mut Header);
    let changes: [Change; 3] = [
        |header| header.id = (header.id.get() ^ 1).into(),
        |header| header.command = command::DMA_MAP.into(),
        |header| header.flags = header_flags::COMMAND.into(),
    ];
    for change in changes {
        let mut client = lying(move |header, _| {
            let mut bytes = reply(header, &[]);
            let mut wrong = Header::read_from_prefix(&bytes).unwrap().0;
            change(&mut wrong);
            bytes[..HEADER_BYTES].copy_from_slice(wrong.as_bytes());
            bytes
        });
        protocol(client.reset());
    }
}

#[test]
fn errors_are_named_and_errno_is_optional() {
    for (said, expected) in [(19, Errno::NODEV), (0, Errno::IO), (5_000, Errno::IO), (u32::MAX, Errno::IO)] {
        let mut client = lying(move |header, _| {
            let flags = header_flags::REPLY | header_flags::ERROR;
            let error = Header { flags: flags.into(), errno: said.into(), ..*header };
            Header { size: 16.into(), ..error }.as_bytes().to_vec()
        });
        match client.reset() {
            Err(ClientError::Refused { command: command::DEVICE_RESET, errno }) => {
                assert_eq!(errno, expected);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn payloads_that_are_not_what_was_asked_for_are_not_believed() {
    let short = || lying(|header, _| reply(header, &[0; 3]));
    protocol(short().device_info());
    protocol(short().irq_info(0));
    protocol(short().region_info(0));
    protocol(short().read32(0, 0));
    protocol(short().write32(0, 0, 0));
    protocol(short().dma_unmap_all());
    // The right length for a read, and another place; a read of less; another address.
    protocol(lying(|header, _| reply(header, &[1; 20])).read32(0, 0));
    protocol(lying(reply).read32(0, 0));
    protocol(lying(|header, _| reply(header, &[1; 24])).dma_unmap(0x1000, 0x1000));
}

#[test]
fn capabilities_in_a_circle_or_beyond_the_reply_are_refused() {
    let region = |cap_offset: u32, capability: &'static [u32]| {
        lying(move |header, _| {
            let bytes = 32 + 4 * u32::try_from(capability.len()).unwrap();
            let info = words(&[bytes, region_flags::CAPS, 0, cap_offset, 0, 0, 0, 0]);
            reply(header, &[info, words(capability)].concat())
        })
        .region_info(0)
    };
    // Sparse mmap with one area; then one whose next is itself, one with a next before it, and one with more
    // areas than there are.
    let good = region(32, &[1 | 1 << 16, 0, 1, 0, 0x1000, 0, 0x2000, 0]).unwrap();
    assert_eq!((good.areas[0].offset, good.areas[0].size), (0x1000, 0x2000));
    protocol(region(32, &[1 | 1 << 16, 32, 0, 0]));
    protocol(region(36, &[0, 1 | 1 << 16, 32, 0, 0]));
    protocol(region(32, &[1 | 1 << 16, 0, u32::MAX, 0, 0, 0, 0, 0]));
    protocol(region(4, &[]));
    protocol(region(u32::MAX, &[0; 8]));
    assert!(region(32, &[7, 0, 0, 0]).unwrap().areas.is_empty(), "one that is not known is passed over");
}

#[test]
fn size_that_grows_with_every_reply_ends() {
    let mut asked = 0;
    let mut client = lying(move |header, _| {
        asked += 1;
        reply(header, &words(&[32 + asked * 16, 0, 0, 0, 0, 0, 0, 0]))
    });
    protocol(client.region_info(0));
}

#[test]
fn mapping_without_memory_is_refused() {
    let mut client =
        lying(|header, _| reply(header, &words(&[32, region_flags::MMAP, 0, 0, 0x1000, 0, 0, 0])));
    protocol(client.region_info(0));
}

#[test]
fn message_longer_than_any_may_be_is_not_read() {
    let mut client = lying(|header, _| {
        let mut bytes = reply(header, &[]);
        bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        bytes
    });
    match client.reset() {
        Err(ClientError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::InvalidData),
        other => panic!("{other:?}"),
    }
    let mut client = lying(|header, _| {
        let mut bytes = reply(header, &[]);
        bytes[4..8].copy_from_slice(&15_u32.to_ne_bytes());
        bytes
    });
    assert!(matches!(client.reset(), Err(ClientError::Io(_))));
}

#[test]
fn server_that_closes_or_says_nothing_is_noticed() {
    match lying(|_, _| Vec::new()).reset() {
        Err(ClientError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
        other => panic!("{other:?}"),
    }
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut client = RawClient::over(ours, Duration::from_millis(50)).unwrap();
    let start = Instant::now();
    assert_eq!(client.receive().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    // Nor does it wait for a server that does not read.
    let endless = vec![0; 4 << 20];
    assert_eq!(client.send(&endless, &[]).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn descriptors_that_nobody_asked_for_are_refused_and_closed() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (witness, fds) = watched_fds(3);
    let server = std::thread::spawn(move || {
        let mut server = RawClient::over(theirs, Duration::from_secs(5)).unwrap();
        let version = server.receive().unwrap();
        server.send(&reply(&version.header, &[0, 0, 1, 0]), &[]).unwrap();
        let reset = server.receive().unwrap();
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        server.send(&reply(&reset.header, &[]), &fds).unwrap();
    });
    let mut client = Client::over(ours).unwrap();
    protocol(client.reset());
    server.join().unwrap();
    assert!(all_closed(&witness));
}
