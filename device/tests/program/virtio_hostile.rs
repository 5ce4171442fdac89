//! Front ends of `ringwave serve --card virtio` that mean harm: none of them ends the card, takes it from the
//! next one, or keeps a signal from ending the process in time.

use crate::scheduled;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::serving::Serving;
use crate::virtio_driver::song::*;
use crate::virtio_driver::*;
use ringwave_eventfd::take_back;
use ringwave_guest_memory::memfd::memfd;
use vmm_sys_util::eventfd::EventFd;

fn serve(dir: &Path) -> (Serving, PathBuf) {
    (Serving::start(dir, &["--card", "virtio"]), dir.join("card.sock"))
}

/// The next client finds a card that plays.
fn plays(socket: &Path) {
    let mut driver = Driver::connect(socket);
    prepare(&mut driver, 0);
    play(&mut driver, &song(2), 5000, |_| {});
}

/// An eventfd that blocks who reads or writes it, as far as its counter lets it.
fn blocking_eventfd(counter: u64) -> EventFd {
    let event = EventFd::new(0).unwrap();
    if counter != 0 {
        event.write(counter).unwrap();
    }
    event
}

/// A pipe with no room left, whose writers wait.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    set_nonblocking(&writer, true);
    while writer.write(&[0; 4096]).is_ok() {}
    set_nonblocking(&writer, false);
    (reader, writer)
}

fn set_nonblocking(file: &impl AsRawFd, nonblocking: bool) {
    let flags = if nonblocking { libc::O_NONBLOCK } else { 0 };
    // SAFETY: F_SETFL takes an int, and the descriptor is open.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) }, 0);
}

#[test]
fn call_that_would_block_or_is_no_eventfd_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let (_reader, full) = full_pipe();
    let file = File::create(dir.path().join("file")).unwrap();
    let full_eventfd = blocking_eventfd(u64::MAX - 1);
    let (_unread, other) = UnixStream::pair().unwrap();
    let calls: [OwnedFd; 4] = [full.into(), file.into(), owned(&full_eventfd), other.into()];
    for call in calls {
        // Without event index: it wants to be called each time.
        let mut driver = Driver::connect_with(&socket, false);
        driver.stop_queues();
        driver.replace_eventfds(TX, blocking_eventfd(0), call.try_clone().unwrap());
        driver.replace_eventfds(CONTROL, blocking_eventfd(0), call);
        driver.start_queues();
        prepare(&mut driver, 0);
        play(&mut driver, &song(5), 5000, |_| {});
    }
    assert_eq!(std::fs::metadata(dir.path().join("file")).unwrap().len(), 0, "nothing was written to it");
    assert_eq!(serving.said("call descriptor of a queue is no eventfd").len(), 6, "{:?}", serving.said(""));
    plays(&socket);
    scheduled::ends_promptly(&mut serving.child);
}

fn owned(event: &EventFd) -> OwnedFd {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: the clone is owned, and given up.
    unsafe { OwnedFd::from_raw_fd(event.try_clone().unwrap().into_raw_fd()) }
}

#[test]
fn kick_that_is_no_eventfd_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Less than a read of 8 bytes waits for.
    writer.write_all(&[1]).unwrap();
    let (mut far, near) = UnixStream::pair().unwrap();
    far.write_all(&[1]).unwrap();
    let file = File::create_new(dir.path().join("file")).unwrap();
    let kicks: [OwnedFd; 3] = [reader.into(), near.into(), file.into()];
    for kick in kicks {
        let mut driver = Driver::connect(&socket);
        driver.stop_queues();
        driver.replace_eventfds(TX, kick, blocking_eventfd(0));
        driver.start_queues();
        // The other queues are served.
        prepare(&mut driver, 0);
        assert_eq!(driver.pcm(RELEASE, 0), OK);
    }
    assert_eq!(serving.said("kick descriptor of a queue is no eventfd").len(), 3, "{:?}", serving.said(""));
    plays(&socket);
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn kick_that_somebody_else_takes_back_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let mut driver = Driver::connect(&socket);
    driver.stop_queues();
    // One eventfd for two queues: whoever reads it second finds nothing, and would wait.
    let kick = owned(&blocking_eventfd(0));
    for queue in [TX, RX] {
        driver.replace_eventfds(queue, kick.try_clone().unwrap(), blocking_eventfd(0));
    }
    driver.start_queues();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(300) {
        driver.kick(TX);
        // And the client itself does.
        take_back(&kick);
    }
    driver.kick(TX);
    prepare(&mut driver, 0);
    play(&mut driver, &song(2), 5000, |_| {});
    drop(driver);
    plays(&socket);
    scheduled::ends_promptly(&mut serving.child);
}

/// Processor time of a process so far, in hundredths of a second.
fn processor_time(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = text.rsplit(')').next().unwrap().split_whitespace();
    after_name.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn kick_that_is_changed_while_its_queue_runs_is_heard_and_the_old_one_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let mut driver = Driver::connect(&socket);
    driver.stop_queues();
    let old = blocking_eventfd(0);
    driver.replace_eventfds(CONTROL, owned(&old), blocking_eventfd(0));
    driver.start_queues();
    driver.change_kick(CONTROL, blocking_eventfd(0));
    prepare(&mut driver, 0);
    // The client has it yet, and signals it: nobody is to be woken by that again and again.
    old.write(1).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = processor_time(serving.child.id());
    std::thread::sleep(Duration::from_millis(500));
    let ticks = processor_time(serving.child.id()) - before;
    assert!(ticks < 25, "{ticks} hundredths of a second in half a second of nothing");
    // Nor is there a descriptor for each.
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", serving.child.id())).unwrap().count();
    let few = descriptors();
    for _ in 0..1000 {
        driver.change_kick(CONTROL, blocking_eventfd(0));
    }
    assert!(driver.config()[1] > 0, "all of them were taken");
    assert!(descriptors() < few + 64, "{} descriptors, {few} before", descriptors());
    drop(driver);
    plays(&socket);
    scheduled::ends_promptly(&mut serving.child);
}

/// vhost-user-backend 0.24 adds a region's address and length unchecked, if they came in `ADD_MEM_REG`: with
/// overflow checks its thread panics, without it finds no memory there. Both are the end of this client
/// alone.
#[test]
fn region_at_the_end_of_all_addresses_costs_its_client_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let mut driver = Driver::connect(&socket);
    let address = u64::MAX - 0xFFF;
    driver.add_memory_at(address);
    driver.place_queue_at(CONTROL, address);
    let line = serving.wait_for("is cut off", 1).remove(0);
    assert!(line.contains("memory mapping") || line.contains("a message of the client"), "why: {line}");
    drop(driver);
    plays(&socket);
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn memory_that_could_be_taken_away_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let mut driver = Driver::negotiate(&socket, true, false);
    // It is not answered: a client that asks for an answer is told, and QEMU does.
    let _ = driver.share_memory();
    let line = serving.wait_for("is cut off", 1).remove(0);
    assert!(
        line.contains("memfd:guest") && line.contains("-object memory-backend-memfd,share=on"),
        "what to do: {line}"
    );
    driver.cut_memory(0);
    for queue in CONTROL..=RX {
        driver.kick(queue);
    }
    assert!(serving.child.try_wait().unwrap().is_none());
    drop(driver);
    plays(&socket);
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn memory_is_exchanged_only_for_such_as_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let mut driver = Driver::connect(&socket);
    prepare(&mut driver, 0);
    let other = memfd(c"guest", RAM_BYTES, false).unwrap();
    // The queues run meanwhile.
    let _ = driver.share(&other);
    other.set_len(0).unwrap();
    for _ in 0..1000 {
        driver.kick(CONTROL);
        driver.kick(TX);
    }
    serving.wait_for("is cut off", 1);
    assert!(serving.child.try_wait().unwrap().is_none());
    drop(driver);
    plays(&socket);
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn want_of_descriptors_is_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    serving.limit_files(3);
    let waiting = std::thread::spawn({
        let socket = socket.clone();
        move || plays(&socket)
    });
    serving.wait_for("clients have to wait", 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(serving.said("clients have to wait").len(), 1, "told once: {:?}", serving.said(""));
    assert!(serving.child.try_wait().unwrap().is_none());
    serving.limit_files(256);
    waiting.join().unwrap();
    // In the middle of a session: it costs the client its own.
    let mut driver = Driver::negotiate(&socket, true, true);
    serving.limit_files(3);
    let _ = driver.share_memory();
    serving.limit_files(256);
    drop(driver);
    plays(&socket);
    serving.limit_files(3);
    let _waits = UnixStream::connect(&socket).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn clients_leave_no_descriptor_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", serving.child.id())).unwrap().count();
    plays(&socket);
    serving.wait_for("the client has left", 1);
    let before = descriptors();
    for client in 2..6 {
        plays(&socket);
        serving.wait_for("the client has left", client);
    }
    assert_eq!(descriptors(), before);
    scheduled::ends_promptly(&mut serving.child);
}

/// A message of a front end: `GET_FEATURES`.
const GET_FEATURES: [u8; 12] = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn client_that_is_slow_or_does_not_read_holds_up_neither_a_signal_nor_the_next() {
    for not_reading in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut serving, socket) = serve(dir.path());
        let mut client = UnixStream::connect(&socket).unwrap();
        client.write_all(&GET_FEATURES).unwrap();
        client.read_exact(&mut [0; 20]).unwrap();
        if not_reading {
            client.set_nonblocking(true).unwrap();
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(300) {
                let _ = client.write(&GET_FEATURES);
            }
        } else {
            client.write_all(&GET_FEATURES[..5]).unwrap();
        }
        // Waits in the socket's queue. From another thread it could come when the socket is gone.
        let next = UnixStream::connect(socket).unwrap();
        scheduled::ends_promptly(&mut serving.child);
        drop(next);
    }
}

#[test]
fn index_that_cannot_be_costs_the_queue_and_not_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path());
    let driver = Driver::connect(&socket);
    for queue in CONTROL..=RX {
        driver.set_available(queue, 0x8000);
    }
    for _ in 0..20_000 {
        (CONTROL..=RX).for_each(|queue| driver.kick(queue));
    }
    drop(driver);
    plays(&socket);
    assert!(serving.said("").len() < 20, "{:?}", serving.said(""));
    scheduled::ends_promptly(&mut serving.child);
}
