//! Users' tags.

use api::event::v1::Tag;
use api::identity::v1::UpdateUserRequest;
use prost_types::FieldMask;

use super::Call;
use super::error::IamError;
use super::listing::{Page, invalid};
use super::render;
use crate::xml::Document;

/// Tags that a user may have.
pub(super) const TAGS_MAX: u32 = 50;
/// How often a change of a user's tags is tried again because the user changed meanwhile.
const ATTEMPTS_MAX: usize = 8;

impl Call<'_> {
    pub(super) async fn tag_user(&self) -> Result<(), IamError> {
        let asked = self.tags()?;
        self.change_tags(|tags| {
            for tag in &asked {
                match tags.iter_mut().find(|found| found.key.eq_ignore_ascii_case(&tag.key)) {
                    Some(found) => *found = tag.clone(),
                    None => tags.push(tag.clone()),
                }
            }
        })
        .await
    }

    pub(super) async fn untag_user(&self) -> Result<(), IamError> {
        let keys = self.form.list("TagKeys", "");
        self.change_tags(|tags| {
            tags.retain(|tag| !keys.iter().any(|key| key.eq_ignore_ascii_case(&tag.key)));
        })
        .await
    }

    pub(super) async fn list_user_tags(&self, document: &mut Document) -> Result<(), IamError> {
        self.form.required("UserName")?;
        let asked = self.page()?;
        let user = self.user().await?;
        // There are at most 50: a marker is the number of those that were told.
        let start: usize = match asked.page_token.as_str() {
            "" => 0,
            text => text.parse().map_err(|_| invalid("Marker", text, "Member must be a marker"))?,
        };
        let size = usize::try_from(asked.page_size).unwrap_or(usize::MAX);
        let rest = user.tags.get(start..).unwrap_or_default();
        document.open("Tags");
        for tag in rest.iter().take(size) {
            document.open("member");
            document.text("Key", &tag.key);
            document.text("Value", &tag.value);
            document.close();
        }
        document.close();
        let more = rest.len() > size;
        let next_page_token = if more { (start + size).to_string() } else { String::new() };
        render::page(document, &Page { next_page_token });
        Ok(())
    }

    /// Changes the tags of the user that the form names.
    async fn change_tags(&self, change: impl Fn(&mut Vec<Tag>)) -> Result<(), IamError> {
        self.form.required("UserName")?;
        let refused = self.refused();
        for attempt in 1.. {
            let mut user = self.user().await?;
            change(&mut user.tags);
            let request = UpdateUserRequest {
                user: Some(user),
                update_mask: Some(FieldMask { paths: vec!["tags".to_owned()] }),
                ..Default::default()
            };
            match self.identity.update_user(&self.acting, request).await {
                Ok(_) => return Ok(()),
                // Somebody was quicker: with what the user has now.
                Err(status)
                    if attempt < ATTEMPTS_MAX
                        && api::reason(&status) == Some(api::error::v1::Reason::EtagMismatch) => {}
                Err(status) => return Err(refused(status)),
            }
        }
        Err(IamError::internal())
    }

    /// The tags that a form gives.
    pub(super) fn tags(&self) -> Result<Vec<Tag>, IamError> {
        let keys = self.form.list("Tags", ".Key");
        let value = |n: usize| self.form.get(&format!("Tags.member.{n}.Value")).unwrap_or_default();
        let tags: Vec<Tag> = keys
            .iter()
            .zip(1..)
            .map(|(key, n)| Tag { key: (*key).to_owned(), value: value(n).to_owned() })
            .collect();
        let twice = |(at, tag): (usize, &Tag)| {
            tags[..at].iter().any(|other| other.key.eq_ignore_ascii_case(&tag.key))
        };
        if tags.iter().enumerate().any(twice) {
            let message =
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(IamError::new(http::StatusCode::BAD_REQUEST, "InvalidInput", message));
        }
        Ok(tags)
    }
}
