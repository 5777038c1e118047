//! What a request says to a server, read without the library, and slowly.

use std::collections::BTreeMap;

/// Two requests of one meaning are the same request in another spelling.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Meaning {
    method: Vec<u8>,
    /// Segments, decoded.
    path: Vec<Vec<u8>>,
    /// Names and values, decoded and sorted.
    query: Vec<(Vec<u8>, Vec<u8>)>,
    /// The headers that a signature covers or S3 reads, by their names in lower case.
    headers: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The meaning of a head; the values of `Authorization` are left to the library.
pub(crate) fn meaning(raw: &[u8], signed: &[String]) -> Meaning {
    let mut lines =
        raw.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut request_line = lines.next().unwrap().split(|&byte| byte == b' ');
    let method = request_line.next().unwrap().to_vec();
    let target = request_line.next().unwrap();
    let end = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let path = target[..end].split(|&byte| byte == b'/').map(|part| decode(part, false)).collect();
    let pieces = target[end..].strip_prefix(b"?").unwrap_or_default().split(|&byte| byte == b'&');
    let pairs = pieces.filter(|piece| !piece.is_empty()).map(|piece| {
        let end = piece.iter().position(|&byte| byte == b'=').unwrap_or(piece.len());
        (decode(&piece[..end], true), decode(piece.get(end + 1..).unwrap_or_default(), true))
    });
    let mut query: Vec<_> = pairs.collect();
    query.sort();
    let mut headers: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':').unwrap();
        let name = line[..colon].to_ascii_lowercase();
        if !(name.starts_with(b"x-amz-") || signed.iter().any(|signed| signed.as_bytes() == name)) {
            continue;
        }
        let words = line[colon + 1..].split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let mut value = words.collect::<Vec<_>>().join(&b' ');
        value = value.trim_ascii().to_vec();
        match headers.get_mut(&name) {
            Some(before) => before.extend([b",".as_slice(), &value].concat()),
            None => drop(headers.insert(name, value)),
        }
    }
    Meaning { method, path, query, headers }
}

fn decode(mut text: &[u8], is_form: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [first, rest @ ..] = text {
        text = rest;
        bytes.push(match (first, rest) {
            (b'%', [high, low, rest @ ..]) => {
                text = rest;
                u8::from_str_radix(&format!("{}{}", char::from(*high), char::from(*low)), 16)
                    .unwrap()
            }
            (b'+', _) if is_form => b' ',
            _ => *first,
        });
    }
    bytes
}
