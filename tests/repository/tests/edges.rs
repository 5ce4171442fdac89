//! Which crate of ours may stand on which: the layers of the house, read from every manifest.
//!
//! [`EDGES`] is the whole plan. An edge that it does not draw fails here, whatever its kind: a dependency,
//! one of a platform or of a build script, and one of tests too, for a test that reaches around a layer is
//! written against what it must not know. A crate without a row fails as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use ringwave_repository::{root, text_files};
use serde_json::Value;

/// Folder of a crate, and the folders of the crates that it may depend on. Rows of crates that are planned
/// and not there yet are allowed.
const EDGES: &[(&str, &[&str])] = &[
    // The card. What knows nothing of ours: any card, any driver, any test can stand on it.
    ("device/audio", &[]),
    ("device/guest-memory", &[]),
    ("device/regs", &[]),
    ("device/vfio-user", &[]),
    // One engine under any card: no bus, no register, no file.
    ("device/engine", &["device/audio"]),
    ("device/trace", &["device/audio"]),
    // A client's eventfds, whatever the bus. Its memory is a memfd of no bytes.
    ("device/eventfd", &["device/guest-memory"]),
    ("device/host", &["device/audio", "device/engine"]),
    ("device/report", &["device/audio", "device/trace"]),
    // Any PCI function. No audio; the card behind it puts requests into the trace.
    ("device/pci", &["device/eventfd", "device/guest-memory", "device/vfio-user"]),
    // What every card that is served has, whatever its bus.
    ("device/served", &["device/engine", "device/guest-memory", "device/report", "device/trace"]),
    // What every sound card on PCI has around its registers and streams.
    (
        "device/pci-card",
        &[
            "device/engine",
            "device/guest-memory",
            "device/pci",
            "device/report",
            "device/served",
            "device/trace",
        ],
    ),
    (
        "device/cards/ringwave",
        &[
            "device/audio",
            "device/engine",
            "device/guest-memory",
            "device/pci",
            "device/pci-card",
            "device/regs",
            "device/trace",
        ],
    ),
    (
        "device/cards/hda",
        &[
            "device/audio",
            "device/engine",
            "device/guest-memory",
            "device/pci",
            "device/pci-card",
            // A test is the host that asks.
            "device/served",
            "device/trace",
        ],
    ),
    (
        "device/cards/virtio-snd",
        &[
            "device/audio",
            "device/engine",
            "device/eventfd",
            "device/guest-memory",
            "device/report",
            "device/served",
            "device/trace",
        ],
    ),
    // Sees a card only from outside.
    ("device/tools/bringup", &["device/audio", "device/regs", "device/vfio-user"]),
    ("device/tools/trace", &["device/pci", "device/regs", "device/report", "device/trace"]),
    // Runs cards in its own process, without the program.
    (
        "device/tools/bench",
        &[
            "device/cards/hda",
            "device/cards/ringwave",
            "device/cards/virtio-snd",
            "device/engine",
            "device/guest-memory",
            "device/host",
            "device/pci",
            "device/pci-card",
            "device/regs",
            "device/report",
            "device/served",
            "device/trace",
        ],
    ),
    // The program: the only place that knows all.
    ("device", ALL_OF_DEVICE),
    // The driver. Only its hw/ringwave may name registers: a test of the driver holds that.
    ("driver", &["device/regs", "driver/nt", "driver/portcls"]),
    ("driver/portcls", &["driver/nt"]),
    ("driver/nt", &[]),
    ("driver/catalog", &[]),
    // It writes the INF from what the driver and the datasheet say, so that nothing stands twice.
    ("driver/inf", &["device/regs", "driver", "driver/portcls"]),
    // Scripts and tests. regs: which files the card can play is said before anything boots. driver/inf:
    // ntguest is told what the INF of anybody's driver says.
    (
        "qemu-scripts/runner",
        &["device/audio", "device/regs", "device/report", "device/trace", "driver/catalog", "driver/inf"],
    ),
    ("tests/bareguest", &["device/audio", "device/regs", "tests/guest-ports"]),
    ("tests/e2e", &["device/audio", "device/report", "device/trace", "qemu-scripts/runner"]),
    ("tests/guest-init", &["device/audio", "device/regs"]),
    ("tests/guest-pcm", &[]),
    ("tests/guest-ports", &[]),
    ("tests/inf", &[]),
    // Never the driver or a card: it loads them.
    ("tests/ntguest", &["device/audio", "driver/nt", "driver/portcls", "tests/guest-ports"]),
    ("tests/repository", &[]),
    // Of the judge it knows the interface alone: its cases come from COMPARE.md.
    ("tests/verdicts", &["device/audio"]),
    ("tests/winplay", &["device/audio"]),
    // Of the host's side it knows WINDOWS.md alone, and of the card its datasheet.
    ("tests/winstandin", &["device/regs", "tests/guest-ports"]),
    // What it compares with wdk-sys.
    ("tests/wdk", &["driver/nt"]),
    // What it fuzzes: the card, and the driver before a card that lies.
    (
        "tests/fuzz",
        &[
            "device/cards/hda",
            "device/cards/ringwave",
            "device/cards/virtio-snd",
            "device/engine",
            "device/guest-memory",
            "device/pci",
            "device/pci-card",
            "device/regs",
            "device/served",
            "device/trace",
            "device/vfio-user",
            "driver",
        ],
    ),
];

const ALL_OF_DEVICE: &[&str] = &[
    "device",
    "device/audio",
    "device/cards/hda",
    "device/cards/ringwave",
    "device/cards/virtio-snd",
    "device/engine",
    "device/eventfd",
    "device/guest-memory",
    "device/host",
    "device/pci",
    "device/pci-card",
    "device/regs",
    "device/report",
    "device/served",
    "device/tools/bench",
    "device/tools/bringup",
    "device/tools/trace",
    "device/trace",
    "device/vfio-user",
];

/// Edges that are still there while the code moves to where [`EDGES`] has it. It only shrinks: one that is
/// gone has to go from here.
const NOT_YET: &[(&str, &str)] = &[];

/// Every crate's folder with the folders of the crates of ours that it depends on, by the manifests as Cargo
/// reads them.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (manifest, _) in text_files() {
        let Some(folder) = manifest.strip_suffix("Cargo.toml") else { continue };
        // The workspace's own manifest has all members; one of another workspace is asked on its own.
        if !all.contains_key(folder.trim_end_matches('/')) {
            read_workspace(&root().join(&manifest), &mut all);
        }
    }
    all
}

fn read_workspace(manifest: &Path, into: &mut BTreeMap<String, BTreeSet<String>>) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
        .arg(manifest);
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}: {}", manifest.display(), String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let ours = |path: &str| {
        let folder = Path::new(path).strip_prefix(root()).expect("a crate of this repository");
        folder.to_string_lossy().into_owned()
    };
    for package in metadata["packages"].as_array().expect("packages") {
        let manifest = package["manifest_path"].as_str().expect("a path");
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        // A dependency from a registry has no path. A crate whose tests use the crate itself is its own
        // neighbour.
        let paths = dependencies.filter_map(|dependency| dependency["path"].as_str());
        let folder = ours(manifest.trim_end_matches("/Cargo.toml"));
        into.insert(folder, paths.map(ours).collect());
    }
}

#[test]
fn no_crate_stands_on_what_the_house_does_not_draw() {
    let drawn: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    assert_eq!(drawn.len(), EDGES.len(), "a crate has two rows");
    let mut wrong = Vec::new();
    for (from, to) in edges() {
        let Some(allowed) = drawn.get(from.as_str()) else {
            wrong.push(format!("{from} has no row in EDGES"));
            continue;
        };
        for to in to {
            let waits = NOT_YET.contains(&(&from, &to));
            if !allowed.contains(&to.as_str()) && !waits {
                wrong.push(format!("{from} must not depend on {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_yet_only_shrinks() {
    let edges = edges();
    for &(from, to) in NOT_YET {
        let there = edges.get(from).is_some_and(|all| all.contains(to));
        assert!(there, "{from} does not depend on {to} any more: take it out of NOT_YET");
    }
}

#[test]
fn every_folder_of_the_table_is_in_the_table() {
    let rows: BTreeSet<&str> = EDGES.iter().map(|(from, _)| *from).collect();
    for to in EDGES.iter().flat_map(|(_, to)| to.iter()) {
        assert!(rows.contains(to), "{to} has no row of its own");
    }
    assert!(edges().len() > 15, "the manifests were found");
}
