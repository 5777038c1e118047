//! Keys that are not fed, derived for an auth that asks for them.

use std::sync::Arc;

use api::identity::v1::{
    DeriveDateKeysRequest, DeriveDateKeysResponse, DerivePublicKeysRequest,
    DerivePublicKeysResponse, PublicKeyRecord, SignatureSpelling,
};
use domain::AccessKeyId;
use sigv4::{PrivateKey, Spelling};

use super::{date_key_records, today};
use crate::error::Error;
use crate::model::UserEntry;
use crate::vault::SecretOf;
use crate::writer::Writer;

/// How many days back date keys are derived: presigned URLs live 7 days, clocks differ.
const DAYS_BACK_MAX: u32 = 8;

pub(super) fn date_keys(
    writer: &Writer,
    request: &DeriveDateKeysRequest,
) -> Result<DeriveDateKeysResponse, Error> {
    let today = today(writer);
    if !(today.saturating_sub(DAYS_BACK_MAX)..=today + 1).contains(&request.day) {
        return Err(Error::invalid("day", "must be from 8 days ago to tomorrow"));
    }
    // Not as the message has it, which takes what it does not know for unspecified.
    let spelling = match SignatureSpelling::try_from(request.spelling) {
        Ok(SignatureSpelling::Unspecified | SignatureSpelling::Aws4) => Spelling::Aws4,
        Ok(SignatureSpelling::Osc4) => Spelling::Osc4,
        Err(_) => return Err(Error::invalid("spelling", "must be a known one")),
    };
    let (id, holder) = holder(writer, &request.access_key_id)?;
    let key = holder.user.access_key(&id).ok_or(Error::NoSuchAccessKey)?;
    let date_keys = date_key_records(writer, &holder, key, spelling, request.day)?;
    Ok(DeriveDateKeysResponse { date_keys })
}

pub(super) fn public_keys(
    writer: &Writer,
    request: &DerivePublicKeysRequest,
) -> Result<DerivePublicKeysResponse, Error> {
    let (id, holder) = holder(writer, &request.access_key_id)?;
    let key = holder.user.access_key(&id).ok_or(Error::NoSuchAccessKey)?;
    let mut public_keys = vec![];
    for secret in key.valid_secrets(writer.now()) {
        let generation = secret.generation;
        let of = SecretOf { account: holder.account, access_key: &id, generation };
        let secret = writer.vault.open(of, &secret.sealed)?;
        let private_key = PrivateKey::derive(id.as_str(), secret.expose());
        // A secret that has none, which nobody will ever see, verifies nothing.
        let public_key = private_key.and_then(|key| key.public_key());
        public_keys.extend(
            public_key
                .map(|key| PublicKeyRecord { generation, public_key: key.to_bytes().to_vec() }),
        );
    }
    Ok(DerivePublicKeysResponse { public_keys })
}

/// Who has this access key.
fn holder(writer: &Writer, access_key_id: &str) -> Result<(AccessKeyId, Arc<UserEntry>), Error> {
    let id = AccessKeyId::parse(access_key_id)
        .map_err(|error| Error::invalid("access_key_id", error.to_string()))?;
    let model = writer.model();
    let holder = model.access_key(&id).map(|(holder, _)| Arc::clone(holder));
    Ok((id, holder.ok_or(Error::NoSuchAccessKey)?))
}
