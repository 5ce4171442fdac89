//! What a client asks of interrupts ("`VFIO_USER_DEVICE_SET_IRQS`"), with the checks of
//! `vfio_set_irqs_validate_and_prepare` and then of `vfio_pci_set_irqs_ioctl`, in their order.

use std::os::fd::{AsRawFd, OwnedFd};

use super::{Answer, argsz, fixed};
use crate::device::{Device, IrqAction, IrqChange, IrqInfo, Vectors};
use crate::refusal::Refusal;
use crate::wire::{self, irq_flags, irq_set_flags as set};

/// The request without its bools.
#[allow(clippy::cast_possible_truncation, reason = "20")]
const FIXED_BYTES: u32 = size_of::<wire::IrqSet>() as u32;

/// Checks the request and hands it to the device as one change.
pub fn set(device: &mut impl Device, payload: &[u8], fds: Vec<OwnedFd>) -> Result<Answer, Refusal> {
    let (asked, data) = fixed::<wire::IrqSet>(payload)?;
    argsz::<wire::IrqSet>(asked.argsz.get())?;
    let index = asked.index.get();
    if index >= device.irqs() {
        return Err(Refusal::IrqIndex);
    }
    let irq = device.irq(index);
    let flags = asked.flags.get();
    if flags & !(set::DATA | set::ACTION) != 0 {
        return Err(Refusal::Flags);
    }
    let (start, count) = (asked.start.get(), asked.count.get());
    if start >= irq.count || start.checked_add(count).is_none_or(|end| end > irq.count) {
        return Err(Refusal::IrqRange);
    }
    let bools = match flags & set::DATA {
        set::DATA_NONE | set::DATA_EVENTFD => 0,
        set::DATA_BOOL => count,
        _ => return Err(Refusal::Flags),
    };
    // "argsz is the size of the VFIO IRQ set request payload, including any data field". The kernel counts
    // eventfds, too, for it has them in that field; here they come beside the message, and QEMU counts none.
    if asked.argsz.get().saturating_sub(FIXED_BYTES) < bools {
        return Err(Refusal::Argsz);
    }
    let action = action(flags, irq)?;
    let change = match flags & set::DATA {
        _ if count == 0 => disable(flags, start, &fds)?,
        set::DATA_NONE => act(action, Vectors { start, count, marked: None }, &fds)?,
        set::DATA_BOOL if data.len() != count as usize => return Err(Refusal::PayloadLength),
        set::DATA_BOOL => act(action, Vectors { start, count, marked: Some(data) }, &fds)?,
        _ if irq.flags & irq_flags::EVENTFD == 0 => return Err(Refusal::IrqAction),
        _ => eventfds(action, start, count, fds)?,
    };
    device.set_irqs(index, change).map_err(Refusal::Device)?;
    Ok(Answer::of(&[]))
}

/// The one action. Masks are not there for every kind, and the kernel then has no function to call, as for no
/// action and for two.
fn action(flags: u32, irq: IrqInfo) -> Result<IrqAction, Refusal> {
    let action = match flags & set::ACTION {
        set::ACTION_TRIGGER => return Ok(IrqAction::Trigger),
        set::ACTION_MASK => IrqAction::Mask,
        set::ACTION_UNMASK => IrqAction::Unmask,
        _ => return Err(Refusal::IrqAction),
    };
    if irq.flags & irq_flags::MASKABLE == 0 { Err(Refusal::IrqAction) } else { Ok(action) }
}

/// "As a special case, a count (and start) of 0, with data flags of `VFIO_IRQ_SET_DATA_NONE` disables all
/// interrupts of the index."
fn disable<'a>(flags: u32, start: u32, fds: &[OwnedFd]) -> Result<IrqChange<'a>, Refusal> {
    super::no_fds(fds)?;
    if flags != set::DATA_NONE | set::ACTION_TRIGGER {
        return Err(Refusal::Flags);
    }
    if start == 0 { Ok(IrqChange::Disable) } else { Err(Refusal::IrqRange) }
}

fn act<'a>(action: IrqAction, vectors: Vectors<'a>, fds: &[OwnedFd]) -> Result<IrqChange<'a>, Refusal> {
    super::no_fds(fds)?;
    Ok(IrqChange::Act { action, vectors })
}

/// One eventfd for each number, or "if no file descriptors are provided, this de-assigns" them.
fn eventfds<'a>(
    action: IrqAction,
    start: u32,
    count: u32,
    fds: Vec<OwnedFd>,
) -> Result<IrqChange<'a>, Refusal> {
    if fds.is_empty() {
        return Ok(IrqChange::Deassign { action, vectors: Vectors { start, count, marked: None } });
    }
    if fds.len() != count as usize {
        return Err(Refusal::Descriptors);
    }
    if !fds.iter().all(is_eventfd) {
        return Err(Refusal::NotAnEventfd);
    }
    Ok(IrqChange::Assign { action, start, fds })
}

/// Whether it is an eventfd, as `eventfd_ctx_fdget` checks. Anything else could block the device when it
/// signals: a pipe that is full, a file on a file system that is the client's.
///
/// Where there is no `/proc` it cannot be known, and the descriptor is believed.
fn is_eventfd(fd: &OwnedFd) -> bool {
    match std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())) {
        Ok(link) => link.as_os_str() == "anon_inode:[eventfd]",
        Err(_) => true,
    }
}
