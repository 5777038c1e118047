//! Verdicts become messages.

use api::auth::v1::{
    Denied, Detail, ExplainSignatureResponse, PayloadMode, Principal, Scope, SignatureAlgorithm,
    Verified, VerifySignatureResponse, VerifyStringToSignResponse, explain_signature_response,
    verify_signature_response, verify_string_to_sign_response,
};
use prost::Message;
use prost_types::Timestamp;
use read_model::Profile;
use sigv4::{Denial, SignedRequest, Spelling};
use tonic::Status;
use uuid::Uuid;

use crate::explain::Explained;
use crate::lockout::LockedOut;
use crate::verifier::Reached;

/// A verdict, whatever it is asked by.
#[expect(clippy::large_enum_variant, reason = "the larger one is the usual one, and moved twice")]
pub(crate) enum Verdict {
    /// The signature is right and its access key may be used.
    Verified(Verified),
    /// The request is to be refused.
    Denied(Denied),
}

impl From<Denied> for Verdict {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Denial> for Verdict {
    fn from(denial: Denial) -> Self {
        denied(denial).into()
    }
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

/// The answer to ExplainSignature.
pub(crate) fn explanation(reached: Reached<Explained>) -> ExplainSignatureResponse {
    use explain_signature_response::Verdict as Told;
    let Reached { answer, position, staleness_ms } = reached;
    let verdict = Some(match answer.verdict {
        Verdict::Verified(verified) => Told::Verified(verified),
        Verdict::Denied(denied) => Told::Denied(denied),
    });
    ExplainSignatureResponse {
        verdict,
        position,
        staleness_ms,
        canonical_request: answer.canonical_request,
        string_to_sign: answer.string_to_sign,
        hints: answer.hints,
    }
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

/// Says who signed a request, and what the signature covers.
pub(crate) fn verified(
    request: &SignedRequest<'_>,
    profile: &Profile,
    secret_generation: u32,
) -> Verdict {
    let (payload_mode, payload_sha256) = payload(request.payload_mode());
    let scope = request.scope();
    let signature = match scope.is_asymmetric() {
        true => String::new(),
        false => request.signature().to_hex().iter().copied().map(char::from).collect(),
    };
    Verdict::Verified(Verified {
        principal: Some(principal(profile)),
        access_key_id: request.access_key_id().to_owned(),
        secret_generation,
        scope: Some(Scope {
            date: scope.date().as_str().to_owned(),
            region: scope.region().to_owned(),
            service: scope.service().to_owned(),
        }),
        signed_headers: request.signed_headers().map(str::to_owned).collect(),
        payload_mode: payload_mode.into(),
        payload_sha256,
        presigned: request.is_presigned(),
        signature,
        sign_time: Some(Timestamp { seconds: request.timestamp().unix_seconds(), nanos: 0 }),
        host_candidate: String::new(),
        algorithm: algorithm(scope).into(),
        form: None,
    })
}

/// Says what is known of a body, and the hash that it must have.
pub(crate) fn payload(mode: sigv4::PayloadMode) -> (PayloadMode, Vec<u8>) {
    match mode {
        sigv4::PayloadMode::Sha256(hash) => (PayloadMode::Sha256, hash.to_vec()),
        sigv4::PayloadMode::Unsigned => (PayloadMode::Unsigned, vec![]),
        sigv4::PayloadMode::SignedChunks => (PayloadMode::StreamingSigned, vec![]),
        sigv4::PayloadMode::SignedChunksTrailer => (PayloadMode::StreamingSignedTrailer, vec![]),
        sigv4::PayloadMode::UnsignedChunksTrailer => {
            (PayloadMode::StreamingUnsignedTrailer, vec![])
        }
    }
}

fn algorithm(scope: &sigv4::Scope<'_>) -> SignatureAlgorithm {
    match scope.spelling() {
        _ if scope.is_asymmetric() => SignatureAlgorithm::Aws4EcdsaP256Sha256,
        Spelling::Aws4 => SignatureAlgorithm::Aws4HmacSha256,
        Spelling::Osc4 => SignatureAlgorithm::Osc4HmacSha256,
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
        arn: if *root {
            format!("arn:aws:iam::{account_number}:root")
        } else {
            format!("arn:aws:iam::{account_number}:user/{user_name}")
        },
    }
}
