//! Browsers that are made by another site to ask: they would bring a password along that they remember.
//!
//! Source: Fetch Metadata Request Headers; RFC 6454, section 7. What is no browser has neither header.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether no page of another site asks. What only reads need not be refused: such a page cannot read it.
pub(crate) fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn check(headers: &[(&'static str, &'static str)], expected: bool) {
        let pairs = headers
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        assert_eq!(is_own(&pairs.collect()), expected, "{headers:?}");
    }

    #[test]
    fn other_sites_are_told_from_ones_own() {
        let host = ("host", "claviger.test:7101");
        check(&[host], true);
        check(&[host, ("sec-fetch-site", "same-origin")], true);
        check(&[host, ("sec-fetch-site", "none")], true);
        check(&[host, ("sec-fetch-site", "same-site")], false);
        check(&[host, ("sec-fetch-site", "cross-site")], false);
        check(&[host, ("origin", "https://claviger.test:7101")], true);
        check(&[host, ("origin", "https://claviger.test")], false);
        check(&[host, ("origin", "null")], false);
        check(&[("origin", "https://claviger.test:7101")], false);
    }
}
