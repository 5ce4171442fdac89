//! The example device, as a client sees it.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[allow(dead_code, reason = "its main serves on a socket of the user's")]
#[path = "../examples/counter.rs"]
mod counter;

use counter::Counter;
use ringwave_vfio_user::wire::pci::CONFIG_REGION;
use ringwave_vfio_user::{Client, Listener, Stop, serve};

#[test]
fn a_client_finds_the_example_and_counts_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counter.sock");
    let listener = Listener::bind(&path).unwrap();
    // Not a scoped thread: what fails below must end the test, and not wait for a server that nobody stops.
    let stop = Stop::new().unwrap();
    let its_stop = stop.clone();
    let server = std::thread::spawn(move || serve(listener.socket(), &mut Counter::default(), &its_stop));
    for _ in 0..2 {
        let mut client = Client::connect(&path).unwrap();
        assert_eq!(client.read32(CONFIG_REGION, 0).unwrap(), 0x0001_1234);
        assert_eq!(client.region_info(0).unwrap().size, 4096);
        assert_eq!(client.read32(0, 0).unwrap(), 0x0101_0101, "the last client's number is gone");
        client.write32(0, 0, 7).unwrap();
        assert_eq!(client.read32(0, 0).unwrap(), 0x0808_0808);
        client.reset().unwrap();
        assert_eq!(client.read32(0, 0).unwrap(), 0x0101_0101);
    }
    stop.stop();
    server.join().unwrap().unwrap();
}
