//! Where what was played lies in what was recorded.

/// Where the file begins in the recording, and for how many frames both are the same.
///
/// A place is where the first 64 frames of the file, or all of a shorter one, are found again; the one with
/// the longest piece counts.
pub fn longest(recorded: &[u8], sent: &[u8], block: usize) -> (usize, usize) {
    let mark = sent.len().min(64 * block);
    let mut best = (0, 0);
    for offset in (0..recorded.len()).step_by(block) {
        let rest = recorded.get(offset..).unwrap_or_default();
        if rest.get(..mark) != sent.get(..mark) {
            continue;
        }
        let same = rest.iter().zip(sent).take_while(|(a, b)| a == b).count() / block;
        if same > best.1 {
            best = (offset / block, same);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::longest;
    use alloc::vec::Vec;

    #[test]
    fn the_longest_piece_from_the_beginning_is_found_on_a_frame() {
        let sent: Vec<u8> = (0..2000u32).flat_map(|n| (n * 7).to_le_bytes()).collect();
        let mut recorded = alloc::vec![0; 400];
        recorded.extend(&sent);
        recorded.extend([0; 100]);
        assert_eq!(longest(&recorded, &sent, 4), (100, 2000));
        // A sample that differs ends it; a beginning that is not on a frame is none.
        recorded[400 + 4 * 1500] ^= 1;
        assert_eq!(longest(&recorded, &sent, 4), (100, 1500));
        assert_eq!(longest(&recorded[1..], &sent, 4), (0, 0));
        assert_eq!(longest(&[0; 4000], &sent, 4), (0, 0));
    }

    #[test]
    fn of_two_places_the_better_one_counts() {
        let sent: Vec<u8> = (0..600u32).flat_map(|n| (n + 1).to_le_bytes()).collect();
        let mut recorded = sent[..1200].to_vec();
        recorded.extend(&sent);
        assert_eq!(longest(&recorded, &sent, 4), (300, 600));
    }
}
