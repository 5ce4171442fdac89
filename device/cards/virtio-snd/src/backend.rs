//! The card as a vhost-user backend: one client, one daemon.
//!
//! An error or a panic in a handler would end the thread of the queues without a word (vhost-user-backend
//! 0.24), so none is given to it: [`VirtioCard::kicked`] catches panics.
//!
//! vhost-user-backend itself panics at some messages where arithmetic is checked (a region of `ADD_MEM_REG`
//! that ends beyond all addresses, then an address in it). It does so in its thread of messages, with nothing
//! of ours locked: the client is cut off, the log says so, and the next one is served. Built without overflow
//! checks, as released, it refuses such a client. The fuzz target `vhost_user` takes panics of that thread in
//! that crate for this, and every other one for a fault.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, OnceLock};

use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error, VhostUserBackend, VhostUserDaemon};
use vm_memory::{
    GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use ringwave_guest_memory::check_pages_stay;

use crate::card::VirtioCard;
use crate::rings::{QUEUE_SIZE_MAX, QUEUES};
use crate::vring::Vring;

pub use vhost_user_backend::ShutdownHandle;

/// `VIRTIO_F_VERSION_1`
const VERSION_1: u64 = 1 << 32;
/// `VIRTIO_F_INDIRECT_DESC`
const INDIRECT_DESC: u64 = 1 << 28;
/// `VIRTIO_F_EVENT_IDX`
const EVENT_IDX: u64 = 1 << 29;

/// Descriptors that a client takes before it has sent any, and a few that it sends.
const DESCRIPTORS: usize = 24;

/// The card behind the trait of vhost-user-backend.
#[derive(Clone)]
struct Backend {
    card: Arc<VirtioCard>,
    /// What the thread of the queues waits for to end. The crate takes it and never closes it.
    exit: Arc<OnceLock<RawFd>>,
}

impl VhostUserBackend for Backend {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        QUEUES
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_SIZE_MAX.into()
    }

    fn features(&self) -> u64 {
        VERSION_1 | INDIRECT_DESC | EVENT_IDX | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
    }

    fn set_event_idx(&self, _enabled: bool) {}

    /// Exactly `size` bytes, or QEMU 11.1 refuses the answer; what is not there is 0.
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.card.config_space();
        let from = config.get(offset as usize..).unwrap_or_default();
        // The protocol has no more than 256 (VHOST_USER_CONFIG_SIZE).
        from.iter().copied().chain(std::iter::repeat(0)).take(size.min(256) as usize).collect()
    }

    /// The rings and the messages are read as memory, where a page that is missing would be a signal. A
    /// client whose memory could do that is cut off: the crate ends the connection after an error here.
    fn update_memory(&self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        let memory = memory.memory().into_inner();
        for region in memory.iter() {
            let file = region.file_offset().ok_or(io::ErrorKind::InvalidInput)?;
            let end = file.start().checked_add(region.len()).ok_or(io::ErrorKind::InvalidInput)?;
            check_pages_stay(file.file(), end)?;
        }
        self.card.set_memory(memory);
        Ok(())
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        vec![(1 << QUEUES) - 1]
    }

    /// Without it the thread of the queues would never end.
    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        let (consumer, notifier) =
            new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()?;
        // There is one thread, so this is called once.
        self.exit.set(consumer.as_raw_fd()).ok()?;
        Some((consumer, notifier))
    }

    fn stop_vring(&self, _queue: u32) -> io::Result<()> {
        self.card.halt();
        Ok(())
    }

    fn handle_event(&self, _event: u16, _set: EventSet, rings: &[Vring], _thread: usize) -> io::Result<()> {
        self.card.kicked(rings);
        Ok(())
    }
}

/// Why a client is not served.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket gives none.
    #[error("{0}")]
    Accept(io::Error),
    /// There is no thread, descriptor or memory for it.
    #[error("{0}")]
    NoRoom(String),
}

/// Accepts a client that waits on `socket`, which blocks, and serves it until it leaves. `started` is given
/// what ends that earlier. Gives why the client was cut off, if it was.
///
/// # Errors
/// [`ClientError`]
pub fn serve_client(
    card: &Arc<VirtioCard>,
    socket: &UnixListener,
    started: impl FnOnce(ShutdownHandle),
) -> Result<Option<String>, ClientError> {
    let exit = Arc::new(OnceLock::new());
    let served = serve(Backend { card: Arc::clone(card), exit: Arc::clone(&exit) }, socket, started);
    if let Some(&exit) = exit.get() {
        // SAFETY: vhost-user-backend 0.24 has given it up (`into_raw_fd`), and the thread that waited for it
        // has ended with the daemon. A test counts descriptors.
        drop(unsafe { OwnedFd::from_raw_fd(exit) });
    }
    served
}

fn serve(
    backend: Backend,
    socket: &UnixListener,
    started: impl FnOnce(ShutdownHandle),
) -> Result<Option<String>, ClientError> {
    let no_room = |error: &dyn std::fmt::Display| ClientError::NoRoom(error.to_string());
    // A client that was accepted and finds no room is lost, so there is to be room before.
    let spare = (0..DESCRIPTORS).map(|_| socket.try_clone()).collect::<io::Result<Vec<_>>>();
    let listener = spare.map_err(|error| no_room(&error))?.swap_remove(0);
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon =
        VhostUserDaemon::new("vhost-user".to_owned(), backend, memory).map_err(|error| no_room(&error))?;
    daemon.start(&mut Listener::from(listener)).map_err(|error| match error {
        Error::CreateBackendListener(VhostUserError::SocketError(error)) => ClientError::Accept(error),
        error => no_room(&error),
    })?;
    if let Some(handle) = daemon.shutdown_handle() {
        started(handle);
    }
    Ok(match daemon.wait() {
        Ok(()) | Err(Error::HandleRequest(VhostUserError::Disconnected | VhostUserError::PartialMessage)) => {
            None
        }
        // Its thread has panicked, and said where.
        Err(Error::WaitDaemon(_)) => Some("a message of the client could not be handled".to_owned()),
        Err(error) => Some(error.to_string()),
    })
}
