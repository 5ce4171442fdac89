//! What a Windows image file (`install.wim`, `install.esd`) holds: its XML data, read from a stream.
//!
//! The file lies in a UDF image and is several gigabytes long. It comes through a pipe, and only its header
//! and its XML data are kept: no copy on the disk, no mount, no root. `wimlib-imagex`, which knows the
//! format, wants a file that it can seek in.
//!
//! The places in the header, and that XML data is not compressed, are as `wimlib-imagex` writes them, whose
//! files the tests read (`tests/winstandin/make-iso`). Microsoft's paper on the format was not read, and no
//! file of Microsoft's was here.

use std::io::{self, Read};

use roxmltree::{Document, Node};

const MAGIC: &[u8; 8] = b"MSWIM\0\0\0";
/// Bytes of the header that are looked at: to the end of the XML data's entry.
const HEADER: usize = 96;
/// Where the part number, its total, and the entry of the XML data are.
const PART: usize = 40;
const XML_ENTRY: usize = 72;
/// No image file has more XML than this: a dozen editions make some 40 KiB.
const XML_MAX: u64 = 4 << 20;

/// Why there are no editions.
#[derive(Debug, thiserror::Error)]
pub enum WimError {
    /// Not what it is called.
    #[error("it is no Windows image file (no MSWIM header)")]
    NoWim,
    /// `install.swm`.
    #[error("it is part {0} of {1} of an image file; join them first (wimlib-imagex join)")]
    Split(u16, u16),
    /// The entry of the XML data is nonsense.
    #[error("its header names XML data at byte {0}, {1} bytes long, which cannot be")]
    Entry(u64, u64),
    /// It ends before.
    #[error("it ends before its XML data, at byte {0}; is the ISO whole?")]
    Short(u64),
    /// Not UTF-16, not XML, or another document.
    #[error("its XML data is not as it should be: {0}")]
    Xml(String),
    /// The pipe broke.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// One image of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edition {
    /// Its number in the file, from 1.
    pub index: u32,
    /// `Windows 11 Pro`.
    pub name: String,
    /// What Setup shows; often the same.
    pub display_name: String,
    /// `Professional`, `ServerStandard`, `EnterpriseEval`.
    pub edition_id: String,
    /// `Client`, `Server`, `Server Core`.
    pub installation_type: String,
    /// `PROCESSOR_ARCHITECTURE_*`: 0 x86, 9 x64, 12 ARM64.
    pub architecture: u32,
    /// 26100.
    pub build: u32,
    /// `en-US`.
    pub language: String,
}

/// Reads the editions of the image file that comes out of `file`.
///
/// # Errors
/// [`WimError`]. Nothing that the file says is believed without a bound.
pub fn editions(mut file: impl Read) -> Result<Vec<Edition>, WimError> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(|_| WimError::NoWim)?;
    if !header.starts_with(MAGIC) {
        return Err(WimError::NoWim);
    }
    let number = |at: usize, bytes: usize| {
        let field = header.get(at..at + bytes).unwrap_or_default();
        field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let part = |at| u16::try_from(number(at, 2)).unwrap_or(0);
    if part(PART + 2) > 1 {
        return Err(WimError::Split(part(PART), part(PART + 2)));
    }
    // Seven bytes of size and one of flags, then the offset.
    let (size, offset) = (number(XML_ENTRY, 7), number(XML_ENTRY + 8, 8));
    if size == 0 || size > XML_MAX || size % 2 != 0 || offset < HEADER as u64 {
        return Err(WimError::Entry(offset, size));
    }
    let before = offset - HEADER as u64;
    if io::copy(&mut file.by_ref().take(before), &mut io::sink())? < before {
        return Err(WimError::Short(offset));
    }
    let mut xml = Vec::new();
    if file.take(size).read_to_end(&mut xml)? as u64 != size {
        return Err(WimError::Short(offset));
    }
    parse(&xml)
}

fn parse(bytes: &[u8]) -> Result<Vec<Edition>, WimError> {
    let words: Vec<u16> = bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let text = String::from_utf16(&words).map_err(|_| WimError::Xml("it is no UTF-16".into()))?;
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
    let document = Document::parse(text).map_err(|error| WimError::Xml(error.to_string()))?;
    let root = document.root_element();
    if root.tag_name().name() != "WIM" {
        return Err(WimError::Xml(format!("its root is {}", root.tag_name().name())));
    }
    let images = root.children().filter(|node| node.has_tag_name("IMAGE"));
    Ok(images.map(edition).collect())
}

fn edition(image: Node<'_, '_>) -> Edition {
    let text = |path: &[&str]| {
        let step = |node: Option<Node<'_, '_>>, name: &&str| {
            node?.children().find(|child| child.has_tag_name(*name)).map(|node| node.id())
        };
        let mut node = Some(image);
        for name in path {
            node = step(node, name).and_then(|id| image.document().get_node(id));
        }
        node.and_then(|node| node.text()).unwrap_or_default().trim().to_owned()
    };
    let number = |path: &[&str]| text(path).parse().unwrap_or(0);
    let index = image.attribute("INDEX").and_then(|index| index.parse().ok()).unwrap_or(0);
    Edition {
        index,
        name: text(&["NAME"]),
        display_name: text(&["DISPLAYNAME"]),
        edition_id: text(&["WINDOWS", "EDITIONID"]),
        installation_type: text(&["WINDOWS", "INSTALLATIONTYPE"]),
        architecture: number(&["WINDOWS", "ARCH"]),
        build: number(&["WINDOWS", "VERSION", "BUILD"]),
        language: text(&["WINDOWS", "LANGUAGES", "DEFAULT"]),
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    /// An image file that is nothing but its header, `gap` bytes of images, and this XML.
    pub fn wim(xml: &str, gap: usize) -> Vec<u8> {
        let xml: Vec<u8> =
            "\u{feff}".encode_utf16().chain(xml.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let mut file = vec![0; 208 + gap];
        file[..8].copy_from_slice(MAGIC);
        file[PART..PART + 4].copy_from_slice(&[1, 0, 1, 0]);
        file[XML_ENTRY..XML_ENTRY + 7].copy_from_slice(&(xml.len() as u64).to_le_bytes()[..7]);
        file[XML_ENTRY + 7] = 2;
        file[XML_ENTRY + 8..XML_ENTRY + 16].copy_from_slice(&(208 + gap as u64).to_le_bytes());
        file.extend(xml);
        file
    }

    const SERVER: &str = "<WIM><TOTALBYTES>9</TOTALBYTES><IMAGE INDEX=\"1\"><NAME>Windows Server 2022 \
        SERVERSTANDARDCORE</NAME><DISPLAYNAME>Windows Server 2022 Standard</DISPLAYNAME><WINDOWS><ARCH>9</ARCH>\
        <EDITIONID>ServerStandard</EDITIONID><INSTALLATIONTYPE>Server Core</INSTALLATIONTYPE><LANGUAGES>\
        <LANGUAGE>de-DE</LANGUAGE><DEFAULT>de-DE</DEFAULT></LANGUAGES><VERSION><MAJOR>10</MAJOR><BUILD>20348\
        </BUILD></VERSION></WINDOWS></IMAGE><IMAGE INDEX=\"2\"><NAME>bare</NAME></IMAGE></WIM>";

    #[test]
    fn editions_come_out_of_a_stream() {
        let found = editions(&wim(SERVER, 100_000)[..]).unwrap();
        let first = Edition {
            index: 1,
            name: "Windows Server 2022 SERVERSTANDARDCORE".into(),
            display_name: "Windows Server 2022 Standard".into(),
            edition_id: "ServerStandard".into(),
            installation_type: "Server Core".into(),
            architecture: 9,
            build: 20348,
            language: "de-DE".into(),
        };
        assert_eq!(found, [first, Edition { index: 2, name: "bare".into(), ..Edition::default() }]);
    }

    #[test]
    fn what_is_no_whole_image_file_is_named() {
        let error = |file: &[u8]| editions(file).unwrap_err().to_string();
        assert!(error(b"").contains("no MSWIM header"));
        assert!(error(&[0; 500]).contains("no MSWIM header"));
        let whole = wim(SERVER, 10);
        assert!(error(&whole[..whole.len() - 2]).contains("is the ISO whole?"));
        assert!(error(&whole[..210]).contains("is the ISO whole?"));
        let mut split = whole.clone();
        split[PART + 2] = 3;
        assert!(error(&split).contains("part 1 of 3"));
        for size in [0, 3, u64::MAX >> 8] {
            let mut huge = whole.clone();
            huge[XML_ENTRY..XML_ENTRY + 7].copy_from_slice(&size.to_le_bytes()[..7]);
            assert!(error(&huge).contains("cannot be"), "{size}");
        }
        assert!(error(&wim("<WIM>", 0)).contains("XML data"));
        assert!(error(&wim("<HTML/>", 0)).contains("HTML"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        // Every byte of a small file, changed in turn.
        let whole = wim("<WIM><IMAGE INDEX=\"1\"><WINDOWS><ARCH>9</ARCH></WINDOWS></IMAGE></WIM>", 3);
        for at in 0..whole.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = editions(&changed[..]);
            }
        }
    }
}
