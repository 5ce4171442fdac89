//! A card that is reset under a guest that goes on as if nothing was, as QEMU's `loadvm` does it, says so in
//! the log.

use crate::serving::Serving;
use ringwave_vfio_user::Client;
use ringwave_vfio_user::wire::pci::CONFIG_REGION;

const COMMAND: u64 = 4;
const BAR0: u64 = 0x10;
const TOLD: &str = "nobody has set it up again";

#[test]
fn card_that_is_not_set_up_again_after_a_reset_is_told_and_one_that_is_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let others = tempfile::tempdir().unwrap();
    let (loaded, restarted) = (Serving::start(dir.path(), &[]), Serving::start(others.path(), &[]));
    let clients = [dir.path(), others.path()].map(|folder| {
        let mut client = Client::connect(&folder.join("card.sock")).unwrap();
        client.write(CONFIG_REGION, COMMAND, &[6, 0]).unwrap();
        client.write(CONFIG_REGION, COMMAND, &[0, 0]).unwrap();
        client.reset().unwrap();
        client.write(CONFIG_REGION, BAR0, &[0; 4]).unwrap();
        client
    });
    let [unused, mut firmware] = clients;
    firmware.write(CONFIG_REGION, BAR0, &[0xFF; 4]).unwrap();
    let told = loaded.wait_for(TOLD, 1);
    assert!(told.iter().all(|line| line.contains("warn: ") && line.contains("; if a snapshot was loaded")));
    assert!(restarted.said(TOLD).is_empty());
    drop((unused, firmware));
    loaded.end();
    restarted.end();
}
