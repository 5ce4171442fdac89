//! The performance counter jumps, as it was seen to do in virtual machines whose host is busy or moves them:
//! forwards by half a second, back by 50 ms. No time passes meanwhile.
//!
//! The position never goes back and never passes what time allows: the poller beside each stream that runs
//! judges that by the interrupt time (rule `position`). What is played and recorded is the same.

use super::super::player::Failed;
use super::{After, Scene};
use crate::kernel::{thread, time};

/// Counts of 10 MHz.
const FORWARD: i64 = 5_000_000;
const BACK: i64 = -500_000;
/// How long the poller looks before the client goes on, 100-ns units.
const LOOK: i64 = 200_000;

/// 500 ms forwards.
pub fn forward(scene: &mut Scene<'_>) -> Result<After, Failed> {
    jump(scene, FORWARD)
}

/// 50 ms back.
pub fn back(scene: &mut Scene<'_>) -> Result<After, Failed> {
    jump(scene, BACK)
}

fn jump(scene: &mut Scene<'_>, counts: i64) -> Result<After, Failed> {
    time::jump(counts);
    thread::sleep_100ns(LOOK);
    (scene.meanwhile)()?;
    Ok(After::GoesOn)
}
