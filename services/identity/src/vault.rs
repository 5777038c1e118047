//! Makes secrets and opens them again: the only place here where one is in the clear.

use std::fmt;
use std::sync::Arc;

use domain::{AccessKeyId, AccountId, AdminTokenId, SealedSecret, SecretAccessKey, UserId};
use hmac::{Hmac, KeyInit, Mac};
use sealing::{Context, Keystore, ReservedKey, Secret};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::command::CommandKey;
use crate::error::Error;

/// Names the keystore's key that admin tokens are derived with.
const ADMIN_TOKEN_KEY: &str = "claviger/admin-token";

/// Seals secrets with the data key of their access key, and opens them.
pub(crate) struct Vault {
    keystore: Arc<Keystore>,
    admin_token_key: ReservedKey,
    log_id: Uuid,
}

/// An access key's id and first secret, with a data key that is durable already.
pub(crate) struct Prepared {
    pub(crate) id: AccessKeyId,
    pub(crate) secret: SealedSecret,
}

/// Which secret: what it is bound to when it is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecretOf<'a> {
    pub(crate) account: AccountId,
    pub(crate) access_key: &'a AccessKeyId,
    pub(crate) generation: u32,
}

/// Which password: whose, and the how-many-eth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PasswordId {
    pub(crate) user: UserId,
    pub(crate) generation: u32,
}

impl PasswordId {
    /// Reads the name of a data key, if it is one of a password.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (user, generation) = name.strip_prefix(PASSWORD)?.split_once('.')?;
        let id = Self { user: UserId::parse(user)?, generation: generation.parse().ok()? };
        (id.to_string() == name).then_some(id)
    }
}

/// The name of its data key, which no access key has: their IDs have no dots.
impl fmt::Display for PasswordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, generation } = self;
        write!(f, "{PASSWORD}{user}.{generation}")
    }
}

/// Begins the names of passwords' data keys.
const PASSWORD: &str = "password.";

impl Vault {
    /// # Errors
    /// If the keystore fails.
    pub(crate) async fn new(keystore: Arc<Keystore>, log_id: Uuid) -> Result<Self, sealing::Error> {
        let admin_token_key = keystore.reserved_key(ADMIN_TOKEN_KEY).await?;
        Ok(Self { keystore, admin_token_key, log_id })
    }

    /// The admin token that a command makes under this id: for a command that may come again, the same
    /// each time, so that it can be told again though only its hash is kept; else a random one.
    ///
    /// The id is made anew by each creation. A command that comes again when the log has forgotten it
    /// is another creation, and must not bring back a token that was revoked since.
    pub(crate) fn admin_token(
        &self,
        key: CommandKey,
        id: AdminTokenId,
    ) -> Result<rpc::Token, Error> {
        if !key.is_repeatable() {
            return rpc::Token::generate()
                .map_err(|error| internal("drawing random bits", &*error));
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(self.admin_token_key.expose())
            .map_err(|error| internal("deriving an admin token", &error))?;
        let (log, id) = (self.log_id.as_bytes(), id.0.as_bytes());
        // Each of a fixed length: no two rows of them read alike.
        for part in [log.as_slice(), key.id.as_bytes(), &key.digest, id] {
            mac.update(part);
        }
        let derived = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        let text = Zeroizing::new(hex::encode(derived.as_slice()));
        rpc::Token::parse(&text).map_err(|error| internal("deriving an admin token", &error))
    }

    /// Makes an access key ID and, under a data key of its own, its first secret. The data key is
    /// durable before anything can refer to it.
    pub(crate) async fn make_access_key(&self, account: AccountId) -> Result<Prepared, Error> {
        let mut random = [0; 10];
        fill(&mut random)?;
        let id = AccessKeyId::from_random(random);
        let data_key = self.keystore.create(id.as_str()).await.map_err(unavailable)?;
        let secret = make_secret()?;
        let of = SecretOf { account, access_key: &id, generation: 1 };
        let secret = self.seal(&data_key, of, &secret)?;
        Ok(Prepared { id, secret })
    }

    /// Seals the secret that a client brings under a data key of its own.
    pub(crate) async fn import_access_key(
        &self,
        account: AccountId,
        id: &AccessKeyId,
        secret: &SecretAccessKey,
    ) -> Result<Prepared, Error> {
        let data_key = self.keystore.create(id.as_str()).await.map_err(unavailable)?;
        let of = SecretOf { account, access_key: id, generation: 1 };
        Ok(Prepared { id: id.clone(), secret: self.seal(&data_key, of, secret)? })
    }

    /// Makes another secret for an access key.
    ///
    /// # Errors
    /// [`Error::DataKeyMissing`].
    pub(crate) fn make_secret(&self, of: SecretOf<'_>) -> Result<SealedSecret, Error> {
        let data_key = self.keystore.get(of.access_key.as_str()).ok_or(Error::DataKeyMissing)?;
        self.seal(&data_key, of, &make_secret()?)
    }

    fn seal(
        &self,
        data_key: &sealing::DataKey,
        of: SecretOf<'_>,
        secret: &SecretAccessKey,
    ) -> Result<SealedSecret, Error> {
        let sealed = data_key
            .seal(secret.expose().as_bytes(), &self.context(of))
            .map_err(|error| internal("sealing a secret", &error))?;
        Ok(SealedSecret(sealed.into()))
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// [`Error::SecretShredded`] if its data key is gone.
    pub(crate) fn open(&self, of: SecretOf<'_>, sealed: &SealedSecret) -> Result<Secret, Error> {
        let data_key = self.keystore.get(of.access_key.as_str()).ok_or(Error::SecretShredded)?;
        data_key
            .open(&sealed.0, &self.context(of))
            .map_err(|error| internal("opening a secret", &error))
    }

    /// Seals the hash of a password under a data key of its own, which is durable then.
    pub(crate) async fn seal_password(
        &self,
        account: AccountId,
        id: PasswordId,
        hash: &str,
    ) -> Result<SealedSecret, Error> {
        let name = id.to_string();
        // What a setting left that was cut short.
        self.shred(&name).await?;
        let data_key = self.keystore.create(&name).await.map_err(unavailable)?;
        let sealed = data_key.seal(hash.as_bytes(), &self.password_context(account, id, &name));
        let sealed = sealed.map_err(|error| internal("sealing a password", &error))?;
        Ok(SealedSecret(sealed.into()))
    }

    /// Opens the hash of a password.
    ///
    /// # Errors
    /// [`Error::SecretShredded`] if its data key is gone.
    pub(crate) fn open_password(
        &self,
        account: AccountId,
        id: PasswordId,
        sealed: &SealedSecret,
    ) -> Result<Secret, Error> {
        let name = id.to_string();
        let data_key = self.keystore.get(&name).ok_or(Error::SecretShredded)?;
        data_key
            .open(&sealed.0, &self.password_context(account, id, &name))
            .map_err(|error| internal("opening a password", &error))
    }

    fn password_context<'a>(
        &self,
        account: AccountId,
        id: PasswordId,
        name: &'a str,
    ) -> Context<'a> {
        let (log_id, generation) = (self.log_id, id.generation);
        Context { log_id, account: account.0, access_key_id: name, generation }
    }

    /// Destroys the data key of an access key: no secret of it can be opened again, by anybody.
    pub(crate) async fn shred(&self, id: &str) -> Result<(), Error> {
        self.keystore.shred(id).await.map(drop).map_err(unavailable)
    }

    /// Goes through the access key IDs and passwords that have a data key: how many are known, and the others.
    pub(crate) fn sweep(&self, is_known: impl Fn(&str) -> bool) -> (usize, Vec<Box<str>>) {
        self.keystore.sweep(is_known)
    }

    fn context<'a>(&self, of: SecretOf<'a>) -> Context<'a> {
        Context {
            log_id: self.log_id,
            account: of.account.0,
            access_key_id: of.access_key.as_str(),
            generation: of.generation,
        }
    }
}

fn make_secret() -> Result<SecretAccessKey, Error> {
    let mut random = Zeroizing::new([0; 30]);
    fill(&mut *random)?;
    Ok(SecretAccessKey::from_random(*random))
}

fn fill(random: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(random).map_err(|error| internal("drawing random bits", &error))
}

fn internal(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> Error {
    tracing::error!(error, "{doing} failed");
    Error::Internal
}

/// What a failure of the keystore means to a client.
pub(crate) fn unavailable(error: sealing::Error) -> Error {
    if matches!(error, sealing::Error::Full) {
        return Error::StorageFull;
    }
    tracing::error!(error = &error as &dyn std::error::Error, "the keystore failed");
    Error::LogUnavailable
}
