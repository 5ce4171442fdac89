//! A guest that does anything that a driver could do with one stream, for the model.

use crate::support::SECOND;
pub mod model;

use proptest::prelude::*;

/// What a guest does.
#[derive(Clone, Debug)]
pub enum Op {
    Wait(u64),
    State(u32),
    /// A number relative to the packet count.
    Written(i8),
    /// Armed or not, frames that are valid (may be too many), and a WRITTEN relative to the packet count
    /// behind it.
    EndOfStream(bool, u32, Option<i8>),
    /// A frame, and by how much the packet is wrong.
    Start(u64, u32),
    /// The host slept: nobody woke the card for so long.
    Late(u64),
    /// D3hot for so long, and back.
    Sleep(u64),
    /// RUN is written while Bus Master Enable is off.
    RunWithoutBusMaster,
    HostFails,
    /// And set up again, to PAUSE.
    Reset,
    /// A store to the mark page, and how it is told.
    Mark(Word, Notice),
    /// LOOK, whatever it is good for.
    Look,
    /// The register LOCKSTEP.
    Lockstep(bool),
}

/// Any of them.
pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..90_000_000_u64).prop_map(Op::Wait),
        1 => (0..4_u64).prop_map(Op::Wait),
        3 => (0..4_u32).prop_map(Op::State),
        6 => Just(Op::State(3)),
        8 => (-3..4_i8).prop_map(Op::Written),
        1 => (any::<bool>(), 0..1600_u32, prop::option::of(-2..4_i8)).prop_map(|(a, b, c)| Op::EndOfStream(a, b, c)),
        1 => (0..1_u64 << 40, prop_oneof![4 => Just(0), 1 => 1..3_u32]).prop_map(|(a, b)| Op::Start(a, b)),
        1 => prop_oneof![95_000_000..125_000_000_u64, 0..30 * SECOND].prop_map(Op::Late),
        1 => (0..90_000_000_u64).prop_map(Op::Sleep),
        1 => Just(Op::RunWithoutBusMaster),
        1 => Just(Op::HostFails),
        1 => Just(Op::Reset),
        8 => (word(), prop_oneof![Just(Notice::No), Just(Notice::ByLook), Just(Notice::ByMessage)])
            .prop_map(|(word, told)| Op::Mark(word, told)),
        1 => Just(Op::Look),
        1 => any::<bool>().prop_map(Op::Lockstep),
    ]
}

/// What stands in MARK then.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// The tag of the day and a number relative to the packet count.
    Right(i8),
    /// The same with a tag that is so much off.
    Tag(u32, i8),
    /// Anything.
    Any(u64),
    /// One half of it was stored, the high one or the low one.
    Half(bool, u32),
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        6 => (-3..4_i8).prop_map(Word::Right),
        1 => (any::<u32>(), -3..4_i8).prop_map(|(off, ahead)| Word::Tag(off, ahead)),
        1 => Just(Word::Tag(u32::MAX, 1)),
        1 => any::<u64>().prop_map(Word::Any),
        1 => (any::<bool>(), 0..6_u32).prop_map(|(high, value)| Word::Half(high, value)),
    ]
}

/// How the card learns of a mark.
#[derive(Clone, Copy, Debug)]
pub enum Notice {
    /// By nothing: it is there when the card looks.
    No,
    /// By LOOK.
    ByLook,
    /// The store itself is a message.
    ByMessage,
}
