//! The API access policy: how long an account's access keys may live.

use api::event::v1::AccountSettings;
use api::identity::v1::{Account, GetAccountRequest, UpdateAccountRequest};
use prost_types::FieldMask;
use serde_json::json;

use super::Answer;
use super::call::Call;
use super::error::OscError;

/// 100 years, in seconds.
const LIFETIME_SECONDS_MAX: u64 = 3_153_600_000;

impl Call<'_> {
    pub(super) async fn read_api_access_policy(&self) -> Result<Answer, OscError> {
        let request = GetAccountRequest { name: self.account(), ..Default::default() };
        let answer = self.identity.get_account(&self.acting, request).await?;
        if self.dry_run {
            return Ok(Answer::new());
        }
        of_account(answer.account)
    }

    pub(super) async fn update_api_access_policy(&self) -> Result<Answer, OscError> {
        let name = "MaxAccessKeyExpirationSeconds";
        let seconds = self.parameters.number(name, LIFETIME_SECONDS_MAX)?;
        let seconds = seconds.ok_or_else(|| OscError::missing_parameter(name))?;
        let name = "RequireTrustedEnv";
        let trusted = self.parameters.optional_flag(name)?;
        if trusted.ok_or_else(|| OscError::missing_parameter(name))? {
            return Err(OscError::value(name, "must be false: trusted sessions are not offered"));
        }
        if self.dry_run {
            return self.read_api_access_policy().await;
        }
        let account = Account {
            name: self.account(),
            settings: Some(AccountSettings {
                access_key_lifetime_seconds_max: seconds,
                ..Default::default()
            }),
            ..Default::default()
        };
        let paths = vec!["settings.access_key_lifetime_seconds_max".to_owned()];
        let request = UpdateAccountRequest {
            account: Some(account),
            update_mask: Some(FieldMask { paths }),
            request_id: self.idempotency_id.clone(),
        };
        of_account(self.identity.update_account(&self.acting, request).await?.account)
    }
}

fn of_account(account: Option<Account>) -> Result<Answer, OscError> {
    let settings = account.ok_or_else(OscError::internal)?.settings.unwrap_or_default();
    let policy = json!({
        "MaxAccessKeyExpirationSeconds": settings.access_key_lifetime_seconds_max,
        "RequireTrustedEnv": false,
    });
    Ok(Answer::from_iter([("ApiAccessPolicy".to_owned(), policy)]))
}
