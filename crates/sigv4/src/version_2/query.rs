//! What Version 2 signs of a query, and what it may leave out.

use crate::bytes::{hex_value, text};
use crate::denial::Denial;
use crate::head::Head;
use crate::mechanism::Mechanism;
use crate::query::{Parameter, parameters};

/// Sub-resources and overrides of the answer, sorted: all that is signed of a query (botocore, `HmacV1Auth`).
const SIGNED: [&[u8]; 35] = [
    b"accelerate",
    b"acl",
    b"analytics",
    b"cors",
    b"defaultObjectAcl",
    b"delete",
    b"inventory",
    b"lifecycle",
    b"location",
    b"logging",
    b"metrics",
    b"notification",
    b"object-lock",
    b"partNumber",
    b"policy",
    b"replication",
    b"requestPayment",
    b"response-cache-control",
    b"response-content-disposition",
    b"response-content-encoding",
    b"response-content-language",
    b"response-content-type",
    b"response-expires",
    b"restore",
    b"select",
    b"select-type",
    b"storageClass",
    b"tagging",
    b"torrent",
    b"uploadId",
    b"uploads",
    b"versionId",
    b"versioning",
    b"versions",
    b"website",
];
/// Parameters that say which part of a listing is asked for, and the name that SDKs give an operation, sorted. They
/// are not signed; every other is refused, since it might make another operation of the request.
const UNSIGNED: [&[u8]; 16] = [
    b"continuation-token",
    b"delimiter",
    b"encoding-type",
    b"fetch-owner",
    b"key-marker",
    b"list-type",
    b"marker",
    b"max-keys",
    b"max-parts",
    b"max-uploads",
    b"part-number-marker",
    b"prefix",
    b"start-after",
    b"upload-id-marker",
    b"version-id-marker",
    b"x-id",
];

/// The query, each parameter known.
#[derive(Default)]
pub(super) struct Query<'a> {
    pub(super) access_key_id: Option<&'a [u8]>,
    pub(super) signature: Option<&'a [u8]>,
    pub(super) expires: Option<&'a [u8]>,
    pub(super) has_session_token: bool,
    /// With their values, if they have one.
    signed: Vec<(&'a [u8], Option<Vec<u8>>)>,
}

impl<'a> Query<'a> {
    pub(super) fn read(head: &Head<'a>, is_query: bool) -> Result<Self, Denial> {
        let mut read = Self::default();
        for piece in head.query().split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            let Some(Parameter { name, value }) = parameters(piece).next() else { continue };
            // As they were sent: one that is escaped without need is not known.
            let slot = match name {
                b"AWSAccessKeyId" if is_query => &mut read.access_key_id,
                b"Signature" if is_query => &mut read.signature,
                b"Expires" if is_query => &mut read.expires,
                b"x-amz-security-token" if is_query => {
                    read.has_session_token = true;
                    continue;
                }
                _ if UNSIGNED.binary_search(&name).is_ok() => continue,
                _ if SIGNED.binary_search(&name).is_ok() => {
                    let value = (piece.len() > name.len()).then(|| unescaped(value));
                    if value.as_ref().is_some_and(|value| value.contains(&b'&')) {
                        let name = text(name);
                        let message = format!("The value of '{name}' must have no '&' in it.");
                        return Err(Denial::invalid_request(message));
                    }
                    read.signed.push((name, value));
                    continue;
                }
                _ => {
                    let message = format!(
                        "The query parameter '{}' needs a request signed by AWS4-HMAC-SHA256.",
                        text(name)
                    );
                    return Err(Denial::invalid_request(message));
                }
            };
            if slot.replace(value).is_some() {
                return Err(Mechanism::Query.malformed(
                    "Query-string authentication takes each of its parameters only once.",
                ));
            }
        }
        read.signed.sort_by_key(|(name, _)| *name);
        Ok(read)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (index, (name, value)) in self.signed.iter().enumerate() {
            out.push(if index == 0 { b'?' } else { b'&' });
            out.extend(*name);
            if let Some(value) = value {
                out.push(b'=');
                out.extend(value);
            }
        }
    }
}

/// What escapes stand for; a plus sign stands for itself.
pub(super) fn unescaped(mut raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    while let Some((&first, mut rest)) = raw.split_first() {
        let mut byte = first;
        if let (b'%', [high, low, after @ ..]) = (first, rest) {
            (byte, rest) = (hex_value(*high) << 4 | hex_value(*low), after);
        }
        out.push(byte);
        raw = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_halving() {
        assert!(SIGNED.is_sorted() && UNSIGNED.is_sorted());
    }
}
