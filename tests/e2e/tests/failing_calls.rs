//! Every call of the driver that can fail fails once, with each of its documented errors, while the shipped
//! driver starts, plays, records, loses its power and goes: `failing_calls=` of ntguest. `qemu-scripts/test`
//! builds what it needs and runs it; what plays or records afterwards is bit-exact.

use ringwave_e2e::{
    runs::{play, record},
    tune_file::TuneFile,
};
use ringwave_runner::{guest_log::GuestLog, machine::Outcome, request::CardKind};

/// The kinds of calls that the driver makes and that can fail, `IPort::Init` twice: before and after the
/// miniport's own. Not among them is what it may do without at all, and what it calls to take back what it
/// registered.
const REFUSED: [&str; 17] = [
    "AllocatePagesForMdl",
    "AllocatePagesForMdl_short",
    "ExAllocatePool",
    "ExAllocateTimer",
    "IPort_Init",
    "IPort_Init_late",
    "IResourceList_FindTranslatedEntry",
    "IResourceList_NumberOfEntriesOfType",
    "IoConnectInterruptEx",
    "MapAllocatedPages",
    "MmAllocateContiguous",
    "MmMapIoSpace",
    "PcAddAdapterDevice",
    "PcGetPhysicalDeviceObject",
    "PcInitializeAdapterDriver",
    "PcNewPort",
    "PcRegisterAdapterPowerManagement",
];
/// Further ones after which the device does not start.
const REGISTERED: [&str; 2] = ["PcRegisterPhysicalConnection", "PcRegisterSubdevice"];
/// What the driver does without.
const SURVIVED: [&str; 12] = [
    "IRP_MN_QUERY_INTERFACE",
    "IRegistryKey_QueryValueKey",
    "IoBuildSynchronousFsdRequest",
    "IoRegisterDeviceInterface",
    "IoSetDeviceInterfacePropertyData",
    "NewRegistryKey",
    "PcAddStreamResource",
    "PcRegisterAdapterPnpManagement",
    "PcRemoveStreamResource",
    "PcUnregisterAdapterPnpManagement",
    "PcUnregisterAdapterPowerManagement",
    "QueryInterface",
];

fn config(lines: &[&str]) -> Vec<String> {
    lines.iter().copied().map(String::from).collect()
}

/// Every kind of call was visited, and did what is expected of it.
fn is_whole(guest: &GuestLog) {
    let result = |key: String| guest.result(&key).unwrap_or(0);
    for call in REFUSED.into_iter().chain(REGISTERED) {
        assert!(result(format!("refused_{call}")) > 0, "{call} failed, and the driver with it");
    }
    for call in SURVIVED {
        let (refused, survived) = (result(format!("refused_{call}")), result(format!("survived_{call}")));
        assert!(refused == 0 && survived > 0, "{call} failed, and the driver did without");
    }
    let kinds = (REFUSED.len() + REGISTERED.len() + SURVIVED.len()) as u64;
    assert_eq!(guest.result("failing_call_kinds"), Some(kinds), "a kind of call that is new is listed here");
    assert!(guest.result("failing_calls") > Some(150), "{:?}", guest.result("failing_calls"));
}

/// The file was heard at the end, and before it nothing but the silence of the streams that the sweep opened.
fn is_heard_last(heard: &[u8], sent: &[u8]) -> bool {
    let begins = heard.iter().take_while(|byte| **byte == 0).count() / 4 * 4;
    let quiet = sent.iter().take_while(|byte| **byte == 0).count() / 4 * 4;
    heard.get(begins..).is_some_and(|tail| tail == sent.get(quiet..).unwrap_or_default())
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn each_fails_once_and_what_plays_afterwards_is_bit_exact() {
    let tune = TuneFile::stereo();
    let out = tune.folder.path().join("out.wav");
    let report = play(&tune.path(), |request| {
        request.out = Some(out.clone());
        request.guest_config = config(&["failing_calls=1"]);
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    is_whole(&report.guest);
    let heard = ringwave_audio::wav::read(&out).expect("what was heard").frames;
    assert!(is_heard_last(&heard, &tune.frames()), "{} bytes heard", heard.len());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn with_contiguous_buffers_a_sample_fails_and_what_is_recorded_afterwards_is_bit_exact() {
    let report = record(&TuneFile::stereo().path(), |request| {
        request.contiguous = true;
        request.guest_config = config(&["failing_calls=5"]);
    });
    assert!(report.passed());
    assert!(report.guest.result("failing_calls") > Some(20), "{:?}", report.guest.result("failing_calls"));
}

/// The same driver with a virtio device: a seventh of its calls.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn on_virtio_a_sample_fails_and_what_is_played_afterwards_is_bit_exact() {
    on_virtio(&["failing_calls=7"], 20);
}

#[test]
#[ignore = "boots QEMU, for a minute: run qemu-scripts/test --long"]
fn in_long_on_virtio_each_fails_once_and_what_is_played_afterwards_is_bit_exact() {
    on_virtio(&["failing_calls=1"], 150);
    on_virtio(&["failing_calls=1", "msi=0", "reg.ContiguousBuffer=1"], 150);
}

fn on_virtio(lines: &[&str], least: u64) {
    let tune = TuneFile::stereo();
    let out = tune.folder.path().join("out.wav");
    let report = play(&tune.path(), |request| {
        request.kind = CardKind::Virtio;
        // There it has a reset of its function, which stands for a card that is put in again.
        request.root_port = true;
        request.out = Some(out.clone());
        request.guest_config = config(lines);
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    let visited = report.guest.result("failing_calls");
    assert!(visited > Some(least), "{visited:?}");
    let heard = ringwave_audio::wav::read(&out).expect("what was heard").frames;
    assert!(is_heard_last(&heard, &tune.frames()), "{} bytes heard", heard.len());
}

#[test]
#[ignore = "boots QEMU, for a minute: run qemu-scripts/test --long"]
fn in_long_each_fails_once_with_either_buffer_and_what_is_recorded_afterwards_is_bit_exact() {
    for contiguous in [false, true] {
        let report = record(&TuneFile::stereo().path(), |request| {
            request.contiguous = contiguous;
            request.guest_config = config(&["failing_calls=1", "reg.PositionRegister=1", "reg.Modes=1"]);
        });
        assert!(report.passed(), "contiguous {contiguous}");
        let visited = report.guest.result("failing_calls");
        assert!(visited > Some(150), "contiguous {contiguous}: {visited:?}");
    }
}
