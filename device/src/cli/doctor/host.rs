//! What `ringwave serve` and a machine want of this host: KVM, a place for sockets, memory files, priority,
//! sound, the sandbox.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use ringwave::priority::{self, Priority};
use ringwave::sandbox::{self, Mode, Needs, Threads};
use ringwave_host::sound::{self, SoundError};
use rustix::fs::{Access, MemfdFlags, SealFlags, access, fcntl_add_seals, memfd_create};

use crate::cli::findings::Finding;

/// Bytes of a socket's path, with its end (`sockaddr_un`).
const SOCKET_PATH_BYTES_MAX: usize = 108;

/// Without KVM a machine is emulated: ten times slower, and late for its sound. `processors` is
/// /proc/cpuinfo.
pub fn kvm(device: &Path, processors: &Path) -> Finding {
    let next = "machines are emulated (TCG): take --clock lockstep, or scaled:0.25 for hda, so that slow ones play without a gap; or";
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) if virtualizes(processors) => Finding::ok("KVM: this user may use it"),
        // Some hosts have one that runs their own kernels alone.
        Ok(_) => Finding::note(
            "KVM: /dev/kvm is there, but the processor has neither vmx nor svm",
            format!("{next} enable nested virtualization of the host above"),
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Finding::note(
            "KVM: this user may not use /dev/kvm",
            format!("{next} add the user to its group: usermod -aG kvm USER, then log in again"),
        ),
        Err(error) => Finding::note(
            format!("KVM: /dev/kvm: {error}"),
            format!(
                "{next} enable virtualization in the firmware, or nested virtualization of the host above"
            ),
        ),
    }
}

/// Whether the first processor has the extensions for virtual machines.
fn virtualizes(processors: &Path) -> bool {
    let text = std::fs::read_to_string(processors).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| matches!(flag, "vmx" | "svm"))
}

/// Whether a card's socket can be made there.
pub fn socket(path: &Path) -> Finding {
    let shown = path.display();
    if path.as_os_str().len() >= SOCKET_PATH_BYTES_MAX {
        return Finding::missing(
            format!("socket {shown}: its path is longer than 107 bytes"),
            "take a shorter one: below /run or /tmp",
        );
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        _ if is_listened_at(path) => {
            Finding::ok(format!("socket {shown}: somebody listens there, a card or systemd for one"))
        }
        Ok(()) => Finding::ok(format!("socket {shown}: it can be made there")),
        Err(error) => Finding::missing(
            format!("socket {shown}: nothing can be made in {}: {error}", folder.display()),
            "make the folder, or take one of this user: $XDG_RUNTIME_DIR",
        ),
    }
}

/// Whether somebody listens at the socket. Not asked by a connection, which would start a card that waits for
/// one.
fn is_listened_at(path: &Path) -> bool {
    const LISTENS: &str = "00010000";
    // A socket is listed by the path that it was bound to, which may be a relative one.
    let Some(path) = std::path::absolute(path).ok().filter(|path| path.exists()) else { return false };
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    sockets.lines().any(|line| {
        // The path is behind seven words, blanks and all.
        let bound =
            (0..7).fold(line, |rest, _| rest.trim_start().split_once(' ').map_or("", |(_, rest)| rest));
        line.split_whitespace().nth(3) == Some(LISTENS)
            && !bound.is_empty()
            && path.ends_with(bound.trim_start())
    })
}

/// Memory files that are sealed: the mapped pages of the cards, and guest memory.
pub fn memory_files() -> Finding {
    let sealed = memfd_create("doctor", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .and_then(|file| fcntl_add_seals(&file, SealFlags::SHRINK));
    match sealed {
        Ok(()) => Finding::ok("memory files (memfd) can be sealed"),
        Err(error) => Finding::missing(
            format!("memory files (memfd) cannot be sealed: {error}"),
            "let the container or its seccomp profile allow memfd_create and fcntl",
        ),
    }
}

/// Whether the engine's thread gets a priority of its own: asked for, and given back.
pub fn priority() -> Finding {
    let taken = priority::take(priority::Mode::Auto);
    priority::give_up();
    match taken {
        Ok(Priority::RealTime) => Finding::ok("priority: the engine's thread may have SCHED_FIFO"),
        Ok(Priority::Refused | Priority::AsStarted) | Err(_) => Finding::note(
            "priority: the engine's thread waits like any other, and is late on a busy host",
            "give the user rtprio: LimitRTPRIO=1 in its unit, or @audio - rtprio 1 in /etc/security/limits.d",
        ),
    }
}

/// Whether sound can be heard here. Devices are listed without being opened, so the default one is tried.
pub fn sound() -> Finding {
    const WITHOUT: &str = "--sink sound needs one; --sink wav:FILE does not";
    let host = sound::host();
    match host.devices().and_then(|devices| host.check(None).map(|()| devices)) {
        Ok(devices) => Finding::ok(format!("sound: {} devices for --sink sound", devices.len())),
        Err(SoundError::NotBuilt) => Finding::note(
            "sound: this program was built without it",
            "--sink sound needs it: install libasound2-dev and pkg-config, and build with --features sound",
        ),
        Err(SoundError::Device { device, why, next }) => {
            Finding::note(format!("sound: device {device}: {why}"), format!("{WITHOUT}. {next}"))
        }
        Err(error) => Finding::note(format!("sound: {error}"), WITHOUT),
    }
}

/// Tries all of it on this process, which ends soon.
pub fn sandbox() -> Finding {
    let files = sandbox::close_files(Mode::On, &Needs::default()).map(drop);
    let tried = files.and_then(|()| sandbox::close_calls(Mode::On, Threads::Started).map(drop));
    match tried {
        Ok(()) => Finding::ok("sandbox: Landlock and seccomp are in force for ringwave serve --sandbox on"),
        Err(error) => Finding::note(
            format!("sandbox: {error}"),
            "ringwave serve goes without that part and says so; a kernel from 5.13 on with Landlock in its LSM list has it all",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::cli::findings::Severity;

    #[test]
    fn kvm_that_is_not_there_is_a_note_with_a_way_on() {
        let dir = tempfile::tempdir().unwrap();
        let (device, processors) = (dir.path().join("kvm"), dir.path().join("cpuinfo"));
        let none = kvm(&device, &processors);
        assert_eq!(none.severity, Severity::Note);
        assert!(none.next.unwrap().contains("lockstep"));
        std::fs::write(&device, "").unwrap();
        std::fs::write(&processors, "processor : 0\nflags : fpu sse2\n").unwrap();
        assert_eq!(kvm(&device, &processors).severity, Severity::Note, "a paravirtual one");
        std::fs::write(&processors, "processor : 0\nflags : fpu vmx sse2\n").unwrap();
        assert_eq!(kvm(&device, &processors).severity, Severity::Ok);
    }

    #[test]
    fn kvm_that_this_user_may_not_use_is_a_matter_of_its_group() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("kvm");
        std::fs::write(&device, "").unwrap();
        std::fs::set_permissions(&device, std::fs::Permissions::from_mode(0o000)).unwrap();
        let denied = std::thread::spawn(move || {
            // Root may open any file, so this thread is somebody else; others are refused as they are.
            let _ = rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(65_534));
            (std::fs::File::open(&device).is_err(), kvm(&device, Path::new("/proc/cpuinfo")))
        });
        let (refused, found) = denied.join().unwrap();
        if !refused {
            eprintln!("this root has no other user to be (a container with one), and may open any file");
            return;
        }
        assert!(found.severity == Severity::Note && found.what.contains("may not use"), "{found:?}");
        assert!(found.next.unwrap().contains("usermod -aG kvm"));
    }

    #[test]
    fn a_socket_has_a_folder_and_a_short_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(socket(&dir.path().join("card.sock")).severity, Severity::Ok);
        assert_eq!(socket(Path::new("card.sock")).severity, Severity::Ok);
        let _card = UnixListener::bind(dir.path().join("a card.sock")).unwrap();
        assert!(socket(&dir.path().join("a card.sock")).what.contains("somebody listens there"));
        let none = socket(&dir.path().join("nothing/card.sock"));
        assert!(none.severity == Severity::Missing && none.what.contains("nothing"), "{none:?}");
        let long = socket(&dir.path().join("x".repeat(110)));
        assert!(long.severity == Severity::Missing && long.what.contains("107"), "{long:?}");
    }
}
