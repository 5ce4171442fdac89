//! COM1, a 16550 that the firmware has set to 115,200 8N1. The protocol's lines go there past the console, so
//! that nothing is put between their bytes.

use guest_ports::{inb, outb};

const DATA: u16 = 0x3F8;
const LINE_STATUS: u16 = DATA + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Reads of the status until a byte is given up: the other side is gone.
const PATIENCE: u32 = 1_000_000;

/// Writes bytes as they are.
pub fn write(bytes: &[u8]) {
    for byte in bytes {
        let _ = (0..PATIENCE).any(|_| inb(LINE_STATUS) & TRANSMITTER_EMPTY != 0);
        outb(DATA, *byte);
    }
}

/// One line of the protocol.
pub fn line(text: &str) {
    write(b"RINGWAVE ");
    write(text.as_bytes());
    write(b"\r\n");
}
