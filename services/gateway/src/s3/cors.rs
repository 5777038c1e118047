//! Pages of other sites: what browsers are told that they may do (S3 user guide, "Using cross-origin resource
//! sharing"; Fetch standard, "CORS protocol").
//!
//! The rules are the gateway's, and the same for all buckets. They allow nothing by themselves: a request is
//! still verified, and only its answer may then be read.

use anyhow::ensure;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::error_xml::S3Error;
use super::target::Resource;
use crate::body::{self, BoxBody};
use crate::config::CorsRule;

/// On what an answer depends.
const VARIES: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

/// The rules; of those that fit, the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cors(Vec<CorsRule>);

/// What is added to the answer to a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Grant(Vec<(HeaderName, HeaderValue)>);

impl Cors {
    /// # Errors
    /// If a rule allows nothing, or is of another form than S3's.
    pub(crate) fn new(rules: &[CorsRule]) -> anyhow::Result<Self> {
        for (n, rule) in rules.iter().enumerate() {
            let n = n + 1;
            ensure!(!rule.allowed_origins.is_empty(), "CORS rule {n} allows no origin");
            ensure!(!rule.allowed_methods.is_empty(), "CORS rule {n} allows no method");
            for pattern in rule.allowed_origins.iter().chain(&rule.allowed_headers) {
                let is_visible = pattern.bytes().all(|byte| byte.is_ascii_graphic());
                ensure!(
                    is_visible && !pattern.is_empty() && pattern.matches('*').count() <= 1,
                    "CORS rule {n}: {pattern:?} must have at most one asterisk, and no space"
                );
            }
            for method in &rule.allowed_methods {
                ensure!(
                    matches!(
                        *method,
                        Method::GET | Method::PUT | Method::POST | Method::DELETE | Method::HEAD
                    ),
                    "CORS rule {n}: {method} is none of GET, PUT, POST, DELETE and HEAD"
                );
            }
            for name in &rule.expose_headers {
                let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok();
                ensure!(is_name && !name.contains('*'), "CORS rule {n}: {name:?} is no header");
            }
        }
        Ok(Self(rules.to_vec()))
    }

    /// What is added to the answer to a request of this method with these headers, whatever it is.
    pub(crate) fn grant(&self, method: &Method, headers: &HeaderMap) -> Grant {
        if self.0.is_empty() {
            return Grant::default();
        }
        let mut grant = Grant(vec![(VARY, VARIES)]);
        // A preflight request is answered by itself.
        let origin = headers.get(ORIGIN).filter(|_| *method != Method::OPTIONS);
        if let Some((origin, text)) =
            origin.and_then(|origin| Some((origin, origin.to_str().ok()?)))
            && let Some(rule) = self.0.iter().find(|rule| rule.allows(text, method))
        {
            grant.0.extend(rule.allow(origin, text));
        }
        grant
    }

    /// The answer to a browser that asks before it sends a request. It cannot sign that, so what it is told
    /// depends on the rules and on nothing else.
    ///
    /// # Errors
    /// `AccessForbidden` if no rule allows it, or there is none; `BadRequest` if it does not say what it asks
    /// for.
    pub(crate) fn preflight(
        &self,
        headers: &HeaderMap,
        resource: Resource<'_>,
    ) -> Result<Response<BoxBody>, S3Error> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let asked = text(ACCESS_CONTROL_REQUEST_METHOD);
        let forbidden = |message: &'static str| {
            S3Error::new(StatusCode::FORBIDDEN, "AccessForbidden", message)
                .with("Method", asked.unwrap_or_default())
                .with("ResourceType", resource.type_name())
        };
        if self.0.is_empty() {
            return Err(forbidden("CORSResponse: CORS is not enabled for this bucket."));
        }
        let bad_request =
            |message: &'static str| S3Error::new(StatusCode::BAD_REQUEST, "BadRequest", message);
        let origin = headers.get(ORIGIN);
        let (Some(origin), Some(origin_text)) = (origin, text(ORIGIN)) else {
            let message = "Insufficient information. Origin request header needed.";
            return Err(bad_request(message));
        };
        let method = asked.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let Some(method) = method else {
            return Err(bad_request("Invalid Access-Control-Request-Method."));
        };
        let mut wanted = vec![];
        for value in headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
            for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if name.is_empty() {
                    continue;
                }
                let name = HeaderName::from_bytes(name)
                    .map_err(|_| bad_request("Invalid Access-Control-Request-Headers."))?;
                wanted.push(name);
            }
        }
        let fits = |rule: &&CorsRule| {
            rule.allows(origin_text, &method)
                && wanted.iter().all(|name| rule.allows_header(name.as_str()))
        };
        let rule = self.0.iter().find(fits).ok_or_else(|| {
            forbidden(
                "CORSResponse: This CORS request is not allowed. This is usually because the \
                 evalution of Origin, request method / Access-Control-Request-Method or \
                 Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
            )
        })?;
        let mut response = Response::new(body::empty());
        let told = response.headers_mut();
        told.extend(rule.allow(origin, origin_text).map(|(name, value)| (Some(name), value)));
        let wanted: Vec<&str> = wanted.iter().map(HeaderName::as_str).collect();
        if !wanted.is_empty() {
            told.extend(value(&wanted.join(", ")).map(|v| (ACCESS_CONTROL_ALLOW_HEADERS, v)));
        }
        told.extend(rule.max_age_seconds.map(|age| (ACCESS_CONTROL_MAX_AGE, age.into())));
        Ok(response)
    }
}

impl Grant {
    /// Adds what there is to add.
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        for (name, value) in self.0 {
            if name == VARY {
                headers.append(name, value);
            } else {
                headers.insert(name, value);
            }
        }
    }
}

impl CorsRule {
    fn allows(&self, origin: &str, method: &Method) -> bool {
        self.allowed_methods.contains(method)
            && self.allowed_origins.iter().any(|pattern| matches(pattern, origin))
    }

    fn allows_header(&self, name: &str) -> bool {
        let mut patterns = self.allowed_headers.iter();
        patterns.any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
    }

    /// What is told to a page of this origin. Where any origin is allowed, no page is told to come with what a
    /// browser remembers of a site; there is nothing of that kind here either way.
    fn allow(
        &self,
        origin: &HeaderValue,
        text: &str,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        let first = self.allowed_origins.iter().find(|pattern| matches(pattern, text));
        let is_any = first.is_some_and(|pattern| pattern == "*");
        let methods: Vec<&str> = self.allowed_methods.iter().map(Method::as_str).collect();
        let origin = if is_any { HeaderValue::from_static("*") } else { origin.clone() };
        let credentials = (!is_any).then(|| HeaderValue::from_static("true"));
        let exposed = (!self.expose_headers.is_empty()).then(|| self.expose_headers.join(", "));
        [
            (ACCESS_CONTROL_ALLOW_ORIGIN, Some(origin)),
            (ACCESS_CONTROL_ALLOW_METHODS, value(&methods.join(", "))),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
            (ACCESS_CONTROL_EXPOSE_HEADERS, exposed.and_then(|names| value(&names))),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// Whether text is of a pattern in which an asterisk stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            let rest = text.strip_prefix(start);
            rest.is_some_and(|rest| rest.ends_with(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origins: &[&str], methods: &[Method], headers: &[&str]) -> CorsRule {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CorsRule {
            allowed_origins: owned(origins),
            allowed_methods: methods.to_vec(),
            allowed_headers: owned(headers),
            expose_headers: owned(&["ETag", "x-amz-version-id"]),
            max_age_seconds: Some(3000),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn text(headers: &HeaderMap) -> Vec<String> {
        let lines = headers.iter();
        let mut lines: Vec<String> = lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        lines.sort();
        lines
    }

    fn rules() -> Cors {
        Cors::new(&[
            rule(&["https://app.test", "https://*.app.test"], &[Method::PUT], &["x-amz-*"]),
            rule(&["https://app.test"], &[Method::GET, Method::DELETE], &["Authorization"]),
            rule(&["*"], &[Method::GET, Method::HEAD], &[]),
        ])
        .expect("right")
    }

    #[track_caller]
    fn check(origin: &'static str, method: &'static str, wanted: &'static str, expected: &[&str]) {
        let asked = headers(&[
            ("origin", origin),
            ("access-control-request-method", method),
            ("access-control-request-headers", wanted),
        ]);
        let found = match rules().preflight(&asked, Resource::Object("b")) {
            Ok(response) => text(response.headers()),
            Err(error) => vec![error.code().to_owned()],
        };
        assert_eq!(found, expected, "{origin} {method} {wanted}");
    }

    #[test]
    fn a_preflight_request_is_told_what_the_first_rule_that_fits_allows() {
        let told = |origin, methods, wanted: &str| {
            let mut told = vec![
                "access-control-allow-credentials: true".to_owned(),
                format!("access-control-allow-methods: {methods}"),
                format!("access-control-allow-origin: {origin}"),
                "access-control-expose-headers: ETag, x-amz-version-id".to_owned(),
                "access-control-max-age: 3000".to_owned(),
            ];
            if !wanted.is_empty() {
                told.insert(1, format!("access-control-allow-headers: {wanted}"));
            }
            if origin == "*" {
                told.remove(0);
            }
            told
        };
        let check = |origin, method, wanted, expected: Vec<String>| {
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            check(origin, method, wanted, &expected);
        };
        let app = "https://app.test";
        check(app, "PUT", "X-Amz-Acl, x-amz-date", told(app, "PUT", "x-amz-acl, x-amz-date"));
        let below = "https://a.b.app.test";
        check(below, "PUT", "", told(below, "PUT", ""));
        check(app, "GET", "authorization", told(app, "GET, DELETE", "authorization"));
        check("https://other.test", "GET", "", told("*", "GET, HEAD", ""));
        check("null", "HEAD", " , ", told("*", "GET, HEAD", ""));
        let forbidden = || vec!["AccessForbidden".to_owned()];
        check("https://other.test", "GET", "authorization", forbidden());
        check("https://other.test", "PUT", "", forbidden());
        check("http://app.test", "PUT", "", forbidden());
        check("https://evilapp.test", "PUT", "", forbidden());
        check("https://app.test.evil.test", "PUT", "", forbidden());
        check(app, "PUT", "content-type", forbidden());
        check(app, "PUT", "x-am", forbidden());
        check(app, "PATCH", "", forbidden());
        check(app, "", "", vec!["BadRequest".to_owned()]);
        check(app, "GET", "a b", vec!["BadRequest".to_owned()]);
    }

    #[test]
    fn a_preflight_request_says_what_it_asks_for() {
        let code = |cors: &Cors, pairs: &[(&'static str, &'static str)]| {
            let error = cors.preflight(&headers(pairs), Resource::Service).expect_err("refused");
            error.code().to_owned()
        };
        let (origin, method) =
            (("origin", "https://app.test"), ("access-control-request-method", "GET"));
        assert_eq!(code(&rules(), &[origin]), "BadRequest");
        assert_eq!(code(&rules(), &[method]), "BadRequest");
        // Without rules nothing is told of what else is wrong.
        assert_eq!(code(&Cors::default(), &[]), "AccessForbidden");
        assert_eq!(code(&Cors::default(), &[origin, method]), "AccessForbidden");
    }

    #[test]
    fn an_answer_may_be_read_by_whom_the_rules_name() {
        let granted = |cors: &Cors, method: Method, pairs: &[(&'static str, &'static str)]| {
            let mut answer = headers(&[("vary", "Accept-Encoding")]);
            cors.grant(&method, &headers(pairs)).apply(&mut answer);
            text(&answer)
        };
        let vary =
            ["vary: Accept-Encoding".to_owned(), format!("vary: {}", VARIES.to_str().unwrap())];
        let app = ("origin", "https://app.test");
        assert_eq!(granted(&Cors::default(), Method::GET, &[app]), vary[..1]);
        assert_eq!(granted(&rules(), Method::GET, &[]), vary);
        assert_eq!(granted(&rules(), Method::POST, &[app]), vary);
        assert_eq!(granted(&rules(), Method::OPTIONS, &[app]), vary);
        let told = granted(&rules(), Method::PUT, &[app]);
        assert_eq!(
            told[..2],
            ["access-control-allow-credentials: true", "access-control-allow-methods: PUT"]
        );
        assert_eq!(told[2], "access-control-allow-origin: https://app.test");
        let told = granted(&rules(), Method::GET, &[("origin", "https://other.test")]);
        assert!(told.contains(&"access-control-allow-origin: *".to_owned()), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("credentials")), "{told:?}");
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        let get = [Method::GET];
        for wrong in [
            rule(&[], &get, &[]),
            rule(&["*"], &[], &[]),
            rule(&["*"], &[Method::PATCH], &[]),
            rule(&["https://*.*.test"], &get, &[]),
            rule(&["https://a test"], &get, &[]),
            rule(&["*"], &get, &["x-*-*"]),
            CorsRule { expose_headers: vec!["*".to_owned()], ..rule(&["*"], &get, &[]) },
            CorsRule { expose_headers: vec!["a\nb".to_owned()], ..rule(&["*"], &get, &[]) },
        ] {
            assert!(Cors::new(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
