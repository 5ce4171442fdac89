//! What a process has cost so far, as `/proc` tells it: time of processors, wake-ups, memory.

use std::{fs, path::Path};

use crate::error::Error;

/// What the threads of a process have cost since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds on a processor, all threads.
    pub cpu_ns: u64,
    /// Those of them that emulate, or are, the guest's processors (QEMU's `debug-threads=on` names them).
    pub guest_cpu_ns: u64,
    /// How often a thread slept until something woke it.
    pub wakes: u64,
}

impl Usage {
    /// Of the process with this id, so far.
    ///
    /// # Errors
    /// [`Error::Failed`] if it is gone, or the kernel does not tell.
    pub fn of(id: u32) -> Result<Self, Error> {
        let folder = format!("/proc/{id}/task");
        let threads = fs::read_dir(&folder).map_err(|e| Error::file("read", Path::new(&folder), &e))?;
        let mut usage = Self::default();
        for thread in threads.flatten() {
            // A thread may end while it is looked at.
            let read = |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            usage.add(&read("comm"), &read("schedstat"), &read("status"));
        }
        if usage.cpu_ns == 0 {
            return Err(Error::Failed(format!("{folder}: this kernel has no schedstat (CONFIG_SCHED_INFO)")));
        }
        Ok(usage)
    }

    /// One thread: its name, `schedstat` (nanoseconds first) and `status`.
    fn add(&mut self, name: &str, schedstat: &str, status: &str) {
        let time: u64 = schedstat.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        self.cpu_ns += time;
        if name.starts_with("CPU ") {
            self.guest_cpu_ns += time;
        }
        self.wakes += value(status, "voluntary_ctxt_switches:").unwrap_or(0);
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            guest_cpu_ns: self.guest_cpu_ns.saturating_sub(earlier.guest_cpu_ns),
            wakes: self.wakes.saturating_sub(earlier.wakes),
        }
    }
}

/// Resident memory of a process that is its own, in KiB: not the guest's RAM, not files.
///
/// # Errors
/// [`Error::Failed`] if it is gone.
pub fn anonymous_kib(id: u32) -> Result<u64, Error> {
    let path = format!("/proc/{id}/status");
    let status = fs::read_to_string(&path).map_err(|e| Error::file("read", Path::new(&path), &e))?;
    Ok(value(&status, "RssAnon:").unwrap_or(0))
}

/// The number behind a key at the begin of a line.
fn value(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_threads_as_the_kernel_writes_them() {
        let status = "Name:\tqemu\nRssAnon:\t   4711 kB\nvoluntary_ctxt_switches:\t250\nnonvoluntary_ctxt_switches:\t9\n";
        let mut usage = Usage::default();
        usage.add("CPU 0/TCG\n", "156577550 293428366 297\n", status);
        usage.add("qemu-system-x86\n", "1000 5 2\n", status);
        usage.add("gone\n", "", "");
        assert_eq!(usage, Usage { cpu_ns: 156_578_550, guest_cpu_ns: 156_577_550, wakes: 500 });
        assert_eq!(value(status, "RssAnon:"), Some(4711));
        assert_eq!(
            Usage::default().since(usage),
            Usage::default(),
            "a thread that ended takes its time along"
        );
    }

    #[test]
    fn this_process_has_cost_something() {
        let mut sum = 0_u64;
        for number in 0..50_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        assert!(Usage::of(std::process::id()).expect("this process").cpu_ns > 1_000_000, "{sum}");
    }
}
