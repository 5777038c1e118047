//! The credential report: all users of an account and their access keys, as a table.
//!
//! Source: IAM user guide, "Getting credential reports for your AWS account".

use std::collections::HashMap;
use std::fmt::Write as _;

use api::identity::v1::{AccessKey, ListAccessKeysRequest, User};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::error::IamError;
use super::render::LastUsed;
use super::{Call, render};
use crate::xml::Document;

/// The most users that a report tells of: what is told stands in memory at once.
const USERS_MAX: usize = 50_000;
const PAGE_SIZE: i32 = 1000;
/// How many access keys a report has columns for.
const KEYS_SHOWN: usize = 2;

const COLUMNS: &str = "user,arn,user_creation_time,password_enabled,password_last_used,\
    password_last_changed,password_next_rotation,mfa_active,access_key_1_active,\
    access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,\
    access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
    access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,\
    cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated";

impl Call<'_> {
    /// A report is made when it is asked for: it is always ready. Whoever may not have it is told so here.
    pub(super) async fn generate_credential_report(
        &self,
        document: &mut Document,
    ) -> Result<(), IamError> {
        let request = ListAccessKeysRequest {
            parent: self.user_named("-"),
            page_size: 1,
            ..Default::default()
        };
        let refused = self.refused();
        self.identity.list_access_keys(&self.acting, request).await.map_err(&refused)?;
        document.text("State", "COMPLETE");
        Ok(())
    }

    pub(super) async fn get_credential_report(
        &self,
        document: &mut Document,
    ) -> Result<(), IamError> {
        let keys = self.keys_by_user().await?;
        let mut table = format!("{COLUMNS}\n");
        let mut count = 0;
        self.each_page_of_users(|users| {
            count += users.len();
            if count > USERS_MAX {
                let message = format!("A report tells of up to {USERS_MAX} users.");
                return Err(IamError::new(StatusCode::CONFLICT, "LimitExceeded", message));
            }
            for user in &users {
                self.row(&mut table, user, keys.get(&user.name).map_or(&[], Vec::as_slice));
            }
            Ok(())
        })
        .await?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seconds = now.map(|now| now.as_secs()).unwrap_or_default();
        let now = prost_types::Timestamp {
            seconds: i64::try_from(seconds).unwrap_or_default(),
            nanos: 0,
        };
        document.text("Content", &STANDARD.encode(table.trim_end()));
        document.text("ReportFormat", "text/csv");
        document.text("GeneratedTime", &render::date(Some(&now)));
        Ok(())
    }

    fn row(&self, table: &mut String, user: &User, keys: &[AccessKey]) {
        let name = if user.root { "<root_account>" } else { &user.user_name };
        let _ = write!(
            table,
            "{},{},{},false,N/A,N/A,N/A,false",
            cell(name),
            cell(&user.arn),
            render::date(user.create_time.as_ref()),
        );
        for at in 0..KEYS_SHOWN {
            match keys.get(at) {
                None => table.push_str(",false,N/A,N/A,N/A,N/A"),
                Some(key) => {
                    let secret = key.secrets.first();
                    let rotated = secret
                        .map_or(key.create_time.as_ref(), |secret| secret.create_time.as_ref());
                    let active = if render::status(key) == "Active" { "true" } else { "false" };
                    let LastUsed { date, region, service } = LastUsed::of(key);
                    let _ = write!(
                        table,
                        ",{active},{},{},{},{}",
                        render::date(rotated),
                        date.as_deref().unwrap_or(render::NOT_AVAILABLE),
                        cell(region),
                        cell(service),
                    );
                }
            }
        }
        table.push_str(",false,N/A,false,N/A\n");
    }

    /// The access keys of an account, by the name of the user that holds them.
    async fn keys_by_user(&self) -> Result<HashMap<String, Vec<AccessKey>>, IamError> {
        let refused = self.refused();
        let mut found: HashMap<String, Vec<AccessKey>> = HashMap::new();
        let mut page_token = String::new();
        loop {
            let request = ListAccessKeysRequest {
                parent: self.user_named("-"),
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let answer =
                self.identity.list_access_keys(&self.acting, request).await.map_err(&refused)?;
            for key in answer.access_keys {
                let holder = key.name.split("/accessKeys/").next().unwrap_or_default();
                let of_holder = found.entry(holder.to_owned()).or_default();
                if of_holder.len() < KEYS_SHOWN {
                    of_holder.push(key);
                }
            }
            if found.len() > USERS_MAX {
                let message = format!("A report tells of up to {USERS_MAX} users.");
                return Err(IamError::new(StatusCode::CONFLICT, "LimitExceeded", message));
            }
            if answer.next_page_token.is_empty() {
                return Ok(found);
            }
            page_token = answer.next_page_token;
        }
    }
}

/// A value of a table, in quotes where it has a comma (RFC 4180): a user's name may have one.
fn cell(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains([',', '"']) {
        return format!("\"{}\"", text.replace('"', "\"\"")).into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_comma_is_quoted() {
        assert_eq!(cell("a"), "a");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn a_row_has_a_value_for_each_column() {
        assert_eq!(COLUMNS.split(',').count(), 8 + 5 * KEYS_SHOWN + 4);
    }
}
