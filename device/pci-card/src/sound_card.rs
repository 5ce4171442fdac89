//! What a card brings along: its registers and its streams.

use std::fmt::Display;
use std::sync::Arc;

use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::sources::Sources;
use ringwave_engine::stream::stats::{Stall, StreamStats};
use ringwave_guest_memory::guest_ram::GuestRam;
use ringwave_pci::MappedBar;
use ringwave_pci::config::Settings;
use ringwave_trace::CardLog;

/// What a call into a card is lent. `E` is the card's type of an error.
pub struct CardEnv<'a, E> {
    /// Device clock in nanoseconds.
    pub now: u64,
    /// Guest RAM. Bus Master Enable is the card's to honour ([`Settings::bus_master`]).
    pub memory: &'a GuestRam,
    /// Where captured sound comes from.
    pub sources: &'a mut dyn Sources,
    /// Where what is played is put, behind what is already in it.
    pub audio: &'a mut AudioQueue,
    /// MSI messages to send when the call returns: bit n = message n.
    pub messages: &'a mut u32,
    /// The trace, and what is for the log.
    pub log: CardLog<'a, E>,
}

/// A sound card behind a PCI function. Every call is made with the card's lock held, and a client may wait
/// for it: none waits for a file, a log or a thread.
pub trait SoundCard: Send + 'static {
    /// What a guest did wrong, as the log has it.
    type Error: Copy + Display + Send + 'static;

    /// The word of `serve --card` for it, by which a trace says whose registers it has.
    const NAME: &'static str;

    /// A BAR that is memory, which the client maps: its index and the memory.
    fn mapped_bar(&self) -> Option<(u32, Arc<MappedBar>)>;
    /// The register at an offset of a BAR, as the card's datasheet calls it.
    fn register_name(&self, bar: u32, offset: u64) -> Option<&'static str>;

    /// A read of a BAR that came as a message: fills `data`.
    fn read(&mut self, bar: u32, offset: u64, data: &mut [u8], env: &mut CardEnv<'_, Self::Error>);
    /// A write of a BAR that came as a message.
    fn write(&mut self, bar: u32, offset: u64, data: &[u8], env: &mut CardEnv<'_, Self::Error>);
    /// Does what has become due.
    fn advance(&mut self, env: &mut CardEnv<'_, Self::Error>);
    /// Settings of configuration space, some of which may be new, from now on: what is due belongs to the old
    /// ones.
    fn configure(&mut self, settings: &Settings, env: &mut CardEnv<'_, Self::Error>);
    /// A reset of any kind. [`SoundCard::configure`] follows.
    fn reset(&mut self, env: &mut CardEnv<'_, Self::Error>);
    /// The level of INTx before Interrupt Disable.
    fn intx(&self) -> bool;
    /// Device clock at which [`SoundCard::advance`] has something to do next; `None` while nothing moves.
    fn next_deadline(&self) -> Option<u64>;

    /// The host side of a stream failed.
    fn host_failed(&mut self, stream: u32, env: &mut CardEnv<'_, Self::Error>);
    /// The clock of a stream's host side goes at another rate: `RATE_DEN` of the stream.
    fn set_rate_den(&mut self, stream: u32, rate_den: u32);
    /// Something was plugged into the jack of a stream, or pulled out.
    fn set_jack(&mut self, stream: u32, plugged: bool, env: &mut CardEnv<'_, Self::Error>);
    /// Whether something is plugged into the jack of a stream; `None` if there is no such stream.
    fn jack(&self, stream: u32) -> Option<bool>;

    /// Number of streams.
    fn streams(&self) -> u32;
    /// Whether a stream is in RUN.
    fn running(&self) -> bool;
    /// Streams whose time goes on now, as bits.
    fn moving(&self) -> u32;
    /// The streams that wait for a packet now.
    fn stalls(&self) -> impl Iterator<Item = Stall>;
    /// Totals of every stream, in the order of their numbers.
    fn stats(&self) -> impl Iterator<Item = StreamStats>;
    /// Sets the totals of all streams to nothing.
    fn clear_stats(&mut self);
}
