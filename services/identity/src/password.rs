//! Passwords: hashed when they are set, checked when they are shown.
//!
//! Hashing is slow and takes much memory, as it is to be for whoever tries them all. So few are hashed at
//! once, and who tries in vain has to wait.

mod attempts;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::{AccountNumber, UserName, UserState};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use self::attempts::Attempts;
use crate::error::Error;
use crate::model::UserEntry;
use crate::turn::{Intent, Locks, Places};
use crate::vault::PasswordId;
use crate::writer::Writer;

/// The fewest bytes of a new password (NIST SP 800-63B, section 5.1.1.2).
const PASSWORD_BYTES_MIN: usize = 8;
/// The most bytes of a password: what is hashed is bounded.
const PASSWORD_BYTES_MAX: usize = 128;
/// The most bytes of a login: the longest user name, `@`, an account number, and some.
const LOGIN_BYTES_MAX: usize = 128;

/// Memory that hashing takes, in KiB (OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, 2, 1).
const MEMORY_KIB: u32 = 19 * 1024;
const ITERATIONS: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// How many passwords are hashed at once.
const HASHED_AT_ONCE: usize = 2;

/// Sets and checks passwords.
pub(crate) struct Passwords {
    writer: Arc<Writer>,
    hashing: Semaphore,
    /// Of a login from an address: alone while a password is checked, so that no more are tried than are
    /// counted.
    locks: Locks<Row>,
    /// Before the locks.
    places: Places<Row>,
    attempts: Mutex<Attempts<Row>>,
    /// What a password is compared with that is nobody's.
    nobodys: Arc<str>,
}

/// A login, as it is compared, and where it is tried from.
type Row = (Arc<str>, IpAddr);

impl Passwords {
    /// # Errors
    /// If there is no randomness.
    pub(crate) fn new(writer: Arc<Writer>) -> anyhow::Result<Self> {
        let mut unknown = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *unknown)?;
        let nobodys = hash(&*unknown).map_err(|_| anyhow::anyhow!("passwords cannot be hashed"))?;
        Ok(Self {
            writer,
            hashing: Semaphore::new(HASHED_AT_ONCE),
            locks: Locks::new(),
            places: Places::new(),
            attempts: Mutex::default(),
            nobodys: nobodys.as_str().into(),
        })
    }

    /// The hash of a password that is to be set, which has a salt of its own.
    ///
    /// # Errors
    /// [`Error::InvalidField`].
    pub(crate) async fn hash(
        &self,
        password: Zeroizing<String>,
    ) -> Result<Zeroizing<String>, Error> {
        let long = (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len());
        if !long || password.chars().any(char::is_control) {
            let form = "must be 8 to 128 bytes and have no control characters";
            return Err(Error::invalid("password", form));
        }
        self.slowly(move || hash(password.as_bytes())).await?
    }

    /// Whose login and password these are, tried from this address. Takes as long for whatever reason it is
    /// nobody's.
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; [`Error::TooManyWrongPasswords`]; [`Error::TooManyRequests`].
    pub(crate) async fn verify(
        &self,
        login: &str,
        password: Zeroizing<String>,
        from: IpAddr,
    ) -> Result<Arc<UserEntry>, Error> {
        if !(1..=LOGIN_BYTES_MAX).contains(&login.len()) {
            return Err(Error::invalid("login", "must be 1 to 128 bytes"));
        }
        if !(1..=PASSWORD_BYTES_MAX).contains(&password.len()) {
            return Err(Error::invalid("password", "must be 1 to 128 bytes"));
        }
        let row: Row = (login.to_lowercase().into(), attempts::network(from));
        let _place = self.places.take(row.clone(), "", Intent::Change)?;
        let _alone = self.locks.alone(row.clone()).await;
        let now = self.writer.now();
        if let Some(seconds) = self.attempts().pause(&row, now) {
            return Err(Error::TooManyWrongPasswords { seconds });
        }
        let entry = self.holder(login);
        let expected = entry.as_ref().and_then(|entry| {
            let (generation, sealed) = entry.user.password()?;
            let id = PasswordId { user: entry.id, generation };
            self.writer.vault.open_password(entry.account, id, sealed).ok()
        });
        let nobodys = Arc::clone(&self.nobodys);
        let matches = self.slowly(move || {
            let known = expected.as_ref().and_then(|hash| std::str::from_utf8(hash.expose()).ok());
            matches(known.unwrap_or(&nobodys), password.as_bytes()) && known.is_some()
        });
        let matches = matches.await?;
        let entry = entry.filter(|entry| matches && entry.user.state == UserState::Active);
        match entry {
            Some(entry) => {
                self.attempts().succeed(&row);
                Ok(entry)
            }
            None => {
                self.attempts().fail(row, now);
                Err(Error::WrongPassword)
            }
        }
    }

    /// The user of this login: `{user name}@{account number}`.
    fn holder(&self, login: &str) -> Option<Arc<UserEntry>> {
        let (name, number) = login.rsplit_once('@')?;
        let (name, number) = (UserName::parse(name).ok()?, AccountNumber::parse(number)?);
        let model = self.writer.model();
        let user = model.user_by_name(model.account_by_number(number)?, &name)?;
        model.user(user).cloned()
    }

    /// Does what takes long where it holds nobody up, a few at once.
    async fn slowly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self.hashing.acquire().await.map_err(|_| Error::Internal)?;
        spawn_blocking(work).await.map_err(|_| Error::Internal)
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts<Row>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hasher() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, ITERATIONS, LANES, Some(HASH_BYTES));
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(failed)?))
}

fn hash(password: &[u8]) -> Result<Zeroizing<String>, Error> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(failed)?;
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    let hashed = hasher()?.hash_password(password, &salt).map_err(failed)?;
    Ok(Zeroizing::new(hashed.to_string()))
}

/// Compares in constant time, with the parameters that the hash was made with.
fn matches(hash: &str, password: &[u8]) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    hasher().is_ok_and(|hasher| hasher.verify_password(password, &hash).is_ok())
}

fn failed(error: impl std::fmt::Display) -> Error {
    tracing::error!(%error, "hashing a password failed");
    Error::Internal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_with_a_salt_of_its_own() {
        let (one, two) = (hash(b"secret").expect("made"), hash(b"secret").expect("made"));
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.as_str());
        assert_ne!(one, two);
        assert!(matches(&one, b"secret") && matches(&two, b"secret"));
        assert!(!matches(&one, b"secret ") && !matches("", b"secret") && !matches("x", b""));
    }
}
