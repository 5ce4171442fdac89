//! The card over vfio-user: a socket, one client after the other.

pub mod guest_ram;
pub mod interrupts;
pub mod memfd;
pub mod page_bar;
mod shared_file;
mod transport;

use std::sync::Arc;

use crate::card::Card;
use ringwave_vfio_user::Listener;

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket does not accept clients any more.
    #[error("the socket does not accept clients any more: {0}")]
    Accept(std::io::Error),
}

/// Serves clients, one at a time, until the first one that said anything has left (`once`) or for ever.
///
/// When a client leaves, in whatever way, the card is reset and its files are finished before the next one is accepted.
pub fn serve(card: &Arc<Card>, socket: &Listener, once: bool) -> Result<(), ServeError> {
    loop {
        transport::one_client(card, socket)?;
        if card.client_left() {
            log::info!("the client has left");
            if once {
                return Ok(());
            }
        }
    }
}
