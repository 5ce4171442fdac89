//! What the host wants: a word, and `key=value` behind it.

/// A line of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Its first word.
    pub name: String,
    values: Vec<(String, String)>,
}

impl Order {
    /// Reads a line; `None` if there is no word in it.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let pair = |word: &str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        Some(Self { name, values: words.filter_map(pair).collect() })
    }

    /// A value.
    pub fn text(&self, key: &str) -> Result<&str, String> {
        let found = self.values.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| format!("{}: no {key}=", self.name))
    }

    /// A number.
    pub fn number(&self, key: &str) -> Result<u32, String> {
        let text = self.text(key)?;
        text.parse().map_err(|_| format!("{}: {key}={text} is no number", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_word_and_its_values() {
        let order = Order::parse("play cards=2 format=s16\r").expect("a word");
        assert_eq!(
            (order.name.as_str(), order.number("cards"), order.text("format")),
            ("play", Ok(2), Ok("s16"))
        );
        assert!(order.number("format").is_err() && order.text("rate").is_err());
        assert_eq!(Order::parse("  "), None);
    }
}
