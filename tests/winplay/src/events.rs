//! Event records as Windows renders them: XML of one event.

/// The number in `<EventID Qualifiers='0'>18</EventID>`.
pub fn event_id(xml: &str) -> Option<u32> {
    let (_, from) = xml.split_once("<EventID")?;
    let (_, from) = from.split_once('>')?;
    let (number, _) = from.split_once('<')?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found() {
        let event = |id| {
            std::format!(
                "<Event xmlns='x'><System><Provider Name='y'/>{id}<Version>0</Version></System></Event>"
            )
        };
        assert_eq!(event_id(&event("<EventID>36</EventID>")), Some(36));
        assert_eq!(event_id(&event("<EventID Qualifiers='16384'>7</EventID>")), Some(7));
        for broken in ["", "<EventID>", "<EventID>x</EventID>", "<EventID/>", "<EventID>-1</EventID>"] {
            assert_eq!(event_id(broken), None, "{broken}");
        }
    }
}
