//! A line with a descriptor beside it, over the control socket.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// What came.
pub(super) struct Received {
    /// How many bytes; 0: the other end sends no more.
    pub bytes: usize,
    /// The descriptors that came with them.
    pub files: Vec<File>,
    /// There were more than are taken.
    pub too_many: bool,
}

/// Receives without waiting. What comes beside one descriptor is closed.
pub(super) fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(&socket, &mut [IoSliceMut::new(into)], &mut ancillary, flags)?;
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights.map(File::from));
        }
    }
    // The room is rounded up, and may have taken a second one.
    let too_many = got.flags.contains(ReturnFlags::CTRUNC) || files.len() > 1;
    Ok(Received { bytes: got.bytes, files, too_many })
}

/// Sends a line, with the descriptor if there is one.
///
/// # Errors
/// The other end takes nothing.
pub fn send_line(socket: impl AsFd, line: &str, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = file.into_iter().collect();
    if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let line = format!("{line}\n");
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        // A peer that has gone is an error, not a signal. Once the descriptor is with the first bytes.
        let sent = sendmsg(&socket, &[IoSlice::new(rest)], &mut ancillary, SendFlags::NOSIGNAL)?;
        ancillary.clear();
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}
