//! Reads a catalog, signed or not: ours, or one that Microsoft's tools made.
//!
//! A catalog is data from outside. Whatever its bytes are, reading ends in a [`Catalog`] or in an [`Error`];
//! what it holds beyond what is known here is kept as a name, never guessed at.
use crate::asn1::{self, CertificateTrustList, IndirectData, NameValue, TrustedSubject};
use crate::digest::Kind;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Class, Decode, Tagged};
use x509_cert::attr::Attribute;

/// Why bytes are no catalog.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// A part is not encoded as it should be.
    #[error("not a catalog: its {part} cannot be read ({source})")]
    Encoding {
        /// The part.
        part: &'static str,
        /// What the ASN.1 library says.
        source: der::Error,
    },
    /// It is well-formed, and something else.
    #[error("not a catalog: its {part} is of type {found}, not {expected}")]
    Type {
        /// The part.
        part: &'static str,
        /// Its object identifier.
        found: ObjectIdentifier,
        /// The one it should have.
        expected: ObjectIdentifier,
    },
    /// A part that must be there is not.
    #[error("not a catalog: it has no {0}")]
    Missing(&'static str),
    /// A text is not UTF-16.
    #[error("not a catalog: the text of {0:?} is not UTF-16")]
    Text(String),
}

/// A catalog's contents.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Catalog {
    /// How many signatures it has. They are not verified here.
    pub signatures: usize,
    /// When the list was made, since 1970 in UTC.
    pub time: std::time::Duration,
    /// What Windows knows the list by.
    pub list_identifier: Vec<u8>,
    /// Its own named texts in order: systems and hardware ids, and whatever else it has.
    pub attributes: Vec<(String, String)>,
    /// Its members in order.
    pub members: Vec<Member>,
}

/// A member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Member {
    /// Its hash: 20 bytes of SHA-1 or 32 bytes of SHA-256 (in old catalogs also a text).
    pub identifier: Vec<u8>,
    /// How it was hashed, if it says so in a way known here.
    pub kind: Option<Kind>,
    /// Its Authenticode digest, if it has one: what it was made of, algorithm, digest.
    pub digest: Option<(ObjectIdentifier, ObjectIdentifier, Vec<u8>)>,
    /// Its named texts: `File`, `OSAttr` and whatever else it has.
    pub texts: Vec<(String, String)>,
    /// The types of attributes that are not known here.
    pub unknown: Vec<ObjectIdentifier>,
}

impl Member {
    /// The names of the files it stands for.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().filter(|(name, _)| name == "File").map(|(_, file)| file.as_str())
    }
}

impl Catalog {
    /// Reads a catalog.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, Error> {
        let outer: ContentInfo = part("outermost layer", ContentInfo::from_der(bytes))?;
        of_type("outermost layer", outer.content_type, asn1::SIGNED_DATA)?;
        let signed: SignedData = part("signed data", outer.content.decode_as())?;
        let inner = signed.encap_content_info;
        of_type("signed content", inner.econtent_type, asn1::CTL)?;
        let content = inner.econtent.ok_or(Error::Missing("signed content"))?;
        let list: CertificateTrustList = part("certificate trust list", content.decode_as())?;
        let usage = list.subject_usage.first().ok_or(Error::Missing("usage"))?;
        of_type("certificate trust list", *usage, asn1::CATALOG_LIST)?;
        let extensions = list.extensions.unwrap_or_default().into_iter();
        Ok(Self {
            signatures: signed.signer_infos.0.len(),
            time: list.this_update.to_unix_duration(),
            list_identifier: list.list_identifier.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            attributes: extensions
                .filter(|extension| extension.extn_id == asn1::CAT_NAME_VALUE)
                .map(|extension| text(NameValue::from_der(extension.extn_value.as_bytes())))
                .collect::<Result<_, _>>()?,
            members: list
                .trusted_subjects
                .unwrap_or_default()
                .iter()
                .map(Member::of)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Member {
    fn of(subject: &TrustedSubject) -> Result<Self, Error> {
        let mut member = Self { identifier: subject.identifier.as_bytes().to_vec(), ..Self::default() };
        for attribute in subject.attributes.iter().flat_map(|set| set.iter()) {
            member.take(attribute)?;
        }
        Ok(member)
    }

    fn take(&mut self, attribute: &Attribute) -> Result<(), Error> {
        for value in attribute.values.iter() {
            match attribute.oid {
                asn1::CAT_NAME_VALUE => self.texts.push(text(value.decode_as())?),
                asn1::CAT_MEMBER_INFO2 => self.kind = kind(AnyRef::from(value)),
                asn1::SPC_INDIRECT_DATA => {
                    let indirect: IndirectData = part("member's digest", value.decode_as())?;
                    let digest = indirect.message_digest;
                    let bytes = digest.digest.as_bytes().to_vec();
                    self.digest = Some((indirect.data.kind, digest.algorithm.oid, bytes));
                }
                other => self.unknown.push(other),
            }
        }
        Ok(())
    }
}

fn kind(value: AnyRef<'_>) -> Option<Kind> {
    let tag = value.tag();
    match (tag.class(), tag.number()) {
        (Class::ContextSpecific, asn1::MEMBER_INFO_PE) => Some(Kind::Pe),
        (Class::ContextSpecific, asn1::MEMBER_INFO_FLAT) => Some(Kind::Flat),
        _ => None,
    }
}

/// A named text as a pair, without the zero at its end.
fn text(read: der::Result<NameValue>) -> Result<(String, String), Error> {
    let pair = part("named text", read)?;
    let name = pair.name.to_string();
    let bytes = pair.value.as_bytes();
    let units: Vec<u16> =
        bytes.chunks_exact(2).filter_map(|two| two.try_into().ok()).map(u16::from_le_bytes).collect();
    let value = String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2));
    match value {
        Some(value) => Ok((name, value.strip_suffix('\0').unwrap_or(&value).to_owned())),
        None => Err(Error::Text(name)),
    }
}

fn part<T>(part: &'static str, read: der::Result<T>) -> Result<T, Error> {
    read.map_err(|source| Error::Encoding { part, source })
}

fn of_type(part: &'static str, found: ObjectIdentifier, expected: ObjectIdentifier) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Type { part, found, expected }) }
}
