//! The card of a machine that runs is exchanged, as device/README says ("A new version of the card"):
//! unplugged, its process ended and another started on the same socket, plugged in again. A Linux guest plays
//! before and after, on HD Audio and on virtio-snd (`hot_plug.rs` has the Ringwave card). `qemu-scripts/test`
//! runs this (`cargo test -- --ignored`): it needs what `qemu-scripts/setup --linux-guest` sets up.

use std::{fs, path::Path, time::Duration};

use ringwave_audio::{SampleFormat, StreamFormat, wav};
use ringwave_e2e::linux_guest::{song, times};
use ringwave_runner::{
    card::{Card, session_wav, socket},
    error::Error,
    linux::{
        GuestCard,
        guest::{self, Artefacts},
        kernel_log,
    },
    machine::vfio_user_device,
    qmp::{self, Qmp},
};
use serde_json::{Value, json};

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
const FRAMES: u32 = 24_000;
/// How long the guest may take, and QEMU to let go of a card, on a busy host without KVM.
const GUEST_MAX: Duration = Duration::from_mins(10);
const LEAVE_MAX: Duration = Duration::from_mins(2);
/// What the guest says on its second serial line.
const MAY_GO: &str = "the card may go";
const HAS_LEFT: &str = "step left exit=0";
const STEPS: &str = "
play() { aplay $times -q -D hw:0,0 /song.wav; }
# The host takes its time for both.
leaves() {
    waited=0
    while [ -e /dev/snd/controlC0 ]; do
        waited=$((waited + 1))
        [ $waited -lt 1200 ] || return 1
        busybox sleep 0.1
    done
}
comes() {
    waited=0
    until wait_for_card; do
        waited=$((waited + 1))
        [ $waited -lt 12 ] || return 1
    done
}
step before play
say the card may go
step left leaves
step came comes
step after play
";

/// A card on the socket of this folder; HD Audio at a quarter of the speed: it cannot wait for a guest
/// without KVM.
fn start(artefacts: &Artefacts, folder: &Path, name: &str, kind: GuestCard) -> Result<Card, Error> {
    let mut options = kind.serve_options(STEREO, 2);
    options.extend(kind.default_clock().arguments());
    Card::start(&artefacts.ringwave, folder, name, options)
}

/// What plugs the card in: QEMU's character device, if it has one, and the device, behind the root port.
fn plug(kind: GuestCard, socket: &Path) -> (Option<Value>, Value) {
    let mut device = match kind {
        GuestCard::Hda => vfio_user_device(socket),
        GuestCard::Virtio => json!({ "driver": "vhost-user-snd-pci", "chardev": "ringwave" }),
    };
    device["id"] = "card".into();
    device["bus"] = "root-port".into();
    let address = json!({ "type": "unix", "data": { "path": socket } });
    let backend = json!({ "type": "socket", "data": { "addr": address, "server": false } });
    let chardev = json!({ "id": "ringwave", "backend": backend });
    ((kind == GuestCard::Virtio).then_some(chardev), device)
}

/// The host's part: unplugs the card when the guest is done with it, and plugs another one in.
struct Exchange<'a> {
    artefacts: &'a Artefacts,
    folder: &'a Path,
    kind: GuestCard,
    card: Option<Card>,
    qmp: Option<Qmp>,
    plugged_in: bool,
}

impl Exchange<'_> {
    fn look(&mut self) -> Result<(), Error> {
        let text = fs::read_to_string(self.folder.join("guest.log")).unwrap_or_default();
        let said = |words: &str| text.lines().any(|line| line.trim_end() == words);
        if self.qmp.is_none() && said(MAY_GO) {
            self.qmp = Some(self.take_out()?);
        }
        // Not before: the guest looks ten times a second, and would not see that there was none.
        if let Some(qmp) = self.qmp.as_mut().filter(|_| !self.plugged_in && said(HAS_LEFT)) {
            self.plugged_in = true;
            qmp.command("device_add", &plug(self.kind, &socket(self.folder)).1)?;
        }
        Ok(())
    }

    /// Unplugs the card, ends its process, and starts another one in its place.
    fn take_out(&mut self) -> Result<Qmp, Error> {
        let mut qmp = Qmp::connect(&qmp::socket(self.folder))?;
        qmp.command("device_del", &json!({ "id": "card" }))?;
        qmp.wait_until_deleted("card", LEAVE_MAX)?;
        let (chardev, _) = plug(self.kind, &socket(self.folder));
        // It keeps the connection to the old process.
        if let Some(chardev) = &chardev {
            qmp.command("chardev-remove", &json!({ "id": chardev["id"] }))?;
        }
        let ended = self.card.take().map(Card::end).transpose()?;
        assert!(ended.is_some_and(|status| status.success()), "the old process ends in order: {ended:?}");
        self.card = Some(start(self.artefacts, self.folder, "new", self.kind)?);
        if let Some(chardev) = &chardev {
            qmp.command("chardev-add", chardev)?;
        }
        Ok(qmp)
    }
}

/// What the card of this name has heard, in however many files.
fn heard(folder: &Path, name: &str) -> Vec<u8> {
    let files = (1..).map(|number| session_wav(folder, name, number)).take_while(|path| path.exists());
    files.flat_map(|path| wav::read(&path).expect("a sound").frames).collect()
}

fn a_linux_guest_plays_on_the_card_that_has_come_in_place_of_another(kind: GuestCard) {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let sound = song(folder, 1, STEREO, FRAMES);
    let options = kind.player_options(kind.default_clock(), STEREO);
    let steps = format!("times='{options}'\n{STEPS}");
    let mut archive = guest::archive(&artefacts, &steps, kind == GuestCard::Hda).expect("modules");
    archive.add("driver-options", b"");
    archive.add_tree("", &artefacts.guest.join("root")).expect("a root");
    archive.add_file("song.wav", &sound).expect("a song");
    guest::write(archive, folder).expect("an archive");
    let card = start(&artefacts, folder, "old", kind).expect("a card");
    let (chardev, device) = plug(kind, &socket(folder));
    let mut devices: Vec<String> = qmp::option(folder).expect("a plain path").into();
    devices.extend(["-device".into(), "pcie-root-port,id=root-port,chassis=1,slot=1".into()]);
    if chardev.is_some() {
        devices.extend(["-chardev".into(), format!("socket,id=ringwave,path={}", socket(folder).display())]);
    }
    devices.extend(["-device".into(), device.to_string()]);
    let speech = format!("file:{}", folder.join("guest.log").display());
    let mut machine = guest::boot(&artefacts, folder, 512, &speech, &devices).expect("QEMU starts");
    let mut exchange =
        Exchange { artefacts: &artefacts, folder, kind, card: Some(card), qmp: None, plugged_in: false };
    let ended = machine.wait(GUEST_MAX, || exchange.look());
    let file = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let logs = || format!("{}\n{}{}", file("guest.log"), file("console.log"), file("qemu.log"));
    let ended = ended.unwrap_or_else(|error| panic!("{error}\n{}", logs()));
    assert!(ended.is_some_and(|status| status.success()), "{}", logs());
    let said = file("guest.log");
    for step in ["card", "before", "left", "came", "after"] {
        assert!(
            said.lines().any(|line| line.trim_end() == format!("step {step} exit=0")),
            "{step}: {}",
            logs()
        );
    }
    assert_eq!(kernel_log(&said), [""; 0]);
    let ended = exchange.card.take().expect("the new card").end().expect("it ends");
    assert!(ended.success(), "{ended:?}");
    let played = wav::read(&sound).expect("the song").frames;
    for name in ["old", "new"] {
        assert_eq!(times(&heard(folder, name), &played), 1, "{name}: whole, once\n{}", logs());
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn hd_audio_in_a_linux_guest_is_exchanged() {
    a_linux_guest_plays_on_the_card_that_has_come_in_place_of_another(GuestCard::Hda);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn virtio_snd_in_a_linux_guest_is_exchanged() {
    a_linux_guest_plays_on_the_card_that_has_come_in_place_of_another(GuestCard::Virtio);
}
