//! The images of a WIM or ESD: the XML data that its header points to, which is never compressed.

use alloc::string::String;
use alloc::vec::Vec;

use roxmltree::Document;

/// Bytes of the header that are read, and of XML data at most.
pub const HEADER: usize = 96;
const LARGEST: usize = 1 << 20;

/// Where the XML data is, and its length.
pub fn xml_place(header: &[u8]) -> Option<(u64, usize)> {
    (header.get(..8)? == b"MSWIM\0\0\0").then_some(())?;
    let number = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
    // Seven bytes of length below one of flags, then the place.
    let length = usize::try_from(number(72)? & 0x00FF_FFFF_FFFF_FFFF).ok()?;
    (length <= LARGEST).then_some((number(80)?, length))
}

/// Whether the XML data has an image for this key and value of `InstallFrom\MetaData`.
pub fn has_image(xml: &[u8], key: &str, value: &str) -> Option<bool> {
    let units: Vec<u16> = xml.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).ok()?;
    let document = Document::parse(text.trim_start_matches('\u{FEFF}')).ok()?;
    let element = match key.to_ascii_uppercase().as_str() {
        "/IMAGE/INDEX" => None,
        "/IMAGE/NAME" => Some("NAME"),
        "/IMAGE/DESCRIPTION" => Some("DESCRIPTION"),
        _ => return Some(false),
    };
    let mut images = document.root_element().children().filter(|node| node.has_tag_name("IMAGE"));
    Some(images.any(|image| match element {
        None => image.attribute("INDEX") == Some(value),
        Some(name) => {
            let text = image.children().find(|node| node.has_tag_name(name)).and_then(|node| node.text());
            text.is_some_and(|text| text.eq_ignore_ascii_case(value))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_by_index_and_name() {
        let xml = "\u{FEFF}<WIM><IMAGE INDEX=\"2\"><WINDOWS/><NAME>Windows 11 Pro</NAME></IMAGE></WIM>";
        let xml: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(has_image(&xml, "/IMAGE/INDEX", "2"), Some(true));
        assert_eq!(has_image(&xml, "/IMAGE/INDEX", "1"), Some(false));
        assert_eq!(has_image(&xml, "/image/name", "windows 11 pro"), Some(true));
        assert_eq!(has_image(&xml, "/IMAGE/NAME", "Windows 11 Home"), Some(false));
        assert_eq!(has_image(&xml, "/IMAGE/FLAGS", "Professional"), Some(false));
        assert_eq!(has_image(&xml[..30], "/IMAGE/INDEX", "2"), None);
    }

    #[test]
    fn the_place_of_the_xml_data_is_in_the_header() {
        let mut header = [0; HEADER];
        header[..5].copy_from_slice(b"MSWIM");
        header[72..80].copy_from_slice(&0x0200_0000_0000_01F4u64.to_le_bytes());
        header[80..88].copy_from_slice(&0x1234u64.to_le_bytes());
        assert_eq!(xml_place(&header), Some((0x1234, 500)));
        assert_eq!(xml_place(&header[..80]), None);
        assert_eq!(xml_place(&[0; HEADER]), None);
    }
}
