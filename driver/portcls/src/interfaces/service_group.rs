//! Groups of what wants to be serviced: how the ports before WaveRT turned interrupts into work. A WaveRT
//! port has no use for one; a driver may make its own (PcNewServiceGroup).
use crate::com::interface::interface;
use crate::{ComClass, ComIn, IUnknown};

interface! {
    /// What is serviced.
    IServiceSink: IUnknown, "22C6AC64-851B-11D0-9A7F-00AA0038ACFE", implemented as ServiceSink: ComClass, table IServiceSinkVtbl {
        /// Does the work. DISPATCH_LEVEL.
        3 RequestService as request_service() -> void;
    }

    /// A group of them. The header derives it from [`IServiceSink`]: asking the group asks all members, by a
    /// DPC.
    IServiceGroup: IServiceSink, "22C6AC65-851B-11D0-9A7F-00AA0038ACFE", implemented as ServiceGroup: ServiceSink, table IServiceGroupVtbl {
        /// Adds a member, with a reference of its own.
        4 AddMember as add_member(member: ComIn<'_, IServiceSink>) -> status;
        /// Takes it away and gives the reference back.
        5 RemoveMember as remove_member(member: ComIn<'_, IServiceSink>) -> void;
        /// Makes the timer that the next two use. Once. At most DISPATCH_LEVEL.
        6 SupportDelayedService as support_delayed_service() -> void;
        /// Asks all members after `delay` (100 ns).
        7 RequestDelayedService as request_delayed_service(delay: u64) -> void;
        /// Not after all.
        8 CancelDelayedService as cancel_delayed_service() -> void;
    }
}
