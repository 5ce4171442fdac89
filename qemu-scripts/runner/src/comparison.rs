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

/// What is missing of what was played, in packets of so many frames, without its client knowing: it may have
/// been told that a packet was accepted, and not know whether in time (`unsure_packets`).
pub fn unexplained_loss(comparison: &Comparison, packet: u64, guest: &GuestLog) -> Option<String> {
    let Verdict::ExceptSilence(gaps) = comparison.verdict else { return None };
    let unsure = guest.results.get("unsure_packets").map(String::as_str).filter(|list| *list != "none");
    let packets = unsure.map_or(0, |list| list.split(',').count() as u64);
    let known = packets.saturating_mul(packet);
    let text =
        format!("rule=lost-frames {} frames are missing, the client knows of {known} at most", gaps.lost);
    (gaps.lost > known).then_some(text)
}

/// What a loopback recorded, compared with what was played, silence for late packets included. A recorder
/// that was late knows how many packets it has lost.
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

#[cfg(test)]
mod tests {
    use ringwave_audio::{SampleFormat, StreamFormat};

    use super::*;

    const PACKET: u64 = 10;

    /// What is said of 60 frames of which 20 to 30 were silent, to a client that said this.
    fn said(result: &str) -> Option<String> {
        let format = StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 48_000 };
        let sent: Vec<u8> = (1..=60u16).flat_map(|sample| (sample * 251).to_le_bytes()).collect();
        let mut heard = sent.clone();
        heard[40..60].fill(0);
        let sound = |frames| Sound { format, frames };
        let allowed = Allowed::Silence { packet: PACKET, counted: PACKET };
        let comparison = compare_sounds(&sound(sent), &sound(heard), allowed);
        unexplained_loss(&comparison, PACKET, &GuestLog::parse(&format!("ntguest: result {result}\n")))
    }

    #[test]
    fn only_a_client_that_knows_of_a_packet_may_have_lost_its_frames() {
        assert_eq!(said("unsure_packets=2"), None);
        let lost = Some("rule=lost-frames 10 frames are missing, the client knows of 0 at most".into());
        for result in ["unsure_packets=none", "late_packets=2"] {
            assert_eq!(said(result), lost, "{result}");
        }
    }
}
