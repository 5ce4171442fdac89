//! What is compared with what, and what may stand between: the card's clock, and what card and guest have
//! counted, say so.

use ringwave_audio::{
    compare::{Allowed, Comparison, Verdict, compare_sounds},
    wav::Sound,
};

use crate::{
    guest_log::GuestLog,
    request::{Mode, Request, Scenario},
};
use ringwave_report::{Direction, SessionReport};

/// What arrived at the other end, compared with what was sent.
///
/// A card that does not wait plays a packet that is late as silence: whole packets, as many frames as it has
/// counted. A client that comes late for packets knows how many it has lost; one that goes by the position
/// can't tell where, so it may lose none.
pub fn compare_arrived(
    request: &Request,
    sent: &Sound,
    arrived: &Sound,
    card: &SessionReport,
    guest: &GuestLog,
) -> Comparison {
    let records = matches!(request.scenario, Scenario::Record(_));
    let stream = card.first(if records { Direction::Capture } else { Direction::Render });
    let packet = stream.map_or(1, |stream| stream.packet_frames(sent.format.frame_bytes()));
    let allowed = match request.scenario {
        _ if request.clock.waits() => Allowed::Nothing,
        Scenario::Play | Scenario::Loopback => {
            Allowed::Silence { packet, counted: stream.map_or(0, |stream| stream.silence_frames) }
        }
        Scenario::Record(Mode::Packet) => {
            let lost = guest.result("lost-packets").unwrap_or(0);
            Allowed::Lost { packet, counted: lost.saturating_mul(packet) }
        }
        Scenario::Record(_) => Allowed::Nothing,
    };
    compare_sounds(sent, arrived, allowed)
}

/// What is missing without its client knowing: it may have been told that a packet was accepted, and not know
/// whether in time (`unsure_packets`).
pub fn unexplained_loss(
    comparison: &Comparison,
    frame_bytes: u32,
    card: &SessionReport,
    guest: &GuestLog,
) -> Option<String> {
    let Verdict::ExceptSilence(gaps) = comparison.verdict else { return None };
    let unsure = guest.results.get("unsure_packets").map(String::as_str).filter(|list| *list != "none");
    let packets = unsure.map_or(0, |list| list.split(',').count() as u64);
    let known = card
        .first(Direction::Render)
        .map_or(0, |stream| packets.saturating_mul(stream.packet_frames(frame_bytes)));
    let text =
        format!("rule=lost-frames {} frames are missing, the client knows of {known} at most", gaps.lost);
    (gaps.lost > known).then_some(text)
}

/// What a loopback recorded, compared with what was played, silence for late packets included. A recorder that
/// was late knows how many packets it has lost.
pub fn compare_loopback(
    played: &Sound,
    recorded: &Sound,
    card: &SessionReport,
    guest: &GuestLog,
) -> Comparison {
    let frame = played.format.frame_bytes();
    let packet = card.first(Direction::Capture).map_or(1, |stream| stream.packet_frames(frame));
    let lost = guest.result("lost-packets").unwrap_or(0).saturating_mul(packet);
    compare_sounds(played, recorded, Allowed::Loopback { packet, lost })
}
