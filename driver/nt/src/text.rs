//! UTF-16 text for the kernel: compile-time constants and counted strings.
use crate::sys::UNICODE_STRING;

/// A NUL-terminated UTF-16 constant from a literal, as `&'static [u16]`: `wide!("Wave")`. ASCII only;
/// anything else does not compile.
#[macro_export]
macro_rules! wide {
    ($text:literal) => {{
        const TEXT: [u16; $text.len() + 1] = $crate::text::utf16($text);
        const SLICE: &[u16] = &TEXT;
        SLICE
    }};
}

/// What [`wide!`](crate::wide) expands to: `N` is the length of `text` and one more.
///
/// # Panics
/// At compile time, where it is meant to be called: if `N` is another or the text is not ASCII.
pub const fn utf16<const N: usize>(text: &str) -> [u16; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() + 1 == N, "room for the text and its NUL");
    let mut wide = [0; N];
    let mut at = 0;
    while at < bytes.len() {
        assert!(bytes[at].is_ascii() && bytes[at] != 0, "ASCII only");
        wide[at] = bytes[at] as u16;
        at += 1;
    }
    wide
}

/// A counted string around a NUL-terminated constant; the NUL is not counted. What does not fit 16 bits of
/// length is cut.
pub fn unicode_string(text: &'static [u16]) -> UNICODE_STRING {
    let characters = text.iter().position(|&unit| unit == 0).unwrap_or(text.len()).min(0x7FFE);
    let bytes = u16::try_from(characters * 2).unwrap_or(0);
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: text.as_ptr().cast_mut() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_text_ends_in_nul_and_counts_without() {
        let text = crate::wide!("Wave");
        assert_eq!(text, [87, 97, 118, 101, 0]);
        let counted = unicode_string(text);
        assert_eq!(
            (counted.Length, counted.MaximumLength, counted.Buffer.cast_const()),
            (8, 8, text.as_ptr())
        );
    }
}
