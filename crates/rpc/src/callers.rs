//! Who may call: bearer tokens and client certificates stand for callers, and each service asks for
//! those it serves.

use api::error::v1::Reason;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};

use crate::audit::AuditTrail;
use crate::{CertifiedName, Peer, Token};

/// Tells who shows a token or a certificate.
pub trait Identify: Clone + Send + Sync + 'static {
    /// A caller, in the request's extensions after a [`Guard`].
    type Caller: Clone + Send + Sync + 'static;

    /// Who shows this token; none if nobody holds it.
    fn identify(&self, token: &[u8]) -> Option<Self::Caller>;

    /// Who shows a certificate of this name; none if it is on no list.
    fn recognise(&self, name: &CertifiedName) -> Option<Self::Caller>;

    /// How logs name a caller.
    fn name(caller: &Self::Caller) -> String;
}

/// By what a kind of caller is known: a token, names of certificates, or both. Nobody is of it if it
/// has neither.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The token that all of them show.
    pub token: Option<Token>,
    /// Whom their certificates stand for.
    pub names: Vec<CertifiedName>,
}

impl Known {
    /// By this token only.
    pub fn by_token(token: Token) -> Self {
        Self { token: Some(token), names: vec![] }
    }

    /// Whether there is nothing by which anybody could be known.
    pub fn is_nobody(&self) -> bool {
        self.token.is_none() && self.names.is_empty()
    }

    /// Whether this is their token, in a time that tells nothing of it.
    pub fn has_token(&self, presented: &[u8]) -> bool {
        self.token.as_ref().is_some_and(|token| token.is(presented))
    }

    /// Whether a certificate of this name is on their list.
    pub fn has_name(&self, name: &CertifiedName) -> bool {
        self.names.contains(name)
    }
}

/// Checks that kinds of callers, each with what it is called, are told apart: one token or name for
/// two would make one caller the other.
///
/// # Errors
/// If they have a token or a name in common.
pub fn check_apart(kinds: &[(&str, &Known)]) -> anyhow::Result<()> {
    for (at, (other, known)) in kinds.iter().enumerate() {
        for (one, before) in &kinds[..at] {
            let same = known.token.as_ref();
            let same = same.is_some_and(|token| before.has_token(token.expose().as_bytes()));
            anyhow::ensure!(!same, "{one} and {other} must not have the same token");
            if let Some(name) = known.names.iter().find(|name| before.has_name(name)) {
                anyhow::bail!("{name} is on two lists, {one} and {other}: it can be but one");
            }
        }
    }
    Ok(())
}

/// By what a caller was known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KnownBy {
    /// The token of its kind.
    Token,
    /// A certificate of this name.
    Certificate(CertifiedName),
}

/// What a caller is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A person or program that manages everything.
    Operator,
    /// The one kind of service that this server serves: auth at identity, a gateway at auth.
    Service,
}

/// The caller of a request, in the request's extensions after a [`Guard`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// What it is.
    pub role: Role,
    /// How it was known to be that.
    pub by: KnownBy,
}

impl Caller {
    /// How the audit trail names it.
    pub fn principal(&self) -> &str {
        match (&self.by, self.role) {
            (KnownBy::Certificate(name), _) => name.as_str(),
            (KnownBy::Token, Role::Operator) => "operator",
            (KnownBy::Token, Role::Service) => "service",
        }
    }
}

/// The callers that a server knows.
#[derive(Clone, Debug)]
pub struct Callers {
    /// The operators.
    pub operators: Known,
    /// The services. Each kind of service is known by something else, so that a gateway cannot pass
    /// for auth.
    pub services: Known,
}

impl Callers {
    /// Checks that there can be callers of both kinds, and that they are told apart.
    ///
    /// # Errors
    /// If nobody is known to be of a kind, or somebody of both.
    pub fn check(&self) -> anyhow::Result<()> {
        for (kind, known) in self.kinds() {
            anyhow::ensure!(!known.is_nobody(), "{kind} have neither a token nor a list of names");
        }
        check_apart(&self.kinds())
    }

    fn kinds(&self) -> [(&'static str, &Known); 2] {
        [("operators", &self.operators), ("services", &self.services)]
    }

    /// A guard that lets these callers pass.
    pub fn guard(&self, allowed: fn(&Caller) -> bool) -> Guard<Self> {
        Guard::new(self.clone(), allowed)
    }
}

impl Identify for Callers {
    type Caller = Caller;

    fn identify(&self, token: &[u8]) -> Option<Caller> {
        // Both are compared, whichever it is.
        let (admin, service) = (self.operators.has_token(token), self.services.has_token(token));
        let role = match (admin, service) {
            (true, _) => Role::Operator,
            (false, true) => Role::Service,
            (false, false) => return None,
        };
        Some(Caller { role, by: KnownBy::Token })
    }

    fn recognise(&self, name: &CertifiedName) -> Option<Caller> {
        let role = match (self.operators.has_name(name), self.services.has_name(name)) {
            (true, false) => Role::Operator,
            (false, true) => Role::Service,
            // Never both, as the check has it; nobody is both.
            (true, true) | (false, false) => return None,
        };
        Some(Caller { role, by: KnownBy::Certificate(name.clone()) })
    }

    fn name(caller: &Caller) -> String {
        caller.principal().to_owned()
    }
}

/// Stands before a service and lets only some callers pass: deny by default.
///
/// A call with an `authorization` is judged by that alone, whatever certificate its connection
/// showed; one without is judged by the certificate.
#[derive(Clone, Debug)]
pub struct Guard<I: Identify> {
    identify: I,
    allowed: fn(&I::Caller) -> bool,
}

impl<I: Identify> Guard<I> {
    /// Lets those pass whom `identify` knows and who are `allowed`.
    pub fn new(identify: I, allowed: fn(&I::Caller) -> bool) -> Self {
        Self { identify, allowed }
    }

    /// Whether whoever sends a request of this head passes.
    pub(crate) fn allows(&self, headers: &HeaderMap, extensions: &Extensions) -> bool {
        self.caller(headers, extensions).is_ok_and(|caller| (self.allowed)(&caller))
    }

    fn caller(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<I::Caller, Status> {
        let mut presented = headers.get_all(AUTHORIZATION).iter();
        match (presented.next(), presented.next()) {
            (Some(authorization), None) => {
                let token = bearer(authorization.as_bytes());
                let caller = token.and_then(|token| self.identify.identify(token));
                caller.ok_or_else(|| unknown(Reason::InvalidToken, "the token is not known"))
            }
            (Some(_), Some(_)) => {
                let message = "authorization was given more than once";
                Err(unknown(Reason::InvalidToken, message))
            }
            (None, _) => {
                let peer = extensions.get::<Peer>();
                let certificate = peer.and_then(|peer| peer.certificate.as_deref());
                let names = certificate.ok_or_else(|| {
                    let message = "authorization: Bearer <token> is missing";
                    unknown(Reason::MissingToken, message)
                })?;
                self.caller_of(names, extensions)
            }
        }
    }

    /// Whom a certificate of these names shows. One that is on the lists by two names is nobody's:
    /// it could be either.
    fn caller_of(
        &self,
        names: &[CertifiedName],
        extensions: &Extensions,
    ) -> Result<I::Caller, Status> {
        let mut found = names.iter().filter_map(|name| self.identify.recognise(name));
        match (found.next(), found.next()) {
            (Some(caller), None) => Ok(caller),
            (first, _) => {
                // An authority has named it: whoever looks after the lists wants to know whom.
                if let (Some(trail), Some(name)) = (extensions.get::<AuditTrail>(), names.first()) {
                    trail.set_caller(name.to_string());
                }
                Err(unknown(
                    Reason::UnknownCertificate,
                    match first {
                        None => "the client certificate stands for nobody who may call",
                        Some(_) => "the client certificate stands for more than one caller",
                    },
                ))
            }
        }
    }
}

fn unknown(reason: Reason, message: &str) -> Status {
    api::status(Code::Unauthenticated, reason, message)
}

impl<I: Identify> Interceptor for Guard<I> {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let caller = self.caller(request.metadata().as_ref(), request.extensions())?;
        if let Some(trail) = request.extensions().get::<AuditTrail>() {
            trail.set_caller(I::name(&caller));
        }
        if !(self.allowed)(&caller) {
            return Err(api::status(
                Code::PermissionDenied,
                Reason::CallerNotAllowed,
                "the caller may not make this call",
            ));
        }
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}

fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "admin-token-0123456789";
    const SERVICE: &str = "service-token-0123456789";
    const ANN: &str = "spiffe://example.org/operator/ann";
    const HOST: &str = "dns:ann.example.org";
    const GATEWAY: &str = "spiffe://example.org/gateway";

    type Outcome = Result<Role, (Code, Reason)>;

    const DENIED: Outcome = Err((Code::PermissionDenied, Reason::CallerNotAllowed));
    const INVALID_TOKEN: Outcome = Err((Code::Unauthenticated, Reason::InvalidToken));
    const UNKNOWN: Outcome = Err((Code::Unauthenticated, Reason::UnknownCertificate));

    fn names<const N: usize>(names: [&str; N]) -> Vec<CertifiedName> {
        names.map(|name| CertifiedName::parse(name).expect("a name")).into()
    }

    fn known<const N: usize>(token: &str, listed: [&str; N]) -> Known {
        Known { token: Some(Token::parse(token).expect("valid")), names: names(listed) }
    }

    #[track_caller]
    fn check_shown(certificate: Option<&[&str]>, authorization: &[&str], expected: Outcome) {
        let callers =
            Callers { operators: known(ADMIN, [ANN, HOST]), services: known(SERVICE, [GATEWAY]) };
        callers.check().expect("are told apart");
        let mut request = Request::new(());
        let certificate = certificate.map(|shown| {
            shown.iter().map(|name| CertifiedName::parse(name).expect("a name")).collect()
        });
        request.extensions_mut().insert(Peer { address: None, certificate });
        for value in authorization {
            request.metadata_mut().append("authorization", value.parse().expect("ASCII"));
        }
        let found = callers.guard(|caller| caller.role == Role::Operator).call(request);
        let found = found
            .map(|request| request.extensions().get::<Caller>().expect("known").role)
            .map_err(|status| (status.code(), api::reason(&status).expect("has a reason")));
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check(authorization: &[&str], expected: Outcome) {
        check_shown(None, authorization, expected);
    }

    #[test]
    fn only_a_known_token_of_the_right_role_passes() {
        check(&[&format!("Bearer {ADMIN}")], Ok(Role::Operator));
        check(&[&format!("bearer {ADMIN}")], Ok(Role::Operator));
        check(&[&format!("Bearer {SERVICE}")], DENIED);
        check(&[], Err((Code::Unauthenticated, Reason::MissingToken)));
        for bad in ["", "Bearer", "Bearer ", "Bearer x", ADMIN, &format!("Basic {ADMIN}")] {
            check(&[bad], INVALID_TOKEN);
        }
        check(&[&format!("Bearer {ADMIN}"), "Bearer x"], INVALID_TOKEN);
    }

    #[test]
    fn only_a_listed_name_of_the_right_role_passes() {
        check_shown(Some(&[ANN]), &[], Ok(Role::Operator));
        check_shown(Some(&["dns:other", HOST]), &[], Ok(Role::Operator));
        check_shown(Some(&[GATEWAY]), &[], DENIED);
        for unlisted in ["spiffe://example.org/operator", "dns:example.org"] {
            check_shown(Some(&[unlisted]), &[], UNKNOWN);
        }
        check_shown(Some(&[]), &[], UNKNOWN);
        check_shown(Some(&[ANN, HOST]), &[], UNKNOWN);
        check_shown(Some(&[GATEWAY, ANN]), &[], UNKNOWN);
    }

    #[test]
    fn a_token_goes_before_a_certificate_also_if_it_is_wrong() {
        check_shown(Some(&[ANN]), &["Bearer not-the-admin-token"], INVALID_TOKEN);
        check_shown(Some(&[ANN]), &[""], INVALID_TOKEN);
        check_shown(Some(&[ANN]), &[&format!("Bearer {SERVICE}")], DENIED);
        check_shown(Some(&[GATEWAY]), &[&format!("Bearer {ADMIN}")], Ok(Role::Operator));
        check_shown(Some(&[]), &[&format!("Bearer {ADMIN}")], Ok(Role::Operator));
    }

    #[test]
    fn kinds_of_callers_have_something_to_be_known_by_and_nothing_in_common() {
        let check = |operators: Known, services: Known, expected: Option<&str>| {
            let found = Callers { operators, services }.check().err().map(|e| e.to_string());
            assert_eq!(found.as_deref(), expected);
        };
        let named = |listed| Known { token: None, names: names([listed]) };
        check(known(ADMIN, []), known(SERVICE, []), None);
        check(named(ANN), named(GATEWAY), None);
        check(named(ANN), known(SERVICE, []), None);
        let nobody = Some("services have neither a token nor a list of names");
        check(named(ANN), Known::default(), nobody);
        let token = Some("operators and services must not have the same token");
        check(known(ADMIN, []), known(ADMIN, [GATEWAY]), token);
        let name = format!("{ANN} is on two lists, operators and services: it can be but one");
        check(known(ADMIN, [HOST, ANN]), known(SERVICE, [ANN]), Some(&name));
    }
}
