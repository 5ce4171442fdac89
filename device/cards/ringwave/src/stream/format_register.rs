//! Sample formats as the registers FORMAT and FORMATS number them. DATASHEET 4.2.

use ringwave_audio::SampleFormat;
use ringwave_regs::format::SampleCode;

/// The sample format with this code; `None` for a code that is not defined.
pub const fn sample_format(code: u32) -> Option<SampleFormat> {
    match SampleCode::from_code(code) {
        Some(SampleCode::S16) => Some(SampleFormat::S16),
        Some(SampleCode::S24In32) => Some(SampleFormat::S24In32),
        Some(SampleCode::S32) => Some(SampleFormat::S32),
        Some(SampleCode::F32) => Some(SampleFormat::F32),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_regs::format;

    #[test]
    fn each_code_is_a_format_of_its_bytes() {
        for code in 0..256 {
            assert_eq!(sample_format(code).map(SampleFormat::bytes), format::sample_bytes(code), "{code}");
        }
    }
}
