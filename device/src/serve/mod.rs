//! A card on its socket, one client after the other: over vfio-user here, over vhost-user in [`vhost_user`].

mod transport;
pub mod vhost_user;

use std::sync::Arc;

use ringwave_pci_card::{PciCard, SoundCard};
use ringwave_vfio_user::{Listener, Stop};

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket does not accept clients any more.
    #[error("the socket does not accept clients any more: {0}")]
    Accept(std::io::Error),
}

/// Serves clients, one at a time, until the first one that said anything has left (`once`) or for ever.
///
/// When a client leaves, in whatever way, the card is reset and its files are finished before the next one is
/// accepted.
pub fn serve<C: SoundCard>(card: &Arc<PciCard<C>>, socket: &Listener, once: bool) -> Result<(), ServeError> {
    let never = Stop::new().map_err(ServeError::Accept)?;
    serve_until(&never, card, socket, once)
}

/// Like [`serve`], but returns when `stop` is stopped, too: between two messages, in the middle of one, or
/// while nobody is there. The card is then left as it is, in the middle of its run: the files are the
/// engine's to finish.
pub fn serve_until<C: SoundCard>(
    stop: &Stop,
    card: &Arc<PciCard<C>>,
    socket: &Listener,
    once: bool,
) -> Result<(), ServeError> {
    loop {
        transport::one_client(card, socket, stop)?;
        if stop.is_stopped() {
            return Ok(());
        }
        // What it came to is in the log then.
        if card.client_left() && once {
            return Ok(());
        }
    }
}
