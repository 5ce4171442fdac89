//! What a person who looks at a card's log wants to know.

use core::fmt;

use crate::ErrorName;

/// Something a person who looks at the card's log wants to know. At most a few per call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diagnostic<E = ErrorName> {
    /// An access was refused. `stream` is `None` for a global register.
    Refused {
        /// Stream number.
        stream: Option<u32>,
        /// Offset in BAR 0.
        offset: u64,
        /// What was written; `None` for a read and for an access of a wrong size.
        value: Option<u32>,
        /// Why.
        error: E,
    },
    /// The card's clock is lockstep, but the stream does not ask for it (LOCKSTEP): it goes by realtime.
    NotLockstep {
        /// Stream number.
        stream: u32,
    },
    /// A packet was not WRITTEN in time: it is silent, at least in part (realtime). Told once for each
    /// packet.
    Underrun {
        /// Stream number.
        stream: u32,
        /// Packet number.
        packet: u32,
    },
    /// A captured packet was stored over before the guest took it (realtime).
    Overrun {
        /// Stream number.
        stream: u32,
        /// Number of the packet that is lost.
        packet: u32,
    },
    /// A transfer of a running stream failed; silence is played instead.
    DmaFault {
        /// Stream number.
        stream: u32,
        /// Why.
        error: E,
    },
    /// The rings for commands and responses (HD Audio) cannot be read or written: the guest gets no answer.
    Rings {
        /// Why.
        error: E,
    },
    /// The self-test failed.
    SelfTest {
        /// Why.
        error: E,
    },
}

impl<E> Diagnostic<E> {
    /// The same with another type of error.
    pub fn map_error<F>(self, map: impl FnOnce(E) -> F) -> Diagnostic<F> {
        match self {
            Self::Refused { stream, offset, value, error } => {
                Diagnostic::Refused { stream, offset, value, error: map(error) }
            }
            Self::NotLockstep { stream } => Diagnostic::NotLockstep { stream },
            Self::Underrun { stream, packet } => Diagnostic::Underrun { stream, packet },
            Self::Overrun { stream, packet } => Diagnostic::Overrun { stream, packet },
            Self::DmaFault { stream, error } => Diagnostic::DmaFault { stream, error: map(error) },
            Self::Rings { error } => Diagnostic::Rings { error: map(error) },
            Self::SelfTest { error } => Diagnostic::SelfTest { error: map(error) },
        }
    }
}

impl<E: fmt::Display> fmt::Display for Diagnostic<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { stream, offset, value, error } => {
                match stream {
                    Some(stream) => write!(f, "stream {stream}: ")?,
                    None => write!(f, "card: ")?,
                }
                match value {
                    Some(value) => write!(f, "write of {value:#x} to register {offset:#05x} refused")?,
                    None => write!(f, "access to register {offset:#05x} refused")?,
                }
                write!(f, ": {error}")
            }
            Self::NotLockstep { stream } => {
                write!(
                    f,
                    "stream {stream}: did not ask for lockstep, goes by realtime: what is late is silent"
                )
            }
            Self::Underrun { stream, packet } => {
                write!(f, "stream {stream}: packet {packet} was not WRITTEN in time, plays silence")
            }
            Self::Overrun { stream, packet } => {
                write!(f, "stream {stream}: packet {packet} was not taken in time and is lost")
            }
            Self::DmaFault { stream, error } => {
                write!(f, "stream {stream}: transfer failed, silence instead: {error}")
            }
            Self::Rings { error } => {
                write!(f, "CORB or RIRB: {error}; the guest gets no answer (does its memory have share=on?)")
            }
            Self::SelfTest { error } => {
                write!(f, "DMA self-test failed: {error}")
            }
        }
    }
}
