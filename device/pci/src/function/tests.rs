//! A function with a card of a few lines behind it: what each request does, in which order, and what the
//! client gets.

use ringwave_vfio_user::{IrqAction, IrqChange};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::*;
use crate::config::layout::{COMMAND, DEVICE_CONTROL, MSI_CONTROL, PMCSR, STATUS};

/// A card with one register: a write of n raises message n and INTx, a write of 0 lowers INTx.
#[derive(Default)]
struct Doorbell {
    value: u8,
    settings: Settings,
    /// What happened, in order.
    seen: Vec<String>,
}

impl Backend for Doorbell {
    fn read(&mut self, bar: u32, _: u64, data: &mut [u8], _: &mut Bus<'_>) {
        assert_eq!(bar, 0);
        data.fill(self.value);
    }

    fn write(&mut self, _: u32, _: u64, data: &[u8], bus: &mut Bus<'_>) {
        self.value = data[0];
        bus.messages = u32::from(self.settings.msi.is_some()) << self.value;
    }

    fn advance(&mut self, _: &mut Bus<'_>) {}

    fn configure(&mut self, settings: &Settings, _: &mut Bus<'_>) {
        self.settings = *settings;
        self.seen.push("configure".into());
    }

    fn reset(&mut self, _: &mut Bus<'_>) {
        self.value = 0;
        self.seen.push("reset".into());
    }

    fn intx(&self) -> bool {
        self.value != 0 && self.settings.msi.is_none()
    }

    fn begin(&mut self, request: &Request<'_>) {
        let name = match request {
            Request::Read { .. } => "read",
            Request::Write { .. } => "write",
            Request::FunctionLevelReset => "function-level reset",
            Request::Power(state) => state.name(),
            _ => "another",
        };
        self.seen.push(name.into());
    }

    fn end(&mut self, request: &Request<'_>, result: Result<(), MapError>) {
        if let Request::Read { data, .. } = request {
            self.seen.push(format!("{data:?}"));
        }
        if let Err(error) = result {
            self.seen.push(format!("{error:?}"));
        }
    }

    fn signalled(&mut self, level: Option<bool>, delivered: Delivered) {
        if let Some(level) = level {
            self.seen.push(format!("INTx {level}"));
        }
        if delivered != Delivered::default() {
            self.seen.push(format!("{delivered:?}"));
        }
    }
}

fn function() -> (Function, Doorbell) {
    let spec = FunctionSpec {
        vendor: 1,
        device: 2,
        subsystem_vendor: 0,
        subsystem: 0,
        revision: 0,
        class: 0,
        bars: [16, 0, 0, 0, 0, 0],
        messages: 2,
        power_management: Some(0x40),
        own_bytes: &[],
    };
    (Function::new(&spec), Doorbell::default())
}

/// Two eventfds as the client has and gives them.
fn eventfds() -> (Vec<EventFd>, IrqChange<'static>) {
    let events: Vec<_> = (0..2).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect();
    let fd = |event: &EventFd| {
        use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
        // SAFETY: the descriptor was just given up by its EventFd.
        unsafe { OwnedFd::from_raw_fd(event.try_clone().unwrap().into_raw_fd()) }
    };
    let fds = events.iter().map(fd).collect();
    (events, IrqChange::Assign { action: IrqAction::Trigger, start: 0, fds })
}

fn write(
    function: &mut Function,
    card: &mut Doorbell,
    region: Region,
    offset: usize,
    value: u16,
) -> Vec<String> {
    card.seen.clear();
    let request = Request::Write { region, offset: offset as u64, data: &value.to_le_bytes() };
    function.handle(request, card).unwrap();
    card.seen.clone()
}

#[test]
fn what_a_write_of_configuration_space_asks_is_done_before_it_returns() {
    let (mut function, mut card) = function();
    let (function, card) = (&mut function, &mut card);
    assert_eq!(write(function, card, Region::Config, COMMAND, 6), ["write", "configure"]);
    assert!(card.settings.bus_master);
    assert_eq!(write(function, card, Region::Config, COMMAND, 6), ["write"], "nothing is new");
    assert_eq!(write(function, card, Region::Config, PMCSR, 3), ["write", "D3hot", "configure"]);
    assert_eq!(card.settings.power, PowerState::D3hot);
    let reset = write(function, card, Region::Config, DEVICE_CONTROL, 0x8000);
    assert_eq!(reset, ["write", "function-level reset", "reset", "configure"]);
    assert_eq!(card.settings, Settings::default());
}

#[test]
fn messages_are_with_the_client_when_the_write_returns() {
    let (mut function, mut card) = function();
    let (function, card) = (&mut function, &mut card);
    let (events, change) = eventfds();
    function.handle(Request::SetIrqs { kind: IrqKind::Msi, change }, card).unwrap();
    write(function, card, Region::Config, MSI_CONTROL, 1 | 1 << 4);
    assert_eq!(card.settings.msi, Some(2));
    let seen = write(function, card, Region::Bar(0), 0, 1);
    assert_eq!(seen, ["write", "Delivered { msi: 2, intx: false }"]);
    assert!(events[0].read().is_err());
    assert_eq!((events[1].read().unwrap(), function.take_raised()), (1, 1));
    // Granted two, connected one.
    let (_events, IrqChange::Assign { mut fds, .. }) = eventfds() else { unreachable!() };
    fds.truncate(1);
    function.handle(Request::SetIrqs { kind: IrqKind::Msi, change: IrqChange::Disable }, card).unwrap();
    let change = IrqChange::Assign { action: IrqAction::Trigger, start: 0, fds };
    function.handle(Request::SetIrqs { kind: IrqKind::Msi, change }, card).unwrap();
    assert_eq!(card.settings.msi, Some(1));
}

#[test]
fn the_line_is_shown_in_status_and_held_back_by_interrupt_disable() {
    let (mut function, mut card) = function();
    let (function, card) = (&mut function, &mut card);
    let (events, change) = eventfds();
    function.handle(Request::SetIrqs { kind: IrqKind::Intx, change }, card).unwrap();
    let seen = write(function, card, Region::Bar(0), 0, 1);
    assert_eq!(seen, ["write", "INTx true", "Delivered { msi: 0, intx: true }"]);
    assert_eq!(events[0].read().unwrap(), 1);
    let seen = write(function, card, Region::Config, COMMAND, 1 << 10);
    assert_eq!(seen, ["write", "configure", "INTx false"]);
    let mut status = [0; 2];
    let request = Request::Read { region: Region::Config, offset: STATUS as u64, data: &mut status };
    function.handle(request, card).unwrap();
    assert_eq!(status[0] & 8, 8, "pending, whatever Interrupt Disable says");
    function.disconnect(card);
    write(function, card, Region::Bar(0), 0, 1);
    assert!(events[0].read().is_err(), "nobody listens any more");
}

#[test]
fn a_map_that_is_refused_is_the_only_request_that_fails() {
    let (mut function, mut card) = function();
    let map = || MapRequest { address: 0, bytes: 4096, readable: true, writable: true, file: None };
    assert_eq!(function.handle(Request::Map(map()), &mut card), Ok(()));
    assert_eq!(function.handle(Request::Map(map()), &mut card), Err(MapError::Overlap));
    assert_eq!(card.seen.last().unwrap(), "Overlap");
    function.handle(Request::Unmap { address: 0, bytes: 4096 }, &mut card).unwrap();
    assert_eq!(function.handle(Request::Map(map()), &mut card), Ok(()));
    function.handle(Request::UnmapAll, &mut card).unwrap();
    assert_eq!(function.handle(Request::Map(map()), &mut card), Ok(()));
}
