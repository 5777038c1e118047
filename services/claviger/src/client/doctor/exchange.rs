//! One request on a connection of its own, byte by byte as it is: a client library would tidy it up.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use rpc::HttpsClient;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// So much of an answer is read; S3's error documents are smaller.
const ANSWER_BYTES_MAX: u64 = 256 << 10;

/// Where requests go.
pub(super) struct Endpoint {
    /// Host, and port if it was given.
    authority: String,
    host: String,
    port: u16,
    tls: Option<HttpsClient>,
}

/// What matters of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The code in S3's error document.
    pub(super) code: Option<String>,
}

impl Endpoint {
    /// Reads a URL such as `https://s3.example.com` or `http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// If it is none, or names more than a host and a port; if the authorities cannot be read.
    pub(super) fn parse(url: &str, ca_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let (authority, default_port, tls) = match url.split_once("://") {
            Some(("http", authority)) => {
                ensure!(ca_file.is_none(), "--tls-ca-file is of no use without https://");
                (authority, 80, None)
            }
            Some(("https", authority)) => (authority, 443, Some(HttpsClient::load(ca_file)?)),
            Some(_) | None => bail!("must begin with http:// or https://"),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        // The colons of an IPv6 address stand in brackets.
        let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (host, port) = match port_at {
            Some(at) => (&authority[..at], authority[at + 1..].parse().context("no such port")?),
            None => (authority, default_port),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        ensure!(!host.is_empty() && host.bytes().all(is_host), "must name a host and no more");
        let (authority, host) = (authority.to_owned(), host.to_owned());
        Ok(Self { authority, host, port, tls })
    }

    /// As it stands in Host.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request, which must ask for the connection to be closed, and reads the answer.
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn exchange(&self, request: &[u8]) -> anyhow::Result<Answer> {
        let address = (self.host.trim_start_matches('[').trim_end_matches(']'), self.port);
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        let answer = match &self.tls {
            None => send(stream, request).await?,
            Some(tls) => send(tls.connect(&self.host, stream).await?, request).await?,
        };
        parse(&answer)
    }
}

async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> anyhow::Result<Vec<u8>> {
    stream.write_all(request).await.context("the request was not taken")?;
    stream.flush().await?;
    let mut answer = vec![];
    // What comes before a connection breaks counts.
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    if answer.is_empty() {
        read.context("there was no answer")?;
    }
    Ok(answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<Answer> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = status.and_then(|status| status.get(..3)?.parse().ok());
    let status = status.context("the answer is not HTTP/1.1")?;
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map(|(code, _)| code.chars().filter(char::is_ascii_alphanumeric).collect());
    Ok(Answer { status, code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        let check = |url: &str, expected: Option<(&str, u16)>| {
            let found = Endpoint::parse(url, None).ok();
            let found = found.as_ref().map(|found| (found.host.as_str(), found.port));
            assert_eq!(found, expected, "{url}");
        };
        check("http://s3.example.com", Some(("s3.example.com", 80)));
        check("http://s3.example.com:8000/", Some(("s3.example.com", 8000)));
        check("http://[::1]:8000", Some(("[::1]", 8000)));
        check("http://[::1]", Some(("[::1]", 80)));
        for bad in
            ["s3.example.com", "ftp://a", "http://", "http://a/b", "http://a:x", "http://a b"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn an_answer_is_its_status_and_its_code() {
        let check = |answer: &str, expected: Option<(u16, Option<&str>)>| {
            let found = parse(answer.as_bytes()).ok();
            let found = found.as_ref().map(|found| (found.status, found.code.as_deref()));
            assert_eq!(found, expected, "{answer}");
        };
        check("HTTP/1.1 200 OK\r\n\r\n", Some((200, None)));
        let denied = "HTTP/1.1 403 Forbidden\r\n\r\n1f\r\n<Error><Code>AccessDenied</Code></Error>";
        check(denied, Some((403, Some("AccessDenied"))));
        check("SSH-2.0", None);
        check("HTTP/1.1 x", None);
    }
}
