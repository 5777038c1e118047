//! What a client may have meant to sign instead of what it sent: each is tried.

use super::hint::{self, Hint};
use crate::bytes::text;
use crate::canonical::{Path, write_normalised};
use crate::expected::{Dialect, Expected};
use crate::head::Head;
use crate::marked::split;
use crate::request::{SignedRequest, UNSIGNED_PAYLOAD, authenticate};

/// More parameters than that are not left out one by one.
const PARAMETERS_MAX: usize = 64;
/// Of no bytes.
const EMPTY_SHA256: &[u8; 64] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Tries what a client may have signed; says in which way it differs from the request.
pub(super) fn tried(
    head: &Head<'_>,
    expected: &Expected<'_>,
    request: &SignedRequest<'_>,
    body_sha256: Option<&[u8; 64]>,
    verifies: &mut impl FnMut(&SignedRequest<'_>) -> bool,
) -> Vec<Hint> {
    let mut hints = vec![];
    for (hint, path) in paths(expected) {
        // Of paths that are written in the same way the first explains it.
        if hints.is_empty() && verifies(&request.clone().with_path(path)) {
            hints.push(hint);
        }
    }
    let given = head.first(b"x-amz-content-sha256");
    let known = body_sha256.map(<[u8; 64]>::as_slice);
    for signed in [Some(UNSIGNED_PAYLOAD), Some(EMPTY_SHA256), known, given].into_iter().flatten() {
        if signed != request.payload() && verifies(&request.clone().with_payload(signed)) {
            let hint = hint::payload(signed);
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
    let mut variants = hosts(head);
    variants.extend(methods(head));
    variants.extend(targets(head));
    for (hint, raw) in variants {
        let Ok(variant) = Head::parse_lenient(&raw) else { continue };
        if authenticate(&variant, expected).is_ok_and(|request| verifies(&request))
            && !hints.contains(&hint)
        {
            hints.push(hint);
        }
    }
    let differs = known.zip(given).is_some_and(|(known, given)| known != given);
    if differs && given.is_some_and(|given| given.len() == 64) {
        hints.push(Hint::Body);
    }
    hints
}

/// Other ways to write the path.
fn paths(expected: &Expected<'_>) -> Vec<(Hint, Path)> {
    match (expected.dialect, expected.normalizes_path) {
        (Dialect::S3, _) => vec![
            (Hint::PathNotEncoded, Path::AsSent),
            (Hint::PathEncodedTwice, Path::EncodedAgain),
            (Hint::PathEncodedTwice, Path::Normalised),
        ],
        (Dialect::General { .. }, true) => vec![
            (Hint::PathEncodedOnce, Path::OfS3),
            (Hint::PathNotEncoded, Path::AsSent),
            (Hint::PathNotNormalised, Path::EncodedAgain),
        ],
        (Dialect::General { .. }, false) => vec![
            (Hint::PathEncodedOnce, Path::OfS3),
            (Hint::PathNotEncoded, Path::AsSent),
            (Hint::PathNormalised, Path::Normalised),
        ],
    }
}

/// The same request for the same host as others spell it.
fn hosts(head: &Head<'_>) -> Vec<(Hint, Vec<u8>)> {
    let Some(sent) = head.first(b"host").map(text) else { return vec![] };
    let port = sent.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let mut signed = match port {
        Some((host, _)) => vec![host.to_owned()],
        None => ["80", "443", "7100", "8000", "8080", "9000"]
            .map(|port| format!("{sent}:{port}"))
            .to_vec(),
    };
    signed.push(sent.to_ascii_lowercase());
    let variants = signed.into_iter().filter(|signed| *signed != sent).map(|signed| {
        let headers = head.headers().map(|(name, value)| {
            (name, if name.eq_ignore_ascii_case(b"host") { signed.as_bytes() } else { value })
        });
        let raw = written(head.method(), &target(head.path(), head.query()), headers);
        (Hint::Host { sent: sent.clone(), signed: signed.clone() }, raw)
    });
    variants.collect()
}

/// The same request with other methods.
fn methods(head: &Head<'_>) -> Vec<(Hint, Vec<u8>)> {
    let other = ["GET", "HEAD", "PUT", "POST", "DELETE"].into_iter();
    let other = other.filter(|method| method.as_bytes() != head.method());
    let target = target(head.path(), head.query());
    other
        .map(|signed| {
            (Hint::Method { signed }, written(signed.as_bytes(), &target, head.headers()))
        })
        .collect()
}

/// The same request with other targets.
fn targets(head: &Head<'_>) -> Vec<(Hint, Vec<u8>)> {
    let mut targets = vec![];
    let mut path = vec![];
    write_normalised(head.path(), &mut path, |segment, out| out.extend_from_slice(segment));
    if path != head.path() {
        targets.push((Hint::PathNormalised, target(&path, head.query())));
    }
    if head.query().contains(&b'+') {
        let query = text(head.query()).replace('+', "%2B");
        targets.push((Hint::PlusIsNoSpace, target(head.path(), query.as_bytes())));
    }
    let pieces: Vec<&[u8]> = split(head.query(), b'&').collect();
    for (index, piece) in pieces.iter().enumerate().take(PARAMETERS_MAX) {
        let name = piece.split(|&byte| byte == b'=').next().unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        let others = pieces.iter().enumerate().filter(|(at, _)| *at != index);
        let query = others.map(|(_, piece)| *piece).collect::<Vec<_>>().join(&b'&');
        targets.push((Hint::ParameterAdded { name: text(name) }, target(head.path(), &query)));
    }
    let written =
        |(hint, target): (_, Vec<u8>)| (hint, written(head.method(), &target, head.headers()));
    targets.into_iter().map(written).collect()
}

fn target(path: &[u8], query: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if query.is_empty() { b"" } else { b"?" };
    [path, separator, query].concat()
}

/// The same head without the headers of these names, which are in lower case.
pub(super) fn without_headers(head: &Head<'_>, names: &[String]) -> Vec<u8> {
    let is_kept = |(name, _): &(&[u8], &[u8])| {
        !names.iter().any(|left_out| name.eq_ignore_ascii_case(left_out.as_bytes()))
    };
    let target = target(head.path(), head.query());
    written(head.method(), &target, head.headers().filter(is_kept))
}

/// Writes what is part of a head already, so that nothing in it can start another line.
fn written<'h>(
    method: &[u8],
    target: &[u8],
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
) -> Vec<u8> {
    let mut raw = [method, b" ", target, b" HTTP/1.1\r\n"].concat();
    for (name, value) in headers {
        raw.extend([name, b": ", value, b"\r\n"].concat());
    }
    raw.extend(b"\r\n");
    raw
}
