//! Who may call: bearer tokens stand for callers, and each service asks for those it serves.

use api::error::v1::Reason;
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};

use crate::Token;
use crate::audit::AuditTrail;

/// Tells who shows a token.
pub trait Identify: Clone + Send + Sync + 'static {
    /// A caller, in the request's extensions after a [`Guard`].
    type Caller: Clone + Send + Sync + 'static;

    /// Who shows this token; none if nobody holds it.
    fn identify(&self, token: &[u8]) -> Option<Self::Caller>;

    /// How logs name a caller.
    fn name(caller: &Self::Caller) -> String;
}

/// What a caller is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A person or program that manages everything, by the admin token.
    Operator,
    /// The one kind of service that this server serves, by the token of that kind: auth at
    /// identity, a gateway at auth.
    Service,
}

/// The caller of a request, in the request's extensions after a [`Guard`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller {
    /// What it is.
    pub role: Role,
}

impl Caller {
    /// How the audit trail names it.
    pub fn principal(self) -> &'static str {
        match self.role {
            Role::Operator => "operator",
            Role::Service => "service",
        }
    }
}

/// The tokens that a server knows.
#[derive(Clone, Debug)]
pub struct Callers {
    /// The operators'.
    pub admin_token: Token,
    /// The services'. Each kind of service has its own, so that a gateway cannot pass for auth.
    pub service_token: Token,
}

impl Callers {
    /// Whether both are told apart: one token for both would make a service an operator.
    pub fn are_distinct(&self) -> bool {
        !self.admin_token.is(self.service_token.expose().as_bytes())
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
        let (admin, service) = (self.admin_token.is(token), self.service_token.is(token));
        match (admin, service) {
            (true, _) => Some(Caller { role: Role::Operator }),
            (false, true) => Some(Caller { role: Role::Service }),
            (false, false) => None,
        }
    }

    fn name(caller: &Caller) -> String {
        caller.principal().to_owned()
    }
}

/// Stands before a service and lets only some callers pass: deny by default.
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
}

impl<I: Identify> Interceptor for Guard<I> {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let refuse = |code, reason, message: &str| Err(api::status(code, reason, message));
        let mut presented = request.metadata().get_all("authorization").iter();
        let authorization = match (presented.next(), presented.next()) {
            (Some(authorization), None) => authorization,
            (None, _) => {
                return refuse(
                    Code::Unauthenticated,
                    Reason::MissingToken,
                    "authorization: Bearer <token> is missing",
                );
            }
            (Some(_), Some(_)) => {
                return refuse(
                    Code::Unauthenticated,
                    Reason::InvalidToken,
                    "authorization was given more than once",
                );
            }
        };
        let token = bearer(authorization.as_encoded_bytes());
        let Some(caller) = token.and_then(|token| self.identify.identify(token)) else {
            return refuse(Code::Unauthenticated, Reason::InvalidToken, "the token is not known");
        };
        if let Some(trail) = request.extensions().get::<AuditTrail>() {
            trail.set_caller(I::name(&caller));
        }
        if !(self.allowed)(&caller) {
            return refuse(
                Code::PermissionDenied,
                Reason::CallerNotAllowed,
                "the caller may not make this call",
            );
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

    fn check(authorization: &[&str], expected: Result<Role, (Code, Reason)>) {
        let callers = Callers {
            admin_token: Token::parse(ADMIN).expect("valid"),
            service_token: Token::parse(SERVICE).expect("valid"),
        };
        let mut request = Request::new(());
        for value in authorization {
            request.metadata_mut().append("authorization", value.parse().expect("ASCII"));
        }
        let found = callers.guard(|caller| caller.role == Role::Operator).call(request);
        let found = found
            .map(|request| request.extensions().get::<Caller>().expect("known").role)
            .map_err(|status| (status.code(), api::reason(&status).expect("has a reason")));
        assert_eq!(found, expected);
    }

    #[test]
    fn only_a_known_token_of_the_right_role_passes() {
        check(&[&format!("Bearer {ADMIN}")], Ok(Role::Operator));
        check(&[&format!("bearer {ADMIN}")], Ok(Role::Operator));
        let denied = Err((Code::PermissionDenied, Reason::CallerNotAllowed));
        check(&[&format!("Bearer {SERVICE}")], denied);
        check(&[], Err((Code::Unauthenticated, Reason::MissingToken)));
        let unknown = Err((Code::Unauthenticated, Reason::InvalidToken));
        for bad in ["", "Bearer", "Bearer ", "Bearer x", ADMIN, &format!("Basic {ADMIN}")] {
            check(&[bad], unknown);
        }
        check(&[&format!("Bearer {ADMIN}"), "Bearer x"], unknown);
    }
}
