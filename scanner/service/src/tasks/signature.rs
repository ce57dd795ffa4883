//! Who wrote a document: signatures of minisign.

use minisign_verify::{PublicKey, Signature};

/// A signature, or the key for it, is not right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The key of the configuration is none.
    #[error("the public key is not one of minisign: give the line of its .pub file that begins with RW")]
    Key,
    /// The signature is none.
    #[error("the signature is not one of minisign: {0}")]
    Form(String),
    /// The signature is not of this document by this key.
    #[error("the signature is not of this document by the configured key: {0}")]
    Wrong(String),
}

/// The public key that this is: the line with it, or a `.pub` file with the comment above it.
///
/// # Errors
///
/// It is none.
pub fn public_key(text: &str) -> Result<PublicKey, SignatureError> {
    let line = text.lines().map(str::trim).rfind(|it| !it.is_empty()).unwrap_or_default();
    PublicKey::from_base64(line).map_err(|_| SignatureError::Key)
}

/// Verifies the signature of a document. Only the form that signs a hash is accepted, which minisign makes by default.
///
/// # Errors
///
/// The signature is none, or not of this document by this key.
pub fn verify(key: &PublicKey, document: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let text = std::str::from_utf8(signature).map_err(|error| SignatureError::Form(error.to_string()))?;
    let signature = Signature::decode(text).map_err(|error| SignatureError::Form(error.to_string()))?;
    key.verify(document, &signature, false).map_err(|error| SignatureError::Wrong(error.to_string()))
}

/// The longest signature that is read.
pub(super) const MAX_SIGNATURE: usize = 4096;

/// What is added to the name of a document for that of its signature.
pub(super) const ENDING: &str = ".minisig";
