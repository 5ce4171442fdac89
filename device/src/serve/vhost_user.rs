//! The virtio-snd card over vhost-user: a socket, one client after the other, each with a daemon of its own.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use ringwave_vfio_user::{Listener, Stop};
use ringwave_virtio_snd::backend::{ShutdownHandle, serve_client};
use ringwave_virtio_snd::card::VirtioCard;

use super::ServeError;

/// Serves clients, one at a time, until the first one that said anything has left (`once`) or `stop` is
/// stopped.
///
/// # Errors
/// [`ServeError`].
pub fn serve_until(
    stop: &Stop,
    card: &Arc<VirtioCard>,
    socket: &Listener,
    once: bool,
) -> Result<(), ServeError> {
    let client = Arc::new(Mutex::new(None));
    watch(stop.clone(), Arc::clone(&client)).map_err(ServeError::Accept)?;
    while stop.wait_readable(socket.as_fd()).map_err(ServeError::Accept)? {
        card.client_came();
        // It waits already, so accepting it does not block.
        socket.socket().set_nonblocking(false).map_err(ServeError::Accept)?;
        let listener = socket.socket().try_clone().map_err(ServeError::Accept)?;
        let served = serve_client(card, listener, |handle| {
            if stop.is_stopped() {
                handle.shutdown();
            }
            *client.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        });
        *client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match served {
            Ok(None) => {}
            Ok(Some(_)) if stop.is_stopped() => {}
            Ok(Some(why)) => log::warn!("{why}; the client is cut off"),
            Err(error) => return Err(ServeError::VhostUser(error.to_string())),
        }
        if stop.is_stopped() {
            return Ok(());
        }
        // What it came to is in the log then.
        if card.client_left() && once {
            return Ok(());
        }
    }
    Ok(())
}

/// Starts the thread that cuts the present client off when serving is stopped.
fn watch(stop: Stop, client: Arc<Mutex<Option<ShutdownHandle>>>) -> io::Result<()> {
    let wait = move || {
        if stop.wait_stopped().is_ok()
            && let Some(client) = &*client.lock().unwrap_or_else(PoisonError::into_inner)
        {
            client.shutdown();
        }
    };
    std::thread::Builder::new().name("stop".into()).spawn(wait).map(drop)
}
