//! Calls on access keys.

use api::identity::v1::{
    AccessKey, AccessKeyState, CreateAccessKeyRequest, DeleteAccessKeyRequest, GetAccessKeyRequest,
    ListAccessKeysRequest, UpdateAccessKeyRequest,
};
use prost_types::FieldMask;
use serde_json::Value;

use super::Answer;
use super::call::Call;
use super::error::OscError;
use super::render::{self, ACTIVE, INACTIVE};

/// As many access keys as identity gives in one page.
const PAGE_SIZE: i32 = 1000;

impl Call<'_> {
    pub(super) async fn create_access_key(&self) -> Result<Answer, OscError> {
        let parent = self.user_resource()?;
        let access_key = AccessKey {
            label: self.parameters.text("Tag")?.unwrap_or_default().to_owned(),
            expiration_date: self.expiration_date()?.unwrap_or_default().to_owned(),
            ..Default::default()
        };
        if self.dry_run {
            // Whoever may see a user may make its access keys.
            self.user(parent).await?;
            return Ok(Answer::new());
        }
        let request = CreateAccessKeyRequest {
            parent,
            access_key: Some(access_key),
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        let answer = self.identity.create_access_key(&self.acting, request).await?;
        let mut shown = shown(answer.access_key.as_ref())?;
        shown["SecretKey"] = answer.secret_access_key.into();
        Ok(of_key(shown))
    }

    pub(super) async fn read_access_keys(&self) -> Result<Answer, OscError> {
        let parent = self.user_resource()?;
        let tag = self.parameters.text("Tag")?;
        let filters = self.parameters.within("Filters", &["AccessKeyIds", "States"])?;
        let (ids, states) = (filters.texts("AccessKeyIds")?, filters.texts("States")?);
        let is_state = |state: &&str| [ACTIVE, INACTIVE].contains(state);
        if !states.iter().flatten().all(is_state) {
            return Err(OscError::value("Filters.States", "must be ACTIVE or INACTIVE"));
        }
        let passes = |key: &AccessKey| {
            ids.as_ref().is_none_or(|ids| ids.contains(&key.access_key_id.as_str()))
                && states.as_ref().is_none_or(|states| states.contains(&render::state(key)))
                && tag.is_none_or(|tag| tag == key.label)
        };
        let mut keys: Vec<Value> = vec![];
        let mut page_token = String::new();
        loop {
            let request = ListAccessKeysRequest {
                parent: parent.clone(),
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let answer = self.identity.list_access_keys(&self.acting, request).await?;
            keys.extend(
                answer.access_keys.iter().filter(|key| passes(key)).map(render::access_key),
            );
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if self.dry_run {
            return Ok(Answer::new());
        }
        Ok(Answer::from_iter([("AccessKeys".to_owned(), keys.into())]))
    }

    pub(super) async fn update_access_key(&self) -> Result<Answer, OscError> {
        let name = self.access_key_resource()?;
        let mut after = AccessKey { name: name.clone(), ..Default::default() };
        let mut paths = vec![];
        match self.parameters.text("State")? {
            None => {}
            Some(text) => {
                paths.push("state");
                after.state = match text {
                    ACTIVE => AccessKeyState::Active,
                    INACTIVE => AccessKeyState::Inactive,
                    _ => return Err(OscError::value("State", "must be ACTIVE or INACTIVE")),
                }
                .into();
            }
        }
        let date = self.expiration_date()?;
        if self.parameters.flag("ClearExpirationDate")? {
            paths.push("expire_time");
        } else if let Some(date) = date {
            paths.push("expiration_date");
            date.clone_into(&mut after.expiration_date);
        }
        let tag = self.parameters.text("Tag")?;
        if self.parameters.flag("ClearTag")? {
            paths.push("label");
        } else if let Some(tag) = tag {
            paths.push("label");
            tag.clone_into(&mut after.label);
        }
        if self.dry_run || paths.is_empty() {
            let request = GetAccessKeyRequest { name, ..Default::default() };
            let answer = self.identity.get_access_key(&self.acting, request).await?;
            let shown = shown(answer.access_key.as_ref())?;
            return Ok(if self.dry_run { Answer::new() } else { of_key(shown) });
        }
        let request = UpdateAccessKeyRequest {
            access_key: Some(after),
            update_mask: Some(FieldMask { paths: paths.into_iter().map(str::to_owned).collect() }),
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        let answer = self.identity.update_access_key(&self.acting, request).await?;
        Ok(of_key(shown(answer.access_key.as_ref())?))
    }

    pub(super) async fn delete_access_key(&self) -> Result<Answer, OscError> {
        let name = self.access_key_resource()?;
        if self.dry_run {
            let request = GetAccessKeyRequest { name, ..Default::default() };
            self.identity.get_access_key(&self.acting, request).await?;
            return Ok(Answer::new());
        }
        let request = DeleteAccessKeyRequest {
            name,
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        self.identity.delete_access_key(&self.acting, request).await?;
        Ok(Answer::new())
    }

    /// `ExpirationDate`, which identity reads: as a date if it was written without dashes, too. An empty one
    /// is of no type.
    fn expiration_date(&self) -> Result<Option<&str>, OscError> {
        let date = self.parameters.text("ExpirationDate")?;
        if date == Some("") {
            return Err(OscError::of_type("ExpirationDate"));
        }
        Ok(date)
    }
}

fn shown(key: Option<&AccessKey>) -> Result<Value, OscError> {
    key.map(render::access_key).ok_or_else(OscError::internal)
}

fn of_key(shown: Value) -> Answer {
    Answer::from_iter([("AccessKey".to_owned(), shown)])
}
