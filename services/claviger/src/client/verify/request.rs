//! A request as people and test vectors write it, made into what a server reads.

use crate::exit::{Failure, Outcome};

/// One request.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Request {
    /// Its head with one line a header, each ended by CRLF, and a blank line.
    pub(super) head: Vec<u8>,
    /// What follows the blank line.
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Takes a request apart. Lines end in LF or CRLF; a line that begins with a space or tab goes on with the
    /// one before (RFC 9112, section 5.2: it is read as if spaces stood there); blank lines before are skipped.
    ///
    /// The body is as long as `Content-Length` says, if only line ends follow that. Without one, line ends
    /// alone are none. What is no header is left for the parser of heads to refuse.
    pub(super) fn parse(raw: &[u8]) -> Outcome<Self> {
        let mut rest = raw;
        while let [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return Err(Failure::usage("no request on stdin"));
        }
        let mut lines: Vec<Vec<u8>> = vec![];
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let is_folded = line.starts_with(b" ") || line.starts_with(b"\t");
            let is_header = lines.len() > 1;
            match lines.last_mut() {
                _ if line.is_empty() => break,
                Some(header) if is_folded && is_header => {
                    header.push(b' ');
                    header.extend(line.trim_ascii());
                }
                Some(_) | None => lines.push(line.to_vec()),
            }
        }
        let body = body(&lines, rest).to_vec();
        let mut head = vec![];
        for line in lines {
            head.extend(line);
            head.extend(b"\r\n");
        }
        head.extend(b"\r\n");
        Ok(Self { head, body })
    }
}

fn body<'b>(lines: &[Vec<u8>], rest: &'b [u8]) -> &'b [u8] {
    let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    let length = lines.iter().skip(1).find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length.and_then(|length| rest.split_at_checked(length)) {
        Some((body, after)) if is_blank(after) => body,
        Some(_) => rest,
        None if is_blank(rest) => b"",
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, head: &str, body: &str) {
        let found = Request::parse(raw.as_bytes()).expect("is a request");
        assert_eq!(String::from_utf8_lossy(&found.head), head.replace('\n', "\r\n"), "{raw:?}");
        assert_eq!(String::from_utf8_lossy(&found.body), body, "{raw:?}");
    }

    #[test]
    fn lines_end_in_either_way_and_may_be_folded() {
        let head = "GET /a b HTTP/1.1\nHost:h\nA: 1 2 3\n\n";
        check("GET /a b HTTP/1.1\nHost:h\nA: 1\n  2\n \t 3 \n\n", head, "");
        check("GET /a b HTTP/1.1\r\nHost:h\r\nA: 1\r\n  2\r\n\t3\r\n\r\n", head, "");
        check("\r\n\nGET /a b HTTP/1.1\nHost:h\nA: 1 2 3", head, "");
        // Nothing goes on from the request line.
        check("GET / HTTP/1.1\n Host: h\n\n", "GET / HTTP/1.1\n Host: h\n\n", "");
    }

    #[test]
    fn a_body_is_as_long_as_the_head_says() {
        let check = |head: &str, rest: &str, body: &str| {
            check(&format!("{head}\n{rest}"), &format!("{head}\n"), body);
        };
        let plain = "POST / HTTP/1.1\nHost: h\n";
        check(plain, "a=b", "a=b");
        check(plain, "a=b\n", "a=b\n");
        check(plain, "\r\n\n", "");
        let sized = "POST / HTTP/1.1\ncontent-LENGTH:3\n";
        check(sized, "a=b", "a=b");
        check(sized, "a=b\r\n", "a=b");
        check(sized, "a=b&c", "a=b&c");
        check(sized, "a", "a");
        let empty = "PUT / HTTP/1.1\nContent-Length: 0\n";
        check(empty, "\n", "");
    }

    #[test]
    fn nothing_is_no_request() {
        for raw in ["", "\n", "\r\n\r\n"] {
            assert!(Request::parse(raw.as_bytes()).is_err(), "{raw:?}");
        }
    }
}
