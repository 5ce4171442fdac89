//! The words of `life=`: one cell of the matrix.

/// In which state of a stream an event comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamState {
    /// No stream is open.
    Closed,
    /// One is open and has its buffer, in STOP.
    Stop,
    /// In ACQUIRE, on the way up.
    Acquire,
    /// In PAUSE before its first RUN; packet 0 is handed over.
    Pause,
    /// In RUN, in the middle of the piece.
    Run,
    /// In PAUSE after RUN, in the middle of the piece.
    Paused,
}

/// Which way the sound goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// A stream plays.
    Play,
    /// A stream records.
    Record,
    /// One plays while another records.
    Duplex,
}

/// One cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CellText<'a> {
    /// The event's name.
    pub event: &'a str,
    /// When it comes.
    pub state: StreamState,
    /// For which stream.
    pub direction: Direction,
}

/// `EVENT:STATE:DIRECTION`.
pub fn parse(text: &str) -> Option<CellText<'_>> {
    let mut words = text.trim().split(':');
    let (event, state, direction) = (words.next()?, words.next()?, words.next()?);
    let state = match state {
        "closed" => StreamState::Closed,
        "stop" => StreamState::Stop,
        "acquire" => StreamState::Acquire,
        "pause" => StreamState::Pause,
        "run" => StreamState::Run,
        "paused" => StreamState::Paused,
        _ => return None,
    };
    let direction = match direction {
        "play" => Direction::Play,
        "record" => Direction::Record,
        "duplex" => Direction::Duplex,
        _ => return None,
    };
    words.next().is_none().then_some(CellText { event, state, direction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_three_words() {
        let cell = CellText { event: "d3", state: StreamState::Paused, direction: Direction::Duplex };
        assert_eq!(parse("d3:paused:duplex"), Some(cell));
        for text in ["", "d3", "d3:run", "d3:walk:play", "d3:run:sing", "d3:run:play:x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
