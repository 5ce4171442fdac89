//! The names of sound that this program does not take: a person is told what the file is, not only what it is
//! not.

/// Bytes that a file has to have for [`other_file`].
const MAGIC: [(&[u8], &str); 10] = [
    (b"RIFX", "RIFX, a WAV file with the most significant byte first"),
    (b"riff", "Wave64"),
    (b"FORM", "AIFF"),
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b"ID3", "MP3"),
    (b"caff", "a Core Audio file"),
    (b".snd", "an AU file"),
    (b"MThd", "MIDI, which has notes and no samples"),
    (b"ringwave-trace", "a trace of a card"),
];

/// What a file is that is no RIFF file, if its first bytes tell.
pub fn other_file(begin: &[u8]) -> Option<&'static str> {
    MAGIC.iter().find(|(magic, _)| begin.starts_with(magic)).map(|(_, name)| *name)
}

/// The samples of a format tag (`WAVE_FORMAT_*` of mmreg.h, RFC 2361), in so many bits.
pub fn samples(tag: u16, bits: u16) -> String {
    match tag {
        0x0001 => format!("{bits}-bit PCM"),
        0x0002 => "Microsoft ADPCM".to_owned(),
        0x0003 => format!("{bits}-bit float"),
        0x0006 => "A-law".to_owned(),
        0x0007 => "mu-law".to_owned(),
        0x0011 => "IMA ADPCM".to_owned(),
        0x0031 => "GSM 6.10".to_owned(),
        0x0050 => "MPEG audio".to_owned(),
        0x0055 => "MP3".to_owned(),
        0x0092 => "AC-3".to_owned(),
        0x00FF | 0x1600 | 0x1610 => "AAC".to_owned(),
        0xFFFE => "an extensible format of an unknown kind".to_owned(),
        _ => format!("samples with format tag {tag:#06x}"),
    }
}
