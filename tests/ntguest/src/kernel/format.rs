//! The formats of DbgPrint and of the kernel's printf family, over a Microsoft x64 va_list (one 8-byte slot
//! per argument).
//!
//! In a wide format (`_vsnwprintf`) `%s` and `%c` are wide and `%S` and `%C` narrow; in a narrow one the
//! other way round.

use core::fmt::Write;

/// Where arguments and strings come from; on the target that is memory, in tests a list.
pub trait Arguments {
    /// The next 8-byte slot.
    fn next(&mut self) -> u64;
    /// Byte `index` of the ANSI string at `address`.
    fn byte(&self, address: u64, index: usize) -> u8;
    /// UTF-16 unit `index` of the string at `address`.
    fn wide(&self, address: u64, index: usize) -> u16;
    /// The counted string (ANSI_STRING or UNICODE_STRING) at `address`: (buffer, bytes).
    fn counted(&self, address: u64) -> (u64, usize);
    /// The longest string, width or precision: the debugger's buffer has 512 characters.
    fn longest(&self) -> usize {
        512
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "printf's flags are independent of each other")]
struct Spec {
    left: bool,
    zero: bool,
    alternate: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    /// Size of the integer in bytes.
    size: u32,
    /// `l` or `w` was said.
    wide: bool,
    /// The format is a wide one.
    wide_format: bool,
}

/// Writes the ANSI format `text` with its arguments to `out`. What is no known conversion is printed as it
/// is.
pub fn print(out: &mut impl Write, text: &[u8], args: &mut impl Arguments) {
    print_chars(out, text.iter().map(|c| *c as char), args, false);
}

/// The same for a wide format.
pub fn print_wide(out: &mut impl Write, text: &[u16], args: &mut impl Arguments) {
    print_chars(out, text.iter().map(|c| char::from_u32(u32::from(*c)).unwrap_or('?')), args, true);
}

fn print_chars(
    out: &mut impl Write,
    text: impl Iterator<Item = char>,
    args: &mut impl Arguments,
    wide: bool,
) {
    let mut chars = text.peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            put(out, c);
            continue;
        }
        let mut spec = Spec { size: 4, wide_format: wide, ..Spec::default() };
        while let Some(flag) = chars.next_if(|c| "-0#+ ".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '#' => spec.alternate = true,
                '+' => spec.plus = true,
                _ => {}
            }
        }
        spec.width = count(&mut chars, args).unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(count(&mut chars, args).unwrap_or(0));
        }
        size(&mut chars, &mut spec);
        match chars.next() {
            Some(conversion) => convert(out, conversion, &spec, args),
            None => return,
        }
    }
}

type Chars<I> = core::iter::Peekable<I>;

fn count<I: Iterator<Item = char>>(chars: &mut Chars<I>, args: &mut impl Arguments) -> Option<usize> {
    let longest = args.longest();
    if chars.next_if_eq(&'*').is_some() {
        return Some((args.next() as u32 as usize).min(longest));
    }
    let mut value = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        value = Some((value.unwrap_or(0) * 10 + (digit as usize - '0' as usize)).min(longest));
    }
    value
}

fn size<I: Iterator<Item = char>>(chars: &mut Chars<I>, spec: &mut Spec) {
    while let Some(c) = chars.next_if(|c| "hlwILzjt".contains(*c)) {
        match c {
            'h' => spec.size = if spec.size == 2 { 1 } else { 2 },
            // A Windows long has 32 bits; "ll" has 64.
            'l' if chars.next_if_eq(&'l').is_some() => spec.size = 8,
            'l' | 'w' => spec.wide = true,
            'I' => {
                spec.size = 8;
                if chars.next_if_eq(&'6').is_some() {
                    chars.next_if_eq(&'4');
                } else if chars.next_if_eq(&'3').is_some() {
                    chars.next_if_eq(&'2');
                    spec.size = 4;
                }
            }
            _ => spec.size = 8,
        }
    }
}

/// Whether a string or character conversion takes UTF-16: `%s` as the format is, `%S` the other way round,
/// `%hs` and `%ls` as they say.
fn takes_wide(conversion: char, spec: &Spec) -> bool {
    if spec.wide {
        return true;
    }
    let narrow_size = spec.size <= 2;
    !narrow_size && (spec.wide_format == conversion.is_ascii_lowercase())
}

fn convert(out: &mut impl Write, conversion: char, spec: &Spec, args: &mut impl Arguments) {
    match conversion {
        '%' => put(out, '%'),
        'd' | 'i' => {
            let raw = args.next();
            let value = match spec.size {
                8 => raw as i64,
                2 => i64::from(raw as i16),
                1 => i64::from(raw as i8),
                _ => i64::from(raw as i32),
            };
            let sign = if value < 0 {
                "-"
            } else if spec.plus {
                "+"
            } else {
                ""
            };
            number(out, spec, sign, value.unsigned_abs(), 10, false);
        }
        'u' => number(out, spec, "", unsigned(spec, args.next()), 10, false),
        'x' | 'X' => {
            let prefix = if spec.alternate { "0x" } else { "" };
            number(out, spec, prefix, unsigned(spec, args.next()), 16, conversion == 'X');
        }
        'o' => number(out, spec, "", unsigned(spec, args.next()), 8, false),
        'p' => {
            let spec = Spec { width: spec.width.max(16), zero: true, left: false, ..Spec::default() };
            number(out, &spec, "", args.next(), 16, true);
        }
        'c' | 'C' if takes_wide(conversion, spec) => {
            put(out, char::from_u32(u32::from(args.next() as u16)).unwrap_or('?'));
        }
        'c' | 'C' => put(out, args.next() as u8 as char),
        's' | 'S' if takes_wide(conversion, spec) => wide(out, spec, args, false),
        's' | 'S' => narrow(out, spec, args, false),
        'Z' if spec.wide => wide(out, spec, args, true),
        'Z' => narrow(out, spec, args, true),
        other => {
            let _ = write!(out, "%{other}");
        }
    }
}

fn unsigned(spec: &Spec, raw: u64) -> u64 {
    match spec.size {
        8 => raw,
        2 => raw & 0xffff,
        1 => raw & 0xff,
        _ => raw & 0xffff_ffff,
    }
}

/// The debugger's buffer never refuses a character.
fn put(out: &mut impl Write, c: char) {
    let _ = out.write_char(c);
}

fn pad(out: &mut impl Write, n: usize, c: char) {
    for _ in 0..n {
        put(out, c);
    }
}

fn number(out: &mut impl Write, spec: &Spec, prefix: &str, value: u64, base: u64, upper: bool) {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut text = [0u8; 24];
    let mut used = 0;
    let mut rest = value;
    while rest > 0 || used == 0 {
        text[used] = digits[(rest % base) as usize];
        rest /= base;
        used += 1;
    }
    let zeros = spec.precision.unwrap_or(0).saturating_sub(used);
    let fill = spec.width.saturating_sub(prefix.len() + zeros + used);
    let zero = spec.zero && !spec.left && spec.precision.is_none();
    if !spec.left && !zero {
        pad(out, fill, ' ');
    }
    let _ = out.write_str(prefix);
    pad(out, zeros + if zero { fill } else { 0 }, '0');
    for c in text[..used].iter().rev() {
        put(out, *c as char);
    }
    if spec.left {
        pad(out, fill, ' ');
    }
}

fn string(out: &mut impl Write, spec: &Spec, len: usize, unit: impl Fn(usize) -> char) {
    let fill = spec.width.saturating_sub(len);
    if !spec.left {
        pad(out, fill, ' ');
    }
    for i in 0..len {
        put(out, unit(i));
    }
    if spec.left {
        pad(out, fill, ' ');
    }
}

fn narrow(out: &mut impl Write, spec: &Spec, args: &mut impl Arguments, counted: bool) {
    let mut address = args.next();
    let mut max = spec.precision.unwrap_or(usize::MAX).min(args.longest());
    if counted && address != 0 {
        let (buffer, bytes) = args.counted(address);
        (address, max) = (buffer, max.min(bytes));
    }
    if address == 0 {
        let _ = out.write_str("(null)");
        return;
    }
    let len = if counted { max } else { (0..max).position(|i| args.byte(address, i) == 0).unwrap_or(max) };
    string(out, spec, len, |i| args.byte(address, i) as char);
}

fn wide(out: &mut impl Write, spec: &Spec, args: &mut impl Arguments, counted: bool) {
    let mut address = args.next();
    let mut max = spec.precision.unwrap_or(usize::MAX).min(args.longest());
    if counted && address != 0 {
        let (buffer, bytes) = args.counted(address);
        (address, max) = (buffer, max.min(bytes / 2));
    }
    if address == 0 {
        let _ = out.write_str("(null)");
        return;
    }
    let len = if counted { max } else { (0..max).position(|i| args.wide(address, i) == 0).unwrap_or(max) };
    string(out, spec, len, |i| char::from_u32(u32::from(args.wide(address, i))).unwrap_or('?'));
}

#[cfg(test)]
mod tests {
    use super::{Arguments, print};
    use alloc::string::String;

    struct List(Vec<u64>, usize);
    const ANSI: &[u8] = b"card\0";
    impl Arguments for List {
        fn next(&mut self) -> u64 {
            self.1 += 1;
            self.0[self.1 - 1]
        }
        fn byte(&self, _: u64, index: usize) -> u8 {
            ANSI[index]
        }
        fn wide(&self, _: u64, index: usize) -> u16 {
            u16::from(ANSI[index])
        }
        fn counted(&self, _: u64) -> (u64, usize) {
            (1, 4)
        }
    }

    fn printed(text: &str, args: &[u64]) -> String {
        let mut out = String::new();
        print(&mut out, text.as_bytes(), &mut List(args.to_vec(), 0));
        out
    }

    #[test]
    fn integers_of_every_width() {
        assert_eq!(printed("%d %u %x %X", &[u64::MAX, u64::MAX, 0x1_0000_00ab, 0xab]), "-1 4294967295 ab AB");
        assert_eq!(
            printed("%lld %I64u %llx %Ix", &[u64::MAX, u64::MAX, 0x1_0000_00ab, 1 << 40]),
            "-1 18446744073709551615 1000000ab 10000000000"
        );
        assert_eq!(printed("%ld %hx %hhx", &[0xffff_fffe, 0x12345, 0x1ff]), "-2 2345 ff");
    }

    #[test]
    fn widths_and_flags() {
        assert_eq!(
            printed("[%5d][%-5d][%05d][%#x][%.3u][%08X]", &[42, 42, 42, 0x1f, 7, 0xbeef]),
            "[   42][42   ][00042][0x1f][007][0000BEEF]"
        );
        assert_eq!(printed("%*d|%p|100%%", &[4, 7, 0xffff_f800]), "   7|00000000FFFFF800|100%");
    }

    #[test]
    fn a_wide_format_takes_wide_strings_unless_it_says_otherwise() {
        /// Wide strings are at address 2, narrow ones at 1.
        struct Either(Vec<u64>, usize);
        impl Arguments for Either {
            fn next(&mut self) -> u64 {
                self.1 += 1;
                self.0[self.1 - 1]
            }
            fn byte(&self, address: u64, index: usize) -> u8 {
                assert_eq!(address, 1);
                b"narrow\0"[index]
            }
            fn wide(&self, address: u64, index: usize) -> u16 {
                assert_eq!(address, 2);
                u16::from(b"wide\0"[index])
            }
            fn counted(&self, _: u64) -> (u64, usize) {
                (2, 8)
            }
        }
        let format: Vec<u16> = "%s %S %hs %ws %wZ %c|%.2s|%08x".encode_utf16().collect();
        let mut out = String::new();
        super::print_wide(&mut out, &format, &mut Either(vec![2, 1, 1, 2, 9, 0x394, 2, 0xbeef], 0));
        assert_eq!(out, "wide narrow narrow wide wide \u{394}|wi|0000beef");
        let mut out = String::new();
        print(&mut out, b"%s %S %hs %ls", &mut Either(vec![1, 2, 1, 2], 0));
        assert_eq!(out, "narrow wide narrow wide");
    }

    #[test]
    fn strings() {
        assert_eq!(
            printed("%s %S %ws %wZ %Z %.2s %6s|%c", &[1, 1, 1, 1, 1, 1, 1, 65]),
            "card card card ca card ca   card|A"
        );
        assert_eq!(printed("%s %wZ", &[0, 0]), "(null) (null)");
        assert_eq!(printed("%q %", &[]), "%q ");
    }
}
