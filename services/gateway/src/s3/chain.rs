//! What a verified body in chunks is read through.

use std::net::IpAddr;

use api::auth::v1::get_signing_key_response::Result as Given;
use api::auth::v1::{GetSigningKeyRequest, VerifyStringToSignRequest};
use http::request::Parts;
use http::uri::PathAndQuery;
use sigv4::{
    AnnouncedChunks, ChunkedBody, Denial, Expected, Head, PayloadMode, SignatureChain, SigningKey,
};
use zeroize::Zeroizing;

use super::error_xml::S3Error;
use super::verify::{Verified, Verifier, denial, no_answer, raw_head, within};

impl Verifier {
    /// What a verified body in chunks of this mode is to be read through: with the key that signed its
    /// head, if its chunks are signed.
    ///
    /// # Errors
    /// As [`Self::verify`]; and what is wrong with what the head says of the body.
    pub(crate) async fn chunks(
        &self,
        client: IpAddr,
        head: &Parts,
        target: &PathAndQuery,
        verified: &Verified,
        mode: PayloadMode,
    ) -> Result<(AnnouncedChunks, ChunkedBody), S3Error> {
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let announced = AnnouncedChunks::find(mode, headers)?;
        let chain = match announced.is_signed() {
            true => Some(self.chain(client, head, target, verified).await?),
            false => None,
        };
        let chunks = ChunkedBody::new(announced, chain).ok_or_else(S3Error::internal)?;
        Ok((announced, chunks))
    }

    /// What the chunks of a verified request are signed by.
    async fn chain(
        &self,
        client: IpAddr,
        head: &Parts,
        target: &PathAndQuery,
        verified: &Verified,
    ) -> Result<SignatureChain, S3Error> {
        let raw_head = raw_head(&head.method, target, &head.headers);
        let raw_head = Head::parse(&raw_head).map_err(Denial::from)?;
        // Auth has held its time against the clock.
        let expected = Expected::s3(&self.region, verified.sign_time);
        let signed = sigv4::authenticate(&raw_head, &expected)?;
        let signature = *signed.signature();
        let proof = VerifyStringToSignRequest {
            access_key_id: signed.access_key_id().to_owned(),
            string_to_sign: signed.string_to_sign().as_bytes().to_vec(),
            signature: String::from_utf8_lossy(&signature.to_hex()).into_owned(),
            region: self.region.clone(),
            expires_seconds: signed.expires_at_unix_seconds().map(|end| {
                u32::try_from(end - signed.timestamp().unix_seconds()).unwrap_or_default()
            }),
            source_address: client.to_string(),
            ..Default::default()
        };
        let request = GetSigningKeyRequest { proof: Some(proof) };
        let given = within(self.timeout, self.auth.get_signing_key(request)).await?;
        let key = match given.result {
            Some(Given::SigningKey(given)) => Zeroizing::new(given.key),
            Some(Given::Denied(denied)) => return Err(denial(denied)),
            None => return Err(no_answer()),
        };
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| no_answer())?;
        let key = SigningKey::from_bytes(key);
        Ok(SignatureChain::new(key, signed.timestamp(), signed.scope(), signature))
    }
}
