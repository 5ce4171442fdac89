//! What a guest finds in configuration space, register by register.

use super::layout::{COMMAND, DEVICE_CONTROL, MSI, MSI_CONTROL, PMCSR};
use super::*;

const SPEC: FunctionSpec = FunctionSpec {
    vendor: 0x1AF4,
    device: 0xABCD,
    subsystem_vendor: 0x1234,
    subsystem: 0x5678,
    revision: 1,
    class: 0x04_01_00,
    bars: [0x4000, 0, 0x4_0000, 0, 0, 0],
    messages: 1,
    power_management: Some(0x40),
    own_bytes: &[],
};

fn card() -> ConfigSpace {
    ConfigSpace::new(&SPEC)
}

fn read32(config: &ConfigSpace, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    config.read(offset, &mut bytes);
    u32::from_le_bytes(bytes)
}

fn read16(config: &ConfigSpace, offset: usize) -> u16 {
    let mut bytes = [0; 2];
    config.read(offset as u64, &mut bytes);
    u16::from_le_bytes(bytes)
}

fn write16(config: &mut ConfigSpace, offset: usize, value: u16) {
    config.write(offset as u64, &value.to_le_bytes());
}

#[test]
fn identity_is_the_cards_and_cannot_be_written() {
    let mut config = card();
    config.write(0, &[0; 4]);
    assert_eq!(read32(&config, 0), 0xABCD_1AF4);
    assert_eq!(read32(&config, 8), 0x0401_0001, "class 040100, revision 1");
    assert_eq!(read32(&config, 0x2C), 0x5678_1234, "subsystem");
}

#[test]
fn bars_have_their_sizes() {
    let mut config = card();
    for (bar, mask) in [(0, 0xFFFF_C000), (1, 0), (2, 0xFFFC_0000), (3, 0), (4, 0), (5, 0), (8 /* ROM */, 0)]
    {
        config.write(0x10 + 4 * bar, &[0xFF; 4]);
        assert_eq!(read32(&config, 0x10 + 4 * bar), mask, "BAR {bar}");
    }
    config.write(0x10, &0xFEB0_4000_u32.to_le_bytes());
    assert_eq!(read32(&config, 0x10), 0xFEB0_4000);
}

#[test]
fn capabilities_are_a_list_that_ends() {
    let config = card();
    assert_ne!(read16(&config, 0x06) & 1 << 4, 0, "Status says there is a list");
    let mut found = Vec::new();
    let mut at = read32(&config, 0x34).to_le_bytes()[0];
    while at != 0 && found.len() < 16 {
        let [id, next] = read16(&config, usize::from(at)).to_le_bytes();
        found.push(id);
        at = next;
    }
    assert_eq!(found, [0x01, 0x05, 0x10], "power management, MSI, PCI Express");
    assert_eq!(read32(&config, 0x100), 0, "no extended capabilities");
}

#[test]
fn bus_master_and_interrupt_disable_follow_the_command_register() {
    let mut config = card();
    assert_eq!(config.settings(), Settings::default());
    write16(&mut config, 0x04, 0xFFFF);
    assert!(config.settings().bus_master && config.settings().interrupt_disable);
    assert_eq!(read16(&config, 0x04), 0x0546, "no I/O space, no special cycles");
    config.write(0x05, &[0]);
    let Settings { bus_master, interrupt_disable, .. } = config.settings();
    assert!(bus_master && !interrupt_disable, "a byte write touches its byte only");
}

#[test]
fn a_write_says_what_it_meant() {
    let mut config = card();
    let mut write = |offset: usize, value: u16| config.write(offset as u64, &value.to_le_bytes());
    let on = Settings { memory_space: true, bus_master: true, ..Settings::default() };
    assert_eq!(write(COMMAND, 6), ConfigWrite { settings: Some(on), ..ConfigWrite::default() });
    assert_eq!(write(COMMAND, 6), ConfigWrite::default(), "nothing new");
    assert_eq!(write(BARS, 0x1000), ConfigWrite::default(), "an address below the BAR's size");
    assert_eq!(write(BARS + 2, 0xFEB0), ConfigWrite { addressed: true, ..ConfigWrite::default() });
    let asks = |request| ConfigWrite { request: Some(request), ..ConfigWrite::default() };
    assert_eq!(write(PMCSR, 3), asks(ControlRequest::Power(PowerState::D3hot)));
    assert_eq!(write(PMCSR, 0), ConfigWrite::default(), "it is in D0: nobody has taken it to D3hot");
    assert_eq!(write(PMCSR, 2), ConfigWrite::default(), "it has no D2");
    assert_eq!(write(DEVICE_CONTROL, 0x8000), asks(ControlRequest::FunctionLevelReset));
    let all = config.write(0, &[0xFF; 256]);
    assert_eq!(all.request, Some(ControlRequest::FunctionLevelReset), "a reset outdoes a power state");
    assert!(all.addressed && all.settings.is_some_and(|settings| settings.msi == Some(1)));
}

#[test]
fn status_shows_a_pending_interrupt_and_keeps_it_when_written() {
    let mut config = card();
    config.show_interrupt(true);
    write16(&mut config, 0x06, 0xFFFF);
    assert_eq!(read16(&config, 0x06), 0x0018);
    config.show_interrupt(false);
    assert_eq!(read16(&config, 0x06), 0x0010);
}

#[test]
fn msi_grants_what_was_written_but_no_more_than_offered() {
    let mut config = ConfigSpace::new(&FunctionSpec { messages: 4, ..SPEC });
    assert_eq!(read16(&config, MSI_CONTROL), 0x0084, "64-bit, 4 messages");
    assert_eq!(config.settings().msi, None);
    for (granted_log2, messages) in [(0, 1), (1, 2), (2, 4), (5, 4), (7, 4)] {
        write16(&mut config, MSI_CONTROL, granted_log2 << 4 | 1);
        assert_eq!(config.settings().msi, Some(messages));
    }
    write16(&mut config, MSI_CONTROL, 2 << 4);
    assert_eq!(config.settings().msi, None, "enabled by its bit only");
    config.write(MSI as u64 + 4, &[0xFF; 10]);
    assert_eq!(read32(&config, MSI as u64 + 4), 0xFFFF_FFFC);
    assert_eq!(read32(&config, MSI as u64 + 8), 0xFFFF_FFFF);
    assert_eq!(read16(&config, MSI + 12), 0xFFFF);
    assert_eq!(read16(&card(), MSI_CONTROL), 0x0080, "one stream, one message");
}

#[test]
fn power_state_is_shown_and_not_written() {
    let mut config = card();
    assert_eq!(read16(&config, PMCSR), 0x0008, "D0, No_Soft_Reset");
    write16(&mut config, PMCSR, 0xFFFF);
    assert_eq!(read16(&config, PMCSR), 0x0008, "the function changes it, not the write");
    config.set_power(PowerState::D3hot);
    assert_eq!(config.settings().power, PowerState::D3hot);
    assert_eq!(read16(&config, PMCSR), 0x000B);
    write16(&mut config, 0x04, 4);
    config.set_power(PowerState::D0);
    let Settings { power, bus_master, .. } = config.settings();
    assert!(power == PowerState::D0 && bus_master, "nothing is lost on the way to D0");
}

#[test]
fn reset_resets_configuration_space() {
    let mut config = card();
    write16(&mut config, 0x04, 0xFFFF);
    config.write(0x10, &[0xFF; 4]);
    write16(&mut config, MSI_CONTROL, 1);
    config.set_power(PowerState::D3hot);
    assert_ne!(read32(&config, 0x74) & 1 << 28, 0, "the capability is announced");
    let control = read16(&config, DEVICE_CONTROL);
    write16(&mut config, DEVICE_CONTROL, control | 0x8000);
    assert_eq!(read16(&config, DEVICE_CONTROL), control, "the bit that asks for a reset reads 0");
    config.reset();
    assert_eq!(config.settings(), Settings::default());
    assert_eq!(read32(&config, 0x10), 0);
}

#[test]
fn accesses_of_any_size_at_any_place_are_harmless() {
    let mut config = card();
    let mut all = vec![0; 5000];
    config.read(0, &mut all);
    assert_eq!(all[..4], [0xF4, 0x1A, 0xCD, 0xAB]);
    assert!(all[4096..].iter().all(|byte| *byte == 0xFF), "beyond the end: all ones");
    config.read(u64::MAX, &mut all[..8]);
    assert!(all[..8].iter().all(|byte| *byte == 0xFF));
    config.write(u64::MAX - 1, &[0xFF; 16]);
    config.write(4090, &[0xFF; 16]);
    config.write(0, &[]);
    assert_eq!(read32(&config, 0), 0xABCD_1AF4);
}
