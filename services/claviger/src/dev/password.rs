//! The password that `claviger dev` gives its account's root user at its first start, once.

use anyhow::anyhow;
use api::identity::v1 as proto;
use api::identity::v1::user_service_client::UserServiceClient;
use prost_types::Timestamp;
use rpc::{Channel, Token};

use super::account::root_user;
use super::files::DataDir;
use super::state::{Account, Hidden, Password, State};

/// What the root user shows itself with where no signature is taken.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) name: String,
    /// None if another was set, or it was removed, through the API.
    pub(super) password: Option<Hidden>,
}

/// The root user's login and password, which is set now if it never was.
///
/// # Errors
/// If identity refuses, or what it answered cannot be kept.
pub(super) async fn ensure(
    channel: Channel,
    dir: &DataDir,
    state: &mut State,
    account: &Account,
) -> anyhow::Result<Login> {
    let root = root_user(channel.clone(), &format!("accounts/{}", account.id)).await?;
    let name = format!("{}@{}", root.user_name, account.number);
    let chosen = match &state.password {
        Some(Password { text, set_ms: Some(set) }) => {
            let is_valid = root.password_set_time.as_ref().map(milliseconds) == Some(*set);
            return Ok(Login { name, password: is_valid.then(|| text.clone()) });
        }
        Some(Password { text, set_ms: None }) => text.clone(),
        None => {
            let text = Hidden::new(Token::generate()?.expose().chars().take(32).collect());
            state.password = Some(Password { text: text.clone(), set_ms: None });
            state.save(dir)?;
            text
        }
    };
    let password = chosen.expose().to_owned();
    let request = proto::SetPasswordRequest { name: root.name, password, ..Default::default() };
    let set = UserServiceClient::new(channel).set_password(request).await;
    let set = set.map_err(|status| anyhow!("cannot set the password: {}", status.message()))?;
    let set = set.into_inner().user.and_then(|user| user.password_set_time);
    let set_ms = set.as_ref().map(milliseconds);
    state.password = Some(Password { text: chosen.clone(), set_ms });
    state.save(dir)?;
    Ok(Login { name, password: Some(chosen) })
}

fn milliseconds(at: &Timestamp) -> i64 {
    at.seconds * 1000 + i64::from(at.nanos / 1_000_000)
}
