//! Messages of the control queue as bytes: virtio 1.2, section 5.14, little-endian, and what 1.3 says
//! clearer.
//!
//! Nothing here knows a queue or a stream: bytes in, [`Request`] out, and the bytes of an answer.

/// Bytes of the configuration without `VIRTIO_SND_F_CTLS`: jacks, streams, chmaps.
pub const CONFIG_BYTES: usize = 12;
/// Bytes of the header that a response, an I/O message and most requests begin with.
pub const CODE_BYTES: usize = 4;
/// Bytes of `virtio_snd_pcm_status`.
pub const STATUS_BYTES: usize = 8;
/// Bytes of `virtio_snd_event`.
pub const EVENT_BYTES: usize = 8;
/// Bytes of the longest request that is understood: `virtio_snd_pcm_set_params`.
pub const REQUEST_BYTES_MAX: usize = 24;
/// Bytes of the items of JACK_INFO, PCM_INFO and CHMAP_INFO.
pub const JACK_INFO_BYTES: u32 = 24;
/// See [`JACK_INFO_BYTES`].
pub const PCM_INFO_BYTES: u32 = 32;
/// See [`JACK_INFO_BYTES`].
pub const CHMAP_INFO_BYTES: u32 = 24;

/// Status of a request or an I/O message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Success.
    Ok = 0x8000,
    /// Malformed, or an invalid parameter.
    BadMsg = 0x8001,
    /// A valid request that the device does not have.
    NotSupp = 0x8002,
    /// The device failed.
    IoErr = 0x8003,
}

/// An event that the device tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something was plugged into a jack.
    JackConnected(u32),
    /// It was pulled out.
    JackDisconnected(u32),
    /// A stream had nothing to play, or nowhere to record to.
    PcmXrun(u32),
}

impl Event {
    /// As the guest reads it.
    pub fn bytes(self) -> [u8; EVENT_BYTES] {
        let (code, data) = match self {
            Self::JackConnected(jack) => (0x1000, jack),
            Self::JackDisconnected(jack) => (0x1001, jack),
            Self::PcmXrun(stream) => (0x1101, stream),
        };
        two_words(code, data)
    }
}

/// `virtio_snd_pcm_status`.
pub fn status_bytes(status: Status, latency_bytes: u32) -> [u8; STATUS_BYTES] {
    two_words(status as u32, latency_bytes)
}

fn two_words(first: u32, second: u32) -> [u8; 8] {
    (u64::from(first) | u64::from(second) << 32).to_le_bytes()
}

/// Which items a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The first one.
    pub start: u32,
    /// How many.
    pub count: u32,
    /// Bytes from one item to the next in the answer.
    pub size: u32,
}

impl Query {
    /// The items, and the bytes of all of them; `None` unless there are so many and each fits its place.
    pub fn items(self, there_are: u32, item_bytes: u32) -> Option<(core::ops::Range<u32>, usize)> {
        let end = self.start.checked_add(self.count).filter(|end| *end <= there_are)?;
        // A place longer than any item of a later version is no place.
        let fits = (item_bytes..=4 * item_bytes).contains(&self.size);
        let bytes = usize::try_from(self.count.checked_mul(self.size)?).ok()?;
        (fits && self.count != 0).then_some((self.start..end, bytes))
    }
}

/// `virtio_snd_pcm_set_params` without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetParams {
    /// Length of the driver's buffer.
    pub buffer_bytes: u32,
    /// Length of a period: of an I/O message's data, but for the last.
    pub period_bytes: u32,
    /// Selected features, as bits.
    pub features: u32,
    /// Samples in a frame.
    pub channels: u8,
    /// `VIRTIO_SND_PCM_FMT_*`.
    pub format: u8,
    /// `VIRTIO_SND_PCM_RATE_*`.
    pub rate: u8,
}

/// A request about a PCM stream, but for SET_PARAMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PcmRequest {
    /// SET_PARAMS, whatever its parameters are.
    SetParams,
    /// PREPARE.
    Prepare,
    /// RELEASE.
    Release,
    /// START.
    Start,
    /// STOP.
    Stop,
}

/// A request of the control queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// JACK_INFO.
    JackInfo(Query),
    /// PCM_INFO.
    PcmInfo(Query),
    /// CHMAP_INFO.
    ChmapInfo(Query),
    /// SET_PARAMS of a stream.
    SetParams(u32, SetParams),
    /// Another request of a stream.
    Pcm(u32, PcmRequest),
    /// A known request of something that this device does not have: JACK_REMAP, controls.
    NotOffered,
}

/// Little-endian word number `index`.
fn word(bytes: &[u8], index: usize) -> Option<u32> {
    bytes.as_chunks().0.get(index).copied().map(u32::from_le_bytes)
}

/// Reads a request. Bytes behind it do no harm.
///
/// # Errors
/// [`Status::BadMsg`]: too short, or a code that no version has.
pub fn parse(bytes: &[u8]) -> Result<Request, Status> {
    read(bytes).ok_or(Status::BadMsg)
}

fn read(bytes: &[u8]) -> Option<Request> {
    let query = || Some(Query { start: word(bytes, 1)?, count: word(bytes, 2)?, size: word(bytes, 3)? });
    let pcm = |request| Some(Request::Pcm(word(bytes, 1)?, request));
    match word(bytes, 0)? {
        0x0001 => Some(Request::JackInfo(query()?)),
        0x0100 => Some(Request::PcmInfo(query()?)),
        0x0101 => set_params(bytes),
        0x0102 => pcm(PcmRequest::Prepare),
        0x0103 => pcm(PcmRequest::Release),
        0x0104 => pcm(PcmRequest::Start),
        0x0105 => pcm(PcmRequest::Stop),
        0x0200 => Some(Request::ChmapInfo(query()?)),
        0x0002 | 0x0300..=0x0306 => Some(Request::NotOffered),
        _ => None,
    }
}

fn set_params(bytes: &[u8]) -> Option<Request> {
    let [channels, format, rate, _padding] = word(bytes, 5)?.to_le_bytes();
    let params = SetParams {
        buffer_bytes: word(bytes, 2)?,
        period_bytes: word(bytes, 3)?,
        features: word(bytes, 4)?,
        channels,
        format,
        rate,
    };
    Some(Request::SetParams(word(bytes, 1)?, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn requests_are_read_as_the_specification_lays_them_out() {
        let query = Query { start: 1, count: 2, size: 32 };
        for (code, request) in [
            (0x0001, Request::JackInfo(query)),
            (0x0100, Request::PcmInfo(query)),
            (0x0200, Request::ChmapInfo(query)),
        ] {
            assert_eq!(parse(&words(&[code, 1, 2, 32])), Ok(request));
            assert_eq!(parse(&words(&[code, 1, 2])), Err(Status::BadMsg), "cut short");
        }
        for (code, request) in [
            (0x0102, PcmRequest::Prepare),
            (0x0103, PcmRequest::Release),
            (0x0104, PcmRequest::Start),
            (0x0105, PcmRequest::Stop),
        ] {
            assert_eq!(parse(&words(&[code, 7])), Ok(Request::Pcm(7, request)));
            assert_eq!(parse(&words(&[code])), Err(Status::BadMsg));
        }
        let set = words(&[0x0101, 3, 8192, 4096, 0x10, 0x0007_0502]);
        let params = SetParams {
            buffer_bytes: 8192,
            period_bytes: 4096,
            features: 0x10,
            channels: 2,
            format: 5,
            rate: 7,
        };
        assert_eq!(parse(&set), Ok(Request::SetParams(3, params)));
        assert_eq!(parse(&set[..23]), Err(Status::BadMsg));
        for code in [0x0002, 0x0300, 0x0306] {
            assert_eq!(parse(&words(&[code])), Ok(Request::NotOffered));
        }
        for code in [0, 3, 0x0106, 0x0201, 0x0307, 0x8000, u32::MAX] {
            assert_eq!(parse(&words(&[code, 0, 0, 0, 0, 0])), Err(Status::BadMsg), "{code:#x}");
        }
    }

    #[test]
    fn answers_are_written_as_the_specification_lays_them_out() {
        assert_eq!(status_bytes(Status::IoErr, 0x0102_0304), [3, 0x80, 0, 0, 4, 3, 2, 1]);
        assert_eq!(Event::JackDisconnected(2).bytes(), [1, 0x10, 0, 0, 2, 0, 0, 0]);
        assert_eq!(Event::PcmXrun(1).bytes(), [1, 0x11, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn query_is_bounded_by_what_there_is() {
        let query = |start, count, size| Query { start, count, size };
        assert_eq!(query(1, 2, 32).items(3, 32), Some((1..3, 64)));
        assert_eq!(query(0, 1, 40).items(3, 32), Some((0..1, 40)), "a longer item of a later version");
        for bad in [
            query(1, 3, 32),
            query(0, 0, 32),
            query(0, 1, 31),
            query(u32::MAX, 2, 32),
            query(0, u32::MAX, u32::MAX),
            query(0, 1, u32::MAX),
        ] {
            assert_eq!(bad.items(3, 32), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if parse(&bytes).is_ok() {
                prop_assert!(bytes.len() >= CODE_BYTES);
            }
        }
    }
}
