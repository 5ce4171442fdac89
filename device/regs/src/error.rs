//! Error codes, as they stand in the ERROR registers, the SELFTEST register and the status page.
//! DATASHEET 8.

/// Declares the error codes once: the enum, its numbers, its names and its meanings.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $meaning:literal;)*) => {
        /// Why the card refused something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Error {
            $($(#[$doc])* $variant = $code,)*
        }

        impl Error {
            /// Every error, in the order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number in the register.
            pub const fn code(self) -> u32 {
                self as u32
            }

            /// The error with this number; `None` for 0 (no error) and for numbers of a later version.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name in the DATASHEET.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, in a few words.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

codes! {
    /// The state does not allow it.
    BadState = 1, "BAD_STATE", "not allowed in this state";
    /// The sample format or the channels are not announced.
    BadFormat = 2, "BAD_FORMAT", "sample format or channels not announced";
    /// The rate is not announced.
    BadRate = 3, "BAD_RATE", "sample rate not announced";
    /// The cyclic buffer's length is 0, too large, or not a whole number of frames in each packet.
    BadRing = 4, "BAD_RING", "cyclic buffer length";
    /// The number of packets is not 1 or 2, or a packet is too short.
    BadPackets = 5, "BAD_PACKETS", "packets per cyclic buffer";
    /// The packet number goes back.
    BadPacket = 6, "BAD_PACKET", "packet number goes back";
    /// The end-of-stream length is longer than a packet or not whole frames.
    BadEos = 7, "BAD_EOS", "end-of-stream length";
    /// `START_PACKET` is not the packet of `START_FRAME`.
    BadStart = 8, "BAD_START", "start packet is not the start frame's";
    /// The scatter-gather table has no entries or too many.
    SgCount = 9, "SG_COUNT", "number of scatter-gather entries";
    /// A scatter-gather entry has length 0 or reserved bits.
    SgEntry = 10, "SG_ENTRY", "scatter-gather entry with length 0 or reserved bits";
    /// A link is misaligned, has a length, or leads to a link.
    SgLink = 11, "SG_LINK", "scatter-gather link";
    /// The entries do not add up to the cyclic buffer.
    SgLength = 12, "SG_LENGTH", "scatter-gather entries do not add up to the cyclic buffer";
    /// Memory that is not guest RAM the card can reach.
    DmaUnmapped = 13, "DMA_UNMAPPED", "not guest RAM that the card can reach";
    /// Bus Master Enable is off.
    BusMasterOff = 14, "BUS_MASTER_OFF", "bus master enable is off";
    /// The self-test's length or entries.
    BadLength = 15, "BAD_LENGTH", "self-test length or entries";
    /// Defined, but not in this card (see FEATURES).
    NotSupported = 16, "NOT_SUPPORTED", "not supported by this card";
    /// No such register, or it can't be accessed this way.
    BadAccess = 17, "BAD_ACCESS", "no such register, or not accessible this way";
    /// The host side of the stream (file, sound system) failed.
    Host = 18, "HOST", "the host side of the stream failed";
    /// A volume above 0 dB or below the lowest.
    BadVolume = 19, "BAD_VOLUME", "volume out of range";
}

impl core::fmt::Display for Error {
    /// For a person: the name, and what it means.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.name(), self.meaning())
    }
}

/// The number for "no error".
pub const NONE: u32 = 0;
