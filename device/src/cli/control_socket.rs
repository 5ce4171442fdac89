//! The control socket of `ringwave serve` ([`ringwave::control`]), and how the jacks stand when the card
//! starts.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ringwave::control::server::{self, HostSide};
use ringwave_served::HostRequests;
use ringwave_vfio_user::Listener;

use super::commands::{Failure, bad_input, failed};

/// Arguments of `serve`: the control socket, and what the card begins with.
#[derive(Args, Debug)]
pub struct ControlArgs {
    /// Take commands on this socket while the card runs (ringwave control): plug and unplug, other sources and
    /// sinks, volume, figures
    #[arg(long, value_name = "SOCKET")]
    pub control: Option<PathBuf>,
    /// Streams into whose jack nothing is plugged at the start
    #[arg(long, value_name = "N[,M]", value_delimiter = ',')]
    pub unplugged: Vec<u32>,
    /// Leave out the volume and mute of the streams
    #[arg(long)]
    pub no_volume: bool,
}

impl ControlArgs {
    /// Listens on the control socket, if there is to be one.
    pub fn listen(&self) -> Result<Option<Arc<Listener>>, Failure> {
        self.control.as_deref().map(|path| super::serve::bind(path).map(Arc::new)).transpose()
    }

    /// Pulls what is not plugged at the start out of its jack.
    pub fn unplug(&self, card: &dyn HostRequests) -> Result<(), Failure> {
        for stream in &self.unplugged {
            card.set_jack(*stream, false)
                .map_err(|error| bad_input(format!("--unplugged {stream}: {error}")))?;
        }
        Ok(())
    }
}

/// Starts the thread of the control socket.
pub fn start(
    card: Arc<dyn HostRequests>,
    socket: Option<&Arc<Listener>>,
    host: HostSide,
) -> Result<(), Failure> {
    socket.map_or(Ok(()), |socket| server::start(card, Arc::clone(socket), host)).map_err(failed)
}

/// Removes a socket.
pub fn remove(socket: Option<&Arc<Listener>>) {
    if let Some(socket) = socket {
        socket.remove();
    }
}
