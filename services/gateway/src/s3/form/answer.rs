//! What a browser is answered: where the form says, and as it says.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::uri::Uri;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::parts::Fields;
use crate::body::{self, BoxBody};
use crate::xml::Document;

/// Answers a form whose object was made; `headers` are those of the upstream's answer to that.
pub(super) fn answer(
    fields: &Fields,
    bucket: &str,
    key: &str,
    location: &str,
    mut headers: HeaderMap,
) -> Response<BoxBody> {
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
    let redirect = field("success_action_redirect").or_else(|| field("redirect"));
    let redirect = redirect.and_then(|url| redirection(url, bucket, key, &etag));
    headers.remove(CONTENT_LENGTH); // of the upstream's answer
    let (status, body) = match (&redirect, field("success_action_status")) {
        (Some(_), _) => (StatusCode::SEE_OTHER, body::empty()),
        (None, Some("200")) => (StatusCode::OK, body::empty()),
        (None, Some("201")) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            (StatusCode::CREATED, body::full(document(bucket, key, location, &etag)))
        }
        (None, _) => (StatusCode::NO_CONTENT, body::empty()),
    };
    let location = redirect.or_else(|| HeaderValue::from_str(location).ok());
    headers.extend(location.map(|location| (LOCATION, location)));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Where a form sends the browser, if that is a URL: with what was made in its query.
fn redirection(url: &str, bucket: &str, key: &str, etag: &str) -> Option<HeaderValue> {
    let uri: Uri = url.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (bucket, key, etag) = (escape(bucket), escape(key), escape(etag));
    let joint = if uri.query().is_some() { '&' } else { '?' };
    let url = format!("{url}{joint}bucket={bucket}&key={key}&etag={etag}");
    HeaderValue::from_str(&url).ok().filter(|_| is_web)
}

fn document(bucket: &str, key: &str, location: &str, etag: &str) -> bytes::Bytes {
    let mut document = Document::new();
    document.open("PostResponse");
    for (name, text) in [("Location", location), ("Bucket", bucket), ("Key", key), ("ETag", etag)] {
        document.text(name, text);
    }
    document.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[(&str, &str)], status: u16, location: &str) {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"e\""))]);
        let answer = answer(&fields, "bkt", "a b", "http://s3/bkt/a%20b", headers);
        assert_eq!(answer.status().as_u16(), status, "{fields:?}");
        assert_eq!(answer.headers().get(LOCATION).expect("a location"), location);
        assert_eq!(answer.headers().get(ETAG).expect("an ETag"), "\"e\"");
    }

    #[test]
    fn a_form_says_how_it_is_answered() {
        let here = "http://s3/bkt/a%20b";
        check(&[], 204, here);
        for (asked, given) in [("200", 200), ("201", 201), ("204", 204), ("500", 204), ("", 204)] {
            check(&[("success_action_status", asked)], given, here);
        }
        let query = "bucket=bkt&key=a%20b&etag=%22e%22";
        let there = format!("https://example.com/x?{query}");
        check(&[("success_action_redirect", "https://example.com/x")], 303, &there);
        let there = format!("https://example.com/x?a=b&{query}");
        check(
            &[("redirect", "https://example.com/x?a=b"), ("success_action_status", "201")],
            303,
            &there,
        );
        for no_url in
            ["", "/x", "javascript:alert(1)", "https://", "https://a/\r\nx: y", "ftp://a/"]
        {
            check(&[("success_action_redirect", no_url)], 204, here);
        }
    }
}
