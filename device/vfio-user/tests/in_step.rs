//! Staying in step: messages split anywhere, descriptors with any part, pipelined, garbled, cut short.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use proptest::prelude::*;
use ringwave_vfio_user::wire::{
    HEADER_BYTES, Header, MESSAGE_BYTES_MAX, VERSION_BYTES_MAX, command, irq_set_flags as set,
};
use ringwave_vfio_user::{ClientEnd, CloseReason, RawClient, Session, Step, Stop, serve_client};
use zerocopy::FromBytes;

const PATIENCE: Duration = Duration::from_secs(5);

fn read0(count: u32) -> Vec<u8> {
    message(command::REGION_READ, &[&[0; 8][..], &words(&[0, count])].concat())
}

fn write0(data: &[u8]) -> Vec<u8> {
    let count = u32::try_from(data.len()).unwrap();
    message(command::REGION_WRITE, &[&[0; 8][..], &words(&[0, count]), data].concat())
}

fn connect_irqs(count: u32) -> Vec<u8> {
    let flags = set::DATA_EVENTFD | set::ACTION_TRIGGER;
    message(command::DEVICE_SET_IRQS, &words(&[20, flags, MSI, 0, count]))
}

fn map(address: u64) -> Vec<u8> {
    let mut payload = words(&[32, 3, 0, 0]);
    payload.extend(address.to_ne_bytes());
    payload.extend(0x1000_u64.to_ne_bytes());
    message(command::DMA_MAP, &payload)
}

fn raw(stream: UnixStream) -> RawClient {
    let mut client = RawClient::over(stream, PATIENCE).unwrap();
    client.send(&hello(), &[]).unwrap();
    let frame = client.receive().unwrap();
    assert_eq!((frame.header.command.get(), frame.header.errno.get()), (command::VERSION, 0));
    client
}

#[test]
fn conversation_split_at_every_byte_is_the_same_conversation() {
    let all = [hello(), write0(&[1, 2, 3]), map(0x5000), read0(4), message(999, &[1; 9]), read0(2)].concat();
    let said = |pieces: &[&[u8]]| {
        let mut board = Board::new();
        let mut session = Session::new();
        let mut said = Vec::new();
        for piece in pieces {
            let (replies, closed) = exchange(&mut session, &mut board, piece, Vec::new());
            assert!(!closed);
            said.extend(replies.into_iter().flat_map(|reply| reply.bytes));
        }
        (said, board.taken())
    };
    let whole = said(&[&all]);
    assert_eq!(whole.1.len(), 4);
    for at in 1..all.len() {
        let (a, b) = all.split_at(at);
        assert_eq!(said(&[a, b]), whole, "split at {at}");
    }
    let bytes: Vec<&[u8]> = all.chunks(1).collect();
    assert_eq!(said(&bytes), whole, "every byte on its own");
}

#[test]
fn message_split_at_every_byte_over_a_socket() {
    let (end, log) = with_board(|stream, _| {
        let mut client = raw(stream);
        let message = write0(&[1, 2, 3, 4]);
        for at in 1..message.len() {
            client.send(&message[..at], &[]).unwrap();
            client.send(&message[at..], &[]).unwrap();
            assert_eq!(client.receive().unwrap().header.errno.get(), 0, "split at {at}");
        }
    });
    assert!(matches!(end, ClientEnd::Left), "{end:?}");
    assert_eq!(log.len(), write0(&[0; 4]).len());
}

#[test]
fn descriptors_come_with_any_part() {
    let (_, log) = with_board(|stream, _| {
        let mut client = raw(stream);
        let message = connect_irqs(2);
        for at in 1..message.len() {
            let events = [event(), event()];
            let fds = borrow(&events);
            let ways: [(&[_], &[_]); 3] = [(&fds, &[]), (&[], &fds), (&fds[..1], &fds[1..])];
            for (first, second) in ways {
                client.send(&message[..at], first).unwrap();
                client.send(&message[at..], second).unwrap();
                assert_eq!(client.receive().unwrap().header.errno.get(), 0, "split at {at}");
                assert_eq!((count(&events[0]), count(&events[1])), (1, 2));
            }
        }
    });
    assert_eq!(log.len(), (connect_irqs(2).len() - 1) * 3 + 1);
}

#[test]
fn descriptors_belong_to_the_message_they_were_sent_with() {
    let (one, two) = (memory(0x1000), memory(0x2000));
    let (_, log) = with_board(|stream, _| {
        let mut client = raw(stream);
        // As QEMU does in a transaction: many at once, and nobody reads a reply in between.
        client.send(&map(0x1000), &[]).unwrap();
        client.send(&map(0x2000), &[one.as_fd()]).unwrap();
        client.send(&map(0x3000), &[]).unwrap();
        client.send(&map(0x4000), &[two.as_fd()]).unwrap();
        client.send(&read0(4), &[]).unwrap();
        for _ in 0..5 {
            assert_eq!(client.receive().unwrap().header.errno.get(), 0);
        }
    });
    assert!(log[0].ends_with("unreachable") && log[2].ends_with("unreachable"), "{log:#?}");
    assert!(log[1].contains("map 4096 ") && log[3].contains("map 8192 "), "{log:#?}");
}

/// Short messages are read several at a time, with the descriptors of the last of them.
#[test]
fn what_was_sent_before_anybody_read_is_taken_apart_and_each_message_has_its_own_descriptors() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut client = RawClient::over(ours, PATIENCE).unwrap();
    let (one, two) = (memory(0x1000), memory(0x2000));
    client.send(&hello(), &[]).unwrap();
    client.send(&[read0(4), map(0x1000)].concat(), &[]).unwrap();
    client.send(&map(0x2000), &[one.as_fd()]).unwrap();
    client.send(&[read0(4), read0(4), map(0x3000)].concat(), &[]).unwrap();
    client.send(&map(0x4000), &[two.as_fd()]).unwrap();
    client.send(&read0(4), &[]).unwrap();
    let mut board = Board::new();
    let log = Arc::clone(&board.log);
    let server = std::thread::spawn(move || serve_client(&theirs, &mut board, &Stop::new().unwrap()));
    for _ in 0..9 {
        assert_eq!(client.receive().unwrap().header.errno.get(), 0);
    }
    drop(client);
    assert!(matches!(server.join().unwrap(), ClientEnd::Left));
    let log = log.lock().unwrap();
    let maps: Vec<&String> = log.iter().filter(|line| line.starts_with("map ")).collect();
    let unreachable: Vec<bool> = maps.iter().map(|line| line.ends_with("unreachable")).collect();
    assert_eq!(unreachable, [true, false, true, false], "{log:#?}");
}

#[test]
fn more_descriptors_than_any_message_has_are_closed() {
    let (witness, fds) = watched_fds(200);
    with_board(|stream, log| {
        let mut client = raw(stream);
        client.send(&connect_irqs(8), &borrow(&fds)).unwrap();
        drop(fds);
        assert_ne!(client.receive().unwrap().header.errno.get(), 0);
        assert!(log.lock().unwrap().is_empty());
        client.send(&read0(4), &[]).unwrap();
        assert_eq!(client.receive().unwrap().payload.len(), 20);
        assert!(all_closed(&witness));
    });
}

#[test]
fn malformed_conversation_twice_and_then_a_good_one() {
    let malformed = [
        hello(),
        message(command::DMA_MAP, &[0xFF; 7]),
        message(command::REGION_WRITE, &[&[0; 8][..], &words(&[0, u32::MAX]), &[0; 100]].concat()),
        message(command::DEVICE_SET_IRQS, &[0xFF; 500]),
        hello(),
        message(0xFFFF, &vec![0xAA; 1 << 20]),
        message(command::REGION_WRITE_MULTI, &[0xFF; 33]),
    ]
    .concat();
    for turn in 0..3 {
        with_board(|stream, log| {
            let mut client = raw(stream);
            if turn < 2 {
                let good = write0(&[7, turn]);
                client.send(&malformed[hello().len()..], &[]).unwrap();
                for _ in 0..6 {
                    assert_ne!(client.receive().unwrap().header.errno.get(), 0);
                }
                client.send(&good, &[]).unwrap();
                assert_eq!(client.receive().unwrap().header.errno.get(), 0);
                assert_eq!(log.lock().unwrap().len(), 1);
            }
            client.send(&[write0(&[9]), read0(2)].concat(), &[]).unwrap();
            client.receive().unwrap();
            assert_eq!(client.receive().unwrap().payload[16], 9);
        });
    }
}

#[test]
fn client_that_vanishes_in_a_message_is_noticed_wherever_it_was() {
    let whole = write0(&[1, 2, 3, 4]);
    for sent in 1..whole.len() {
        let (witness, fds) = watched_fds(1);
        let (end, log) = with_board(|stream, _| {
            let mut client = raw(stream);
            client.send(&whole[..sent], &borrow(&fds)).unwrap();
            drop(fds);
        });
        assert!(matches!(end, ClientEnd::MidMessage), "{sent}: {end:?}");
        assert_eq!(log, ["left"], "{sent}");
        assert!(all_closed(&witness), "{sent}");
    }
    let (end, _) = with_board(|stream, _| drop(stream));
    assert!(matches!(end, ClientEnd::Left));
}

#[test]
fn client_that_reads_no_replies_and_vanishes_is_noticed() {
    let (end, log) = with_board(|stream, _| {
        let mut client = raw(stream);
        let long = message(command::REGION_READ, &[&[0; 8][..], &words(&[5, 1 << 20])].concat());
        client.send(&long.repeat(16), &[]).unwrap();
        // The server is in the middle of a reply that does not fit the socket.
        std::thread::sleep(Duration::from_millis(50));
    });
    assert!(matches!(end, ClientEnd::Broken(_)), "{end:?}");
    assert_eq!(log.last().map(String::as_str), Some("left"));
    assert!(log.len() < 5, "no reply was made before the one before had gone: {}", log.len());
}

#[test]
fn client_that_is_cut_off_hears_why_and_the_connection_closes() {
    let mut absurd = message(command::DEVICE_RESET, &[]);
    absurd[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    let (end, _) = with_board(|stream, _| {
        let mut client = raw(stream.try_clone().unwrap());
        client.send(&absurd, &[]).unwrap();
        assert_eq!(client.receive().unwrap().header.errno.get(), 22);
        let mut stream = stream;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    assert!(matches!(end, ClientEnd::CutOff(CloseReason::SizeTooLarge(u32::MAX))), "{end:?}");
}

/// A message that may be anything, but whose size is its length.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        // Small words hit more checks than random bytes do.
        proptest::collection::vec(prop_oneof![0_u32..40, Just(4096), any::<u32>()], 0..14)
            .prop_map(|w| words(&w)),
    ];
    let flags = prop_oneof![8 => Just(0_u32), 1 => Just(0x10), 1 => any::<u32>()];
    (0_u16..20, flags, payload).prop_map(|(command, flags, payload)| message_with(command, flags, &payload))
}

/// What every step keeps, whatever was sent.
fn check(session: &Session, step: &Step) {
    assert!(session.wanted() <= MESSAGE_BYTES_MAX.max(VERSION_BYTES_MAX) as usize);
    let reply = match step {
        Step::Continue => None,
        Step::Reply(reply) => Some(reply),
        Step::Close(reply, _) => {
            assert_eq!(session.wanted(), 0);
            reply.as_ref()
        }
    };
    if let Some(reply) = reply {
        assert!(reply.bytes.len() <= MESSAGE_BYTES_MAX as usize && reply.fds.len() <= 1);
        errno(reply);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), open: bool) {
        let mut board = Board::new();
        let mut session = if open { open_session(&mut board) } else { Session::new() };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let step = session.receive(&mut board, &mut rest, Vec::new(), false);
            check(&session, &step);
        }
    }

    #[test]
    fn any_messages_with_any_descriptors_leave_it_in_step(
        messages in proptest::collection::vec((any_message(), 0_usize..11, any::<bool>()), 1..12),
        piece in 1_usize..50,
    ) {
        let mut board = Board::new();
        let mut session = open_session(&mut board);
        for (message, fds, events) in &messages {
            let mut fds: Vec<OwnedFd> = (0..*fds).map(|_| if *events { event() } else { memory(4096) }).collect();
            let wants_reply = Header::read_from_prefix(message).unwrap().0;
            let wants_reply = wants_reply.flags.get() & 0x10 == 0 && wants_reply.kind() != 1;
            let mut replies = 0;
            for mut bytes in message.chunks(piece) {
                while !bytes.is_empty() {
                    let step = session.receive(&mut board, &mut bytes, std::mem::take(&mut fds), false);
                    check(&session, &step);
                    match step {
                        Step::Continue => {}
                        Step::Reply(reply) => {
                            replies += 1;
                            prop_assert_eq!(header(&reply).id.get(), 0x1234);
                        }
                        Step::Close(..) => prop_assert!(false, "cut off by a message of the right size"),
                    }
                }
            }
            prop_assert_eq!(replies, i32::from(wants_reply));
            prop_assert_eq!(session.wanted(), HEADER_BYTES);
        }
        let (replies, _) = exchange(&mut session, &mut board, &read0(4), Vec::new());
        prop_assert_eq!(errno(&replies[0]), 0);
    }
}
