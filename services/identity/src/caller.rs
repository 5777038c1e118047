//! Who calls, and what that caller may do: deny by default.
//!
//! An operator shows an admin token: the one of the configuration, which may do everything, or one
//! that was made since, which may be good for one account only, or for reading only. A gateway shows
//! its own token and says for which user it acts, whose signature auth has verified: it may do what
//! that user may; or hands on the admin token that an operator showed it, and may do what that one
//! may. auth follows the credential feed, and nothing else. Instead of the configuration's
//! tokens each may show a certificate whose name is on the list of its kind, and is the same then.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use domain::{AccountId, AdminTokenId, TokenHash, User, UserId, UserState};
use event_store::{Actor, Label};
use rpc::{AuditTrail, CertifiedName, Identify, Known, KnownBy, Peer};
use sha2::{Digest, Sha256};
use tonic::Request;
use tonic::metadata::MetadataMap;

use crate::error::Error;
use crate::writer::Writer;

/// Names the user that a gateway acts for, by UUID.
const ACTING_USER: &str = "claviger-acting-user";
/// The admin token that a gateway's client showed to it.
const ACTING_TOKEN: &str = "claviger-acting-token";
/// Names the interface that the user called at the gateway.
const FACADE: &str = "claviger-facade";
/// The interface by which S3 itself is called. Whatever a user asks of buckets there, the gateway compares with what
/// the store has.
const S3_FACADE: &str = "s3";
/// The address that the user called the gateway from.
const SOURCE_ADDRESS: &str = "claviger-source-address";
/// The request's id, as the client is told.
const REQUEST_ID: &str = "x-request-id";
/// The longest principal that is recorded, in bytes.
const PRINCIPAL_BYTES_MAX: usize = 256;

/// Who may call identity, as its configuration has it.
#[derive(Clone, Debug)]
pub struct Callers {
    /// Operators that may do everything.
    pub operators: Known,
    /// auth, and nobody else: it is shown what opens the feed of keys.
    pub auths: Known,
    /// Gateways that act for users; if nobody is known to be one, none may call.
    pub gateways: Known,
}

impl Callers {
    /// Checks that there can be operators and auths, and that all kinds are told apart.
    ///
    /// # Errors
    /// If nobody is known to be of a kind that is needed, or somebody of two.
    pub fn check(&self) -> anyhow::Result<()> {
        let [operators, auths, gateways] =
            [("operators", &self.operators), ("auths", &self.auths), ("gateways", &self.gateways)];
        for (kind, known) in [operators, auths] {
            anyhow::ensure!(!known.is_nobody(), "{kind} have neither a token nor a list of names");
        }
        rpc::check_apart(&[operators, auths, gateways])
    }
}

/// Knows callers by their tokens and certificates.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) callers: Arc<Callers>,
    pub(crate) writer: Arc<Writer>,
}

/// Who shows a token or a certificate.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A person or program that manages accounts.
    Operator(Operator),
    /// The service that verifies signatures.
    Auth(KnownBy),
    /// A service that acts for users, and for operators, whom it knows by what it is told.
    Gateway(KnownBy, Arc<Callers>),
}

/// What an operator may do.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    by: OperatorBy,
    /// The one account that it may manage; all if not given.
    account: Option<AccountId>,
    /// Whether it may only read.
    read_only: bool,
}

/// By what an operator was known.
#[derive(Clone, Debug)]
enum OperatorBy {
    /// The admin token of the configuration.
    Configuration,
    /// An admin token that was made since, and its name.
    AdminToken(AdminTokenId, String),
    /// A certificate.
    Certificate(CertifiedName),
}

impl Identify for Gate {
    type Caller = Caller;

    fn identify(&self, token: &[u8]) -> Option<Caller> {
        // All are compared, whichever it is.
        let admin = self.callers.operators.has_token(token);
        let auth = self.callers.auths.has_token(token);
        let gateway = self.callers.gateways.has_token(token);
        if admin {
            return Some(Caller::Operator(Operator::of_all(OperatorBy::Configuration)));
        }
        if auth {
            return Some(Caller::Auth(KnownBy::Token));
        }
        if gateway {
            return Some(Caller::Gateway(KnownBy::Token, Arc::clone(&self.callers)));
        }
        Operator::of_admin_token(&self.writer, token).map(Caller::Operator)
    }

    fn recognise(&self, name: &CertifiedName) -> Option<Caller> {
        // A name is on one list at the most, as the check has it.
        let Callers { operators, auths, gateways } = &*self.callers;
        match [operators, auths, gateways].map(|known| known.has_name(name)) {
            [true, false, false] => {
                Some(Caller::Operator(Operator::of_all(OperatorBy::Certificate(name.clone()))))
            }
            [false, true, false] => Some(Caller::Auth(KnownBy::Certificate(name.clone()))),
            [false, false, true] => {
                let by = KnownBy::Certificate(name.clone());
                Some(Caller::Gateway(by, Arc::clone(&self.callers)))
            }
            _ => None,
        }
    }

    fn name(caller: &Caller) -> String {
        match caller {
            Caller::Operator(operator) => operator.principal(),
            Caller::Auth(KnownBy::Token) => "auth".to_owned(),
            Caller::Gateway(KnownBy::Token, _) => "gateway".to_owned(),
            Caller::Auth(KnownBy::Certificate(name))
            | Caller::Gateway(KnownBy::Certificate(name), _) => name.to_string(),
        }
    }
}

/// Where a gateway says that its client's request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) facade: &'a str,
    pub(crate) address: IpAddr,
}

impl<'a> Origin<'a> {
    /// # Errors
    /// [`Error::InvalidField`] if the gateway does not say: each event tells where it came from.
    pub(crate) fn of(metadata: &'a MetadataMap, trail: &AuditTrail) -> Result<Self, Error> {
        let facade = one(metadata, FACADE)?.filter(|facade| {
            let valid =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=32).contains(&facade.len()) && facade.bytes().all(valid)
        });
        let facade =
            facade.ok_or_else(|| Error::invalid(FACADE, "must be 1 to 32 of a-z 0-9 -"))?;
        let address = one(metadata, SOURCE_ADDRESS)?.and_then(|text| text.parse::<IpAddr>().ok());
        let address =
            address.ok_or_else(|| Error::invalid(SOURCE_ADDRESS, "must be an IP address"))?;
        trail.set_source_address(address);
        Ok(Self { facade, address })
    }
}

impl Operator {
    /// The one whose admin token this is, of the configuration or made since.
    fn of_token(writer: &Writer, callers: &Callers, token: &[u8]) -> Option<Self> {
        if callers.operators.has_token(token) {
            return Some(Self::of_all(OperatorBy::Configuration));
        }
        Self::of_admin_token(writer, token)
    }

    /// The one whose admin token this is, of those that were made since the start and are good now.
    fn of_admin_token(writer: &Writer, token: &[u8]) -> Option<Self> {
        // What is compared here is a digest: its timing tells nothing of a token.
        let hash = TokenHash(Sha256::digest(token).into());
        let now = writer.now();
        let model = writer.model();
        let entry = model.admin_token_by_hash(&hash)?;
        if entry.token.is_expired(now) {
            return None;
        }
        Some(Self {
            by: OperatorBy::AdminToken(entry.id, entry.token.name.to_string()),
            account: entry.token.account,
            read_only: entry.token.read_only,
        })
    }

    /// One that may do everything.
    fn of_all(by: OperatorBy) -> Self {
        Self { by, account: None, read_only: false }
    }

    /// How logs and events name it.
    fn principal(&self) -> String {
        match &self.by {
            OperatorBy::Configuration => "operator".to_owned(),
            OperatorBy::AdminToken(_, name) => format!("admin-token/{name}"),
            OperatorBy::Certificate(name) => name.to_string(),
        }
    }
}

/// One call: who makes it, and what is recorded of that.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) actor: Actor,
    authority: Authority,
}

/// What the caller may do.
#[derive(Clone, Debug)]
enum Authority {
    Operator(Operator),
    /// A user, for whom a gateway acts.
    User {
        id: UserId,
        account: AccountId,
        root: bool,
    },
    /// The server itself.
    Schedule,
}

impl Call {
    /// # Errors
    /// [`Error::NotAllowed`] if a gateway acts for a user that is locked or gone;
    /// [`Error::InvalidField`] if it does not say for whom; [`Error::Internal`] if no guard has told
    /// who calls, which the assembly of the server rules out.
    pub(crate) fn of<T>(writer: &Writer, request: &Request<T>) -> Result<Self, Error> {
        let metadata = request.metadata();
        let peer = request.extensions().get::<Peer>();
        let address = peer.and_then(|peer| peer.address).map(|address| address.ip());
        match request.extensions().get::<Caller>().ok_or(Error::Internal)? {
            Caller::Auth(_) => Err(Error::NotAllowed),
            Caller::Operator(operator) => Ok(Self {
                actor: actor(&operator.principal(), "grpc", address, metadata),
                authority: Authority::Operator(operator.clone()),
            }),
            Caller::Gateway(_, callers) => {
                let trail = request.extensions().get::<AuditTrail>().cloned().unwrap_or_default();
                Self::acting(writer, callers, metadata, &trail)
            }
        }
    }

    /// Whether a gateway calls for itself: it names nobody.
    pub(crate) fn is_of_gateway_itself<T>(request: &Request<T>) -> bool {
        let names = |name| request.metadata().contains_key(name);
        matches!(request.extensions().get::<Caller>(), Some(Caller::Gateway(..)))
            && !names(ACTING_USER)
            && !names(ACTING_TOKEN)
    }

    /// Of whom a gateway says that it acts for.
    fn acting(
        writer: &Writer,
        callers: &Callers,
        metadata: &MetadataMap,
        trail: &AuditTrail,
    ) -> Result<Self, Error> {
        let (user, token) = (one(metadata, ACTING_USER)?, one(metadata, ACTING_TOKEN)?);
        let origin = Origin::of(metadata, trail)?;
        match (user, token) {
            (Some(user), None) => Self::acting_for(writer, user, origin, metadata, trail),
            (None, Some(token)) => {
                let operator = Operator::of_token(writer, callers, token.as_bytes());
                let operator = operator.ok_or(Error::UnknownAdminToken)?;
                let principal = operator.principal();
                trail.set_caller(principal.clone());
                Ok(Self {
                    actor: actor(&principal, origin.facade, Some(origin.address), metadata),
                    authority: Authority::Operator(operator),
                })
            }
            (None, None) => Err(Error::invalid(ACTING_USER, "must be the UUID of a user")),
            (Some(_), Some(_)) => Err(Error::invalid(ACTING_TOKEN, "was given beside a user")),
        }
    }

    fn acting_for(
        writer: &Writer,
        user: &str,
        origin: Origin<'_>,
        metadata: &MetadataMap,
        trail: &AuditTrail,
    ) -> Result<Self, Error> {
        let user = UserId::parse(user);
        let user = user.ok_or_else(|| Error::invalid(ACTING_USER, "must be the UUID of a user"))?;
        trail.set_caller(format!("user/{user}"));
        let model = writer.model();
        let entry = model.user(user).ok_or(Error::NotAllowed)?;
        let account = model.account(entry.account).ok_or(Error::NotAllowed)?;
        let principal = arn(account.account.number, &entry.user, entry.id);
        trail.set_caller(principal.clone());
        // auth may not have heard of the lock yet.
        if entry.user.state == UserState::Locked {
            return Err(Error::NotAllowed);
        }
        Ok(Self {
            actor: actor(&principal, origin.facade, Some(origin.address), metadata),
            authority: Authority::User { id: user, account: entry.account, root: entry.user.root },
        })
    }

    /// What the server does by itself.
    pub(crate) fn schedule() -> Self {
        Self {
            actor: actor("claviger", "schedule", None, &MetadataMap::new()),
            authority: Authority::Schedule,
        }
    }

    /// What the server does because auth reports it.
    pub(crate) fn feed() -> Self {
        Self {
            actor: actor("claviger", "auth", None, &MetadataMap::new()),
            authority: Authority::Schedule,
        }
    }

    /// Names the caller in what makes a command one and the same: never another caller later.
    pub(crate) fn principal(&self) -> String {
        match &self.authority {
            Authority::Operator(operator) => match &operator.by {
                OperatorBy::Configuration => "operator".to_owned(),
                OperatorBy::AdminToken(id, _) => format!("admin-token/{id}"),
                // Begins with what no other does.
                OperatorBy::Certificate(name) => name.to_string(),
            },
            Authority::User { id, .. } => format!("user/{id}"),
            Authority::Schedule => "schedule".to_owned(),
        }
    }

    /// The one account that the caller has to do with; none for an operator of all.
    pub(crate) fn account(&self) -> Option<AccountId> {
        match &self.authority {
            Authority::Operator(operator) => operator.account,
            Authority::User { account, .. } => Some(*account),
            Authority::Schedule => None,
        }
    }

    /// The one user that the caller has to do with, if it is no root user's call nor an operator's.
    pub(crate) fn only_user(&self) -> Option<UserId> {
        match &self.authority {
            Authority::User { id, root: false, .. } => Some(*id),
            Authority::User { .. } | Authority::Operator(_) | Authority::Schedule => None,
        }
    }

    /// Lets only operators pass that may do everything.
    pub(crate) fn manages_all(&self) -> Result<(), Error> {
        self.allow(matches!(
            self.authority,
            Authority::Operator(Operator { account: None, read_only: false, .. })
        ))
    }

    /// Lets only operators pass that may read everything.
    pub(crate) fn reads_all(&self) -> Result<(), Error> {
        self.allow(matches!(self.authority, Authority::Operator(Operator { account: None, .. })))
    }

    /// Lets those pass who may change this account and all in it.
    pub(crate) fn manages_account(&self, of: AccountId) -> Result<(), Error> {
        self.allow(match &self.authority {
            Authority::Operator(operator) => !operator.read_only && operator.has(of),
            Authority::User { account, root, .. } => *root && *account == of,
            Authority::Schedule => true,
        })
    }

    /// Lets those pass who may see this account and all in it.
    pub(crate) fn reads_account(&self, of: AccountId) -> Result<(), Error> {
        self.allow(match &self.authority {
            Authority::Operator(operator) => operator.has(of),
            Authority::User { account, root, .. } => *root && *account == of,
            Authority::Schedule => true,
        })
    }

    /// Lets those pass who may see this user and its access keys.
    pub(crate) fn reads_user(&self, account: AccountId, user: UserId) -> Result<(), Error> {
        match &self.authority {
            Authority::User { id, .. } if *id == user => Ok(()),
            Authority::User { .. } | Authority::Operator(_) | Authority::Schedule => {
                self.reads_account(account)
            }
        }
    }

    /// Lets those pass who may change this user's access keys.
    pub(crate) fn manages_access_keys(
        &self,
        account: AccountId,
        user: UserId,
    ) -> Result<(), Error> {
        match &self.authority {
            Authority::User { id, .. } if *id == user => Ok(()),
            Authority::User { .. } | Authority::Operator(_) | Authority::Schedule => {
                self.manages_account(account)
            }
        }
    }

    /// Lets those pass who may see the buckets of this account: each of its users, too.
    pub(crate) fn sees_buckets(&self, of: AccountId) -> Result<(), Error> {
        match &self.authority {
            Authority::User { account, .. } => self.allow(*account == of),
            Authority::Operator(_) | Authority::Schedule => self.reads_account(of),
        }
    }

    /// Lets those pass who may claim and release buckets for this account: each of its users, too, by S3. By any
    /// other way a user could claim a name that the store has, and so what somebody left there.
    pub(crate) fn claims_buckets(&self, of: AccountId) -> Result<(), Error> {
        match &self.authority {
            Authority::User { account, .. } => {
                self.allow(*account == of && self.actor.facade.as_str() == S3_FACADE)
            }
            Authority::Operator(_) | Authority::Schedule => self.manages_account(of),
        }
    }

    /// Lets those pass who are still let in: for what goes on long after the call.
    pub(crate) fn is_still_known(&self, writer: &Writer) -> Result<(), Error> {
        let now = writer.now();
        let model = writer.model();
        self.allow(match &self.authority {
            Authority::Operator(Operator { by: OperatorBy::AdminToken(id, _), .. }) => {
                model.admin_token(*id).is_some_and(|entry| !entry.token.is_expired(now))
            }
            Authority::User { id, .. } => {
                model.user(*id).is_some_and(|entry| entry.user.state != UserState::Locked)
            }
            // The configuration is what it was at the start; so is a certificate, which is looked at
            // when a connection begins.
            Authority::Operator(Operator {
                by: OperatorBy::Configuration | OperatorBy::Certificate(_),
                ..
            })
            | Authority::Schedule => true,
        })
    }

    fn allow(&self, allowed: bool) -> Result<(), Error> {
        if allowed { Ok(()) } else { Err(Error::NotAllowed) }
    }
}

impl Operator {
    fn has(&self, account: AccountId) -> bool {
        self.account.is_none_or(|own| own == account)
    }
}

/// How AWS names a user: `arn:aws:iam::{account number}:user{path}{name}`, or `…:root`. One whose
/// path is so long that its name would be cut off is named by its id, which is nobody's name.
pub(crate) fn arn(number: impl Display, user: &User, id: UserId) -> String {
    if user.root {
        return format!("arn:aws:iam::{number}:root");
    }
    let arn = format!("arn:aws:iam::{number}:user{}{}", user.path, user.name);
    if arn.len() > PRINCIPAL_BYTES_MAX {
        return format!("arn:aws:iam::{number}:user/{id}");
    }
    arn
}

fn actor(principal: &str, facade: &str, address: Option<IpAddr>, metadata: &MetadataMap) -> Actor {
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    let request_id = metadata.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    Actor {
        principal: Label::truncated(principal),
        facade: Label::truncated(facade),
        source_address: Label::truncated(&address),
        request_id: match request_id.filter(|id| !id.trim().is_empty()) {
            Some(id) => Label::truncated(id),
            None => Label::truncated(&uuid::Uuid::now_v7().to_string()),
        },
    }
}

/// What a gateway says under this name, if it does, once.
fn one<'a>(metadata: &'a MetadataMap, name: &'static str) -> Result<Option<&'a str>, Error> {
    let mut values = metadata.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::invalid(name, "must be visible ASCII")),
        },
        (Some(_), Some(_)) => Err(Error::invalid(name, "was given more than once")),
    }
}
