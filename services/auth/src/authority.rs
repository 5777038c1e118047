//! `:authority`, by which HTTP/2 names the host that HTTP/1 has in a header: clients sign it as `host`.
//!
//! Whoever passes a request on may show it beside a `host` header, which must then be the same (RFC 9113, section
//! 8.3.1): nobody may act on another host than was verified.

use api::auth::v1::RequestHead;
use sigv4::{Denial, ErrorCode};

const AUTHORITY: &[u8] = b":authority";
const HOST: &[u8] = b"host";

/// The header fields of a head, with what `:authority` says in `host`.
pub(crate) fn fields(head: &RequestHead) -> Result<impl Iterator<Item = (&[u8], &[u8])>, Denial> {
    let bytes = || head.headers.iter().map(|field| (field.name.as_bytes(), field.value.as_bytes()));
    let is_host = is_host(bytes())?;
    Ok(bytes().filter_map(move |field| as_host(field, is_host)))
}

/// A raw head with what `:authority` says in `host`; `None` if it says nothing, as in most.
pub(crate) fn rewrite(raw: &[u8]) -> Option<Result<Vec<u8>, Denial>> {
    let end = raw.windows(2).position(|pair| pair == b"\n\n" || pair == b"\n\r")? + 1;
    let (head, rest) = raw.split_at(end);
    let request_line = head.iter().position(|byte| *byte == b'\n')? + 1;
    let (request_line, lines) = head.split_at(request_line);
    let field = |line: &'_ [u8]| -> Option<(usize, usize)> {
        let start = usize::from(line.first() == Some(&b':'));
        let colon = line[start..].iter().position(|byte| *byte == b':')? + start;
        Some((colon, colon + 1))
    };
    let fields = || {
        lines.split_inclusive(|byte| *byte == b'\n').map(move |line| match field(line) {
            Some((name, value)) => (&line[..name], line[value..].trim_ascii(), line),
            None => (line, &b""[..], line),
        })
    };
    fields().find(|(name, ..)| *name == AUTHORITY)?;
    let is_host = match is_host(fields().map(|(name, value, _)| (name, value))) {
        Ok(is_host) => is_host,
        Err(denial) => return Some(Err(denial)),
    };
    let mut out = request_line.to_vec();
    for (name, value, line) in fields() {
        match as_host((name, value), is_host) {
            Some((HOST, value)) if name == AUTHORITY => {
                out.extend([b"host: ", value, b"\r\n"].concat());
            }
            Some(_) => out.extend(line),
            None => {}
        }
    }
    out.extend(rest);
    Some(Ok(out))
}

/// Whether `:authority` stands for the host, since no header does.
///
/// # Errors
/// 400 `InvalidRequest` if it is there more than once, or not the same as the header.
fn is_host<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<bool, Denial> {
    let (mut authority, mut host, mut is_other) = (None, None, false);
    for (name, value) in fields {
        let slot = match name {
            AUTHORITY => &mut authority,
            _ if name.eq_ignore_ascii_case(HOST) => &mut host,
            _ => continue,
        };
        is_other |= slot.replace(value).is_some() && name == AUTHORITY;
    }
    match (authority, host) {
        (Some(authority), Some(host)) if authority != host => is_other = true,
        (Some(_) | None, _) => {}
    }
    if is_other {
        let message = "The header 'host' and ':authority' must be the same, and given once.";
        return Err(Denial::new(ErrorCode::InvalidRequest, message));
    }
    Ok(host.is_none())
}

/// The field, `:authority` under the name of the host if it stands for it.
fn as_host<'a>((name, value): (&'a [u8], &'a [u8]), is_host: bool) -> Option<(&'a [u8], &'a [u8])> {
    match (name == AUTHORITY, is_host) {
        (false, _) => Some((name, value)),
        (true, true) => Some((HOST, value)),
        (true, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of the lines between request line and end.
    fn check(lines: &str, expected: Option<Result<&str, ErrorCode>>) {
        for end in ["\r\n", "\n"] {
            let raw = format!("GET / HTTP/1.1\r\n{lines}{end}");
            let rewritten = rewrite(raw.as_bytes()).map(|result| {
                let raw = result.map_err(|denial| denial.code)?;
                Ok(String::from_utf8(raw).expect("is text"))
            });
            let expected = expected
                .map(|result| result.map(|lines| format!("GET / HTTP/1.1\r\n{lines}{end}")));
            assert_eq!(rewritten, expected, "{lines}");
        }
    }

    #[test]
    fn authority_is_the_host_or_the_same_as_the_host() {
        let refused = Some(Err(ErrorCode::InvalidRequest));
        check("host: a\r\n", None);
        check("", None);
        check(":path: /\r\n", None);
        check("x: :authority: a\r\n", None);
        check(":authority: a\r\nx: y\r\n", Some(Ok("host: a\r\nx: y\r\n")));
        check("x: y\n:authority:a:1 \n", Some(Ok("x: y\nhost: a:1\r\n")));
        check(":authority: a\r\nHost: a\r\n", Some(Ok("Host: a\r\n")));
        check("host: a\r\n:authority: a\r\n", Some(Ok("host: a\r\n")));
        check(":authority: a\r\nhost: b\r\n", refused);
        check(":authority: a\r\nhost: A\r\n", refused);
        check(":authority: a\r\nhost: a\r\nhost: b\r\n", refused);
        check(":authority: a\r\n:authority: a\r\n", refused);
        check(":authority: a\r\n:authority: b\r\nhost: b\r\n", refused);
    }

    #[test]
    fn what_is_no_head_is_left_alone() {
        for raw in ["", "\n", ":authority: a", "GET / HTTP/1.1\r\n:authority: a\r\n", "\n\n"] {
            assert!(rewrite(raw.as_bytes()).is_none(), "{raw:?}");
        }
    }
}
