//! Heads that did not come from a client: written by hand, or in the way of published test vectors.

use super::{Head, HeadError};
use crate::bytes::find;

impl<'a> Head<'a> {
    /// Reads a head as [`Head::parse`] does, but for spaces in the request target, which a server must refuse:
    /// no two of them would agree on where it ends. Here it ends at the last ` HTTP/` of the line.
    ///
    /// For diagnostics alone. Allocates.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn parse_lenient(raw: &'a [u8]) -> Result<Self, HeadError> {
        let line = &raw[..find(raw, 0, b'\n')];
        let target = find(line, 0, b' ') + 1;
        let version = line.windows(6).rposition(|piece| piece == b" HTTP/");
        let end = version.unwrap_or(line.len()).max(target.min(line.len()));
        if target >= end || !line[target..end].contains(&b' ') {
            return Self::parse(raw);
        }
        // With another byte for each space everything stands where it did.
        let mut filled = raw.to_vec();
        filled[target..end].iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'_');
        let parsed = Head::parse(&filled)?;
        let Head { method, path, query, headers, headers_len, tags, .. } = parsed;
        Ok(Self { raw, method, path, query, headers, headers_len, tags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_have_spaces() {
        let check = |raw: &str, path: &str, query: &str| {
            let head = Head::parse_lenient(raw.as_bytes()).unwrap();
            assert_eq!((head.path(), head.query()), (path.as_bytes(), query.as_bytes()), "{raw}");
            assert_eq!(head.headers().next(), Some((&b"Host"[..], &b"h"[..])));
        };
        check("GET /a b/?c d HTTP/1.1\r\nHost:h\r\n\r\n", "/a b/", "c d");
        check("GET /a  HTTP/1.1\nHost:h\n\n", "/a ", "");
        check("GET /a HTTP/2 HTTP/1.1\nHost:h\n\n", "/a HTTP/2", "");
        check("GET /a%20b\nHost:h", "/a%20b", "");
    }

    #[test]
    fn all_else_is_as_strict_as_ever() {
        for raw in [
            "",
            "GET",
            "GET ",
            "GET  HTTP/1.1",
            " HTTP/1.1",
            "GET HTTP/1.1",
            "GET /a%2 0 HTTP/1.1",
            "GET /a\tb HTTP/1.1",
            "GET /a b HTTP/1.1\nno header",
        ] {
            assert!(Head::parse_lenient(raw.as_bytes()).is_err(), "{raw:?}");
        }
    }
}
