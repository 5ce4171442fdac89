//! The sandbox: what a process that has closed it can still do, and what it cannot. Each attempt is made by a
//! process of its own, this very program, because there is no way out of a sandbox; it closes it just as
//! `ringwave serve` does and tries.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

mod guest;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use guest::{Guest, Setup, piece, wav_bytes};
use ringwave::sandbox::{Mode, Needs, Threads, close_calls, close_files};
use ringwave_guest_memory::memfd::memfd;
use ringwave_regs::stream;
use seccompiler::{SeccompAction, SeccompFilter};

const FOLDER: &str = "SANDBOX_FOLDER";
const ATTEMPT: &str = "SANDBOX_ATTEMPT";

/// What is tried.
type Attempt = fn(&Path) -> io::Result<()>;

/// A system call with these arguments.
fn call(number: libc::c_long, arguments: [usize; 3]) -> io::Result<()> {
    let [a, b, c] = arguments;
    // SAFETY: only calls are made here that do nothing to this process' memory, with null pointers where they
    // take some.
    match unsafe { libc::syscall(number, a, b, c, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

const AF_UNIX: usize = 1;
const AF_INET: usize = 2;
const AF_NETLINK: usize = 16;

/// What serving needs, and must work.
const WORKS: &[(&str, Attempt)] = &[
    ("a numbered file in the sink's folder", |dir| {
        File::create(dir.join("mine/heard-2.wav"))?.write_all(b"sound")?;
        OpenOptions::new().write(true).truncate(true).open(dir.join("mine/heard-2.wav")).map(drop)
    }),
    ("figures that are replaced", |dir| {
        std::fs::write(dir.join("mine/stats.json.new"), "{}")?;
        std::fs::rename(dir.join("mine/stats.json.new"), dir.join("mine/stats.json"))
    }),
    ("a FIFO as sink", |dir| OpenOptions::new().write(true).open(dir.join("mine/fifo")).map(drop)),
    ("reading back for a report", |dir| File::open(dir.join("back/heard.wav")).map(drop)),
    ("removing the socket", |dir| std::fs::remove_file(dir.join("sockets/card.sock"))),
    ("client memory", |_| {
        let file = memfd(c"never", 0, false);
        // Making memory is the client's part; mapping it is the card's.
        assert_eq!(file.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let ours = vec![1_u8; 4096];
        let mut copy = vec![0_u8; 4096];
        let from = libc::iovec { iov_base: ours.as_ptr().cast_mut().cast(), iov_len: 4096 };
        let to = libc::iovec { iov_base: copy.as_mut_ptr().cast(), iov_len: 4096 };
        let own = std::process::id().cast_signed();
        // SAFETY: `to` is exactly `copy`, exclusively ours; `from` is only read.
        let copied = unsafe { libc::process_vm_writev(own, &raw const from, 1, &raw const to, 1, 0) };
        assert_eq!((copied, copy), (4096, ours));
        Ok(())
    }),
    ("a panic that is caught, with its backtrace", |_| {
        assert!(std::panic::catch_unwind(|| panic!("a defect")).is_err());
        Ok(())
    }),
    ("figures to a pipe at /dev/stdout", |_| {
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open("/dev/stdout").map(drop)
    }),
    ("signalling a client", |_| {
        // SAFETY: takes numbers, and gives a descriptor that nobody else has.
        let event = unsafe { File::from_raw_fd(libc::eventfd(0, 0)) };
        assert!(ringwave_eventfd::never_blocks() && ringwave_eventfd::signal(&event));
        Ok(())
    }),
    ("much memory", |_| {
        let bytes = vec![1_u8; 64 << 20];
        assert_eq!(bytes[bytes.len() - 1], 1);
        Ok(())
    }),
];

/// What is refused, with an error.
const REFUSED: &[(&str, Attempt)] = &[
    ("reading a file elsewhere", |_| File::open("/etc/passwd").map(drop)),
    ("reading a file beside the folders", |dir| File::open(dir.join("other/secret")).map(drop)),
    ("reading what is only written", |dir| File::open(dir.join("mine/kept")).map(drop)),
    ("writing what is only read back", |dir| {
        OpenOptions::new().append(true).open(dir.join("back/heard.wav")).map(drop)
    }),
    ("writing a file elsewhere", |dir| {
        OpenOptions::new().append(true).open(dir.join("other/secret")).map(drop)
    }),
    ("making a file elsewhere", |dir| File::create(dir.join("other/new")).map(drop)),
    ("making a file in the socket's folder", |dir| File::create(dir.join("sockets/new")).map(drop)),
    ("removing a file elsewhere", |dir| std::fs::remove_file(dir.join("other/secret"))),
    ("moving a file out", |dir| std::fs::rename(dir.join("mine/kept"), dir.join("other/kept"))),
    ("the way out by ..", |dir| File::open(dir.join("mine/../other/secret")).map(drop)),
    ("a folder in the folder", |dir| std::fs::create_dir(dir.join("mine/folder"))),
    ("what /proc tells", |_| File::open("/proc/self/environ").map(drop)),
    ("a device beside the one that is the sink", |_| File::create("/dev/zero").map(drop)),
    ("a file beside /dev/stdout", |_| File::create("/dev/ringwave-test").map(drop)),
    ("removing what is beside /dev/stdout", |_| std::fs::remove_file("/dev/ringwave-test")),
    ("an IP socket", |_| call(libc::SYS_socket, [AF_INET, 1, 0])),
    ("a UNIX socket", |_| call(libc::SYS_socket, [AF_UNIX, 1, 0])),
    ("a netlink socket", |_| call(libc::SYS_socket, [AF_NETLINK, 3, 0])),
    // With flags that no kernel takes: where nothing refuses it there must not be two of us.
    ("a child", |_| call(libc::SYS_clone, [libc::CLONE_SIGHAND.unsigned_abs() as usize, 0, 0])),
    ("a signal to another process", |_| {
        call(libc::SYS_kill, [std::os::unix::process::parent_id() as usize, 0, 0])
    }),
    ("memory of another process", |_| {
        let parent = std::os::unix::process::parent_id();
        call(libc::SYS_process_vm_writev, [parent as usize, 0, 0])
    }),
    // With no vectors it would give 0.
    ("reading memory past the maps", |_| {
        call(libc::SYS_process_vm_readv, [std::process::id() as usize, 0, 0])
    }),
    ("code that was written", |_| {
        let executable = (libc::PROT_READ | libc::PROT_EXEC).unsigned_abs() as usize;
        call(libc::SYS_mprotect, [0x1000, 0x1000, executable])
    }),
];

/// What ends the process.
const DEADLY: &[(&str, Attempt)] = &[
    ("another program", |_| Err(Command::new("/bin/true").exec())),
    ("execveat", |_| call(libc::SYS_execveat, [0, 0, 0])),
    ("ptrace", |_| call(libc::SYS_ptrace, [usize::MAX, 0, 0])),
    ("bpf", |_| call(libc::SYS_bpf, [0, 0, 0])),
    ("mount", |_| call(libc::SYS_mount, [0, 0, 0])),
    ("a namespace", |_| call(libc::SYS_unshare, [0, 0, 0])),
    ("a module", |_| call(libc::SYS_init_module, [0, 0, 0])),
    ("io_uring", |_| call(libc::SYS_io_uring_setup, [0, 0, 0])),
];

/// A folder with one part that is ours, one for the socket, and one that is not ours.
fn folders() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in ["mine", "back", "sockets", "other"] {
        std::fs::create_dir(dir.path().join(part)).unwrap();
    }
    for file in ["mine/kept", "back/heard.wav", "other/secret", "sockets/card.sock"] {
        std::fs::write(dir.path().join(file), "kept").unwrap();
    }
    assert!(Command::new("mkfifo").arg(dir.path().join("mine/fifo")).status().unwrap().success());
    dir
}

/// The attempt by a process of its own, behind the sandbox or (to see that the attempt is a fair one) without
/// it.
fn attempt(name: &str, dir: &Path, sandbox: &str) -> Output {
    // The reader that a FIFO needs.
    let _reader = OpenOptions::new().read(true).write(true).open(dir.join("mine/fifo"));
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "confined", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ATTEMPT, name)
        .env(FOLDER, dir)
        .env("SANDBOX", sandbox)
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap()
}

/// The process behind the sandbox. Exit code 0: it worked, 13: it was refused, 14: it failed otherwise.
#[test]
#[ignore = "started by the other tests here"]
fn confined() {
    let Ok(name) = std::env::var(ATTEMPT) else { return };
    // SAFETY: takes a number. A process that hangs ends by a signal that no test expects.
    unsafe { libc::alarm(20) };
    let dir = std::env::var_os(FOLDER).unwrap();
    let dir = Path::new(&dir);
    let all = WORKS.iter().chain(REFUSED).chain(DEADLY);
    let attempt = all.into_iter().find(|(known, _)| *known == name).unwrap().1;
    let needs = Needs {
        // Standard output is a pipe here, for which there is no rule: it costs none of the others.
        written: vec![
            dir.join("mine/heard.wav"),
            "/dev/stdout".into(),
            dir.join("mine/fifo"),
            "/dev/full".into(),
        ],
        read: vec![],
        read_back: vec![dir.join("back/heard.wav")],
        sockets: vec![dir.join("sockets/card.sock")],
    };
    let mode = if std::env::var("SANDBOX").unwrap() == "on" { Mode::On } else { Mode::Off };
    // As a card does when it is made.
    ringwave_eventfd::never_blocks();
    close_files(mode, &needs).unwrap();
    // Tried by a thread that was there before the second half, as the threads of a card are.
    let (go, gate) = mpsc::channel();
    let dir = dir.to_owned();
    let thread = std::thread::spawn(move || {
        gate.recv().unwrap();
        attempt(&dir)
    });
    close_calls(mode, Threads::Started).unwrap();
    go.send(()).unwrap();
    let result = thread.join().unwrap();
    std::process::exit(match &result {
        Ok(()) => 0,
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => 13,
        Err(_) => {
            eprintln!("{result:?}");
            14
        }
    });
}

/// Landlock and seccomp are what a kernel may lack; then there is nothing to test, and that is said.
fn supported() -> bool {
    let dir = folders();
    let tried = attempt(WORKS[0].0, dir.path(), "on");
    let supported = tried.status.code() != Some(101);
    if !supported {
        eprintln!("not run: {}", String::from_utf8_lossy(&tried.stderr));
    }
    supported
}

#[test]
fn what_serving_needs_works() {
    if !supported() {
        return;
    }
    for (name, _) in WORKS {
        let tried = attempt(name, folders().path(), "on");
        assert_eq!(tried.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&tried.stderr));
    }
}

#[test]
fn what_serving_does_not_need_is_refused() {
    if !supported() {
        return;
    }
    for (name, _) in REFUSED {
        let tried = attempt(name, folders().path(), "on");
        assert_eq!(tried.status.code(), Some(13), "{name}: {}", String::from_utf8_lossy(&tried.stderr));
        let free = attempt(name, folders().path(), "off");
        assert_ne!(free.status.code(), Some(13), "{name}: refused without a sandbox, too");
    }
}

#[test]
fn what_only_an_attacker_does_ends_the_process() {
    if !supported() {
        return;
    }
    for (name, _) in DEADLY {
        let tried = attempt(name, folders().path(), "on");
        assert_eq!(tried.status.signal(), Some(libc::SIGSYS), "{name}: {tried:?}");
        let free = attempt(name, folders().path(), "off");
        assert_eq!(free.status.signal(), None, "{name}");
    }
}

fn serve(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args(["serve", "--socket", "card.sock", "--clock", "lockstep"]).args(arguments).current_dir(dir);
    command.stderr(Stdio::piped());
    // SAFETY: only alarm is called between fork and exec. What serves when it should not ends by a signal
    // that no test expects.
    unsafe {
        command.pre_exec(|| {
            libc::alarm(30);
            Ok(())
        });
    }
    command
}

#[test]
fn whole_sessions_work_behind_it_and_the_log_says_that_it_is_in_force() {
    if !supported() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let options =
        ["--sandbox", "--sink", "wav:heard.wav", "--stats", "s.json", "--trace", "t", "--speed", "20"];
    let mut child = serve(dir.path(), &options).spawn().unwrap();
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    for name in ["heard.wav", "heard-2.wav"] {
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        guest.play(Setup::USUAL, &music);
        assert_eq!(guest.stream_read(stream::ERROR), 0);
        drop(guest);
        // The next client is served when the first one's files are finished.
        drop(Guest::connect(&dir.path().join("card.sock")));
        assert_eq!(wav_bytes(&dir.path().join(name)), music, "{name}");
        let figures = std::fs::read(dir.path().join("s.json")).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&figures).is_ok(), "and its figures are there");
    }
    // SAFETY: the child is ours and was not waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) }, 0);
    let output = child.wait().map(|status| (status.code(), child.stderr.take().unwrap())).unwrap();
    let log: Vec<_> = BufReader::new(output.1).lines().map(Result::unwrap).collect();
    assert_eq!(output.0, Some(0), "{log:?}");
    assert_eq!(log.iter().filter(|line| line.starts_with("ringwave: sandbox: ")).count(), 1, "{log:?}");
    assert!(log.contains(&"ringwave: sandbox: files and network; system calls".to_owned()), "{log:?}");
    assert!(!dir.path().join("card.sock").exists(), "and it could remove its socket");
}

#[test]
fn standard_output_as_a_pipe_leaves_the_sandbox_whole_and_every_capability_is_gone() {
    if !supported() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = serve(dir.path(), &["--sandbox=on", "--stats", "/dev/stdout"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let begun: Vec<_> = log.by_ref().take_while(|line| !line.contains("listening on")).collect();
    let whole = "ringwave: sandbox: files and network; system calls".to_owned();
    assert!(begun.contains(&whole), "{begun:?}");
    for thread in std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{set} in {status}");
        }
    }
    drop(Guest::connect(&dir.path().join("card.sock")));
    // The next one is there when the figures of the first one are.
    drop(Guest::connect(&dir.path().join("card.sock")));
    // SAFETY: the child is ours and was not waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) }, 0);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", log.collect::<Vec<_>>());
    let figures =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>().next();
    assert_eq!(figures.unwrap().unwrap()["client"], "left");
}

/// A process on a kernel without one of the two: these calls are answered as such a kernel would.
fn on_a_kernel_without(calls: &[libc::c_long], command: &mut Command) {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    // SAFETY: only system calls are made between fork and exec.
    unsafe { command.pre_exec(move || seccompiler::apply_filter(&program).map_err(io::Error::other)) };
}

#[test]
fn where_the_kernel_cannot_auto_serves_and_on_does_not() {
    for (calls, auto) in [
        (&[444_i64, 445, 446][..], "no Landlock here; system calls"),
        (&[libc::SYS_seccomp][..], "no seccomp here"),
        (&[libc::SYS_capset][..], "not without capabilities"),
        (&[libc::SYS_io_setup][..], "can hold the card by its eventfd"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = serve(dir.path(), &["--sandbox=on"]);
        on_a_kernel_without(calls, &mut command);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.lines().count() == 1 && said.contains("--sandbox=auto"), "{said}");
        assert!(!dir.path().join("card.sock").exists());

        let mut command = serve(dir.path(), &["--once"]);
        on_a_kernel_without(calls, &mut command);
        let mut child = command.spawn().unwrap();
        drop(Guest::connect(&dir.path().join("card.sock")));
        let mut said = String::new();
        io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
        assert!(said.contains(auto), "{said}");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn off_is_off_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = serve(dir.path(), &["--once", "--sandbox=off"]).spawn().unwrap();
    let guest = Guest::connect(&dir.path().join("card.sock"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("Seccomp:\t0"), "{status}");
    assert!(guest.ram.as_raw_fd() >= 0);
    drop(guest);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
