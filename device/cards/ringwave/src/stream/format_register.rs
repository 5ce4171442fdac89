//! Sample formats as the registers FORMAT and FORMATS number them. DATASHEET 4.2.

use ringwave_audio::SampleFormat;
use ringwave_regs::format;

/// The sample format with this code; `None` for a code that is not defined.
pub const fn sample_format(code: u32) -> Option<SampleFormat> {
    match code {
        format::S16 => Some(SampleFormat::S16),
        format::S24_32 => Some(SampleFormat::S24In32),
        format::S32 => Some(SampleFormat::S32),
        format::F32 => Some(SampleFormat::F32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_a_format_of_its_bytes() {
        for code in 0..256 {
            assert_eq!(sample_format(code).map(SampleFormat::bytes), format::sample_bytes(code), "{code}");
        }
    }
}
