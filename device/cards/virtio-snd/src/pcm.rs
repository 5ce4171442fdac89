//! The life of a PCM stream: which request is taken in which state, and what comes of it (`VIRTIO-SND.md`,
//! *States*; virtio 1.2, 5.14.6.6.1).

use crate::wire::PcmRequest;

/// State of a PCM stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PcmState {
    /// Nothing was set since the device was reset.
    #[default]
    Reset,
    /// It has parameters: after SET_PARAMS, and after RELEASE, which keeps them.
    Parameters,
    /// It takes I/O messages, and has not begun.
    Prepared,
    /// Its time moves.
    Running,
    /// It stands still, and keeps the I/O messages it has.
    Stopped,
}

impl PcmState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reset, Self::Parameters, Self::Prepared, Self::Running, Self::Stopped];

    /// The state after a request; `None`: it is out of order, answered with `BAD_MSG`, and changes nothing.
    pub const fn after(self, request: PcmRequest) -> Option<Self> {
        use PcmRequest as R;
        match (self, request) {
            (Self::Reset | Self::Parameters | Self::Prepared, R::SetParams)
            | (Self::Parameters | Self::Prepared | Self::Stopped, R::Release) => Some(Self::Parameters),
            (Self::Parameters | Self::Prepared, R::Prepare) => Some(Self::Prepared),
            (Self::Prepared | Self::Stopped, R::Start) => Some(Self::Running),
            (Self::Running, R::Stop) => Some(Self::Stopped),
            // A guest that comes back from sleep releases what the reset has forgotten (Linux 6.12).
            (Self::Reset, R::Release) => Some(Self::Reset),
            (Self::Reset, R::Prepare | R::Start | R::Stop)
            | (Self::Parameters, R::Start | R::Stop)
            | (Self::Prepared, R::Stop)
            | (Self::Running, R::SetParams | R::Prepare | R::Start | R::Release)
            | (Self::Stopped, R::SetParams | R::Prepare | R::Stop) => None,
        }
    }

    /// Whether it takes I/O messages.
    pub const fn takes_io(self) -> bool {
        matches!(self, Self::Prepared | Self::Running | Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PcmRequest as R;
    use PcmState::{Parameters, Prepared, Reset, Running, Stopped};

    const REQUESTS: [R; 5] = [R::SetParams, R::Prepare, R::Start, R::Stop, R::Release];

    /// Row: state. Column: request, in the order of [`REQUESTS`]. It is the table of VIRTIO-SND.md.
    const TABLE: [(PcmState, [Option<PcmState>; 5]); 5] = [
        (Reset, [Some(Parameters), None, None, None, Some(Reset)]),
        (Parameters, [Some(Parameters), Some(Prepared), None, None, Some(Parameters)]),
        (Prepared, [Some(Parameters), Some(Prepared), Some(Running), None, Some(Parameters)]),
        (Running, [None, None, None, Some(Stopped), None]),
        (Stopped, [None, None, Some(Running), None, Some(Parameters)]),
    ];

    #[test]
    fn every_cell_of_the_table() {
        for (state, row) in TABLE {
            for (request, after) in REQUESTS.into_iter().zip(row) {
                assert_eq!(state.after(request), after, "{state:?} {request:?}");
            }
        }
        assert_eq!(TABLE.map(|(state, _)| state), PcmState::ALL);
    }

    #[test]
    fn the_document_has_the_same_table() {
        let document = include_str!("../../../VIRTIO-SND.md");
        for (state, row) in TABLE {
            let cells = row.map(|after| after.map_or("BAD_MSG".to_owned(), |after| format!("{after:?}")));
            let line = format!("| {state:?} | {} |", cells.join(" | "));
            assert!(document.lines().any(|of_document| of_document == line), "{line}");
        }
    }
}
