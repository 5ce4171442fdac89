//! Bytes and descriptors over a UNIX socket, never blocking.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors that one `sendmsg` can carry (the kernel's `SCM_MAX_FD`): none is ever lost for want
/// of room here.
const FDS_MAX: usize = 253;

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    /// How many bytes; 0 = the other end has closed.
    pub bytes: usize,
    /// The descriptors that came with them.
    pub fds: Vec<OwnedFd>,
    /// There were descriptors that could not be received (this process has too many open).
    pub fds_lost: bool,
}

/// Receives what is there, up to the length of `into`. [`Errno::AGAIN`] if nothing is.
pub fn receive(socket: impl AsFd, into: &mut [u8]) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got =
        rustix::io::retry_on_intr(|| recvmsg(&socket, &mut [IoSliceMut::new(into)], &mut ancillary, flags))?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(Received { bytes: got.bytes, fds, fds_lost: got.flags.contains(ReturnFlags::CTRUNC) })
}

/// Sends what there is room for, with `fds` on the first byte; gives how many bytes went. [`Errno::AGAIN`] if
/// there is no room.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOMANYREFS);
    }
    // A peer that has gone is an error, not a signal.
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    rustix::io::retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, flags))
}
