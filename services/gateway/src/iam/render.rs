//! Users and access keys as IAM shows them.

use api::auth::v1::Principal;
use api::identity::v1::{AccessKey, AccessKeyState, User};
use prost_types::Timestamp;
use uuid::Uuid;

use super::listing::Page;
use crate::xml::Document;

/// The path of a user that has none.
const NO_PATH: &str = "/";

/// A user's id as AWS spells one: `AIDA`, then the UUID in base 32, 30 characters in all. One that is no UUID
/// stays as it is.
pub(crate) fn user_id(uuid: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let Ok(uuid) = uuid.parse::<Uuid>() else { return uuid.to_owned() };
    let bits = uuid.as_u128();
    let digits = (0..26).rev().map(|at| {
        let digit = usize::try_from(bits >> (5 * at) & 31).unwrap_or_default();
        char::from(LETTERS[digit])
    });
    "AIDA".chars().chain(digits).collect()
}

/// What AWS says where there is nothing to tell.
pub(super) const NOT_AVAILABLE: &str = "N/A";

pub(crate) fn path(user: &User) -> &str {
    if user.path.is_empty() { NO_PATH } else { &user.path }
}

/// Writes what IAM tells of a user; its tags too where it does.
pub(crate) fn user(document: &mut Document, principal: &Principal, user: &User, with_tags: bool) {
    if user.root {
        // As AWS tells of the root user: it has an id, and no name.
        document.text("Arn", &user.arn);
        document.text("UserId", &principal.account_number);
        document.text("CreateDate", &date(user.create_time.as_ref()));
        return;
    }
    document.text("Path", path(user));
    document.text("UserName", &user.user_name);
    document.text("UserId", &user_id(&user.user_id));
    document.text("Arn", &user.arn);
    document.text("CreateDate", &date(user.create_time.as_ref()));
    if with_tags && !user.tags.is_empty() {
        document.open("Tags");
        for tag in &user.tags {
            document.open("member");
            document.text("Key", &tag.key);
            document.text("Value", &tag.value);
            document.close();
        }
        document.close();
    }
}

/// When an access key was last used, and for what, as AWS tells it: `N/A` of one that it has not seen used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LastUsed<'a> {
    pub(crate) date: Option<String>,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

impl<'a> LastUsed<'a> {
    pub(crate) fn of(key: &'a AccessKey) -> Self {
        let told = |text: &'a str| if text.is_empty() { NOT_AVAILABLE } else { text };
        match &key.last_use {
            None => Self { date: None, region: NOT_AVAILABLE, service: NOT_AVAILABLE },
            Some(used) => Self {
                date: Some(date(used.time.as_ref())),
                region: told(&used.region),
                service: told(&used.service),
            },
        }
    }
}

/// Writes what IAM tells of an access key.
pub(crate) fn access_key(document: &mut Document, user_name: &str, key: &AccessKey) {
    document.text("UserName", user_name);
    document.text("AccessKeyId", &key.access_key_id);
    document.text("Status", status(key));
    document.text("CreateDate", &date(key.create_time.as_ref()));
}

/// The status that IAM has for a key. One that is not valid yet cannot be used, and is as good as inactive.
pub(crate) fn status(key: &AccessKey) -> &'static str {
    match key.state() {
        AccessKeyState::Active => "Active",
        AccessKeyState::Expired => "Expired",
        AccessKeyState::Inactive
        | AccessKeyState::NotYetValid
        | AccessKeyState::Deleted
        | AccessKeyState::Unspecified => "Inactive",
    }
}

/// An instant in ISO 8601, as IAM writes it: to the second, in UTC.
pub(crate) fn date(at: Option<&Timestamp>) -> String {
    let at = at.and_then(|at| chrono::DateTime::from_timestamp(at.seconds, 0)).unwrap_or_default();
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes whether there is more of a list.
pub(crate) fn page(document: &mut Document, page: &Page) {
    document.text("IsTruncated", if page.next_page_token.is_empty() { "false" } else { "true" });
    if !page.next_page_token.is_empty() {
        document.text("Marker", &page.next_page_token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_one_of_aws_form_and_tells_uuids_apart() {
        assert_eq!(user_id(&Uuid::nil().to_string()), format!("AIDA{}", "A".repeat(26)));
        let max = user_id(&Uuid::max().to_string());
        assert_eq!(max, format!("AIDAH{}", "7".repeat(25)));
        assert_eq!(user_id("x"), "x");
        let one = user_id("01935a3c-0000-7000-8000-000000000001");
        let two = user_id("01935a3c-0000-7000-8000-000000000002");
        assert!(one != two && one.len() == 30);
    }

    #[test]
    fn dates_are_to_the_second() {
        assert_eq!(date(Some(&Timestamp { seconds: 0, nanos: 5 })), "1970-01-01T00:00:00Z");
        assert_eq!(
            date(Some(&Timestamp { seconds: 1_700_000_000, nanos: 0 })),
            "2023-11-14T22:13:20Z"
        );
    }
}
