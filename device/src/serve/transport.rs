//! One client: accepted, served until it leaves, and kept from taking the card with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ringwave_vfio_user::{ClientEnd, Listener, Stop, accept, serve_client};

use super::ServeError;
use ringwave_pci_card::{PciCard, ServedFunction, SoundCard};

/// Waits for a client and serves it until it leaves or `stop` is stopped.
pub fn one_client<C: SoundCard>(
    card: &Arc<PciCard<C>>,
    socket: &Listener,
    stop: &Stop,
) -> Result<(), ServeError> {
    let Some(client) = accept(socket.socket(), stop).map_err(ServeError::Accept)? else { return Ok(()) };
    card.client_came();
    let mut function = ServedFunction::new(Arc::clone(card));
    match catch_unwind(AssertUnwindSafe(|| serve_client(&client, &mut function, stop))) {
        Ok(ClientEnd::Left | ClientEnd::Stopped) => {}
        Ok(end) => log::warn!("{end}"),
        // A defect of the card. It costs this client its connection, and nobody else anything.
        Err(_) => log::error!("a message of the client could not be handled; the client is cut off"),
    }
    Ok(())
}
