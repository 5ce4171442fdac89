//! The interrupt service routine: acknowledges and counts, as a driver's does; the rest is done outside of
//! it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::controller::{BAR_BYTES, INTSTS, RIRBSTS, STREAMS_MAX, WALCLK, descriptor};
use super::stream::{BCIS, DESE, FIFOE, SDSTS};
use crate::card::Window;

/// INTSTS: any (GIS), the controller (CIS).
pub const GLOBAL: u32 = 1 << 31;
pub const CONTROLLER: u32 = 1 << 30;
/// RIRBSTS: a response interrupt, an overrun.
const RESPONSE: u8 = 1;
const OVERRUN: u8 = 1 << 2;
/// How often one call looks at INTSTS.
const LOOKS: u32 = 10;

static BAR: AtomicU64 = AtomicU64::new(0);
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
static EMPTY: AtomicU32 = AtomicU32::new(0);
static RESPONSES: AtomicU32 = AtomicU32::new(0);
static OVERRUNS: AtomicU32 = AtomicU32::new(0);
static STREAMS: [PerStream; STREAMS_MAX] = [const { PerStream::new() }; STREAMS_MAX];

/// What was counted of a stream.
pub struct PerStream {
    buffers: AtomicU32,
    errors: AtomicU32,
    since: AtomicU32,
    period: AtomicU32,
    missed: AtomicU32,
}

impl PerStream {
    const fn new() -> Self {
        Self {
            buffers: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            since: AtomicU32::new(0),
            period: AtomicU32::new(0),
            missed: AtomicU32::new(0),
        }
    }

    /// Begins again; `now` is WALCLK, and a period takes so much of it.
    pub fn restart(&self, now: u32, period: u32) {
        self.period.store(period, RELAXED);
        for count in [&self.buffers, &self.errors, &self.missed] {
            count.store(0, RELAXED);
        }
        self.resume(now);
    }

    /// What was before `now` (WALCLK) is no gap between two interrupts.
    pub fn resume(&self, now: u32) {
        self.since.store(now, RELAXED);
    }

    /// Interrupts on completion.
    pub fn buffers(&self) -> u32 {
        self.buffers.load(RELAXED)
    }

    /// FIFO and descriptor errors.
    pub fn errors(&self) -> u32 {
        self.errors.load(RELAXED)
    }

    /// Interrupts on completion that, by WALCLK, were served with a later one; of more than there are
    /// periods, less than 0.
    pub fn missed(&self) -> i32 {
        self.missed.load(RELAXED).cast_signed()
    }

    fn status(&self, status: u8, now: u32) {
        if status & BCIS != 0 {
            self.buffers.fetch_add(1, RELAXED);
            // One more than it should be at this place is one less at the next. The FIFO's share comes early.
            let (period, gap) =
                (self.period.load(RELAXED).max(1), now.wrapping_sub(self.since.load(RELAXED)));
            let periods = (gap + period / 32) / period;
            self.since.fetch_add(periods * period, RELAXED);
            self.missed.fetch_add(periods.wrapping_sub(1), RELAXED);
        }
        if status & (FIFOE | DESE) != 0 {
            self.errors.fetch_add(1, RELAXED);
        }
    }
}

const RELAXED: Ordering = Ordering::Relaxed;

/// The counters of stream descriptor `index`.
pub fn stream(index: usize) -> &'static PerStream {
    &STREAMS[index]
}

/// Calls of the service routine, and those of them that found nothing to serve.
pub fn interrupts() -> (u32, u32) {
    (INTERRUPTS.load(RELAXED), EMPTY.load(RELAXED))
}

/// Response interrupts, and overruns of the response ring.
pub fn responses() -> (u32, u32) {
    (RESPONSES.load(RELAXED), OVERRUNS.load(RELAXED))
}

/// Tells the routine where the registers are.
pub fn set_registers(base: u64) {
    BAR.store(base, RELAXED);
}

/// The routine.
pub fn service() {
    let bar = Window::new(BAR.load(RELAXED), BAR_BYTES);
    INTERRUPTS.fetch_add(1, RELAXED);
    for look in 0..LOOKS {
        let status = bar.read32(INTSTS);
        // All ones: the card is gone.
        if status & GLOBAL == 0 || status == u32::MAX {
            EMPTY.fetch_add(u32::from(look == 0), RELAXED);
            return;
        }
        for (index, counters) in STREAMS.iter().enumerate().filter(|(index, _)| status >> index & 1 != 0) {
            let at = descriptor(index) + SDSTS;
            let seen = bar.read8(at);
            bar.write8(at, seen & (BCIS | FIFOE | DESE));
            counters.status(seen, bar.read32(WALCLK));
        }
        if status & CONTROLLER != 0 {
            let seen = bar.read8(RIRBSTS);
            bar.write8(RIRBSTS, seen & (RESPONSE | OVERRUN));
            RESPONSES.fetch_add(u32::from(seen & RESPONSE), RELAXED);
            OVERRUNS.fetch_add(u32::from(seen & OVERRUN != 0), RELAXED);
        }
    }
}
