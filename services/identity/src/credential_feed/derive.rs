//! What is not fed but derived for an auth that asks: keys, and whether a signature is one that needs the secret
//! itself.

use std::sync::Arc;

use api::identity::v1::{
    DeriveDateKeysRequest, DeriveDateKeysResponse, DerivePublicKeysRequest,
    DerivePublicKeysResponse, PublicKeyRecord, SignatureSpelling, VerifySignatureVersion2Request,
    VerifySignatureVersion2Response,
};
use domain::AccessKeyId;
use sigv4::{PrivateKey, Spelling, verify_version_2};

use super::{date_key_records, today};
use crate::error::Error;
use crate::model::UserEntry;
use crate::vault::SecretOf;
use crate::writer::Writer;

/// How many days back date keys are derived: presigned URLs live 7 days, clocks differ.
const DAYS_BACK_MAX: u32 = 8;
/// A head has 64 KiB at most.
const STRING_TO_SIGN_BYTES_MAX: usize = 128 << 10;

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

pub(super) fn version_2(
    writer: &Writer,
    request: &VerifySignatureVersion2Request,
) -> Result<VerifySignatureVersion2Response, Error> {
    let text = request.string_to_sign.as_slice();
    if text.len() > STRING_TO_SIGN_BYTES_MAX {
        return Err(Error::invalid("string_to_sign", "must have at most 128 KiB"));
    }
    let signature = <&[u8; 20]>::try_from(request.signature.as_slice())
        .map_err(|_| Error::invalid("signature", "must be 20 bytes"))?;
    let (id, holder) = holder(writer, &request.access_key_id)?;
    let key = holder.user.access_key(&id).ok_or(Error::NoSuchAccessKey)?;
    let mut found = None;
    // All of them, also after one was right: which one it is does not show in the time.
    for secret in key.valid_secrets(writer.now()) {
        let generation = secret.generation;
        let of = SecretOf { account: holder.account, access_key: &id, generation };
        let secret = writer.vault.open(of, &secret.sealed)?;
        if verify_version_2(secret.expose(), text, signature) {
            found = Some(generation);
        }
    }
    Ok(VerifySignatureVersion2Response { generation: found })
}

/// Who has this access key.
fn holder(writer: &Writer, access_key_id: &str) -> Result<(AccessKeyId, Arc<UserEntry>), Error> {
    let id = AccessKeyId::parse(access_key_id)
        .map_err(|error| Error::invalid("access_key_id", error.to_string()))?;
    let model = writer.model();
    let holder = model.access_key(&id).map(|(holder, _)| Arc::clone(holder));
    Ok((id, holder.ok_or(Error::NoSuchAccessKey)?))
}
