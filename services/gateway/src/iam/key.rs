//! Actions on access keys.

use api::identity::v1::{
    AccessKey, AccessKeyState, CreateAccessKeyRequest, DeleteAccessKeyRequest, GetAccessKeyRequest,
    GetUserRequest, ListAccessKeysRequest, UpdateAccessKeyRequest,
};
use prost_types::FieldMask;

use super::error::IamError;
use super::listing::{Page, invalid};
use super::{Call, render};
use crate::xml::Document;

impl Call<'_> {
    pub(super) async fn create_access_key(&self, document: &mut Document) -> Result<(), IamError> {
        self.check_user_name("UserName")?;
        let request = CreateAccessKeyRequest {
            parent: self.user_resource(),
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        let refused = self.refused();
        let answer =
            self.identity.create_access_key(&self.acting, request).await.map_err(&refused)?;
        let key = answer.access_key.ok_or_else(IamError::internal)?;
        document.open("AccessKey");
        render::access_key(document, &self.user_name().await?, &key);
        document.text("SecretAccessKey", &answer.secret_access_key);
        document.close();
        Ok(())
    }

    pub(super) async fn list_access_keys(&self, document: &mut Document) -> Result<(), IamError> {
        self.check_user_name("UserName")?;
        let asked = self.page()?;
        let request = ListAccessKeysRequest {
            parent: self.user_resource(),
            page_size: asked.page_size,
            page_token: asked.page_token,
            ..Default::default()
        };
        let refused = self.refused();
        let answer =
            self.identity.list_access_keys(&self.acting, request).await.map_err(&refused)?;
        let user_name = self.user_name().await?;
        document.open("AccessKeyMetadata");
        for key in &answer.access_keys {
            document.open("member");
            render::access_key(document, &user_name, key);
            document.close();
        }
        document.close();
        render::page(document, &Page { next_page_token: answer.next_page_token });
        Ok(())
    }

    pub(super) async fn update_access_key(&self) -> Result<(), IamError> {
        let state = match self.form.required("Status")? {
            "Active" => AccessKeyState::Active,
            "Inactive" => AccessKeyState::Inactive,
            other => {
                let constraint = "Member must satisfy enum value set: [Active, Inactive]";
                return Err(invalid("Status", other, constraint));
            }
        };
        let request = UpdateAccessKeyRequest {
            access_key: Some(AccessKey {
                name: self.access_key_resource()?,
                state: state.into(),
                ..Default::default()
            }),
            update_mask: Some(FieldMask { paths: vec!["state".to_owned()] }),
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        let refused = self.refused();
        self.identity.update_access_key(&self.acting, request).await.map_err(&refused)?;
        Ok(())
    }

    pub(super) async fn delete_access_key(&self) -> Result<(), IamError> {
        let request = DeleteAccessKeyRequest {
            name: self.access_key_resource()?,
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        let refused = self.refused();
        self.identity.delete_access_key(&self.acting, request).await.map_err(&refused)?;
        Ok(())
    }

    pub(super) async fn get_access_key_last_used(
        &self,
        document: &mut Document,
    ) -> Result<(), IamError> {
        let id = self.access_key_id()?;
        let name = self.user_named(&format!("-/accessKeys/{id}"));
        let refused = self.refused();
        let request = GetAccessKeyRequest { name, ..Default::default() };
        let answer = self.identity.get_access_key(&self.acting, request).await.map_err(&refused)?;
        let key = answer.access_key.ok_or_else(IamError::internal)?;
        let holder = key.name.split("/accessKeys/").next().unwrap_or_default().to_owned();
        let request = GetUserRequest { name: holder, ..Default::default() };
        let answer = self.identity.get_user(&self.acting, request).await.map_err(&refused)?;
        let user = answer.user.ok_or_else(IamError::internal)?;
        document.text("UserName", &user.user_name);
        document.open("AccessKeyLastUsed");
        let used = render::LastUsed::of(&key);
        if let Some(date) = used.date {
            document.text("LastUsedDate", &date);
        }
        document.text("ServiceName", used.service);
        document.text("Region", used.region);
        document.close();
        Ok(())
    }

    /// The name of whose access keys the form is about, in the case that it was given; in full, as OUTSCALE
    /// tells it, where the account spells names so.
    async fn user_name(&self) -> Result<String, IamError> {
        let user = self.user().await?;
        Ok(if user.arn.starts_with("orn:") { user.arn } else { user.user_name })
    }

    /// Identity's name of the access key that the form names: of the user that it names, or else of the
    /// caller.
    fn access_key_resource(&self) -> Result<String, IamError> {
        self.check_user_name("UserName")?;
        Ok(format!("{}/accessKeys/{}", self.user_resource(), self.access_key_id()?))
    }

    fn access_key_id(&self) -> Result<&str, IamError> {
        let id = self.form.required("AccessKeyId")?;
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(16..=128).contains(&id.len()) || !id.bytes().all(is_word) {
            let constraint = "Member must have length from 16 to 128 and satisfy regular expression \
                              pattern: [\\w]+";
            return Err(invalid("AccessKeyId", id, constraint));
        }
        // Of a form that no key here has.
        if id.len() != 20
            || !id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        {
            return Err(IamError::no_such_entity(format!(
                "The Access Key with id {id} cannot be found."
            )));
        }
        Ok(id)
    }
}
