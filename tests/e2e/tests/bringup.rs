//! Boots Linux and walks the card there with `ringwave bringup --vfio`. `qemu-scripts/test` runs these
//! (`cargo test -- --ignored`): they need what `qemu-scripts/setup --kernel` sets up and what
//! `build_linux_guest` of `qemu-scripts/lib/build.sh` builds.

use std::process::Command;

use ringwave_runner::{
    bringup::{self, Iommu, Output, Replug, Report, Request, artefacts::Artefacts},
    error::Error,
    machine::Outcome,
};

fn try_run(iommu: Iommu, change: impl FnOnce(&mut Request)) -> Result<Report, Error> {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let mut request = Request::new(iommu);
    change(&mut request);
    bringup::run(&artefacts, &request, |said| match said {
        Output::Step(line) => eprintln!("{iommu}: {line}"),
        Output::Tool(text) => eprint!("{text}"),
    })
}

fn run(iommu: Iommu, change: impl FnOnce(&mut Request)) -> Report {
    try_run(iommu, change).expect("the guest comes to a verdict")
}

/// The names of the walk's steps, as the tool lists them.
fn steps() -> Vec<String> {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let output =
        Command::new(artefacts.ringwave).args(["bringup", "--list"]).output().expect("the tool runs");
    let text = String::from_utf8(output.stdout).expect("the list is text");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The whole bring-up, every step of which is as expected.
fn bringup_is_as_expected(iommu: Iommu) {
    let report = run(iommu, |request| request.arguments = vec!["--json".into()]);
    assert!(report.passed());
    let report: serde_json::Value =
        serde_json::from_str(&report.tool).expect("the tool says JSON and nothing else");
    let seen: Vec<(&str, &str)> = report["steps"]
        .as_array()
        .expect("a list of steps")
        .iter()
        .map(|step| (step["name"].as_str().unwrap_or("?"), step["outcome"].as_str().unwrap_or("?")))
        .collect();
    let steps = steps();
    assert!(steps.len() > 10, "{steps:?}");
    let expected: Vec<(&str, &str)> = steps.iter().map(|name| (name.as_str(), "ok")).collect();
    assert_eq!(seen, expected);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn bringup_behind_intel_iommu_is_as_expected() {
    bringup_is_as_expected(Iommu::Intel);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn bringup_behind_virtio_iommu_is_as_expected() {
    bringup_is_as_expected(Iommu::Virtio);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn memory_that_is_not_shared_is_found_by_the_self_test_and_named() {
    let report = run(Iommu::Intel, |request| {
        request.share = false;
        request.arguments = vec!["--only".into(), "self-test-contiguous".into()];
    });
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.tool.contains("FAIL"), "the self-test fails");
    assert!(report.tool.contains("share=on"), "and the missing option of QEMU is named");
}

/// What the guest told of two bring-ups with a card that left between them.
fn assert_left_and_came_back(report: &Report) {
    let steps = report.steps();
    let position_of = |words: &str| {
        steps
            .iter()
            .position(|step| step.contains(words))
            .unwrap_or_else(|| panic!("no \"{words}\": {steps:#?}"))
    };
    let left = position_of("the card left");
    assert!(position_of("run 1: tool ended") < left);
    assert!(left < position_of("run 2: card "), "it was found again");
    assert!(left < position_of("run 2: tool ended: exit status: 0"));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_is_unplugged_and_plugged_again_passes_again() {
    for iommu in [Iommu::Intel, Iommu::Virtio] {
        let report = run(iommu, |request| request.replug = Some(Replug::InOrder));
        assert!(report.passed(), "{iommu}");
        assert_left_and_came_back(&report);
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_is_unplugged_while_the_machine_is_saved_and_loaded_passes_again() {
    let report = run(Iommu::Intel, |request| request.replug = Some(Replug::AroundASnapshot));
    assert!(report.passed());
    assert_left_and_came_back(&report);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_guest_outlives_the_cards_process_and_takes_the_card_of_the_next() {
    for iommu in [Iommu::Intel, Iommu::Virtio] {
        let report = run(iommu, |request| request.replug = Some(Replug::AfterACrash));
        assert!(report.passed(), "{iommu}");
        assert!(
            report.steps().iter().any(|step| step.contains("configuration space reads ffff:ffff")),
            "{iommu}: the guest ran on, and saw a dead card"
        );
        assert_left_and_came_back(&report);
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn arguments_that_are_no_good_are_bad_input_not_a_failed_card() {
    let report = run(Iommu::Intel, |request| request.arguments = vec!["--only".into(), "nonsense".into()]);
    assert_eq!(report.outcome, Outcome::BadInput);
    assert!(report.tool.contains("nonsense"), "the tool names the argument");
}
