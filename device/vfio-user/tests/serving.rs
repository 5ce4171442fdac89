//! The shell: the socket's file, who is let in and when, and how serving ends.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

use common::*;
use ringwave_vfio_user::{Client, ClientEnd, Listener, ListenerError, RawClient, Stop, serve, serve_client};

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_mins(1);

/// Serves a fresh board at a path in a folder of its own.
fn served(talk: impl FnOnce(&std::path::Path, &Stop)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = Listener::bind(&path).unwrap();
    let stop = Stop::new().unwrap();
    let mut board = Board::new();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve(listener.socket(), &mut board, &stop));
        let end = StopOnDrop(&stop);
        talk(&path, &stop);
        drop(end);
        server.join().unwrap().unwrap();
    });
    board.taken()
}

#[test]
fn clients_come_one_after_the_other_and_each_finds_a_fresh_device() {
    let log = served(|path, _| {
        for _ in 0..3 {
            let mut client = Client::connect(path).unwrap();
            assert_eq!(client.read32(0, 0).unwrap(), 0);
            client.write32(0, 0, 7).unwrap();
        }
    });
    assert_eq!(log.iter().filter(|entry| *entry == "left").count(), 3);
}

#[test]
fn malformed_conversation_twice_in_a_row_and_then_a_good_one() {
    use ringwave_vfio_user::wire::command;
    // The last words of each have a size that no message can have: the client is cut off, and hears so.
    let malformed = [
        message(command::DMA_MAP, &[0xFF; 7]),
        message(command::REGION_WRITE, &[&[0; 8][..], &words(&[0, u32::MAX]), &[0; 100]].concat()),
        message(command::DEVICE_SET_IRQS, &[0xFF; 500]),
        hello(),
        message(0xFFFF, &vec![0xAA; 1 << 20]),
        message(command::REGION_WRITE_MULTI, &[0xFF; 33]),
        message_with(command::DEVICE_RESET, 7, &[]),
        vec![0; 16],
    ];
    let log = served(|path, _| {
        for _ in 0..2 {
            let mut client = RawClient::connect(path, Duration::from_secs(5)).unwrap();
            client.send(&hello(), &[]).unwrap();
            assert_eq!(client.receive().unwrap().header.errno.get(), 0);
            for message in &malformed {
                client.send(message, &[]).unwrap();
                let reply = client.receive().unwrap();
                assert_ne!(reply.header.errno.get(), 0);
                assert!(reply.payload.is_empty());
            }
            assert_eq!(client.receive().unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        }
        let mut client = Client::connect(path).unwrap();
        client.dma_map(0x1000, 0x1000, None).unwrap();
        client.write32(0, 0, 7).unwrap();
        assert_eq!(client.read32(0, 0).unwrap(), 7);
        client.reset().unwrap();
    });
    let good =
        ["map 0x1000 0x1000 read true write true unreachable", "write 0 0x0 4", "read 0 0x0 4", "reset"];
    assert_eq!(
        log,
        [&["left", "left"][..], &good, &["left"]].concat(),
        "of all else the device heard nothing"
    );
}

#[test]
fn server_without_descriptors_says_so_and_goes_on() {
    let script = "ulimit -n 24; exec \"$0\" --exact short_of_descriptors --ignored";
    let status =
        Command::new("sh").args(["-c", script]).arg(std::env::current_exe().unwrap()).status().unwrap();
    assert!(status.success());
}

/// A process that may have 24 descriptors, and has them all.
#[test]
#[ignore = "started by server_without_descriptors_says_so_and_goes_on"]
fn short_of_descriptors() {
    use ringwave_vfio_user::{ClientError, Errno};
    let log = with_board(|stream, _| {
        let mut client = Client::over(stream).unwrap();
        let (ram, event) = (memory(0x1000), event());
        let mut all = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            all.push(file);
            assert!(all.len() < 100, "there is a limit");
        }
        // None can be sent along, and none can be received: the kernel drops it and says so (`MSG_CTRUNC`).
        let refused = |result: Result<(), ClientError>, expected| match result {
            Err(ClientError::Refused { errno, .. }) => assert_eq!(errno, expected),
            other => panic!("{other:?}"),
        };
        refused(client.region_info(1).map(drop), Errno::MFILE);
        refused(client.dma_map(0x1000, 0x1000, Some((ram.as_fd(), 0))), Errno::INVAL);
        refused(client.connect_irqs(MSI, 0, &[event.as_fd()]), Errno::INVAL);
        client.write32(0, 0, 7).unwrap();
        drop(all);
        client.region_info(1).unwrap().fd.unwrap();
        client.dma_map(0x1000, 0x1000, Some((ram.as_fd(), 0))).unwrap();
    });
    assert_eq!(log.1.len(), 3, "{log:?}");
}

#[test]
fn second_client_waits_until_the_first_has_left() {
    served(|path, _| {
        let mut first = Client::connect(path).unwrap();
        first.write32(0, 0, 7).unwrap();
        let mut second = RawClient::connect(path, Duration::from_millis(100)).unwrap();
        second.send(&hello(), &[]).unwrap();
        assert_eq!(second.receive().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(first.read32(0, 0).unwrap(), 7, "and the first is not disturbed");
        drop(first);
        let begin = Instant::now();
        let reply = loop {
            match second.receive() {
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut && begin.elapsed() < PATIENCE => {}
                reply => break reply.unwrap(),
            }
        };
        assert_eq!(reply.header.errno.get(), 0);
    });
}

#[test]
fn stop_ends_it_wherever_it_is() {
    let soon = |start: Instant| assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let start = Instant::now();
    served(|_, _| {});
    soon(start);
    // While a client is connected and silent, has said half a message, does not read, and never pauses.
    let half = |path: &std::path::Path, bytes: &[u8]| {
        let mut client = RawClient::connect(path, Duration::from_secs(5)).unwrap();
        client.send(&hello(), &[]).unwrap();
        client.receive().unwrap();
        client.send(bytes, &[]).unwrap();
        client
    };
    let read = [&[0; 8][..], &words(&[5, 1 << 20])].concat();
    let reads = message(ringwave_vfio_user::wire::command::REGION_READ, &read).repeat(8);
    for bytes in [&[][..], &hello()[..20], &reads] {
        let mut kept = None;
        let start = Instant::now();
        let log = served(|path, stop| {
            kept = Some(half(path, bytes));
            std::thread::sleep(Duration::from_millis(20));
            stop.stop();
        });
        soon(start);
        assert_eq!(log.last().map(String::as_str), Some("left"), "the device hears it");
    }
}

#[test]
fn flooding_client_does_not_outlast_a_stop() {
    let (client, server) = UnixStream::pair().unwrap();
    let mut client = RawClient::over(client, Duration::from_secs(5)).unwrap();
    let post = [&[0; 8][..], &words(&[0, 4, 0])].concat();
    let post = message_with(ringwave_vfio_user::wire::command::REGION_WRITE, 0x10, &post);
    client.send(&[hello(), post.repeat(100)].concat(), &[]).unwrap();
    let stop = Stop::new().unwrap();
    stop.stop();
    let mut board = Board::new();
    let end = std::thread::scope(|scope| {
        // Goes on for as long as it is let.
        let flood = scope.spawn(move || while client.send(&post.repeat(100), &[]).is_ok() {});
        let end = serve_client(&server, &mut board, &stop);
        flood.join().unwrap();
        end
    });
    assert!(matches!(end, ClientEnd::Stopped), "{end:?}");
    assert_eq!(board.taken().last().map(String::as_str), Some("left"), "however much there is to do");
    drop(server);
}

#[test]
fn what_a_client_has_sent_is_answered_before_a_stop_ends_the_connection() {
    let (client, server) = UnixStream::pair().unwrap();
    let mut client = RawClient::over(client, Duration::from_secs(5)).unwrap();
    client.send(&hello(), &[]).unwrap();
    let read = [&[0; 8][..], &words(&[0, 4])].concat();
    client.send(&message_with(ringwave_vfio_user::wire::command::REGION_READ, 0, &read), &[]).unwrap();
    let stop = Stop::new().unwrap();
    stop.stop();
    let end = serve_client(&server, &mut Board::new(), &stop);
    drop(server);
    assert!(matches!(end, ClientEnd::Stopped), "{end:?}");
    assert!(client.receive().is_ok() && client.receive().is_ok(), "the answers to both");
    // The end, and not a reset: QEMU aborts on one while its guest waits for a register.
    let end = client.receive().unwrap_err().to_string();
    assert!(!end.contains("reset"), "{end}");
}

#[test]
fn socket_is_private_and_goes_with_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = Listener::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left there");
    assert!(matches!(Listener::bind(&path), Err(ListenerError::InUse(_))));
    assert!(path.exists(), "the live socket is left alone");
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn socket_whose_queue_is_full_is_in_use_and_nobody_waits_for_it() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let address = SocketAddrUnix::new(&path).unwrap();
    let socket =
        |flags| rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    let busy = socket(SocketFlags::empty());
    bind(&busy, &address).unwrap();
    listen(&busy, 0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = socket(SocketFlags::NONBLOCK);
        if connect(&client, &address).is_err() {
            break;
        }
        waiting.push(client);
    }
    let (told, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(Listener::bind(&path)));
    let bound = result.recv_timeout(Duration::from_secs(5)).expect("it waits");
    assert!(matches!(bound, Err(ListenerError::InUse(_))), "{bound:?}");
}

#[test]
fn stale_socket_is_replaced_and_other_files_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a process that died leaves its socket");
    drop(Listener::bind(&path).unwrap());

    std::fs::write(&path, "music").unwrap();
    assert!(matches!(Listener::bind(&path), Err(ListenerError::NotASocket(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"music");
    let long = dir.path().join("x".repeat(200));
    assert!(matches!(Listener::bind(&long), Err(ListenerError::TooLong(_))));
    assert!(matches!(Listener::bind("/nonexistent/s".as_ref()), Err(ListenerError::Io { .. })));
}

#[test]
fn socket_that_took_our_place_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let ours = Listener::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let theirs = Listener::bind(&path).unwrap();
    drop(ours);
    assert!(UnixStream::connect(&path).is_ok());
    drop(theirs);
    assert!(!path.exists());
}

#[test]
fn socket_can_be_handed_over_and_nothing_else_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = Listener::from_fd(UnixListener::bind(&path).unwrap().into()).unwrap();
    let stop = Stop::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| serve(listener.socket(), &mut Board::new(), &stop));
        let _end = StopOnDrop(&stop);
        assert_eq!(Client::connect(&path).unwrap().device_info().unwrap().regions, 9);
    });
    drop(listener);
    assert!(path.exists(), "whoever made it removes it");

    let not_listening: OwnedFd = UnixStream::pair().unwrap().0.into();
    for fd in [not_listening, memory(4096), std::net::TcpListener::bind("127.0.0.1:0").unwrap().into()] {
        assert!(matches!(Listener::from_fd(fd), Err(ListenerError::NotListening)));
    }
}

#[test]
fn systemd_hands_over_one_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let socket = UnixListener::bind(&path).unwrap();
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
    let child = |variables: &str| {
        let script =
            format!("exec 3<&{}; {variables} exec \"$0\" --exact handed_over --ignored", socket.as_raw_fd());
        Command::new("sh").args(["-c", &script]).arg(std::env::current_exe().unwrap()).spawn().unwrap()
    };
    let mut served = child("LISTEN_PID=$$ LISTEN_FDS=1 EXPECT=one");
    assert_eq!(Client::connect(&path).unwrap().device_info().unwrap().regions, 9);
    assert!(served.wait().unwrap().success());
    assert!(
        child("LISTEN_PID=1 LISTEN_FDS=1 EXPECT=none").wait().unwrap().success(),
        "meant for another process"
    );
    assert!(child("LISTEN_PID=$$ LISTEN_FDS=2 EXPECT=two").wait().unwrap().success());
}

/// The process that systemd would start.
#[test]
#[ignore = "started by systemd_hands_over_one_socket"]
fn handed_over() {
    match std::env::var("EXPECT").unwrap_or_default().as_str() {
        "one" => {
            let listener = Listener::from_systemd().unwrap().unwrap();
            assert!(Listener::from_systemd().unwrap().is_none(), "it can be taken once");
            let stop = Stop::new().unwrap();
            let client = ringwave_vfio_user::accept(listener.socket(), &stop).unwrap().unwrap();
            serve_client(&client, &mut Board::new(), &stop);
        }
        "none" => assert!(Listener::from_systemd().unwrap().is_none()),
        "two" => assert!(matches!(Listener::from_systemd(), Err(ListenerError::NotOne(2)))),
        _ => {}
    }
}
