//! Words that go with numbers.

/// `underrun` of one, `underruns` of any other number.
pub fn plural(number: u64, word: &str) -> String {
    format!("{word}{}", if number == 1 { "" } else { "s" })
}

/// `1 underrun`, `2 underruns`.
pub fn counted(number: u64, word: &str) -> String {
    format!("{number} {}", plural(number, word))
}
