//! What `claviger dev` must know again after a restart: sealed, in one file.

use std::fmt;
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use rpc::Token;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::files::{DataDir, write_private};

/// The file's name in the data directory.
pub(crate) const FILE: &str = "dev.sealed";
const PURPOSE: &str = "dev/state";
const VERSION: u32 = 1;

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// Id of the request that makes the account, chosen before it is sent: so that sending it again
    /// after a crash makes no second one.
    pub(crate) request_id: Uuid,
    /// When the request id was chosen. It is good for a day.
    pub(crate) chosen_at: DateTime<Utc>,
    /// The operators' token.
    pub(crate) admin_token: Hidden,
    /// The account, once it is known to be made.
    pub(crate) account: Option<Account>,
    /// The root user's password, chosen before it is set.
    #[serde(default)]
    pub(crate) password: Option<Password>,
    /// By which a store may ask by Keystone's API.
    #[serde(default)]
    pub(crate) keystone_password: Option<Hidden>,
}

/// The root user's password.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Password {
    pub(crate) text: Hidden,
    /// When it was set, in milliseconds since 1970; not known to be if none.
    pub(crate) set_ms: Option<i64>,
}

/// The account that was made at the first start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Its UUID.
    pub(crate) id: Uuid,
    /// 12 digits.
    pub(crate) number: String,
    /// Its display name.
    pub(crate) name: String,
    /// The root user's access key.
    pub(crate) access_key_id: String,
    /// The access key's secret of that generation.
    pub(crate) secret_access_key: Hidden,
    /// Which of the access key's secrets it is.
    pub(crate) generation: u32,
}

impl State {
    /// Reads the state, or begins one and keeps it.
    ///
    /// # Errors
    /// If it cannot be read, opened or written.
    pub(crate) fn load(dir: &DataDir) -> anyhow::Result<Self> {
        let path = dir.path(FILE);
        match fs::read(&path) {
            Ok(sealed) => {
                let context = || format!("cannot read {}", path.display());
                let opened = dir.keyring()?.open(PURPOSE, &sealed).with_context(context)?;
                let state: Self = serde_json::from_slice(opened.expose()).with_context(context)?;
                ensure!(state.version == VERSION, "{} is of another version", path.display());
                Ok(state)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let state = Self::begin()?;
                state.save(dir)?;
                Ok(state)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps the state.
    ///
    /// # Errors
    /// If it cannot be written; what was kept before still is then.
    pub(crate) fn save(&self, dir: &DataDir) -> anyhow::Result<()> {
        let plain = Zeroizing::new(serde_json::to_vec(self)?);
        write_private(&dir.path(FILE), &dir.keyring()?.seal(PURPOSE, &plain)?)
    }

    /// The password of a store that asks by Keystone's API, which is made and kept if there is none.
    ///
    /// # Errors
    /// As [`State::save`].
    pub(crate) fn keystone_password(&mut self, dir: &DataDir) -> anyhow::Result<Hidden> {
        if let Some(password) = &self.keystone_password {
            return Ok(password.clone());
        }
        let password = Hidden::new(Token::generate()?.expose().to_owned());
        self.keystone_password = Some(password.clone());
        self.save(dir)?;
        Ok(password)
    }

    fn begin() -> anyhow::Result<Self> {
        let admin_token = Hidden::new(Token::generate()?.expose().to_owned());
        Ok(Self {
            version: VERSION,
            request_id: Uuid::new_v4(),
            chosen_at: Utc::now(),
            admin_token,
            account: None,
            password: None,
            keystone_password: None,
        })
    }
}

/// A secret text that is written to the sealed file and nowhere else. Zeroed on drop, never
/// printed.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Hidden(Zeroizing<String>);

impl Hidden {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text in the clear.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The text as a token.
    pub(crate) fn token(&self) -> anyhow::Result<Token> {
        Ok(Token::parse(self.expose())?)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(redacted)")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn with_account(mut state: State) -> State {
        state.account = Some(Account {
            id: Uuid::from_u128(1),
            number: "123456789012".to_owned(),
            name: "dev".to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: Hidden::new(SECRET.to_owned()),
            generation: 1,
        });
        state
    }

    #[test]
    fn what_is_kept_is_known_again_and_seen_by_nobody() {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::open(home.path()).expect("new");
        let state = with_account(State::load(&dir).expect("begun"));
        state.save(&dir).expect("kept");

        let again = State::load(&dir).expect("kept");
        assert_eq!(again.request_id, state.request_id);
        assert_eq!(again.admin_token, state.admin_token);
        let account = again.account.as_ref().expect("kept");
        assert_eq!(account.secret_access_key.expose(), SECRET);

        let path = dir.path(FILE);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let stored = fs::read(&path).expect("there");
        for secret in [SECRET, state.admin_token.expose()] {
            assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
        let shown = format!("{again:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(state.admin_token.expose()));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_is_left_as_it_is() {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::open(home.path()).expect("new");
        State::load(&dir).expect("begun");
        let mut stored = fs::read(dir.path(FILE)).expect("there");
        stored[30] ^= 1;
        fs::write(dir.path(FILE), &stored).expect("written");
        let error = State::load(&dir).expect_err("damaged").to_string();
        assert!(error.contains("cannot read") && error.contains(FILE), "{error}");
        assert_eq!(fs::read(dir.path(FILE)).expect("there"), stored);
    }

    #[test]
    fn the_password_of_a_store_is_made_once() {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::open(home.path()).expect("new");
        let made = State::load(&dir).expect("begun").keystone_password(&dir).expect("kept");
        let again = State::load(&dir).expect("kept").keystone_password(&dir).expect("kept");
        assert_eq!(again, made);
        assert!(made.expose().len() >= 20);
    }

    #[test]
    fn the_request_id_is_kept_before_it_is_used() {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::open(home.path()).expect("new");
        let first = State::load(&dir).expect("begun").request_id;
        assert_eq!(State::load(&dir).expect("kept").request_id, first);
    }
}
