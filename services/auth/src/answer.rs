//! Verdicts become messages, or what is sent in place of them.

mod written;

use api::auth::v1::{
    Denied, Detail, PayloadMode, Principal, Scope, SignatureAlgorithm, Verified,
    VerifySignatureResponse, VerifyStringToSignResponse, verify_signature_response,
    verify_string_to_sign_response,
};
use prost::Message;
use prost_types::Timestamp;
use read_model::Profile;
use sigv4::{Denial, SignedRequest, Spelling};
use tonic::Status;
use uuid::Uuid;

pub(crate) use written::Written;

use crate::lockout::LockedOut;

/// An answer, and how the read model stood.
pub(crate) struct Reached<A> {
    pub(crate) answer: A,
    /// Everything up to here had been applied.
    pub(crate) position: u64,
    /// Time since identity was last heard.
    pub(crate) staleness_ms: u64,
}

/// A verdict, whatever it is asked by.
pub(crate) enum Verdict<V = Verified> {
    /// The signature is right and its access key may be used.
    Verified(V),
    /// The request is to be refused.
    Denied(Denied),
}

impl<V> From<Denied> for Verdict<V> {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl<V> From<Denial> for Verdict<V> {
    fn from(denial: Denial) -> Self {
        denied(denial).into()
    }
}

impl<V> Verdict<V> {
    /// The S3 error code of a refusal.
    pub(crate) fn denial_code(&self) -> Option<&str> {
        match self {
            Self::Verified(_) => None,
            Self::Denied(denied) => Some(&denied.code),
        }
    }
}

impl Verdict {
    /// The same, of a request that was signed for this host in place of its own, if there is one.
    pub(crate) fn of_host(mut self, host: &str) -> Self {
        if let Self::Verified(verified) = &mut self {
            host.clone_into(&mut verified.host_candidate);
        }
        self
    }

    /// The same, told in another way.
    pub(crate) fn told<V: Tell>(self) -> Verdict<V> {
        match self {
            Self::Verified(verified) => Verdict::Verified(verified.into()),
            Self::Denied(denied) => Verdict::Denied(denied),
        }
    }
}

/// What is told of a signature that is right: a [`Verified`], or what is sent of one.
pub(crate) trait Tell: From<Verified> {
    fn tell(facts: &Facts<'_>) -> Self;
}

/// What there is to tell of a signature that is right.
pub(crate) struct Facts<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) access_key_id: &'a str,
    pub(crate) secret_generation: u32,
    pub(crate) scope: &'a sigv4::Scope<'a>,
    /// What was signed, unless only its string to sign is known.
    pub(crate) request: Option<&'a SignedRequest<'a>>,
    pub(crate) presigned: bool,
    /// None of Version 4A, which is not to be held against another.
    pub(crate) signature: Option<sigv4::Signature>,
    pub(crate) timestamp: sigv4::Timestamp,
    /// The host that was signed in place of the request's own; empty if that was.
    pub(crate) host_candidate: &'a str,
}

impl<'a> Facts<'a> {
    /// Of a request whose head is known.
    pub(crate) fn of(
        request: &'a SignedRequest<'a>,
        profile: &'a Profile,
        secret_generation: u32,
        host_candidate: &'a str,
    ) -> Self {
        let scope = request.scope();
        Self {
            profile,
            access_key_id: request.access_key_id(),
            secret_generation,
            scope,
            request: Some(request),
            presigned: request.is_presigned(),
            signature: (!scope.is_asymmetric()).then(|| *request.signature()),
            timestamp: request.timestamp(),
            host_candidate,
        }
    }

    fn signed_headers(&self) -> impl Iterator<Item = &'a str> {
        self.request.into_iter().flat_map(SignedRequest::signed_headers)
    }

    fn payload(&self) -> (PayloadMode, Option<[u8; 32]>) {
        self.request.map_or((PayloadMode::Unspecified, None), |it| payload_of(it.payload_mode()))
    }

    /// As text of 64 digits.
    fn signature_hex(&self) -> Option<[u8; 64]> {
        self.signature.as_ref().map(sigv4::Signature::to_hex)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.scope.spelling() {
            _ if self.scope.is_asymmetric() => SignatureAlgorithm::Aws4EcdsaP256Sha256,
            Spelling::Aws4 => SignatureAlgorithm::Aws4HmacSha256,
            Spelling::Osc4 => SignatureAlgorithm::Osc4HmacSha256,
        }
    }
}

impl Tell for Verified {
    fn tell(facts: &Facts<'_>) -> Self {
        let (payload_mode, payload_sha256) = facts.payload();
        let hex = facts.signature_hex();
        let signature = hex.as_ref().map(|hex| text(hex).to_owned());
        Self {
            principal: Some(principal(facts.profile)),
            access_key_id: facts.access_key_id.to_owned(),
            secret_generation: facts.secret_generation,
            scope: Some(Scope {
                date: facts.scope.date().as_str().to_owned(),
                region: facts.scope.region().to_owned(),
                service: facts.scope.service().to_owned(),
            }),
            signed_headers: facts.signed_headers().map(str::to_owned).collect(),
            payload_mode: payload_mode.into(),
            payload_sha256: payload_sha256.map(Vec::from).unwrap_or_default(),
            presigned: facts.presigned,
            signature: signature.unwrap_or_default(),
            sign_time: Some(Timestamp { seconds: facts.timestamp.unix_seconds(), nanos: 0 }),
            host_candidate: facts.host_candidate.to_owned(),
            algorithm: facts.algorithm().into(),
            form: None,
        }
    }
}

/// Text of digits.
fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// The answer to VerifySignature.
pub(crate) fn signature(reached: Reached<Verdict>) -> VerifySignatureResponse {
    use verify_signature_response::Verdict as Told;
    let Reached { answer, position, staleness_ms } = reached;
    let verdict = Some(match answer {
        Verdict::Verified(verified) => Told::Verified(verified),
        Verdict::Denied(denied) => Told::Denied(denied),
    });
    VerifySignatureResponse { verdict, position, staleness_ms }
}

/// The answer to VerifyStringToSign.
pub(crate) fn string_to_sign(reached: Reached<Verdict>) -> VerifyStringToSignResponse {
    use verify_string_to_sign_response::Verdict as Told;
    let Reached { answer, position, staleness_ms } = reached;
    let verdict = Some(match answer {
        Verdict::Verified(verified) => Told::Verified(verified),
        Verdict::Denied(denied) => Told::Denied(denied),
    });
    VerifyStringToSignResponse { verdict, position, staleness_ms }
}

/// A status as it stands in a message.
pub(crate) fn rpc_status(status: &Status) -> tonic_types::Status {
    // Those of ours carry it, made by tonic-types itself.
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: vec![],
    })
}

/// Says what is known of a body, and the hash that it must have.
pub(crate) fn payload(mode: sigv4::PayloadMode) -> (PayloadMode, Vec<u8>) {
    let (mode, hash) = payload_of(mode);
    (mode, hash.map(Vec::from).unwrap_or_default())
}

fn payload_of(mode: sigv4::PayloadMode) -> (PayloadMode, Option<[u8; 32]>) {
    match mode {
        sigv4::PayloadMode::Sha256(hash) => (PayloadMode::Sha256, Some(hash)),
        sigv4::PayloadMode::Unsigned => (PayloadMode::Unsigned, None),
        sigv4::PayloadMode::SignedChunks => (PayloadMode::StreamingSigned, None),
        sigv4::PayloadMode::SignedChunksTrailer => (PayloadMode::StreamingSignedTrailer, None),
        sigv4::PayloadMode::UnsignedChunksTrailer => (PayloadMode::StreamingUnsignedTrailer, None),
    }
}

/// Says why a request is to be refused.
pub(crate) fn denied(denial: Denial) -> Denied {
    let detail = |(name, value): (&str, String)| Detail { name: name.to_owned(), value };
    Denied {
        code: denial.code.as_str().to_owned(),
        http_status: denial.code.http_status().into(),
        message: denial.message.into_owned(),
        details: denial.details.into_iter().map(detail).collect(),
        retry_after_seconds: 0,
    }
}

/// Says that whoever asks is locked out, whatever the signature: by source, that he is to slow down; by access
/// key, that he may not.
pub(crate) fn locked_out(locked_out: LockedOut) -> Denied {
    let denial = match locked_out.by_source {
        true => Denial::slow_down(),
        false => Denial::access_denied("Access Denied"),
    };
    let seconds = locked_out.left.as_millis().div_ceil(1000);
    let retry_after_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    Denied { retry_after_seconds, ..denied(denial) }
}

/// Says who somebody is.
pub(crate) fn principal(profile: &Profile) -> Principal {
    let Profile { account_number, user_name, root, .. } = profile;
    let uuid = |bytes| Uuid::from_bytes(bytes).hyphenated().to_string();
    Principal {
        account_id: uuid(profile.account_id),
        account_number: account_number.clone(),
        user_id: uuid(profile.user_id),
        user_name: user_name.clone(),
        root: *root,
        arn: arn(account_number, user_name, *root).concat(),
    }
}

/// The pieces of a user's ARN.
fn arn<'a>(account_number: &'a str, user_name: &'a str, root: bool) -> [&'a str; 4] {
    let (kind, name) = if root { (":root", "") } else { (":user/", user_name) };
    ["arn:aws:iam::", account_number, kind, name]
}
