//! Who asks: by a bearer token, a signature, or login and password.

use api::auth::v1::Principal;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use super::problem::Problem;
use crate::access_log::Entry;
use crate::identity::{Identity, Origin, Who};
use crate::management::frame;
use crate::request::{Scope, Shown};
use crate::s3::Verifier;

/// The services that a signature may be for, the usual one first. The other is what many tools sign for
/// that were made for AWS's API Gateway.
const SERVICES: [&str; 2] = ["claviger", "execute-api"];

/// What a client without a credential is told to bring, one of them.
const CHALLENGES: [&str; 3] = [
    "Bearer realm=\"claviger\"",
    "Basic realm=\"claviger\", charset=\"UTF-8\"",
    "AWS4-HMAC-SHA256 realm=\"claviger\"",
];

/// Says what credentials there are.
pub(crate) fn challenge(headers: &mut HeaderMap) {
    for challenge in CHALLENGES {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
}

/// What a client shows, if it is anything that can be checked. To be asked before a body is read.
///
/// # Errors
/// 401.
pub(crate) fn shown(headers: &HeaderMap) -> Result<Shown, Problem> {
    match Shown::of(headers) {
        Shown::Nothing => {
            Err(Problem::unauthenticated("MISSING_CREDENTIAL", "the request shows no credential"))
        }
        Shown::Unknown => Err(Problem::unauthenticated(
            "UNKNOWN_CREDENTIAL",
            "the credential is none of a bearer token, a signature, and a login with its password",
        )),
        shown @ (Shown::Signature | Shown::Password { .. } | Shown::Token(_)) => Ok(shown),
    }
}

/// Whose credential that is. An admin token's worth identity says with each call.
///
/// # Errors
/// 401 if it is nobody's; what keeps auth and identity from telling.
pub(crate) async fn check(
    shown: Shown,
    (verifier, identity): (&Verifier, &Identity),
    (head, body): (&Parts, &[u8]),
    origin: &Origin,
    entry: &mut Entry,
) -> Result<Who, Problem> {
    let principal = match shown {
        Shown::Nothing | Shown::Unknown => return Err(Problem::internal()),
        Shown::Token(token) => return Ok(Who::Token(token)),
        Shown::Password { login, password } => {
            let principal = identity.verify_password(origin, login, &password).await;
            let principal = principal.map_err(|status| Problem::of_status(&status))?;
            frame::asked_by(&principal, entry);
            principal
        }
        Shown::Signature => signer(verifier, origin, (head, body), entry).await?,
    };
    Ok(Who::User(principal))
}

/// Who signed a request.
async fn signer(
    verifier: &Verifier,
    origin: &Origin,
    (head, body): (&Parts, &[u8]),
    entry: &mut Entry,
) -> Result<Principal, Problem> {
    // Where it cannot be read, auth says what is wrong with it.
    let scope = Scope::of(&head.headers);
    let (region, service) = scope.map_or_else(
        || ("us-east-1".to_owned(), SERVICES[0].to_owned()),
        |scope| (scope.region, scope.service),
    );
    if !SERVICES.contains(&service.as_str()) {
        let detail = format!("the signature must be for the service {}", SERVICES.join(" or "));
        return Err(Problem::unauthenticated("SIGNATURE_DOES_NOT_MATCH", detail));
    }
    let verified = verifier.verify_for(origin.client, head, region, service, body).await;
    frame::signer(verified, entry, Problem::of_signature)
}
