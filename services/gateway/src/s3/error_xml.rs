//! S3's error document. It is made here and nowhere else.

use std::borrow::Cow;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, SERVER};
use http::{HeaderValue, Response, StatusCode};
use sigv4::Denial;

use crate::body::{self, BoxBody};
use crate::request_id;
use crate::xml::Document;

/// A refusal, as S3 would put it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct S3Error {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    /// Further elements, name and text, in order.
    details: Vec<(Cow<'static, str>, String)>,
    /// After how many seconds asking again may help.
    retry_after: Option<u32>,
}

/// What the document says of the request that it answers.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The path, as sent.
    pub(crate) resource: String,
    pub(crate) request_id: String,
    pub(crate) host_id: String,
    /// Whether it is a HEAD request, whose answer has no body.
    pub(crate) head: bool,
}

impl S3Error {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            details: vec![],
            retry_after: None,
        }
    }

    /// With one more element.
    pub(crate) fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        self.details.push((name.into(), text.into()));
        self
    }

    /// With so many seconds to wait before asking again; 0 for no such word.
    pub(crate) fn after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds).filter(|seconds| *seconds > 0), ..self }
    }

    /// After how many seconds asking again may help, where that is known.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The text of a further element.
    pub(crate) fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(found, _)| found == name).map(|(_, text)| text.as_str())
    }

    pub(crate) fn access_denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied")
    }

    pub(crate) fn invalid_request(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    pub(crate) fn invalid_argument(message: &'static str, name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message).with("ArgumentName", name)
    }

    pub(crate) fn incomplete_body() -> Self {
        let message = "You did not provide the number of bytes specified by the Content-Length \
                       HTTP header.";
        Self::new(StatusCode::BAD_REQUEST, "IncompleteBody", message)
    }

    pub(crate) fn malformed_form() -> Self {
        let message = "The body of your POST request is not well-formed multipart/form-data.";
        Self::new(StatusCode::BAD_REQUEST, "MalformedPOSTRequest", message)
    }

    pub(crate) fn invalid_uri() -> Self {
        let message = "Couldn't parse the specified URI.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidURI", message)
    }

    pub(crate) fn not_implemented(message: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    pub(crate) fn internal() -> Self {
        let message = "We encountered an internal error. Please try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Something behind the gateway is away. Never a refusal: asking again may well help.
    pub(crate) fn unavailable() -> Self {
        let message = "Service is unable to handle request. Please try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    pub(crate) fn slow_down() -> Self {
        let message = "Please reduce your request rate.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", message)
    }

    /// The answer to the request.
    pub(crate) fn response(&self, about: &About) -> Response<BoxBody> {
        let document = if about.head { body::empty() } else { body::full(self.document(about)) };
        let mut response = Response::new(document);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.insert(SERVER, HeaderValue::from_static("claviger"));
        let soon = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        if let Some(seconds) = self.retry_after.or(soon) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    /// The whole answer, head and body, to a request that could not be read, for which HTTP has this
    /// status. S3 has 400 for all of these.
    pub(crate) fn unreadable(status: StatusCode) -> Vec<u8> {
        let (code, message) = match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
                "RequestHeaderSectionTooLarge",
                "Your request header section exceeds the maximum allowed length.",
            ),
            StatusCode::URI_TOO_LONG => ("InvalidURI", "Couldn't parse the specified URI."),
            _ => ("BadRequest", "An error occurred when parsing the HTTP request."),
        };
        let about = About {
            resource: String::new(),
            request_id: request_id(),
            host_id: request_id(),
            head: false,
        };
        let document = Self::new(StatusCode::BAD_REQUEST, code, message).document(&about);
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\nserver: claviger\r\n\
             x-amz-request-id: {}\r\nx-amz-id-2: {}\r\ndate: {}\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            about.request_id,
            about.host_id,
            httpdate::fmt_http_date(SystemTime::now()),
            document.len()
        );
        [head.as_bytes(), &document].concat()
    }

    fn document(&self, about: &About) -> Bytes {
        let mut document = Document::new();
        document.open("Error");
        let details = self.details.iter().map(|(name, text)| (&**name, text.as_str()));
        let elements = [("Code", &*self.code), ("Message", &*self.message)]
            .into_iter()
            .chain(details.filter(|(name, _)| is_name(name)))
            .chain([
                ("Resource", about.resource.as_str()),
                ("RequestId", &about.request_id),
                ("HostId", &about.host_id),
            ]);
        for (name, text) in elements {
            document.text(name, text);
        }
        document.close();
        document.finish()
    }
}

impl From<Denial> for S3Error {
    fn from(denial: Denial) -> Self {
        let status = StatusCode::from_u16(denial.code.http_status());
        let status = status.unwrap_or(StatusCode::FORBIDDEN);
        let error = Self::new(status, denial.code.as_str(), denial.message);
        denial.details.into_iter().fold(error, |error, (name, text)| error.with(name, text))
    }
}

/// Whether this may name an element: a letter, then letters, digits, `-` and `_`.
fn is_name(text: &str) -> bool {
    let other = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(resource: &str) -> About {
        let (request_id, host_id) = ("R1".to_owned(), "H1".to_owned());
        About { resource: resource.to_owned(), request_id, host_id, head: false }
    }

    #[test]
    fn a_document_has_its_elements_in_order() {
        let error = S3Error::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "No <match>.")
            .with("StringToSign", "AWS4-HMAC-SHA256\n1")
            .with("not a name>", "x")
            .with("", "x")
            .with("X-Amz-Expires", "5");
        let document = error.document(&about("/b/k?&\0"));
        assert_eq!(
            std::str::from_utf8(&document).expect("UTF-8"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
             <Message>No &lt;match&gt;.</Message><StringToSign>AWS4-HMAC-SHA256\n1</StringToSign>\
             <X-Amz-Expires>5</X-Amz-Expires><Resource>/b/k?&amp;\u{fffd}</Resource>\
             <RequestId>R1</RequestId><HostId>H1</HostId></Error>"
        );
    }

    #[test]
    fn whatever_a_client_sends_stays_text() {
        use quick_xml::Reader;
        use quick_xml::events::Event;
        for text in ["</Code><Code>", "<!--", "]]>", "&#0;", "\0", "\u{ffff}", "a\rb", "<?x?>"] {
            let document = S3Error::invalid_uri().with("Value", text).document(&about(text));
            let mut reader = Reader::from_reader(&*document);
            let mut starts = vec![];
            loop {
                match reader.read_event().expect("well-formed") {
                    Event::Start(start) => starts.push(start.name().as_ref().to_vec()),
                    Event::Eof => break,
                    Event::End(_)
                    | Event::Empty(_)
                    | Event::Text(_)
                    | Event::CData(_)
                    | Event::Comment(_)
                    | Event::Decl(_)
                    | Event::PI(_)
                    | Event::DocType(_)
                    | Event::GeneralRef(_) => {}
                }
            }
            assert_eq!(starts.len(), 7, "{text:?}");
        }
    }
}
