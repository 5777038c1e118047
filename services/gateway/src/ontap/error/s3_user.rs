//! The errors that ONTAP has for S3 users and their keys alone.
//!
//! Source: ONTAP REST API reference, "Manage S3 users", the tables of each operation.

use super::OntapError;

impl OntapError {
    pub(crate) fn name_characters() -> Self {
        Self::bad(
            "92405787",
            "The user name contains invalid characters, or has the form of a UUID. Valid characters are \
             0-9, A-Z, a-z, \"_\", \"+\", \"=\", \",\", \".\", \"@\" and \"-\".",
        )
        .at("name")
    }

    pub(crate) fn name_length() -> Self {
        Self::bad("92405788", "The user name must have 1 to 64 characters.").at("name")
    }

    pub(crate) fn access_key_form() -> Self {
        let message = "The access key must have 20 characters, of 0-9 and A-Z.";
        Self::bad("92406205", message).at("access_key")
    }

    pub(crate) fn regenerate_and_delete() -> Self {
        let message = "Cannot perform \"regenerate_keys\" and \"delete_keys\" operations \
                           simultaneously on an S3 user.";
        Self::bad("92406082", message)
    }

    pub(crate) fn delete_with_pair() -> Self {
        let message = "The \"access_key\" and \"secret_key\" fields cannot be specified with the \
                           \"delete_keys\" operation.";
        Self::bad("92406202", message)
    }

    pub(crate) fn lifetime_alone() -> Self {
        let message = "The \"key_time_to_live\" parameter can only be used when the \
                           \"regenerate_keys\" operation is performed.";
        Self::bad("92406088", message).at("key_time_to_live")
    }

    pub(crate) fn key_id_alone() -> Self {
        let message = "The \"key_id\" field must be used with either the \"regenerate_keys\" or \
                           \"delete_keys\" operation.";
        Self::bad("92406108", message).at("key_id")
    }

    pub(crate) fn half_a_pair(missing: &'static str) -> Self {
        let message = "The \"access_key\" and \"secret_key\" fields must be specified together.";
        Self::bad("92406201", message).at(missing)
    }

    /// A key has to end, as all of the account have.
    pub(crate) fn expiry_required() -> Self {
        let message = "The value of the \"key_time_to_live\" field must be non-zero, as a maximum is \
                       specified for the \"max_key_time_to_live\" field in the object store server.";
        Self::bad("92406197", message).at("key_time_to_live")
    }

    /// More than 1095 days.
    pub(crate) fn too_long_for_anybody() -> Self {
        let message =
            "The maximum supported value for user key expiry configuration is \"1095\" days.";
        Self::bad("92406083", message).at("key_time_to_live")
    }

    /// More than the account allows.
    pub(crate) fn too_long_for_service() -> Self {
        Self::bad(
            "92406196",
            "The specified value for the \"key_time_to_live\" field cannot be greater than the maximum \
             limit specified for the \"max_key_time_to_live\" field in the object store server.",
        )
        .at("key_time_to_live")
    }
}
