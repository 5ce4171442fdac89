//! `\BARE.CFG`: `key=value`, one a line; `#` begins a comment.

/// The text of the file.
#[derive(Clone, Copy)]
pub struct Config<'a>(pub &'a str);

impl<'a> Config<'a> {
    /// The value of `key`: the last one counts.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let mut pairs = self.0.lines().filter_map(|line| line.split('#').next()?.trim().split_once('='));
        pairs.rfind(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    }

    /// A number, decimal or `0x` hexadecimal; `default` when it is not there or not a number.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        let parse = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        self.get(key).and_then(parse).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_numbers_and_defaults() {
        let config = Config("scenario=play # the usual\r\nframes = 0x10\n#seed=1\nseed=2\nseed=3\nbad=x\n");
        assert_eq!(config.get("scenario"), Some("play"));
        assert_eq!(config.number("frames", 7), 16);
        assert_eq!(config.number("seed", 7), 3);
        assert_eq!((config.number("bad", 7), config.number("absent", 8)), (7, 8));
    }
}
