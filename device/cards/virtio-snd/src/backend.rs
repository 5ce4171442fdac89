//! The card as a vhost-user backend: one client, one daemon.
//!
//! An error or a panic in a handler would end the thread of the queues without a word (vhost-user-backend
//! 0.24), so none leaves this module.

use std::io;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error, VhostUserBackend, VhostUserDaemon, VringMutex};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use crate::card::VirtioCard;
use crate::rings::{QUEUE_SIZE_MAX, QUEUES};

pub use vhost_user_backend::ShutdownHandle;

/// `VIRTIO_F_VERSION_1`
const VERSION_1: u64 = 1 << 32;
/// `VIRTIO_F_INDIRECT_DESC`
const INDIRECT_DESC: u64 = 1 << 28;
/// `VIRTIO_F_EVENT_IDX`
const EVENT_IDX: u64 = 1 << 29;

/// The card behind the trait of vhost-user-backend.
#[derive(Clone)]
struct Backend(Arc<VirtioCard>);

impl VhostUserBackend for Backend {
    type Bitmap = ();
    type Vring = VringMutex;

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
        let config = self.0.config_space();
        let from = config.get(offset as usize..).unwrap_or_default();
        // The protocol has no more than 256 (VHOST_USER_CONFIG_SIZE).
        from.iter().copied().chain(std::iter::repeat(0)).take(size.min(256) as usize).collect()
    }

    fn update_memory(&self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        self.0.set_memory(memory);
        Ok(())
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        vec![(1 << QUEUES) - 1]
    }

    /// Without it the thread of the queues would never end.
    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()
    }

    fn stop_vring(&self, _queue: u32) -> io::Result<()> {
        self.0.halt();
        Ok(())
    }

    fn handle_event(
        &self,
        _event: u16,
        _set: EventSet,
        rings: &[VringMutex],
        _thread: usize,
    ) -> io::Result<()> {
        if catch_unwind(AssertUnwindSafe(|| self.0.kicked(rings))).is_err() {
            log::error!("a message of the guest could not be handled; the card goes on");
        }
        Ok(())
    }
}

/// Accepts a client that waits on `socket`, which blocks, and serves it until it leaves. `started` is given
/// what ends that earlier. Gives why the client was cut off, if it was.
///
/// # Errors
/// There is no thread, descriptor or memory for it.
pub fn serve_client(
    card: &Arc<VirtioCard>,
    socket: UnixListener,
    started: impl FnOnce(ShutdownHandle),
) -> Result<Option<String>, Error> {
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon = VhostUserDaemon::new("vhost-user".to_owned(), Backend(Arc::clone(card)), memory)?;
    daemon.start(&mut Listener::from(socket))?;
    if let Some(handle) = daemon.shutdown_handle() {
        started(handle);
    }
    match daemon.wait() {
        Ok(()) | Err(Error::HandleRequest(VhostUserError::Disconnected | VhostUserError::PartialMessage)) => {
            Ok(None)
        }
        Err(error) => Ok(Some(error.to_string())),
    }
}
