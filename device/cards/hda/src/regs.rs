//! Registers of the controller: *High Definition Audio Specification* 1.0a, chapter 3. Offsets in BAR 0.

/// Size of BAR 0 in bytes.
pub const BAR_BYTES: u32 = 0x4000;
/// From here on WALCLK and LPIB can be read once more, by themselves (3.6).
pub const ALIAS: u64 = 0x2000;

/// GCAP, VMIN, VMAJ: 4 outputs, 4 inputs, 64-bit addresses; version 1.0.
pub const GCAP_VALUE: u32 = 0x0100_4401;
/// Output and input payload: as much as the register can say.
pub const PAYLOAD_VALUE: u32 = 0x00FF_00FF;

/// Global control: CRST 0, FCNTRL 1, UNSOL 8.
pub const GCTL: u64 = 0x08;
/// [`GCTL`]: the controller is out of reset.
pub const GCTL_CRST: u32 = 1;
/// [`GCTL`]: flush. Reads 0.
pub const GCTL_FCNTRL: u32 = 1 << 1;
/// [`GCTL`]: unsolicited responses are taken.
pub const GCTL_UNSOL: u32 = 1 << 8;
/// WAKEEN (0Ch) and STATESTS (0Eh).
pub const WAKEEN: u64 = 0x0C;
/// GSTS: bit 1, a flush is complete.
pub const GSTS: u64 = 0x10;
/// [`GSTS`]: a flush is complete.
pub const GSTS_FSTS: u32 = 1 << 1;
/// Interrupt control.
pub const INTCTL: u64 = 0x20;
/// Interrupt status.
pub const INTSTS: u64 = 0x24;
/// [`INTCTL`] and [`INTSTS`]: global.
pub const INT_GLOBAL: u32 = 1 << 31;
/// [`INTCTL`] and [`INTSTS`]: controller.
pub const INT_CONTROLLER: u32 = 1 << 30;
/// The wall clock.
pub const WALCLK: u64 = 0x30;
/// Stream synchronization where ICH6 to ICH9 have it.
pub const SSYNC_ICH: u64 = 0x34;
/// Stream synchronization where the specification has it.
pub const SSYNC: u64 = 0x38;
/// CORB: base (40h, 44h), CORBWP and CORBRP (48h), CORBCTL, CORBSTS and CORBSIZE (4Ch).
pub const CORBLBASE: u64 = 0x40;
/// See [`CORBLBASE`].
pub const CORBUBASE: u64 = 0x44;
/// See [`CORBLBASE`].
pub const CORBWP: u64 = 0x48;
/// See [`CORBLBASE`].
pub const CORBCTL: u64 = 0x4C;
/// RIRB: base (50h, 54h), RIRBWP and RINTCNT (58h), RIRBCTL, RIRBSTS and RIRBSIZE (5Ch).
pub const RIRBLBASE: u64 = 0x50;
/// See [`RIRBLBASE`].
pub const RIRBUBASE: u64 = 0x54;
/// See [`RIRBLBASE`].
pub const RIRBWP: u64 = 0x58;
/// See [`RIRBLBASE`].
pub const RIRBCTL: u64 = 0x5C;
/// Immediate command, response, status.
pub const ICOI: u64 = 0x60;
/// See [`ICOI`].
pub const ICII: u64 = 0x64;
/// See [`ICOI`].
pub const ICIS: u64 = 0x68;
/// DMA position buffer: base with the enable bit 0.
pub const DPLBASE: u64 = 0x70;
/// DMA position buffer: upper half of the base.
pub const DPUBASE: u64 = 0x74;

/// The first stream descriptor.
pub const STREAMS: u64 = 0x80;
/// Bytes from one stream descriptor to the next.
pub const STREAM_BYTES: u64 = 0x20;
/// Input stream descriptors: the first ones.
pub const INPUTS: usize = 4;
/// All stream descriptors.
pub const DESCRIPTORS: usize = 8;

/// Registers of a stream descriptor, from its start.
pub mod sd {
    /// SDCTL (24 bits) and SDSTS.
    pub const CTL: u64 = 0x00;
    /// Link position in buffer.
    pub const LPIB: u64 = 0x04;
    /// Cyclic buffer length in bytes.
    pub const CBL: u64 = 0x08;
    /// Last valid index (0Ch) and FIFO watermark (0Eh).
    pub const LVI: u64 = 0x0C;
    /// FIFO size (10h) and format (12h).
    pub const FIFOS: u64 = 0x10;
    /// Address of the buffer descriptor list.
    pub const BDPL: u64 = 0x18;
    /// Its upper half.
    pub const BDPU: u64 = 0x1C;

    /// SDCTL: reset.
    pub const SRST: u32 = 1;
    /// SDCTL: run.
    pub const RUN: u32 = 1 << 1;
    /// SDCTL: interrupt on completion enable.
    pub const IOCE: u32 = 1 << 2;
    /// SDCTL: FIFO error interrupt enable.
    pub const FEIE: u32 = 1 << 3;
    /// SDCTL: descriptor error interrupt enable.
    pub const DEIE: u32 = 1 << 4;
    /// SDCTL after reset: traffic priority, which cannot be changed.
    pub const CTL_RESET: u32 = 1 << 18;
    /// SDCTL: bits that can be written: tag, stripe, enables, RUN, SRST.
    pub const CTL_WRITABLE: u32 = 0x00F3_001F;
    /// SDCTL: the stream's tag.
    pub const CTL_TAG: u32 = 0xF << 20;
    /// SDSTS, in the top byte of the dword: buffer completion.
    pub const BCIS: u32 = 1 << 26;
    /// SDSTS: FIFO error.
    pub const FIFOE: u32 = 1 << 27;
    /// SDSTS: descriptor error.
    pub const DESE: u32 = 1 << 28;
    /// SDSTS: FIFO ready.
    pub const FIFORDY: u32 = 1 << 29;
    /// SDSTS: bits that a 1 clears.
    pub const STS_CLEARS: u32 = BCIS | FIFOE | DESE;
    /// FIFOW: 32 bytes.
    pub const FIFOW_VALUE: u32 = 4 << 16;
}

/// What a write makes of a register: bits of `mask` are written, those of `writable` can be.
pub const fn merged(old: u32, value: u32, mask: u32, writable: u32) -> u32 {
    let bits = mask & writable;
    old & !bits | value & bits
}
