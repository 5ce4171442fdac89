//! Configuration space as the bring-up needs it: the capability list, Command, MSI, power, function-level
//! reset.
//!
//! Offsets and bits are those of the PCI Local Bus Specification 3.0 (header, MSI), the PCI Power Management
//! specification 1.2 and the PCI Express Base Specification (capability structure version 2). Nothing here is
//! taken from the card's own layout.

use super::access::{Access, CardAccess};

/// Command register.
pub const COMMAND: u16 = 0x04;
/// [`COMMAND`]: answers memory accesses.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// [`COMMAND`]: may do DMA and send messages.
pub const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// [`COMMAND`]: must not assert INTx.
pub const COMMAND_INTERRUPT_DISABLE: u16 = 1 << 10;
/// Status register.
pub const STATUS: u16 = 0x06;
/// [`STATUS`]: an INTx is pending.
pub const STATUS_INTERRUPT: u16 = 1 << 3;
/// [`STATUS`]: there is a list of capabilities.
pub const STATUS_CAPABILITIES: u16 = 1 << 4;
/// First of the base address registers.
pub const BARS: u16 = 0x10;
const CAPABILITIES_POINTER: u16 = 0x34;
/// Interrupt pin, 1 = INTA.
pub const INTERRUPT_PIN: u16 = 0x3D;

/// Power management.
pub const PM: u8 = 0x01;
/// MSI.
pub const MSI: u8 = 0x05;
/// PCI Express.
pub const PCIE: u8 = 0x10;
/// MSI-X.
pub const MSIX: u8 = 0x11;

/// In [`MSI`]: message control.
pub const MSI_CONTROL: u16 = 2;
const MSI_ENABLE: u16 = 1;
/// [`MSI_CONTROL`]: log2 of the messages offered.
pub const MSI_CAPABLE_SHIFT: u16 = 1;
const MSI_GRANTED_SHIFT: u16 = 4;
/// [`MSI_CONTROL`]: 64-bit addresses.
pub const MSI_64BIT: u16 = 1 << 7;
/// [`MSI_CONTROL`]: per-vector masks.
pub const MSI_MASKS: u16 = 1 << 8;
/// In [`PM`]: control and status.
pub const PM_CONTROL: u16 = 4;
/// [`PM_CONTROL`]: nothing is lost from `D3hot` to D0.
pub const PM_NO_SOFT_RESET: u16 = 1 << 3;
const PM_STATE: u16 = 3;
/// In [`PCIE`]: capabilities register.
pub const PCIE_CAPABILITIES: u16 = 2;
/// In [`PCIE`]: device capabilities.
pub const PCIE_DEVICE_CAPABILITIES: u16 = 4;
/// [`PCIE_DEVICE_CAPABILITIES`]: function-level reset.
pub const PCIE_FLR: u32 = 1 << 28;
const PCIE_DEVICE_CONTROL: u16 = 8;
const PCIE_INITIATE_FLR: u16 = 1 << 15;

/// The most capabilities that fit into the 192 bytes behind the header.
const CAPABILITIES_MAX: usize = 48;

/// The byte at `offset`.
pub fn read8(card: &mut (impl CardAccess + ?Sized), offset: u16) -> Access<u8> {
    let mut byte = [0xFF];
    card.config_read(offset, &mut byte)?;
    Ok(u8::from_le_bytes(byte))
}

/// The 16 bits at `offset`.
pub fn read16(card: &mut (impl CardAccess + ?Sized), offset: u16) -> Access<u16> {
    let mut bytes = [0xFF; 2];
    card.config_read(offset, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

/// The 32 bits at `offset`.
pub fn read32(card: &mut (impl CardAccess + ?Sized), offset: u16) -> Access<u32> {
    let mut bytes = [0xFF; 4];
    card.config_read(offset, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Sets and clears bits of the 16 at `offset`.
pub fn change16(card: &mut (impl CardAccess + ?Sized), offset: u16, set: u16, clear: u16) -> Access<()> {
    let value = read16(card, offset)?;
    card.config_write(offset, &(value & !clear | set).to_le_bytes())
}

/// The capabilities in the order of the list, (id, offset); an error in words if the list has no end or leads
/// into the header.
pub fn capabilities(card: &mut (impl CardAccess + ?Sized)) -> Access<Result<Vec<(u8, u16)>, String>> {
    let mut list = Vec::new();
    let mut at = read8(card, CAPABILITIES_POINTER)?;
    while at != 0 {
        if at < 0x40 || !at.is_multiple_of(4) {
            return Ok(Err(format!("an entry at {at:#04x}")));
        }
        if list.len() == CAPABILITIES_MAX {
            return Ok(Err("a list without an end".to_owned()));
        }
        let entry = read16(card, at.into())?;
        let [id, next] = entry.to_le_bytes();
        list.push((id, at.into()));
        at = next;
    }
    Ok(Ok(list))
}

/// Where the capability `id` is.
pub fn find(card: &mut (impl CardAccess + ?Sized), id: u8) -> Access<Option<u16>> {
    let list = capabilities(card)?.unwrap_or_default();
    Ok(list.iter().find(|(its, _)| *its == id).map(|(_, at)| *at))
}

/// Enables MSI with 2^`log2` messages, for a card without a kernel in front; the address is one that an x86
/// processor has, and of no importance here. Gives how many messages the function now says were granted.
pub fn enable_msi(card: &mut (impl CardAccess + ?Sized), log2: u32) -> Access<u32> {
    let Some(msi) = find(card, MSI)? else { return Ok(0) };
    card.config_write(msi + 4, &0xFEE0_0000_u64.to_le_bytes())?;
    card.config_write(msi + 12, &0x4000_u16.to_le_bytes())?;
    let granted = u16::try_from(log2.min(5)).unwrap_or(0);
    change16(card, msi + MSI_CONTROL, granted << MSI_GRANTED_SHIFT | MSI_ENABLE, 7 << MSI_GRANTED_SHIFT)?;
    let control = read16(card, msi + MSI_CONTROL)?;
    Ok(if control & MSI_ENABLE == 0 { 0 } else { 1 << (control >> MSI_GRANTED_SHIFT & 7) })
}

/// Disables MSI, for a card without a kernel in front.
pub fn disable_msi(card: &mut (impl CardAccess + ?Sized)) -> Access<()> {
    let Some(msi) = find(card, MSI)? else { return Ok(()) };
    change16(card, msi + MSI_CONTROL, 0, MSI_ENABLE | 7 << MSI_GRANTED_SHIFT)
}

/// A power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Working.
    D0,
    /// Asleep.
    D3hot,
}

/// Moves the function to a power state. Gives `false` if it has no power management.
pub fn set_power(card: &mut (impl CardAccess + ?Sized), power: Power) -> Access<bool> {
    let Some(pm) = find(card, PM)? else { return Ok(false) };
    let state = match power {
        Power::D0 => 0,
        Power::D3hot => 3,
    };
    change16(card, pm + PM_CONTROL, state, PM_STATE)?;
    // PCI Power Management 1.2, table 5-6: 10 ms from D3hot to D0. Without a virtual machine the card is
    // ready at once.
    if power == Power::D0 && !card.own_configuration() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok(true)
}

/// The power state that the function says it is in, 0 to 3; 0 without power management.
pub fn power(card: &mut (impl CardAccess + ?Sized)) -> Access<u16> {
    let Some(pm) = find(card, PM)? else { return Ok(0) };
    Ok(read16(card, pm + PM_CONTROL)? & PM_STATE)
}

/// Function-level reset. Gives `false` if the function has none.
pub fn function_level_reset(card: &mut (impl CardAccess + ?Sized)) -> Access<bool> {
    let Some(pcie) = find(card, PCIE)? else { return Ok(false) };
    if read32(card, pcie + PCIE_DEVICE_CAPABILITIES)? & PCIE_FLR == 0 {
        return Ok(false);
    }
    change16(card, pcie + PCIE_DEVICE_CONTROL, PCIE_INITIATE_FLR, 0)?;
    // PCI Express Base Specification, "Function Level Reset": 100 ms. A kernel in between has waited already,
    // and the card needs none.
    Ok(true)
}
