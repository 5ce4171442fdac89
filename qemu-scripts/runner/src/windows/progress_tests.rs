//! What is made of a guest's lines, and of its silence.

use super::*;
use crate::windows::protocol::line;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

fn stage(name: &str) -> Line {
    Line::Stage(name.into())
}

/// At this stage of the plan, at time 0.
fn at(plan: &'static Plan, reached: &str) -> Progress {
    let mut progress = Progress::new(plan, minute_with(true), Duration::ZERO);
    for (name, _) in plan.stages.iter().skip(1) {
        if progress.stage() == reached {
            break;
        }
        progress.hear(Duration::ZERO, if *name == EXIT { Line::Exit(0) } else { stage(name) });
    }
    assert_eq!(progress.stage(), reached);
    progress
}

fn late(progress: &Progress, now: Duration) -> Option<String> {
    progress.late(now).map(|late| match late {
        Late::Guest(why) => why,
        Late::Program(limit) => format!("program: {}", in_words(limit)),
    })
}

fn fails(progress: &mut Progress, line: Line) -> String {
    match progress.hear(Duration::ZERO, line) {
        Step::Fail(why) => why,
        step => panic!("{step:?}"),
    }
}

#[test]
fn whole_installation_ends_well_and_the_key_is_pressed_once_only() {
    let mut progress = Progress::new(&INSTALLATION, minute_with(true), Duration::ZERO);
    assert_eq!(progress.hear(minutes(1), Line::BootsCd), Step::PressKeys);
    for (index, name) in INSTALLATION.named().enumerate() {
        let now = minutes(2 + index as u64);
        assert_eq!(progress.hear(now, stage(name)), Step::Tell(format!("stage {name}")));
        assert_eq!(progress.hear(now, Line::BootsCd), Step::None, "a key would start Setup again");
        assert_eq!(progress.reset(), Step::None);
    }
    assert!(progress.powered_off().is_err());
    progress.hear(minutes(9), Line::Done(0));
    assert_eq!(progress.powered_off(), Ok(()));
    assert_eq!(progress.late(minutes(14)), None);
    assert!(late(&progress, minutes(15)).is_some_and(|why| why.contains("turn itself off")));
}

#[test]
fn each_stage_has_its_limit_and_without_kvm_six_times_as_much() {
    for (plan, name, limit, next) in [
        (&INSTALLATION, "power-on", 10, "winpe"),
        (&INSTALLATION, "winpe", 60, "specialize"),
        (&INSTALLATION, "specialize", 45, "logon"),
        (&INSTALLATION, "logon", 15, "driver"),
        (&INSTALLATION, "driver", 15, "settings"),
        (&INSTALLATION, "settings", 15, "done"),
        (&RUN, "power-on", 15, "agent"),
        (&RUN, "agent", 5, "sound"),
        (&RUN, "sound", 5, "program"),
        (&RUN, "exit", 5, "collect"),
        (&RUN, "collect", 15, "done"),
        (&RUN_WITH_DEVICE, "sound", 5, "device"),
        (&DUMP, "power-on", 15, "agent"),
        (&DUMP, "agent", 5, "collect"),
        (&DUMP, "collect", 15, "done"),
    ] {
        let progress = at(plan, name);
        assert_eq!(progress.late(minutes(limit)), None);
        let why = late(&progress, minutes(limit) + Duration::from_secs(1)).unwrap_or_default();
        assert!(why.contains(&format!("stage {next} did not begin within {limit} min")), "{why}");
        let slow = Progress { minute: minute_with(false), ..at(plan, name) };
        assert_eq!(slow.late(minutes(6 * limit)), None);
        assert!(slow.late(minutes(6 * limit + 1)).is_some());
    }
}

#[test]
fn program_has_the_time_that_the_user_says_on_any_host() {
    let progress = at(&RUN, "program").with_limits(minutes(2), minutes(9));
    let progress = Progress { minute: minute_with(false), ..progress };
    assert_eq!(progress.late(minutes(2)), None);
    assert_eq!(progress.late(minutes(3)), Some(Late::Program(minutes(2))));
}

#[test]
fn device_has_the_time_that_was_asked_for_it_and_is_not_left_out() {
    let progress = at(&RUN_WITH_DEVICE, "device").with_limits(minutes(2), minutes(50));
    assert_eq!(progress.late(minutes(50)), None);
    assert!(late(&progress, minutes(51)).is_some_and(|why| why.contains("stage program did not begin")));
    let why = fails(&mut at(&RUN_WITH_DEVICE, "sound"), stage("program"));
    assert!(why.contains("device was left out"), "{why}");
    assert!(fails(&mut at(&RUN, "sound"), stage("device")).contains("no line of the protocol"));
}

#[test]
fn stage_that_comes_again_gets_no_new_time_and_none_is_left_out() {
    let mut progress = at(&INSTALLATION, "logon");
    assert!(matches!(progress.hear(minutes(14), stage("logon")), Step::Tell(_)));
    assert!(progress.late(minutes(16)).is_some());
    let why = fails(&mut progress, stage("settings"));
    assert!(why.contains("driver was left out"), "{why}");
}

#[test]
fn problem_is_told_with_the_stage_and_waits_for_the_logs() {
    let mut progress = at(&INSTALLATION, "driver");
    progress.hear(minutes(1), line("RINGWAVE problem 6 install.cmd refused"));
    for text in ["RINGWAVE log setup", "RINGWAVE end other", "RINGWAVE done 0", "RINGWAVE end setup"] {
        assert_eq!(progress.hear(minutes(1), line(text)), Step::None, "{text}: a line of the file");
    }
    assert_eq!(progress.late(minutes(2)), None);
    let why = "in stage driver: install.cmd refused (exit code 6)";
    assert_eq!(progress.late(minutes(3)), Some(Late::Guest(why.into())));
    assert_eq!(progress.powered_off(), Err(why.into()));
    assert_eq!(progress.hear(minutes(1), Line::Done(6)), Step::Fail(why.into()));
}

#[test]
fn what_ends_wrongly_is_named() {
    let install = |stage| at(&INSTALLATION, stage);
    assert!(fails(&mut install("logon"), Line::Done(0)).contains("done in stage logon"));
    assert!(fails(&mut install("settings"), Line::Done(7)).contains("exit code 7"));
    assert!(fails(&mut install("winpe"), line("RINGWAVE stage x")).contains("no line of the protocol"));
    assert!(
        fails(&mut install("winpe"), line("RINGWAVE stage power-on")).contains("no line of the protocol")
    );
    assert!(fails(&mut install("winpe"), line("RINGWAVE stage done")).contains("no line of the protocol"));
    let mut refused = Progress::new(&INSTALLATION, minute_with(true), Duration::ZERO);
    assert!(fails(&mut refused, Line::RefusesCd).contains("Secure Boot"));
    let disk_first = install("specialize").hear(minutes(1), Line::RefusesCd);
    assert_eq!(disk_first, Step::None, "Windows has started by now");
    assert!(install("driver").powered_off().is_err_and(|why| why.contains("off in stage driver")));
    let mut loops = install("specialize");
    for _ in 0..10 {
        assert_eq!(loops.reset(), Step::None);
    }
    assert!(matches!(loops.reset(), Step::Fail(why) if why.contains("again and again in stage specialize")));
}

#[test]
fn whole_run_ends_with_the_programs_exit_code() {
    let mut progress = Progress::new(&RUN, minute_with(true), minutes(100));
    for text in ["stage agent", "stage sound", "stage program", "exit -3", "stage collect", "done 0"] {
        assert_eq!(progress.hear(minutes(100), Line::BootsCd), Step::None, "a run presses no key");
        let step = progress.hear(minutes(101), line(&format!("RINGWAVE {text}")));
        assert!(matches!(step, Step::Tell(_)), "{text}: {step:?}");
    }
    assert_eq!((progress.exit(), progress.powered_off()), (Some(-3), Ok(())));
}

#[test]
fn what_is_wrong_in_a_run_is_named() {
    let run = |stage| at(&RUN, stage);
    assert!(fails(&mut run("program"), stage("collect")).contains("exit was left out"));
    assert!(fails(&mut run("sound"), Line::Exit(0)).contains("no line of the protocol"));
    assert!(fails(&mut run("exit"), Line::Exit(0)).contains("no line of the protocol"), "twice");
    assert!(fails(&mut run("program"), stage("exit")).contains("no line of the protocol"));
    assert!(fails(&mut run("program"), Line::Done(0)).contains("done in stage program"));
    assert!(fails(&mut at(&DUMP, "agent"), stage("program")).contains("no line of the protocol"));
    // The guest turns itself off after a failure as well: its disk is not whole before.
    for mut progress in [run("sound"), run("collect")] {
        let stage = progress.stage();
        progress.hear(minutes(1), line("RINGWAVE problem 12 no endpoint"));
        assert_eq!(progress.late(minutes(6)), None);
        assert!(progress.late(minutes(7)).is_some());
        assert!(matches!(progress.hear(minutes(2), Line::Done(12)), Step::Tell(_)));
        let why = format!("in stage {stage}: no endpoint (exit code 12)");
        assert_eq!(progress.powered_off(), Err(why));
        assert_eq!(progress.problem().map(|problem| problem.code), Some(12));
    }
    let mut gives_up = run("agent");
    gives_up.hear(minutes(1), Line::Done(7));
    assert!(gives_up.powered_off().is_err_and(|why| why.contains("gave up (exit code 7)")));
}

#[test]
fn restart_counts_as_announced_for_five_minutes() {
    let mut progress = at(&RUN, "program");
    assert!(!progress.is_restart(minutes(1)));
    progress.hear(minutes(1), line("RINGWAVE reboot for the program"));
    assert!(progress.is_restart(minutes(6)) && !progress.is_restart(minutes(7)));
    assert_eq!(late(&progress, minutes(6)), None);
    let why = late(&progress, minutes(7)).unwrap_or_default();
    assert_eq!(why, "the restart that was announced did not come within 5 min");
}
