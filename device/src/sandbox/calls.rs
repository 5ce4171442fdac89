//! Seccomp: which system calls are left.
//!
//! Two or three filters, of which the stricter answer counts. The first lists what serving takes; any other
//! call answers EPERM, so that something that a later library asks for on the way (a hint, a name for a
//! thread) is a refusal and no crash. The second lists what no serving process ever does and somebody who has
//! taken it over would begin with: that ends the process at once.

use std::collections::BTreeMap;
use std::convert::TryInto;

use super::Threads;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// What serving takes, whatever its arguments are.
const SERVING: &[c_long] = &[
    // Files: sinks, figures, trace.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_fstatfs,
    libc::SYS_statx,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_getcwd,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_copy_file_range,
    // The socket, and what waits for it. No new one: a client is accepted.
    libc::SYS_accept4,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_shutdown,
    libc::SYS_ppoll,
    libc::SYS_eventfd2,
    // Signals to the client (`ringwave_eventfd`).
    libc::SYS_io_submit,
    libc::SYS_io_getevents,
    // Memory. Executable mappings are refused below.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    // Threads and time.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_getrandom,
    libc::SYS_restart_syscall,
    // Signals, and how a process ends.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The same under the names that only x86-64 has; C libraries use either.
#[cfg(target_arch = "x86_64")]
const SERVING_OLD: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_poll,
    libc::SYS_dup2,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_readlink,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const SERVING_OLD: &[c_long] = &[];

/// What the threads of a vhost-user client take beside: they wait with epoll.
const SERVING_VHOST_USER: &[c_long] =
    &[libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_clone3];
#[cfg(target_arch = "x86_64")]
const SERVING_VHOST_USER_OLD: &[c_long] = &[libc::SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const SERVING_VHOST_USER_OLD: &[c_long] = &[];

/// What nobody serves with.
const HOSTILE: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setresuid,
    libc::SYS_io_uring_setup,
];

/// `TCGETS`, by which a library asks whether it writes to a terminal, and `FIONBIO`.
const IOCTLS: [u64; 2] = [0x5401, 0x5421];
/// `PR_SET_NAME` and glibc's `PR_SET_VMA`.
const PRCTLS: [u64; 2] = [15, 0x5356_4D41];

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Puts both filters in force for every thread.
pub fn restrict(threads: Threads) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let programs = programs(threads).map_err(|error| told(&error))?;
    // Without it an ordinary user may install no filter; with it no program that is executed gains rights.
    rustix::thread::set_no_new_privs(true).map_err(|error| told(&std::io::Error::from(error)))?;
    for program in &programs {
        seccompiler::apply_filter_all_threads(program).map_err(|error| told(&error))?;
    }
    Ok(())
}

/// The filter against hostile calls comes first: installing is one of the calls that the last one does not
/// list.
fn programs(threads: Threads) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    let hostile: Rules = HOSTILE.iter().map(|call| (*call, Vec::new())).collect();
    let hostile = SeccompFilter::new(hostile, SeccompAction::Allow, SeccompAction::KillProcess, arch)?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let mut rules = serving()?;
    let mut programs: Vec<BpfProgram> = vec![hostile.try_into()?];
    if threads == Threads::OfEachClient {
        let more = SERVING_VHOST_USER.iter().chain(SERVING_VHOST_USER_OLD);
        rules.extend(more.map(|call| (*call, Vec::new())));
        let thread = libc::CLONE_THREAD.unsigned_abs().into();
        let condition =
            SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread)?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![condition])?]);
        // What clone3 makes stands in memory, where no filter looks. A C library that finds no clone3 takes
        // clone.
        let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
        let none = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        programs.push(SeccompFilter::new(clone3, SeccompAction::Allow, none, arch)?.try_into()?);
    }
    programs.push(SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()?);
    Ok(programs)
}

fn serving() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = SERVING.iter().chain(SERVING_OLD).map(|call| (*call, Vec::new())).collect();
    let equal = |argument, value| {
        SeccompRule::new(vec![SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            value,
        )?])
    };
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let never_executable = SeccompCmpOp::MaskedEq(executable);
        let condition = SeccompCondition::new(2, SeccompCmpArgLen::Dword, never_executable, 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![condition])?]);
    }
    // The copy into memory that may be truncated: of this process only.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_process_vm_writev, vec![equal(0, own)?]);
    rules.insert(libc::SYS_ioctl, IOCTLS.into_iter().map(|code| equal(1, code)).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_prctl, PRCTLS.into_iter().map(|code| equal(0, code)).collect::<Result<_, _>>()?);
    Ok(rules)
}
