//! Proves that the test kernel's checks check: each rule is broken once, many in one boot, and must be named;
//! and a run that breaks none must end well.
//!
//! Needs `RINGWAVE_QEMU`, `RINGWAVE_OVMF_CODE`, `RINGWAVE_OVMF_VARS`, `RINGWAVE_NTGUEST` and
//! `RINGWAVE_FOREIGN_SYS` (see qemu-scripts), and about two seconds a boot, so it is run on request only:
//! `cargo test -p ntguest --test rules -- --ignored`. QEMU's own device `edu` stands in for the card.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

#[path = "../src/kernel/selftest/alone.rs"]
mod alone;
use alone::ALONE;
mod machine;
use machine::part;

/// The tables of cases, many in one boot: the self-test and its tables.
const ONE_BOOT: [(&str, &[&str]); 2] = [
    ("rules-one-boot", &[include_str!("../src/kernel/selftest/rules_one_boot.rs")]),
    ("memory-rules", &[include_str!("../src/kernel/selftest/memory_rules.rs")]),
];
/// After these a run of a driver ends. Some are of an image's sections.
const FATAL_RULES: &[&str] = &[
    include_str!("../src/kernel/selftest/rules.rs"),
    include_str!("../src/kernel/selftest/fault_rules.rs"),
    include_str!("../src/kernel/selftest/service_rules.rs"),
];
/// And what is found only when the driver is gone.
const LEFT_BEHIND: &str = include_str!("../src/kernel/selftest/left_behind_rules.rs");
const PORTCLS_CASES: &str = include_str!("../src/portcls/selftest/cases.rs");
/// QEMU's exit statuses for what ntguest writes to isa-debug-exit.
const OK: i32 = 33;
const FAILED: i32 = 35;
const FATAL: i32 = 37;
const BAD_INPUT: i32 = 39;
/// The slowest case, the watchdog, takes about seven seconds on a quiet machine.
const LIMIT: Duration = Duration::from_mins(10);

/// A folder that goes away, and a QEMU that is stopped, whatever happens.
struct Machine {
    folder: PathBuf,
    qemu: Option<Child>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(qemu) = &mut self.qemu {
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A boot: the machine, and what is on its volume.
struct Boot<'a> {
    /// Of its folder, and of what is said of it.
    name: &'a str,
    /// `-device`.
    device: &'a str,
    /// Further options of QEMU's.
    options: &'a [&'a str],
    processors: usize,
    /// The driver's image; without one, a file that a self-test does not look at.
    sys: Option<PathBuf>,
}

/// Boots ntguest with these lines in its configuration and QEMU's `edu` as the card: its exit status and its
/// log.
fn boot(name: &str, config: &str) -> (i32, String) {
    boot_on(1, name, config)
}

/// The same on so many processors.
fn boot_on(processors: usize, name: &str, config: &str) -> (i32, String) {
    Boot { processors, ..Boot::of(name) }.run(&format!("pci=1234:11e8\n{config}"))
}

/// With another device of QEMU's.
fn boot_with(name: &str, device: &str, config: &str) -> (i32, String) {
    Boot { device, ..Boot::of(name) }.run(config)
}

impl<'a> Boot<'a> {
    fn of(name: &'a str) -> Self {
        Self { name, device: "edu", options: &[], processors: 1, sys: None }
    }

    fn run(&self, config: &str) -> (i32, String) {
        let name = self.name;
        let config = &format!("cpus={}\n{config}", self.processors);
        let folder = env::temp_dir().join(format!("ntguest-rules-{}-{name}", std::process::id()));
        let mut machine = Machine { folder: folder.clone(), qemu: None };
        prepare(&folder, config, self.sys.as_deref()).expect("the volume is made");
        let mut qemu = qemu(&folder);
        qemu.args(self.options).args(["-device", self.device, "-smp", &self.processors.to_string()]);
        let running = machine.qemu.insert(qemu.spawn().expect("QEMU starts"));
        let status = wait(running).unwrap_or_else(|| panic!("{name}: no end within {LIMIT:?}"));
        let log = fs::read(folder.join("log")).unwrap_or_default();
        (status.code().unwrap_or(-1), String::from_utf8_lossy(&log).into_owned())
    }
}

/// Makes the volume that ntguest is started from.
fn prepare(folder: &Path, config: &str, sys: Option<&Path>) -> io::Result<()> {
    let volume = folder.join("volume");
    fs::create_dir_all(volume.join("EFI/BOOT"))?;
    fs::copy(part("RINGWAVE_NTGUEST"), volume.join("EFI/BOOT/BOOTX64.EFI"))?;
    let image = volume.join("ringwave.sys");
    match sys {
        Some(sys) => fs::copy(sys, image).map(drop)?,
        None => fs::write(image, "no image")?,
    }
    fs::write(volume.join("ntguest.cfg"), format!("{config}\n"))?;
    fs::copy(part("RINGWAVE_OVMF_VARS"), folder.join("vars.fd")).map(drop)
}

fn qemu(folder: &Path) -> Command {
    let mut qemu = machine::qemu(folder);
    qemu.args(["-debugcon", &format!("file:{}", folder.join("log").display())]);
    qemu.args(["-global", "isa-debugcon.iobase=0x402"]);
    // For a device that needs one.
    qemu.args(["-audiodev", "none,id=snd"]);
    qemu
}

fn wait(qemu: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Ok(Some(status)) = qemu.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// The names in one table.
fn cases(text: &'static str) -> impl Iterator<Item = &'static str> {
    let table = text.split("const CASES").nth(1).and_then(|table| table.split("\n];").next());
    let is_case = |line: &&str| line.starts_with("    (\"");
    table.expect("the table of cases").lines().filter(is_case).filter_map(|line| line.split('"').nth(1))
}

#[test]
#[ignore = "boots QEMU"]
fn a_run_that_breaks_no_rule_ends_well_whatever_the_seed() {
    for seed in [1, 2, 77] {
        let (status, log) = boot("good", &format!("selftest=good\nseed={seed}"));
        assert_eq!(status, OK, "{log}");
        assert!(log.ends_with("ntguest: end violations=0 status=ok\n"), "{log}");
    }
}

/// Breaks the rules of these tables in one boot; the first violation of each case must be its rule.
fn each_is_named(selftest: &str, tables: &[&'static str], sys: Option<PathBuf>) {
    let config = format!("pci=1234:11e8\nselftest={selftest}");
    let (status, log) = Boot { sys, ..Boot::of(selftest) }.run(&config);
    assert_eq!(status, FAILED, "{log}");
    assert!(log.contains(&format!("selftest {selftest} has come to its end\n")), "{log}");
    let cases: Vec<&str> =
        tables.iter().flat_map(|table| cases(table)).filter(|case| !ALONE.contains(case)).collect();
    assert!(cases.len() >= 19, "{cases:?}");
    let unnamed = cases.into_iter().filter(|rule| {
        let after = log.split(&format!("info case {rule}\n")).nth(1).unwrap_or_default();
        let case = after.split("ntguest: info case ").next().unwrap_or_default();
        let first = case.lines().find_map(|line| line.strip_prefix("ntguest: violation rule="));
        !first.is_some_and(|first| first.starts_with(&format!("{rule} ")))
    });
    assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<&str>::new(), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn every_broken_rule_is_named() {
    for (selftest, tables) in ONE_BOOT {
        each_is_named(selftest, tables, None);
    }
    each_is_named("fatal-rules", FATAL_RULES, Some(part("RINGWAVE_FOREIGN_SYS")));
}

#[test]
#[ignore = "boots QEMU"]
fn a_rule_that_ends_a_run_ends_it() {
    for rule in ALONE {
        let (status, log) = boot(rule, &format!("selftest={rule}"));
        let first = log.lines().find(|line| line.starts_with("ntguest: violation")).unwrap_or("no violation");
        assert!(first.starts_with(&format!("ntguest: violation rule={rule} ")), "{log}");
        assert!(status == FATAL && log.ends_with("status=failed\n"), "{status} {log}");
    }
}

#[test]
#[ignore = "boots QEMU"]
fn everything_that_is_left_behind_is_named_when_the_driver_is_gone() {
    let (status, log) = boot_on(2, "left-behind", "selftest=left-behind-rules");
    assert_eq!(status, FAILED, "{log}");
    let (run, end) = log.split_once("selftest left-behind-rules has come to its end\n").expect("it ends");
    assert!(!run.contains("violation rule="), "{log}");
    let cases: Vec<&str> = cases(LEFT_BEHIND).collect();
    assert!(cases.len() >= 14, "{cases:?}");
    let unnamed = cases.into_iter().filter(|rule| !end.contains(&format!("violation rule={rule} ")));
    assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<&str>::new(), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn processors_run_at_the_same_time_and_wait_for_each_other_where_they_must() {
    for processors in [1, 2, 4] {
        for selftest in ["processors", "good"] {
            let (status, log) = boot_on(processors, "processors", &format!("selftest={selftest}"));
            assert_eq!(status, OK, "{processors} {selftest}: {log}");
            assert!(log.ends_with("ntguest: end violations=0 status=ok\n"), "{log}");
        }
    }
    let (status, log) = boot_on(4, "processors", "selftest=processors\nschedule_seed=7");
    assert_eq!(status, OK, "{log}");
    assert!(log.contains("ntguest: info schedule_seed=7: ") && !log.contains(" 0 delays at "), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn what_two_processors_break_together_is_named() {
    for (selftest, rule) in
        [("spinlock-deadlock", "spinlock-deadlock"), ("use-after-free-elsewhere", "use-after-free")]
    {
        let (status, log) = boot_on(2, selftest, &format!("selftest={selftest}"));
        let first = log.lines().find(|l| l.starts_with("ntguest: violation")).unwrap_or("no violation");
        assert!(first.starts_with(&format!("ntguest: violation rule={rule} ")), "{status} {log}");
    }
}

#[test]
#[ignore = "boots QEMU"]
fn a_line_that_was_held_back_comes_at_once_when_it_is_let_go() {
    let (status, log) = boot("line", "msi=0\nselftest=line");
    assert_eq!(status, OK, "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn messages_of_msi_x_have_a_descriptor_and_a_level_each() {
    let (status, log) = boot_with("messages", "e1000e", "pci=8086:10d3\nmsi=3\nselftest=messages");
    assert_eq!(status, OK, "{log}");
    assert!(log.contains(" messages 3 msix=true\n"), "{log}");
}

/// QEMU's virtio-snd: its MSI-X table of two messages in BAR 1, its registers in BAR 4, above 4 GiB.
const VIRTIO: &str = "virtio-sound-pci,audiodev=snd";

#[test]
#[ignore = "boots QEMU"]
fn a_virtio_device_has_its_bars_its_messages_and_its_line() {
    for (settings, messages) in
        [("msi=5", 2), ("msi=1", 1), ("msi=5\nmsi_free=1", 1), ("msi=0", 0), ("msi=2\nmsi_free=0", 0)]
    {
        let config = format!("pci=1af4:1059\nselftest=virtio\n{settings}");
        let (status, log) = boot_with("virtio", VIRTIO, &config);
        assert_eq!(status, OK, "{settings}: {log}");
        let msix = messages > 0;
        assert!(log.contains(&format!(" messages {messages} msix={msix}\n")), "{settings}: {log}");
    }
}

#[test]
#[ignore = "boots QEMU"]
fn whoever_writes_to_the_table_of_messages_is_named() {
    let (status, log) = boot_with("msix-table", VIRTIO, "pci=1af4:1059\nselftest=msix-table");
    assert_eq!(status, FAILED, "{log}");
    assert!(log.contains("violation rule=msix-table entry 0 is "), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn late_timers_and_a_processor_that_stands_still_are_no_fault_of_the_services() {
    let (status, log) =
        boot("stalls", "selftest=good\nlate_timer_ms=40\nstop_ms=163\nstop_every_ms=300\nqpc_start=0");
    // The self-test wants the counter to begin at a hundred days, and panics.
    assert!(status == FATAL && log.contains("violation rule=ntguest-panic "), "{log}");
    let (status, log) = boot("stalls", "selftest=good\nlate_timer_ms=40\nstop_ms=163\nstop_every_ms=300");
    assert_eq!(status, OK, "{log}");
    assert!(log.contains(" timer(s) late\n") && !log.contains("stood still 0 time(s)"), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn a_rule_harsher_than_windows_judges_nobody_when_it_is_off() {
    let (status, log) = boot("harsh", "selftest=pool-executable\nharsh=0");
    assert_eq!(status, OK, "{log}");
    assert!(log.contains("ntguest: info harsher than Windows: rule=pool-executable "), "{log}");
    assert!(log.ends_with("ntguest: end violations=0 status=ok\n"), "{log}");
}

/// Cases of PortCls and the rules that they break, from the table in its self-test.
fn portcls_cases() -> Vec<(&'static str, &'static str)> {
    let lines = PORTCLS_CASES.lines().filter(|line| line.starts_with("    (\"pc-"));
    let words = |line: &'static str| line.split('"').skip(1).step_by(2);
    lines.filter_map(|line| Some((words(line).next()?, words(line).nth(1)?))).collect()
}

#[test]
#[ignore = "boots QEMU"]
fn portcls_serves_a_good_driver_and_names_every_rule_of_its_own() {
    for harsh in [0, 1] {
        let (status, log) = boot("portcls", &format!("selftest=portcls\nharsh={harsh}"));
        assert_eq!(status, OK, "harsh={harsh}: {log}");
    }
    let (status, log) = boot("portcls-rules", "selftest=portcls-rules");
    assert_eq!(status, FAILED, "{log}");
    let cases = portcls_cases();
    assert!(cases.len() >= 60, "{cases:?}");
    for (name, rule) in cases {
        let run = log.split(&format!("info case {name}\n")).nth(1).unwrap_or_default();
        let run = run.split("info case ").next().unwrap_or_default();
        assert!(run.contains(&format!("violation rule={rule} ")), "{name}: {rule} is due: {run}");
    }
}

#[test]
#[ignore = "boots QEMU"]
fn a_machine_that_ntguest_does_not_know_is_named() {
    let machine = Boot { options: &["-machine", "hpet=off"], ..Boot::of("hpet") };
    let (status, log) = machine.run("pci=1234:11e8\nselftest=good");
    assert_eq!(status, FATAL, "{log}");
    assert!(log.contains("violation rule=no-hpet "), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn bad_input_is_told_apart_from_a_bad_driver() {
    for config in ["selftest=none-of-this-name", "nonsense=1", "seed=many", "wav=MISSING.WAV", "msi"] {
        let (status, log) = boot("input", config);
        assert_eq!(status, BAD_INPUT, "{config}: {log}");
        assert!(log.contains("ntguest: info bad input: "), "{log}");
    }
    let (status, log) = boot("image", "");
    assert_eq!(status, FATAL, "{log}");
    assert!(log.contains("violation rule=bad-image ringwave.sys: no MZ"), "{log}");
}
