//! What is printed of a request.

use serde::Serialize;
use sigv4::explain::Explanation;
use sigv4::{Head, PayloadMode};

use super::Asked;
use crate::cli::VerifyArgs;
use crate::exit::{Failure, Outcome};
use crate::output::{self, Table};

/// A verdict and how it was reached. Names are part of the command line's contract.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    verdict: Verdict,
    /// The S3 error code of a denial.
    code: Option<String>,
    message: Option<String>,
    pub(super) canonical_request: Option<String>,
    pub(super) string_to_sign: Option<String>,
    /// As it was given.
    signature: Option<String>,
    pub(super) hints: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Verified,
    Denied,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Denied => "denied",
        }
    }
}

/// What is printed without --explain.
#[derive(Serialize)]
struct Short<'r> {
    verdict: Verdict,
    code: Option<&'r str>,
}

impl Report {
    pub(super) fn of(explanation: Explanation) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let denied = explanation.denial;
        let denied = denied.map(|denial| (denial.code.to_string(), denial.message.into_owned()));
        let report = Self {
            verdict: Verdict::Verified,
            code: None,
            message: None,
            canonical_request: explanation.canonical_request.as_deref().map(text),
            string_to_sign: explanation.string_to_sign.map(|signed| text(signed.as_bytes())),
            signature: explanation.signature,
            hints: explanation.hints.iter().map(ToString::to_string).collect(),
        };
        report.judged(denied)
    }

    /// The same with another verdict: a denial's code and message, or none.
    pub(super) fn judged(self, denied: Option<(String, String)>) -> Self {
        let verdict = if denied.is_some() { Verdict::Denied } else { Verdict::Verified };
        let (code, message) = denied.unzip();
        Self { verdict, code, message, ..self }
    }

    /// Holds a body that goes with a request to S3 against the hash that the request gives, once the signature
    /// is known to be right. Chunks are not looked into.
    pub(super) fn with_body(self, head: &Head<'_>, asked: &Asked) -> Self {
        if self.verdict == Verdict::Denied || !asked.has_body || !asked.is_s3() {
            return self;
        }
        let name = b"x-amz-content-sha256";
        let given = head.headers().find(|(header, _)| header.eq_ignore_ascii_case(name));
        let parameter = || {
            let mut pairs = head.query().split(|&byte| byte == b'&');
            pairs.find_map(|pair| pair.strip_prefix(b"X-Amz-Content-Sha256="))
        };
        let given = given.map(|(_, value)| value).or_else(parameter);
        let is_hash = matches!(given.and_then(PayloadMode::parse), Some(PayloadMode::Sha256(_)));
        if !is_hash || given == Some(&asked.body_sha256) {
            return self;
        }
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let hint = format!(
            "the body has the SHA-256 {}: it is not the one that was signed",
            String::from_utf8_lossy(&asked.body_sha256)
        );
        let denied = Some(("XAmzContentSHA256Mismatch".to_owned(), message.to_owned()));
        Self { hints: vec![hint], ..self.judged(denied) }
    }

    /// Prints what was asked for. A denial is a failure, too.
    pub(super) fn print(&self, args: &VerifyArgs) -> Outcome {
        if args.explain {
            args.output.show_value(self, || self.to_text())?;
        } else {
            let short = Short { verdict: self.verdict, code: self.code.as_deref() };
            args.output.show_value(&short, || self.verdict_text(false))?;
        }
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => Err(Failure::denied(format!("{code}: {message}"))),
            _ => Ok(()),
        }
    }

    fn verdict_text(&self, with_signature: bool) -> String {
        let mut pairs = vec![("verdict", self.verdict.as_str())];
        pairs.extend(self.code.as_deref().map(|code| ("code", code)));
        let signature = self.signature.as_deref().filter(|_| with_signature);
        pairs.extend(signature.map(|signature| ("signature as given", signature)));
        output::table_text(&Table::of_pairs(&pairs))
    }

    fn to_text(&self) -> String {
        let mut text = self.verdict_text(true);
        let parts = [
            ("canonical request", &self.canonical_request),
            ("string to sign", &self.string_to_sign),
        ];
        for (title, part) in parts {
            let Some(part) = part else { continue };
            text += &format!("\n{title}:\n");
            for line in part.split('\n') {
                let shown = if line.is_empty() { String::new() } else { output::shown(line) };
                text += format!("  {shown}").trim_end();
                text.push('\n');
            }
        }
        if !self.hints.is_empty() {
            text += "\nlook at first:\n";
        }
        for (index, hint) in self.hints.iter().enumerate() {
            text += &format!("  {}. {}\n", index + 1, output::shown(hint));
        }
        text
    }
}
