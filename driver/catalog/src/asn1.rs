//! The ASN.1 of a catalog: the types Microsoft's list has beyond CMS, and the object identifiers.
//!
//! Sources: the certificate trust list is `CTL_INFO` as documented for Windows' `CryptEncodeObject`
//! (`PKCS_CTL`); the Authenticode types are in Microsoft's "Windows Authenticode Portable Executable
//! Signature Format"; the catalog attributes were read out of real catalogs (the layout is held against one
//! by `proofs/catalog.py` of the project's notes).
use der::asn1::{BitString, BmpString, ContextSpecific, ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Sequence, TagMode, TagNumber};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

/// PKCS #7 `signedData`: the outermost content type of a catalog.
pub const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// `szOID_CTL`: what the signed data holds.
pub const CTL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.1");
/// `szOID_CATALOG_LIST`: the list is a catalog.
pub const CATALOG_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.1");
/// `szOID_CATALOG_LIST_MEMBER2`: members are named by their hash itself (catalog version 2, Windows 8 and
/// later).
pub const CATALOG_LIST_MEMBER2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.3");
/// `CAT_NAMEVALUE_OBJID`: an attribute that is a [`NameValue`].
pub const CAT_NAME_VALUE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.1");
/// `CAT_MEMBERINFO2_OBJID`: an attribute that says how a member was hashed.
pub const CAT_MEMBER_INFO2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.3");
/// `SPC_INDIRECT_DATA_OBJID`: an attribute that is an [`IndirectData`].
pub const SPC_INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// `SPC_PE_IMAGE_DATA_OBJID`: the digest is a program's Authenticode hash.
pub const SPC_PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// `SPC_CAB_DATA_OBJID` (also called `SPC_LINK_OBJID`): the digest is that of a file's exact bytes.
pub const SPC_CAB_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.25");
/// SHA-256 (RFC 5754).
pub const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// Flags of a [`NameValue`]: `CRYPTCAT_ATTR_AUTHENTICATED` (it is under the signature), name and value are
/// text.
pub const NAME_VALUE_FLAGS: u32 = 0x1001_0001;

/// Number of the context tag in a [`CAT_MEMBER_INFO2`] attribute for a program.
pub const MEMBER_INFO_PE: TagNumber = TagNumber::N0;
/// The same for a file hashed flat.
pub const MEMBER_INFO_FLAT: TagNumber = TagNumber::N2;

/// The certificate trust list: the signed content of a catalog.
///
/// Version, sequence number and next update, which the type has too, are absent from catalogs; one that has
/// them is refused.
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct CertificateTrustList {
    /// [`CATALOG_LIST`].
    pub subject_usage: Vec<ObjectIdentifier>,
    /// What Windows knows the list by: 16 bytes.
    #[asn1(optional = "true")]
    pub list_identifier: Option<OctetString>,
    /// When the list was made.
    pub this_update: Time,
    /// [`CATALOG_LIST_MEMBER2`] in a catalog of version 2.
    pub subject_algorithm: AlgorithmIdentifierOwned,
    /// The members, in the order of their identifiers.
    #[asn1(optional = "true")]
    pub trusted_subjects: Option<Vec<TrustedSubject>>,
    /// The catalog's own attributes, each a [`NameValue`] in an extension.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension>>,
}

/// One member: a hash and what is said about the file that has it.
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct TrustedSubject {
    /// The hash.
    pub identifier: OctetString,
    /// The member's attributes.
    #[asn1(optional = "true")]
    pub attributes: Option<SetOfVec<Attribute>>,
}

/// A named text, of the catalog (`OS`, `HWID1` ...) or of a member (`File`, `OSAttr`).
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct NameValue {
    /// The name.
    pub name: BmpString,
    /// [`NAME_VALUE_FLAGS`].
    pub flags: u32,
    /// The text in UTF-16, low byte first, with a terminating zero.
    pub value: OctetString,
}

/// Authenticode's digest of a file (`SpcIndirectDataContent`).
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct IndirectData {
    /// How the file was hashed.
    pub data: TypedValue,
    /// The hash.
    pub message_digest: DigestInfo,
}

/// A type and a value of that type (`SpcAttributeTypeAndOptionalValue`).
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct TypedValue {
    /// [`SPC_PE_IMAGE_DATA`] or [`SPC_CAB_DATA`].
    pub kind: ObjectIdentifier,
    /// [`PeImageData`] or a [`FileLink`].
    #[asn1(optional = "true")]
    pub value: Option<Any>,
}

/// A digest and its algorithm (RFC 2315).
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct DigestInfo {
    /// The algorithm.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The digest.
    pub digest: OctetString,
}

/// `SpcLink` with the choice `file [2] EXPLICIT SpcString`, of which the choice is `unicode [0] IMPLICIT
/// BMPString`.
pub type FileLink = ContextSpecific<ContextSpecific<BmpString>>;

/// What an Authenticode digest says of a program (`SpcPeImageData`): nothing beyond its form.
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct PeImageData {
    /// `SpcPeImageFlags`.
    pub flags: BitString,
    /// A link that names no file.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub file: FileLink,
}

/// The link that names no file, as catalogs have it.
pub fn empty_link() -> der::Result<FileLink> {
    let unicode = ContextSpecific {
        tag_number: TagNumber::N0,
        tag_mode: TagMode::Implicit,
        value: BmpString::from_utf8("")?,
    };
    Ok(ContextSpecific { tag_number: TagNumber::N2, tag_mode: TagMode::Explicit, value: unicode })
}

/// The value beside [`SPC_PE_IMAGE_DATA`] as catalogs have it.
pub fn pe_image_data() -> der::Result<PeImageData> {
    // includeResources and includeImportAddressTable: the first and third of three bits. Windows ignores
    // them.
    Ok(PeImageData { flags: BitString::new(5, [0xA0])?, file: empty_link()? })
}
