//! The trace: everything that happened to the card, in exact order, as text. `ringwave serve --trace FILE`
//! writes it, `ringwave trace FILE` reads it back, and a test joins it with a guest's log of its allocations.
//!
//! The first line says what the file is; then one event a line: nanoseconds since the card was made (the
//! host's monotonic clock, whatever the card's speed), and what happened. Words are separated by one space;
//! addresses and offsets are hexadecimal, lengths and numbers decimal.
//!
//! ```text
//! ringwave-trace 1 version=0.1.0 card=hda clock=lockstep speed=1 started=1763700000.000000000
//! ```
//!
//! `card` is the word of `serve --card`: what the offsets of registers mean, and what is in the file, depends
//! on it. An older file without it is the Ringwave card's. A reader passes over words of the first line that
//! it does not know.
//!
//! Messages of the client, as they reach the card. A write stands before what it brings about, a read (with
//! the value that it gave) and a map behind it. Values of 1, 2, 4 and 8 bytes are numbers; others are bytes
//! in the order of memory, the first 16 of them. A `SET_IRQS` that raises, masks or unmasks several numbers
//! is a line for each:
//!
//! ```text
//! client connected|left                            its first message came; it has gone, and the reset that follows is due to that
//! region-read  bar0|bar2|config 0x<offset> <bytes> 0x<value>
//! region-write bar0|bar2|config 0x<offset> <bytes> 0x<value>
//! dma-map 0x<addr> <bytes> r|w|rw fd|nofd taken|refused
//! dma-unmap 0x<addr> <bytes> | dma-unmap all
//! set-irqs msi|intx connect <start> <count> <fds>
//! set-irqs msi|intx trigger <start> <count>
//! set-irqs msi|intx disconnect|mask|unmask | set-irqs other
//! device-reset                                     DEVICE_RESET
//! flr                                              the write before this line was a function-level reset
//! ```
//!
//! What the host did:
//!
//! ```text
//! jack <stream> in|out                             something was plugged into the stream's jack, or pulled out
//! ```
//!
//! What the card did:
//!
//! ```text
//! mark <n>                                         the guest wrote TRACE_MARK
//! dma-table <who> 0x<addr> <bytes>                 slots of a scatter-gather table were read
//! dma-read  <who> 0x<addr> <bytes>                 data was read from guest memory
//! dma-write <who> 0x<addr> <bytes>                 data was stored to guest memory; <who> is <stream>, selftest, rings, positions
//! state <stream> stop|acquire|pause|run            a stream changed its state
//! packet <stream> <count>                          a packet is complete: PACKET_COUNT is now this
//! stall <stream> <packet>                          it waits for this packet
//! mark-seen <stream> <packet>                      it saw a new mark in the stream's mark page (DATASHEET 7.4)
//! ended <stream>                                   its end of stream was played
//! power d0|d3hot                                   the power state has changed
//! reset                                            the function was reset; all streams are in STOP, power is D0
//! event <stream>                                   a stream had an event (DATASHEET 2.1)
//! msi <message>                                    this message was sent, and somebody listens to it
//! intx assert|deassert                             the level, after Interrupt Disable
//! intx raise                                       the line's listener was signalled
//! note refused <stream>|- 0x<offset> 0x<value>|- <ERROR>
//! note not-lockstep <stream> | note underrun <stream> <packet> | note overrun <stream> <packet>
//! note dma-fault <stream> <ERROR> | note selftest <ERROR> | note rings <ERROR>
//! lost <n>                                         n events are missing here: the trace's file was too slow
//! ```
//!
//! The trace of virtio-snd has no messages and no interrupts: those are virtqueues, which the client and the
//! card share. It has what the streams did, their DMA by the addresses of the guest's buffers, jacks and
//! notes. Of HD Audio, `dma-` lines of a stream are of its endpoint, and there are no packets.
//!
//! A reset leaves the streams without a `state` line. What one call into the card brought about has one time.
//!
//! The file only grows, by whole lines, with the sound that is heard and at most 20 ms after the event; when
//! the process is killed at most its last line is cut. Messages never wait for it: what the file is too slow
//! for waits in memory, up to about a million events, and then is counted and lost. A stream of packets of 1
//! ms makes about half a gigabyte an hour.
mod card_event;
mod card_log;
mod diagnostic;
mod error_name;
mod event;
pub mod line;
mod reader;
#[cfg(any(feature = "strategy", test))]
pub mod strategy;
mod writer;

pub use card_event::{CardEvent, Dma, StreamState};
pub use card_log::{CardLog, CardRecords};
pub use diagnostic::Diagnostic;
pub use error_name::ErrorName;
pub use event::{Data, Event, IrqChange, IrqKind, Region, TraceRecord};
pub use line::{FIRST_WORDS, is_trace};
pub use reader::{Item, Reader, TraceError};
pub use writer::{Header, TraceWriter};
