//! The version resource of the image, as a `.res` file that the linker takes: what Explorer, `sigverif`,
//! Device Manager and a crash dump show of a driver. Formats: `RESOURCEHEADER`, `VS_VERSIONINFO`,
//! `VS_FIXEDFILEINFO`, `StringFileInfo` and `VarFileInfo` of Microsoft's documentation. Made here because
//! Linux has no resource compiler that every machine with cargo has.

/// `VFT_DRV`: a driver.
const TYPE_DRIVER: u32 = 3;
/// `VFT2_DRV_SOUND`.
const SUBTYPE_SOUND: u32 = 9;
/// `VOS_NT_WINDOWS32`.
const SYSTEM_NT: u32 = 0x0004_0004;
/// `RT_VERSION`.
const RESOURCE_VERSION: u16 = 16;
/// US English.
const LANGUAGE: u16 = 0x0409;
/// UTF-16.
const CODE_PAGE: u16 = 1200;

/// The file: its version and its texts by name.
#[allow(dead_code, reason = "a test takes the resource without the file")]
pub fn file(version: [u16; 4], texts: &[(&str, &str)]) -> Vec<u8> {
    let data = info(version, texts);
    let mut file = Vec::new();
    // An empty resource begins every 32-bit .res file.
    header(&mut file, 0, [0, 0], 0, 0);
    header(&mut file, data.len(), [RESOURCE_VERSION, 1], 0x0030, LANGUAGE);
    file.extend(&data);
    align(&mut file);
    file
}

/// A `RESOURCEHEADER`: type and name are numbers.
fn header(file: &mut Vec<u8>, bytes: usize, [kind, name]: [u16; 2], memory_flags: u16, language: u16) {
    for word in [u32::try_from(bytes).unwrap_or(0), 32] {
        file.extend(word.to_le_bytes());
    }
    for half in [0xFFFF, kind, 0xFFFF, name, 0, 0, memory_flags, language, 0, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
}

/// `VS_VERSIONINFO`.
pub fn info(version: [u16; 4], texts: &[(&str, &str)]) -> Vec<u8> {
    let [major, minor, build, revision] = version.map(u32::from);
    let (high, low) = (major << 16 | minor, build << 16 | revision);
    // Signature, structure version, file version, product version, flags' mask and flags, system, type,
    // subtype, date.
    let fixed = [
        0xFEEF_04BD,
        0x0001_0000,
        high,
        low,
        high,
        low,
        0x3F,
        0,
        SYSTEM_NT,
        TYPE_DRIVER,
        SUBTYPE_SOUND,
        0,
        0,
    ];
    let fixed: Vec<u8> = fixed.iter().flat_map(|word| word.to_le_bytes()).collect();
    let strings = texts.iter().map(|(name, text)| string(name, text)).collect::<Vec<_>>();
    let table = block(&format!("{LANGUAGE:04x}{CODE_PAGE:04x}"), Value::None, &strings);
    let translation: Vec<u8> = [LANGUAGE, CODE_PAGE].iter().flat_map(|half| half.to_le_bytes()).collect();
    let children = [
        block("StringFileInfo", Value::None, &[table]),
        block("VarFileInfo", Value::None, &[block("Translation", Value::Bytes(&translation), &[])]),
    ];
    block("VS_VERSION_INFO", Value::Bytes(&fixed), &children)
}

fn string(name: &str, text: &str) -> Vec<u8> {
    block(name, Value::Text(text), &[])
}

/// What a block holds before its children.
#[derive(Clone, Copy)]
enum Value<'a> {
    None,
    Bytes(&'a [u8]),
    Text(&'a str),
}

/// Length, length of the value (bytes, or characters of a text), type (1 = text), key, value, children; each
/// on a 32-bit boundary.
fn block(key: &str, value: Value<'_>, children: &[Vec<u8>]) -> Vec<u8> {
    let wide = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let (bytes, length, kind) = match value {
        Value::None => (Vec::new(), 0, 1_u16),
        Value::Bytes(bytes) => (bytes.to_vec(), bytes.len(), 0),
        Value::Text(text) => (wide(text), wide(text).len() / 2, 1),
    };
    let mut block = vec![0; 2];
    block.extend(u16::try_from(length).unwrap_or(0).to_le_bytes());
    block.extend(kind.to_le_bytes());
    block.extend(wide(key));
    for part in std::iter::once(&bytes).chain(children) {
        align(&mut block);
        block.extend(part);
    }
    let whole = u16::try_from(block.len()).unwrap_or(0).to_le_bytes();
    block[..2].copy_from_slice(&whole);
    block
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
