//! The socket of `ringwave serve` when somebody else has made it: by `--fd`, and by systemd (played by a
//! shell, which sets its variables).

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ringwave_vfio_user::Client;

/// `ringwave serve ARGUMENTS` by a shell that sets `variables` first, with `fd` as descriptor 3; ended after
/// 15 s if it does not end.
fn serve(fd: Option<OwnedFd>, variables: &str, arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new("timeout");
    // The shell's own id is the one that the program has in the end: it becomes the program.
    let script = format!("{variables} exec \"$0\" serve \"$@\"");
    command.args(["-k", "1", "15", "sh", "-c", &script, env!("CARGO_BIN_EXE_ringwave")]).args(arguments);
    command.current_dir(dir).stderr(Stdio::piped());
    // SAFETY: only dup2 and fcntl are called between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let Some(fd) = &fd else { return Ok(()) };
            // A duplicate is open in the next program; one that was 3 already has to be told.
            let done = match fd.as_raw_fd() {
                3 => libc::fcntl(3, libc::F_SETFD, 0),
                fd => libc::dup2(fd, 3),
            };
            if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    command
}

/// It ends with exit code 2, and one line that holds each of `named`.
fn refused(mut command: Command, named: &[&str]) {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(named.iter().all(|named| said.contains(named)), "{said}");
}

#[test]
fn socket_by_fd_or_by_systemd_serves_and_stays() {
    for (variables, arguments, name) in [
        ("", &["--fd", "3", "--once"][..], "card.sock (descriptor 3)"),
        ("LISTEN_PID=$$ LISTEN_FDS=1", &["--once"], "card.sock (systemd's socket)"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.sock");
        let socket = UnixListener::bind(&path).unwrap();
        let child = serve(Some(socket.into()), variables, arguments, dir.path()).spawn().unwrap();
        // It is in the socket's queue before the card is ready: that is what handing it over is for.
        let mut client = Client::connect(&path).unwrap();
        assert_eq!(client.read32(0, 0).unwrap(), 0x5641_5752);
        drop(client);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("listening on ") && said.contains(name), "{said}");
        assert!(path.exists(), "whoever made it removes it");
    }
}

#[test]
fn variables_that_are_meant_for_another_process_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let socket = || Some(UnixListener::bind(dir.path().join(unique())).unwrap().into());
    refused(
        serve(socket(), "LISTEN_PID=1 LISTEN_FDS=1", &[], dir.path()),
        &["no place to listen", "--socket PATH"],
    );
    refused(serve(None, "", &[], dir.path()), &["no place to listen", "--fd N", "systemd"]);
}

#[test]
fn one_socket_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let socket = || Some(UnixListener::bind(dir.path().join(unique())).unwrap().into());
    let both = ["--socket", "new.sock", "--fd", "3"];
    refused(serve(socket(), "", &both, dir.path()), &["--socket and --fd", "leave one out"]);
    let systemd = "LISTEN_PID=$$ LISTEN_FDS=1";
    refused(serve(socket(), systemd, &both[..2], dir.path()), &["systemd", "leave out"]);
    refused(serve(socket(), systemd, &both[2..], dir.path()), &["systemd", "leave out"]);
    let two = serve(socket(), "LISTEN_PID=$$ LISTEN_FDS=2", &[], dir.path());
    refused(two, &["2 sockets", "one ListenStream="]);
    assert!(!dir.path().join("new.sock").exists());
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let connected = UnixStream::pair().unwrap().0;
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = File::create(dir.path().join("file")).unwrap();
    let datagram = std::os::unix::net::UnixDatagram::bind(dir.path().join("datagram")).unwrap();
    for fd in [OwnedFd::from(connected), tcp.into(), file.into(), datagram.into()] {
        let again = fd.try_clone().unwrap();
        refused(
            serve(Some(fd), "", &["--fd", "3"], dir.path()),
            &["--fd 3", "not a listening UNIX stream socket", "bind it"],
        );
        let systemd = "LISTEN_PID=$$ LISTEN_FDS=1";
        refused(
            serve(Some(again), systemd, &[], dir.path()),
            &["systemd", "not a listening UNIX stream socket"],
        );
    }
    refused(serve(None, "", &["--fd", "77"], dir.path()), &["--fd 77", "not open"]);
    refused(serve(None, "", &["--fd=-1"], dir.path()), &["--fd -1", "not open"]);
    refused(serve(None, "", &["--fd", "2"], dir.path()), &["--fd 2", "3 or above"]);
}

/// A name that no other test has.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
