//! A WAV file of 16-bit noise: short, and quickly made.

use std::path::PathBuf;

/// A WAV file with a sample sequence in which every frame differs from its neighbours.
pub struct Wav {
    _folder: tempfile::TempDir,
    /// Where it is.
    pub path: PathBuf,
}

/// Makes one.
///
/// # Panics
/// If it can't be written.
pub fn wav(frames: u32, channels: u16, rate: u32) -> Wav {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("in.wav");
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).expect("a WAV file");
    let mut state = 0x1234_5678_u32;
    for _ in 0..frames * u32::from(channels) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, _, low, high] = state.to_le_bytes();
        writer.write_sample(i16::from_le_bytes([low, high])).expect("a sample is written");
    }
    writer.finalize().expect("the WAV file is closed");
    Wav { _folder: folder, path }
}
