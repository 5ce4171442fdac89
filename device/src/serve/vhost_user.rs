//! The virtio-snd card over vhost-user: a socket, one client after the other, each with a daemon of its own.
//!
//! *Doubt*: where another process accepts on the same socket and is faster, the daemon waits for the next
//! client and does not hear a stop; the process then ends after five seconds, with exit code 1.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringwave_vfio_user::{Listener, Stop, passes};
use ringwave_virtio_snd::backend::{ClientError, ShutdownHandle, serve_client};
use ringwave_virtio_snd::card::VirtioCard;

use super::ServeError;

/// Between two attempts to serve a client for which there is no descriptor, thread or memory.
const PAUSE: Duration = Duration::from_millis(100);

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
    let set_client = |handle| *client.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    let mut told = false;
    while stop.wait_readable(socket.as_fd()).map_err(ServeError::Accept)? {
        card.client_came();
        // It waits already, so accepting it does not block.
        socket.socket().set_nonblocking(false).map_err(ServeError::Accept)?;
        let served = serve_client(card, socket.socket(), |handle| {
            set_client(Some(handle.clone()));
            // Whoever stops later finds the handle; a stop before found none.
            if stop.is_stopped() {
                handle.shutdown();
            }
        });
        set_client(None);
        match served {
            Ok(why) => {
                told = false;
                if let Some(why) = why.filter(|_| !stop.is_stopped()) {
                    log::warn!("{why}; the client is cut off");
                }
            }
            Err(ClientError::Accept(error)) if !passes(&error) => return Err(ServeError::Accept(error)),
            Err(why) => {
                if !std::mem::replace(&mut told, true) {
                    log::warn!("clients have to wait: {why}");
                }
                // The client stays in the queue, so that the socket would wake us at once.
                stop.pause(PAUSE).map_err(ServeError::Accept)?;
                continue;
            }
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
