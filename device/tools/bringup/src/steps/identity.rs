//! Who the card is and what it says it has. These steps write nothing but a base address register, which they
//! put back.

use ringwave_regs::{global, pci, stream};

use crate::bringup::{Bringup, StepEnd, StepResult};
use crate::config;

/// Vendor, device, class and MAGIC. DATASHEET sections 2 and 3.
pub fn identity(bringup: &mut Bringup<'_>) -> StepResult {
    let id = |vendor: u16, device: u16| format!("{vendor:04x}:{device:04x}");
    let (vendor, device) = (config::read16(bringup.card, 0)?, config::read16(bringup.card, 2)?);
    let (wanted_vendor, wanted_device) = bringup.choices.identity;
    bringup.equal("vendor : device", id(wanted_vendor, wanted_device), id(vendor, device));
    let (vendor, device) = (config::read16(bringup.card, 0x2C)?, config::read16(bringup.card, 0x2E)?);
    bringup.equal("subsystem", id(pci::SUBSYSTEM_VENDOR, pci::SUBSYSTEM), id(vendor, device));
    let class = config::read32(bringup.card, 0x08)?;
    bringup.equal("class", format!("{:#08x}", pci::CLASS), format!("{:#08x}", class >> 8));
    bringup.equal("revision", u32::from(pci::REVISION), class & 0xFF);
    let magic = bringup.get(global::MAGIC)?;
    bringup.value("MAGIC", global::MAGIC_VALUE, magic).means(if magic == u32::MAX {
        "all ones: no card answers behind BAR 0 (its process has ended, or memory accesses are off)"
    } else {
        "not a Ringwave card, or BAR 0 is another one's: nothing else was touched"
    });
    Ok(())
}

/// BARs and capabilities. DATASHEET section 2.
pub fn configuration(bringup: &mut Bringup<'_>) -> StepResult {
    for (bar, bytes) in [(pci::REGISTERS_BAR, pci::REGISTERS_BYTES), (pci::PAGES_BAR, pci::PAGES_BYTES)] {
        let (kind, size) = bar_of(bringup, bar)?;
        bringup.equal(format!("BAR {bar}"), bar_text(0, bytes), bar_text(kind, size));
    }
    let pin = config::read8(bringup.card, config::INTERRUPT_PIN)?;
    bringup.equal("interrupt pin", 1, pin);
    let status = config::read16(bringup.card, config::STATUS)?;
    let listed = status & config::STATUS_CAPABILITIES != 0;
    bringup.check("Status: list of capabilities", listed, "yes", if listed { "yes" } else { "no" });

    let list = config::capabilities(bringup.card)?;
    let ids = match &list {
        Ok(list) => list.iter().map(|(id, _)| format!("{id:#04x}")).collect::<Vec<_>>().join(" "),
        Err(broken) => broken.clone(),
    };
    let list = list.unwrap_or_default();
    let at = |wanted: u8| list.iter().find(|(id, _)| *id == wanted).map(|(_, at)| *at);
    let there = [config::PM, config::MSI, config::PCIE].iter().all(|id| at(*id).is_some());
    bringup
        .check("capabilities", there, "0x01 PM, 0x05 MSI, 0x10 PCIe", ids)
        .means("one that is missing is hidden by whoever stands before the card, or its list is broken");
    let no_msix = at(config::MSIX).is_none();
    bringup
        .check("MSI-X", no_msix, "none", if no_msix { "none" } else { "there" })
        .means("QEMU aborts when a vfio-user device with MSI-X is unplugged");
    if let Some(pm) = at(config::PM) {
        power_management(bringup, pm)?;
    }
    if let Some(msi) = at(config::MSI) {
        let control = config::read16(bringup.card, msi + config::MSI_CONTROL)?;
        let messages = bringup.get(global::MESSAGES)?;
        bringup.equal("MSI: messages", messages, 1 << (control >> config::MSI_CAPABLE_SHIFT & 7));
        let kind = |wide: bool, masks: bool| {
            format!("{}-bit, {} masks", if wide { 64 } else { 32 }, if masks { "with" } else { "no" })
        };
        let (wide, masks) = (control & config::MSI_64BIT != 0, control & config::MSI_MASKS != 0);
        bringup.equal("MSI: address and per-vector masks", kind(true, false), kind(wide, masks));
    }
    if let Some(pcie) = at(config::PCIE) {
        let kind = config::read16(bringup.card, pcie + config::PCIE_CAPABILITIES)? >> 4 & 0xF;
        // QEMU makes an endpoint that sits on the root bus an integrated one.
        let expected = "0 endpoint, or 9 on a root bus";
        bringup.check("PCI Express: type", kind == 0 || kind == 9, expected, kind);
        let capable = config::read32(bringup.card, pcie + config::PCIE_DEVICE_CAPABILITIES)?;
        let flr = capable & config::PCIE_FLR != 0;
        bringup.check("PCI Express: function-level reset", flr, "yes", if flr { "yes" } else { "no" });
    }
    Ok(())
}

fn power_management(bringup: &mut Bringup<'_>, pm: u16) -> StepResult {
    let capable = config::read16(bringup.card, pm + 2)?;
    let states = |low: bool| if low { "D0, D3hot and more" } else { "D0, D3hot" };
    bringup.equal("power management: states", states(false), states(capable & 0x0600 != 0));
    let control = config::read16(bringup.card, pm + config::PM_CONTROL)?;
    let kept = control & config::PM_NO_SOFT_RESET != 0;
    bringup.check("power management: No_Soft_Reset", kept, "yes", if kept { "yes" } else { "no" });
    bringup.equal("power management: state", 0, control & 3);
    Ok(())
}

/// Type bits and size of a base address register: which address bits can be written. Memory accesses are off
/// meanwhile.
fn bar_of(bringup: &mut Bringup<'_>, bar: u32) -> StepResult<(u32, u32)> {
    let register = config::BARS + 4 * u16::try_from(bar).unwrap_or(0);
    config::change16(bringup.card, config::COMMAND, 0, config::COMMAND_MEMORY)?;
    let before = config::read32(bringup.card, register)?;
    bringup.card.config_write(register, &u32::MAX.to_le_bytes())?;
    let mask = config::read32(bringup.card, register)?;
    bringup.card.config_write(register, &before.to_le_bytes())?;
    bringup.wake()?;
    Ok((before & 0xF, (!(mask & !0xF)).wrapping_add(1)))
}

fn bar_text(kind: u32, bytes: u32) -> String {
    let kind = match kind {
        0 => "32-bit memory".to_owned(),
        other => format!("type {other:#x}"),
    };
    format!("{kind}, {bytes:#x} bytes")
}

/// Version, features, streams and limits. DATASHEET sections 3 and 4.
pub fn version(bringup: &mut Bringup<'_>) -> StepResult {
    if bringup.get(global::MAGIC)? != global::MAGIC_VALUE {
        return Err(StepEnd::Skipped("MAGIC is another interface's".to_owned()));
    }
    let version = bringup.get(global::VERSION)?;
    let (major, minor) = (version >> 16, version & 0xFFFF);
    let same = major == u32::from(global::VERSION_MAJOR);
    let expected = format!("{}.{} or a higher minor", global::VERSION_MAJOR, global::VERSION_MINOR);
    bringup
        .check("VERSION", same, expected, format!("{major}.{minor}"))
        .means("another major version is another interface: take the tool of that release");
    bringup.must(same)?;

    let features = bringup.get(global::FEATURES)?;
    let known = global::FEATURE_CONTIGUOUS
        | global::FEATURE_SCATTER_GATHER
        | global::FEATURE_WRITTEN
        | global::FEATURE_START_FRAME
        | global::FEATURE_POSITION_PAGE
        | global::FEATURE_CAPTURE
        | global::FEATURE_VOLUME
        | global::FEATURE_JACK
        | global::FEATURE_MARK_PAGE;
    let moves = features & (global::FEATURE_CONTIGUOUS | global::FEATURE_SCATTER_GATHER) != 0;
    let all_known = features & !known == 0 || minor > u32::from(global::VERSION_MINOR);
    bringup.check("FEATURES", moves && all_known, "a DMA mode; bits 8:0 only", feature_names(features));

    let streams = bringup.get(global::STREAMS)?;
    let (render, capture) = (streams & 0xFF, streams >> 8 & 0xFF);
    let count = render + capture;
    let counted = (1..=stream::STREAMS_MAX).contains(&count) && streams >> 16 == 0;
    bringup.check("STREAMS", counted, "1 to 16", format!("{render} render, {capture} capture"));
    let announced = features & global::FEATURE_CAPTURE != 0;
    let yes_no = |there| if there { "yes" } else { "no" };
    bringup.equal("FEATURES: CAPTURE", yes_no(capture != 0), yes_no(announced));
    let bits = bringup.get(global::DMA_BITS)?;
    bringup.check("DMA_BITS", (32..=64).contains(&bits), "32 to 64", bits);
    for (name, register, expected) in [
        ("SG_ENTRIES_MAX", global::SG_ENTRIES_MAX, ringwave_regs::dma::ENTRIES_MAX),
        ("RING_BYTES_MAX", global::RING_BYTES_MAX, global::RING_BYTES_MAX_VALUE),
        ("CLOCK_HZ", global::CLOCK_HZ, global::CLOCK_HZ_VALUE),
        ("MESSAGES", global::MESSAGES, pci::messages(count)),
    ] {
        let seen = bringup.get(register)?;
        bringup.equal(name, expected, seen);
    }
    let mode = bringup.get(global::CLOCK_MODE)?;
    let name = match mode {
        global::CLOCK_MODE_LOCKSTEP => "0 lockstep".to_owned(),
        global::CLOCK_MODE_REALTIME => "1 realtime".to_owned(),
        other => other.to_string(),
    };
    bringup.check("CLOCK_MODE", mode <= global::CLOCK_MODE_REALTIME, "0 lockstep or 1 realtime", name);
    let messages = bringup.get(global::MESSAGES)?.max(1);
    for its in bringup.streams()? {
        let message = bringup.stream_get(&its, stream::MESSAGE)?;
        let there = its.caps & stream::CAPS_PRESENT != 0 && its.captures() == (its.index >= render);
        let sizes = (1..=ringwave_regs::format::CHANNELS_MAX).contains(&its.channels_max())
            && (1..=2).contains(&its.packets_max());
        let expected = format!("present, {}", if its.index >= render { "captures" } else { "renders" });
        let seen = format!("{:#010x}: {} ch, {} packets", its.caps, its.channels_max(), its.packets_max());
        bringup.check(its.name("CAPS"), there && sizes, expected, seen);
        bringup.equal(its.name("MESSAGE"), its.index % messages, message);
    }
    Ok(())
}

fn feature_names(features: u32) -> String {
    let names =
        ["CONTIGUOUS", "SG", "WRITTEN", "START", "POSITION", "CAPTURE", "VOLUME", "JACK", "MARK_PAGE"];
    let set: Vec<&str> =
        names.iter().enumerate().filter(|(bit, _)| features >> bit & 1 != 0).map(|(_, name)| *name).collect();
    format!("{features:#x} {}", set.join(" "))
}
