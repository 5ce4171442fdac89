//! Faults made on purpose (`fault=` in ntguest.cfg): they prove that the checks notice, and that the driver
//! fails softly.

/// One way to misbehave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Two neighbouring page addresses of every list are exchanged: the card's table gets a wrong order.
    SwapPages,
    /// The first `FreePagesFromMdl` does nothing: an MDL leaks.
    SwallowFree,
    /// `AllocatePagesForMdl` gives half of what was asked.
    ShortMdl,
    /// `MapAllocatedPages` fails.
    NullMap,
    /// `AllocatePagesForMdl` gives nothing.
    NullMdl,
    /// `AllocateContiguousPagesForMdl` fails.
    NoContiguous,
    /// `AllocateContiguousPagesForMdl` of one page or less fails, as some ports do.
    NoContiguousPage,
    /// `AllocateContiguousPagesForMdl` gives pages that do not lie side by side, as a free system's port
    /// does.
    ContiguousGap,
    /// The bus driver offers no BUS_INTERFACE_STANDARD.
    NoBusInterface,
    /// The device's id in configuration space, as the driver reads it, is that of another one.
    OtherDevice,
    /// A new cyclic buffer holds old data.
    Uncleared,
    /// Pages are given as if the driver had named no highest address.
    HighPages,
    /// The client sees a position register that never ticks.
    RegisterStands,
    /// The client sees a position register that ticks in PAUSE too.
    RegisterRuns,
    /// The client wants the registers refused though the registry value allows them.
    RegisterUnasked,
    /// The client sees the position register on another page than it is on.
    RegisterPage,
    /// The client sees a clock register that goes 3 % fast.
    RegisterClock,
    /// The client flips one bit of one sample in the buffer.
    FlipBit,
    /// The client leaves one packet's old data in the buffer.
    SkipPacket,
    /// The client sees packet numbers of `GetReadPacket` with a gap, as if a packet had been dropped.
    ReadGap,
    /// The client sees the end of a packet as the time of its first sample.
    ReadTime,
    /// The client sees `MoreData` TRUE always.
    ReadPromise,
    /// The client sees another status than the one that says that there is no packet.
    ReadRefusal,
    /// A packet that the client was given is overwritten.
    ReadOverwrite,
    /// The client asks for the right direction where the wrong one must be refused.
    CaptureFlag,
    /// The stream is asked for the packet interface that it has, where it must not have the other.
    BothDirections,
    /// The notification event is signalled at RUN.
    EarlyEvent,
    /// The client sees positions a turn further than they are, little by little.
    FastPosition,
    /// A good format is opened where one that is not announced must be refused.
    AnyFormat,
    /// A block of pool is left behind, as a driver would that forgets one.
    KeepBlock,
    /// The physical connection from a microphone's filter is lost.
    LoseConnection,
    /// Every physical connection is registered twice.
    ConnectTwice,
    /// The client sees a volume that is a little off what was set.
    VolumeDrift,
    /// A control is moved when a stream closes.
    ForgetVolume,
    /// The client sees the opposite of what was set.
    MuteTurned,
    /// A channel that is there is asked for where one that isn't must be refused.
    AnyChannel,
    /// `GenerateEventList` reaches nobody.
    LostEvent,
    /// `GenerateEventList` is called with a number that no table has.
    StrayEvent,
    /// An entry is put into the event list twice.
    EntryTwice,
    /// A property is asked for from inside a handler.
    NestedRequest,
    /// The client sees one byte more than the handler says.
    LongReply,
    /// A byte behind the value is written.
    ValueOverrun,
    /// The first word of every value that a handler wrote is what was there before.
    StaleValue,
    /// A word of the format that DataRangeIntersection made is not written.
    StaleFormat,
    /// A jack that is neither connected nor not.
    JackLies,
    /// Every proposal is accepted.
    AnyProposal,
    /// The format that is said to be the best cannot be opened.
    BadDefault,
    /// The list of modes has one twice.
    ModeTwice,
    /// Packet constraints come after the subdevice.
    LateConstraints,
    /// The client sees a plain WAVEFORMATEX where an intersection gave a WAVEFORMATEXTENSIBLE.
    PlainAnswer,
    /// The client sees another default format at every second question.
    OtherDefault,
    /// The client sees one channel more in the default format than there is.
    OtherChannels,
    /// The client sees one more endpoint of the category SPEAKER.
    TwoSpeakers,
    /// The client sees a proposal of a KSDATAFORMAT alone refused as too small.
    HeaderRefused,
    /// The client sees another answer where a list lies about its size.
    ListSize,
    /// The pin that has a property is asked where one that hasn't must be refused.
    AnyPin,
    /// The client sees another status where BASICSUPPORT has no room.
    SupportNoRoom,
    /// The client sees a format refused that must be opened.
    FormatRefused,
    /// The client wants an answer of the packet methods where there are no packets.
    PacketsWithout,
    /// The client sees packet 0 refused before RUN.
    PrefillRefused,
    /// The client sees another description of the jack while a stream is open.
    JackChanges,
    /// The client sees SetState refused after the device has gone.
    StopRefused,
    /// The client looks for its registers where nothing is mapped.
    RegisterGone,
    /// The client sees the count of packets stand when nobody writes.
    CountStands,
    /// The client sees a packet accepted that is being played.
    LateAccepted,
    /// The judge of a call that failed sees another status come up.
    OtherStatus,
    /// The judge of a call that failed sees the next attempt fail too.
    RetryRefused,
    /// `IoRegisterDeviceInterface` fails: no driver may fail with it.
    NoInterface,
    /// The ports have no `IPortEvents`: no driver may fail without.
    NoPortEvents,
    /// Element 4 of the device extension is written, which the samples mark reserved.
    ReservedWord,
    /// PortCls' own part of the device extension is written.
    PortClassWord,
    /// A dispatch routine was set before `PcInitializeAdapterDriver`.
    EarlyDispatch,
    /// One subdevice more is registered than was announced.
    FewObjects,
    /// An object is asked for another root interface than the kernel's: as one that knows only that of user
    /// mode would answer.
    OtherUnknown,
    /// The ports have none of the services that newer Windows added: no driver may fail without.
    NoPortServices,
    /// An event of a type that nobody knows is traced.
    UnknownEvent,
    /// A glitch that is reported gets lost.
    LostGlitch,
    /// A glitch is seen that nobody reported.
    StrayGlitch,
    /// A glitch report is seen at DISPATCH_LEVEL.
    GlitchAtDispatch,
    /// Content without protection is played where protected content must be refused.
    AnyContent,
    /// A stream resource stays registered.
    KeepResource,
    /// A pin lists more modes than it has instances.
    NoInstances,
    /// What the driver writes to its registers when it goes to D3 is lost: its interrupts stay as they are.
    DeafToD3,
    /// `IAdapterPnpManagement::PnpStop` does not reach the driver: its subdevices stay registered.
    NoPnpStop,
    /// One interrupt more is seen connected after STOP.
    ResourcesStay,
    /// The client sees something else than NULL after a NewStream that failed.
    StreamNotNull,
    /// The client sees the port stream of a NewStream that failed still referenced.
    PortStreamKept,
    /// The client sees a closed stream still referenced.
    StreamKept,
    /// The client sees a member of the latency unwritten.
    LatencyUnwritten,
    /// The client wants a byte more than its MDL has.
    ShortBuffer,
    /// The client sees SetState(STOP) refused, after it was done.
    StateRefused,
    /// The client sees a position that is not 0 in STOP.
    MovesAtRest,
    /// The client sees another position after a while in PAUSE.
    MovesInPause,
    /// The client sees its notification event signalled in PAUSE.
    EventInPause,
    /// The client waits for an event that nobody signals.
    NoEvent,
    /// The client sees that the position has gone five packets further in all.
    FastTravel,
    /// The client sees a presentation position that was further before.
    PresentedBack,
    /// The client sees a count of packets that was higher before.
    CountBack,
    /// The client sees packet 2 accepted before RUN.
    EarlyPacket,
    /// The client sees a stream without a packet interface.
    NoPackets,
    /// The client sees each volume node twice.
    MoreNodes,
}

/// Every fault and its name.
const NAMES: &[(&str, Fault)] = &[
    ("swap-pages", Fault::SwapPages),
    ("swallow-free", Fault::SwallowFree),
    ("short-mdl", Fault::ShortMdl),
    ("null-map", Fault::NullMap),
    ("null-mdl", Fault::NullMdl),
    ("no-contiguous", Fault::NoContiguous),
    ("no-contiguous-page", Fault::NoContiguousPage),
    ("contiguous-gap", Fault::ContiguousGap),
    ("no-bus-interface", Fault::NoBusInterface),
    ("other-device", Fault::OtherDevice),
    ("uncleared", Fault::Uncleared),
    ("high-pages", Fault::HighPages),
    ("register-stands", Fault::RegisterStands),
    ("register-runs", Fault::RegisterRuns),
    ("register-clock", Fault::RegisterClock),
    ("register-unasked", Fault::RegisterUnasked),
    ("register-page", Fault::RegisterPage),
    ("flip-bit", Fault::FlipBit),
    ("skip-packet", Fault::SkipPacket),
    ("read-gap", Fault::ReadGap),
    ("read-time", Fault::ReadTime),
    ("read-promise", Fault::ReadPromise),
    ("read-refusal", Fault::ReadRefusal),
    ("read-overwrite", Fault::ReadOverwrite),
    ("capture-flag", Fault::CaptureFlag),
    ("both-directions", Fault::BothDirections),
    ("early-event", Fault::EarlyEvent),
    ("fast-position", Fault::FastPosition),
    ("any-format", Fault::AnyFormat),
    ("keep-block", Fault::KeepBlock),
    ("lose-connection", Fault::LoseConnection),
    ("connect-twice", Fault::ConnectTwice),
    ("volume-drift", Fault::VolumeDrift),
    ("forget-volume", Fault::ForgetVolume),
    ("mute-turned", Fault::MuteTurned),
    ("any-channel", Fault::AnyChannel),
    ("lost-event", Fault::LostEvent),
    ("stray-event", Fault::StrayEvent),
    ("entry-twice", Fault::EntryTwice),
    ("nested-request", Fault::NestedRequest),
    ("long-reply", Fault::LongReply),
    ("value-overrun", Fault::ValueOverrun),
    ("stale-value", Fault::StaleValue),
    ("stale-format", Fault::StaleFormat),
    ("jack-lies", Fault::JackLies),
    ("any-proposal", Fault::AnyProposal),
    ("bad-default", Fault::BadDefault),
    ("mode-twice", Fault::ModeTwice),
    ("late-constraints", Fault::LateConstraints),
    ("plain-answer", Fault::PlainAnswer),
    ("other-default", Fault::OtherDefault),
    ("other-channels", Fault::OtherChannels),
    ("two-speakers", Fault::TwoSpeakers),
    ("header-refused", Fault::HeaderRefused),
    ("list-size", Fault::ListSize),
    ("any-pin", Fault::AnyPin),
    ("support-no-room", Fault::SupportNoRoom),
    ("format-refused", Fault::FormatRefused),
    ("packets-without", Fault::PacketsWithout),
    ("prefill-refused", Fault::PrefillRefused),
    ("jack-changes", Fault::JackChanges),
    ("stop-refused", Fault::StopRefused),
    ("register-gone", Fault::RegisterGone),
    ("count-stands", Fault::CountStands),
    ("late-accepted", Fault::LateAccepted),
    ("other-status", Fault::OtherStatus),
    ("retry-refused", Fault::RetryRefused),
    ("no-interface", Fault::NoInterface),
    ("no-port-events", Fault::NoPortEvents),
    ("reserved-word", Fault::ReservedWord),
    ("port-class-word", Fault::PortClassWord),
    ("early-dispatch", Fault::EarlyDispatch),
    ("few-objects", Fault::FewObjects),
    ("other-unknown", Fault::OtherUnknown),
    ("no-port-services", Fault::NoPortServices),
    ("unknown-event", Fault::UnknownEvent),
    ("lost-glitch", Fault::LostGlitch),
    ("stray-glitch", Fault::StrayGlitch),
    ("glitch-at-dispatch", Fault::GlitchAtDispatch),
    ("any-content", Fault::AnyContent),
    ("keep-resource", Fault::KeepResource),
    ("no-instances", Fault::NoInstances),
    ("deaf-to-d3", Fault::DeafToD3),
    ("no-pnp-stop", Fault::NoPnpStop),
    ("resources-stay", Fault::ResourcesStay),
    ("stream-not-null", Fault::StreamNotNull),
    ("port-stream-kept", Fault::PortStreamKept),
    ("stream-kept", Fault::StreamKept),
    ("latency-unwritten", Fault::LatencyUnwritten),
    ("short-buffer", Fault::ShortBuffer),
    ("state-refused", Fault::StateRefused),
    ("moves-at-rest", Fault::MovesAtRest),
    ("moves-in-pause", Fault::MovesInPause),
    ("event-in-pause", Fault::EventInPause),
    ("no-event", Fault::NoEvent),
    ("fast-travel", Fault::FastTravel),
    ("presented-back", Fault::PresentedBack),
    ("count-back", Fault::CountBack),
    ("early-packet", Fault::EarlyPacket),
    ("no-packets", Fault::NoPackets),
    ("more-nodes", Fault::MoreNodes),
];

/// The fault with a name.
pub fn parse(name: &str) -> Option<Fault> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault)
}

/// What the run asks for, and whether it came about.
#[cfg(target_os = "uefi")]
mod run {
    use super::{Fault, parse};
    use crate::kernel::{self, cfg};
    use core::sync::atomic::{AtomicU32, Ordering};

    /// Bit n: the nth fault of the run's list was made.
    static MADE: AtomicU32 = AtomicU32::new(0);

    /// The faults of the run, separated by commas; each by itself must have an occasion.
    fn configured() -> impl Iterator<Item = (u32, Fault)> {
        let names = cfg::get("fault").into_iter().flat_map(|list| list.split(','));
        (0..).zip(names).map(|(number, name)| {
            let fault = parse(name);
            let unknown = || kernel::bad_input(format_args!("ntguest.cfg: fault={name} is not known"));
            (number, fault.unwrap_or_else(unknown))
        })
    }

    /// The place of a fault in the run's list; an unknown name ends the run.
    fn number_of(fault: Fault) -> Option<u32> {
        configured().find(|(_, known)| *known == fault).map(|(number, _)| number)
    }

    /// Whether the run asks for this fault.
    pub fn wanted(fault: Fault) -> bool {
        number_of(fault).is_some()
    }

    /// Whether the run asks for this fault; if so it is made now.
    pub fn make(fault: Fault) -> bool {
        let number = number_of(fault);
        if let Some(number) = number {
            MADE.fetch_or(1 << (number % 32), Ordering::Relaxed);
        }
        number.is_some()
    }

    /// Notes that the fault was made, of a run that asks for one alone.
    pub fn made() {
        MADE.store(u32::MAX, Ordering::Relaxed);
    }

    /// A fault that had no occasion proves nothing: rule `fault-not-made`.
    pub fn check_made() {
        let made = MADE.load(Ordering::Relaxed);
        for (_, fault) in configured().filter(|(number, _)| made & 1 << (number % 32) == 0) {
            kernel::violation("fault-not-made", format_args!("{fault:?} had no occasion in this run"));
        }
    }
}
#[cfg(target_os = "uefi")]
pub use run::{check_made, made, make, wanted};

/// With two pages exchanged, the page whose address stands in for page `index` of `count`: 0 and 1 change
/// places.
pub fn swapped(index: u32, count: u32) -> u32 {
    if count >= 2 && index < 2 { 1 - index } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_fault() {
        for (name, fault) in NAMES {
            assert_eq!(parse(name), Some(*fault));
        }
        assert_eq!(parse("swap"), None);
    }

    #[test]
    fn a_swap_changes_two_pages_and_no_other() {
        let order = |count| (0..count).map(|i| swapped(i, count)).collect::<alloc::vec::Vec<_>>();
        assert_eq!(order(4), [1, 0, 2, 3]);
        assert_eq!(order(1), [0]);
    }
}
