//! Lists, page by page, and those of what there is none of.

use super::error::IamError;
use super::form::lower_first;
use super::{Answer, Call};

/// What an action lists of which there is nothing here, and so whose members nobody can name: action, and
/// the element that holds its members.
const EMPTY: [(&str, &str); 21] = [
    ("ListAccountAliases", "AccountAliases"),
    ("ListAttachedGroupPolicies", "AttachedPolicies"),
    ("ListAttachedUserPolicies", "AttachedPolicies"),
    ("ListGroups", "Groups"),
    ("ListGroupsForUser", "Groups"),
    ("ListInstanceProfiles", "InstanceProfiles"),
    ("ListMFADevices", "MFADevices"),
    ("ListOpenIDConnectProviders", "OpenIDConnectProviderList"),
    ("ListPolicies", "Policies"),
    ("ListRoles", "Roles"),
    ("ListSAMLProviders", "SAMLProviderList"),
    ("ListSSHPublicKeys", "SSHPublicKeys"),
    ("ListServerCertificates", "ServerCertificateMetadataList"),
    ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
    ("ListSigningCertificates", "Certificates"),
    ("ListUserPolicies", "PolicyNames"),
    ("ListVirtualMFADevices", "VirtualMFADevices"),
    ("ListGroupPolicies", "PolicyNames"),
    ("ListRolePolicies", "PolicyNames"),
    ("ListAttachedRolePolicies", "AttachedPolicies"),
    ("ListInstanceProfilesForRole", "InstanceProfiles"),
];

/// Actions on one of what there is none of: it cannot be found.
const NONE: [&str; 17] = [
    "DeactivateMFADevice",
    "DeleteAccountAlias",
    "DeleteAccountPasswordPolicy",
    "DeleteLoginProfile",
    "DeleteSSHPublicKey",
    "DeleteServiceSpecificCredential",
    "DeleteSigningCertificate",
    "DeleteUserPermissionsBoundary",
    "DeleteUserPolicy",
    "DetachUserPolicy",
    "GetAccountPasswordPolicy",
    "GetGroup",
    "GetLoginProfile",
    "GetPolicy",
    "GetRole",
    "GetUserPolicy",
    "RemoveUserFromGroup",
];

/// Members a page when the form does not say, and at most.
const MEMBERS_DEFAULT: i32 = 100;
const MEMBERS_MAX: i32 = 1000;
/// The longest marker, in characters: `markerType`.
const MARKER_MAX: usize = 320;

/// What of a list is asked for.
pub(super) struct Asked {
    pub(super) page_size: i32,
    pub(super) page_token: String,
}

/// Where a page of a list ends.
pub(super) struct Page {
    pub(super) next_page_token: String,
}

impl Call<'_> {
    /// The page that `MaxItems` and `Marker` ask for.
    ///
    /// # Errors
    /// `ValidationError`.
    pub(super) fn page(&self) -> Result<Asked, IamError> {
        let page_size = match self.form.get("MaxItems") {
            None => MEMBERS_DEFAULT,
            Some(text) => {
                text.parse().ok().filter(|size| (1..=MEMBERS_MAX).contains(size)).ok_or_else(
                    || invalid("MaxItems", text, "Member must have value from 1 to 1000"),
                )?
            }
        };
        let page_token = self.form.get("Marker").unwrap_or_default();
        if page_token.len() > MARKER_MAX {
            return Err(invalid("Marker", "", "Member must have length less than or equal to 320"));
        }
        Ok(Asked { page_size, page_token: page_token.to_owned() })
    }

    /// Answers for what there is none of.
    ///
    /// # Errors
    /// `NoSuchEntity` for a user that is not there, or for one of what there is none of; `InvalidAction`
    /// for what is not offered.
    pub(super) async fn list_nothing(
        &self,
        action: &str,
        answer: &mut Answer,
    ) -> Result<(), IamError> {
        let members = EMPTY.iter().find(|(name, _)| *name == action).map(|(_, members)| members);
        if members.is_none() && !NONE.contains(&action) {
            return Err(IamError::invalid_action(action, self.version()));
        }
        if self.form.get("UserName").is_some() {
            self.user().await?;
        }
        let Some(members) = members else {
            return Err(IamError::no_such_entity(format!("{action}: there is none.")));
        };
        let document = answer.result(action);
        document.open(members);
        document.close();
        document.text("IsTruncated", "false");
        Ok(())
    }
}

/// A field's value is not of its form.
pub(super) fn invalid(field: &str, value: &str, constraint: &str) -> IamError {
    let field = lower_first(field);
    IamError::validation(format!(
        "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: {constraint}"
    ))
}
