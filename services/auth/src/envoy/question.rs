//! From a check to the question whether its signature is right.

use std::net::IpAddr;

use api::auth::v1::VerifySignatureRequest;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::envoy::config::core::v3::address::Address;
use api::envoy::service::auth::v3::CheckRequest;
use api::envoy::service::auth::v3::attribute_context::HttpRequest;
use sha2::{Digest, Sha256};

use crate::request;
use crate::status::Error;

const AUTHORITY: &[u8] = b":authority";
const EXPECT: &[u8] = b"expect";

/// A check that can be asked about.
pub(super) struct Check<'a> {
    http: &'a HttpRequest,
    /// Names and values in order, pseudo headers left out except for `:authority`.
    fields: Vec<(&'a [u8], &'a [u8])>,
    region: &'a str,
    service: &'a str,
    address: String,
}

impl<'a> Check<'a> {
    /// Reads a check. `region` is that of routes that name none in their `context_extensions`.
    ///
    /// # Errors
    /// If it is of no HTTP request, or nobody says of which region.
    pub(super) fn of(check: &'a CheckRequest, region: Option<&'a str>) -> Result<Self, Error> {
        let invalid = |field, description| Error::Invalid { field, description };
        let attributes = check.attributes.as_ref();
        let attributes = attributes.ok_or(invalid("attributes", "must be given"))?;
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
        let http = http.ok_or(invalid("attributes.request.http", "must be given"))?;
        let context = |name| attributes.context_extensions.get(name).map(String::as_str);
        let description = "must be given, or auth be told a region";
        let region = context("region").or(region);
        let region = region.ok_or(invalid("attributes.context_extensions.region", description))?;
        let peer = attributes.source.as_ref().and_then(|peer| peer.address.as_ref());
        let address = match peer.and_then(|address| address.address.as_ref()) {
            Some(Address::SocketAddress(address)) => address.address.as_str(),
            Some(Address::Pipe(_) | Address::EnvoyInternalAddress(_)) | None => "",
        };
        // It need not be one, behind a listener that takes names.
        let address = address.parse::<IpAddr>().map(|ip| ip.to_string()).unwrap_or_default();
        let service = context("service").unwrap_or_default();
        Ok(Self { http, fields: fields(http), region, service, address })
    }

    pub(super) fn is_head(&self) -> bool {
        self.http.method == "HEAD"
    }

    /// The path without its query, as sent.
    pub(super) fn path(&self) -> &'a str {
        self.http.path.split('?').next().unwrap_or_default()
    }

    /// The names of the header fields, as sent.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().map(|(name, _)| *name)
    }

    /// What is to be verified.
    ///
    /// # Errors
    /// If it is nothing that an HTTP server lets through.
    pub(super) fn question(&self) -> Result<VerifySignatureRequest, Error> {
        Ok(VerifySignatureRequest {
            request: Some(RequestForm::RawHead(self.raw_head()?.into())),
            region: self.region.to_owned(),
            service: self.service.to_owned(),
            body_sha256: self.body_sha256()?,
            source_address: self.address.clone(),
            ..VerifySignatureRequest::default()
        })
    }

    /// The head as the client sent it, as far as Envoy tells.
    fn raw_head(&self) -> Result<Vec<u8>, Error> {
        let invalid = |field, description| Err(Error::Invalid { field, description });
        let (method, path) = (self.http.method.as_bytes(), self.http.path.as_bytes());
        if method.iter().chain(path).any(|byte| *byte == b' ' || byte.is_ascii_control()) {
            let field = "attributes.request.http.path";
            return invalid(
                field,
                "must have neither spaces nor control characters, nor the method",
            );
        }
        let mut head = [method, b" ", path, b" HTTP/1.1\r\n"].concat();
        let ends_line = |bytes: &[u8]| bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        for (name, value) in &self.fields {
            // Whoever could end a line could make up others.
            if ends_line(name) || ends_line(value) || name[1..].contains(&b':') {
                let field = "attributes.request.http.header_map";
                return invalid(field, "must have names and values of headers");
            }
            head.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        if self.field(EXPECT).is_none() && self.has_signed_expect() {
            // Envoy answers it and takes it away.
            head.extend(b"expect: 100-continue\r\n");
        }
        head.extend(b"\r\n");
        Ok(head)
    }

    fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut fields = self.fields.iter();
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn has_signed_expect(&self) -> bool {
        let authorization = self.field(b"authorization").unwrap_or_default();
        let mut names = authorization.split(|byte| matches!(byte, b';' | b'=' | b','));
        names.any(|name| name == EXPECT)
    }

    /// The hash of the body, which other services than S3 sign without saying it. Envoy must be told to send
    /// the body along.
    fn body_sha256(&self) -> Result<Vec<u8>, Error> {
        if matches!(self.service, "" | request::S3) {
            return Ok(vec![]);
        }
        let body = match &self.http.raw_body[..] {
            [] => self.http.body.as_bytes(),
            raw => raw,
        };
        let is_partial = self.field(b"x-envoy-auth-partial-body") == Some(b"true");
        if is_partial || usize::try_from(self.http.size).is_ok_and(|size| size != body.len()) {
            let field = "attributes.request.http.raw_body";
            let description = "must be all of the body for services other than s3";
            return Err(Error::Invalid { field, description });
        }
        Ok(Sha256::digest(body).to_vec())
    }
}

/// The header fields, as bytes where Envoy is told to send those.
fn fields(http: &HttpRequest) -> Vec<(&[u8], &[u8])> {
    let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|field| {
        let value = match &field.raw_value[..] {
            [] => field.value.as_bytes(),
            raw => raw,
        };
        (field.key.as_bytes(), value)
    });
    let mut fields: Vec<_> = raw.collect();
    if fields.is_empty() {
        let text = http.headers.iter();
        fields.extend(text.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    }
    let is_field = |name: &[u8]| !name.is_empty() && (name[0] != b':' || name == AUTHORITY);
    fields.retain(|(name, _)| is_field(name));
    let is_host = |name: &[u8]| name == AUTHORITY || name.eq_ignore_ascii_case(b"host");
    let hosts = fields.iter().filter(|(name, _)| is_host(name)).count();
    match hosts {
        0 if !http.host.is_empty() => fields.push((b"host", http.host.as_bytes())),
        // Alone it is the host; beside a host it is left for the verdict, which wants them to be the same.
        1 => fields.iter_mut().filter(|(name, _)| *name == AUTHORITY).for_each(|f| f.0 = b"host"),
        _ => {}
    }
    fields
}
