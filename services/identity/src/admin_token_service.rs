//! AdminTokenService: the tokens by which operators are known.

use std::sync::Arc;

use api::identity::v1::admin_token_service_server::AdminTokenService;
use api::identity::v1::{
    CreateAdminTokenRequest, CreateAdminTokenResponse, ListAdminTokensRequest,
    ListAdminTokensResponse, RevokeAdminTokenRequest, RevokeAdminTokenResponse,
};
use domain::{AdminTokenId, TokenHash, UserName, admin_token};
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::AdminTokenEntry;
use crate::writer::{Begun, Fresh, Outcome, Writer};
use crate::{access_key_service, answer, page, render, resource};

/// Name of the list, which its page tokens are bound to.
const LIST: &str = "admin-tokens";

pub(crate) struct AdminTokens(pub(crate) Arc<Writer>);

#[tonic::async_trait]
impl AdminTokenService for AdminTokens {
    async fn create_admin_token(
        &self,
        request: Request<CreateAdminTokenRequest>,
    ) -> Result<Response<CreateAdminTokenResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        call.manages_all()?;
        let created = create(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(created.await?))
    }

    async fn list_admin_tokens(
        &self,
        request: Request<ListAdminTokensRequest>,
    ) -> Result<Response<ListAdminTokensResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        call.manages_all()?;
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let after = match page::cursor(LIST, &request.page_token)? {
            None => None,
            Some(id) => Some(AdminTokenId::parse(&id).ok_or(Error::InvalidPageToken)?),
        };
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        let mut found: Vec<&AdminTokenEntry> =
            model.admin_tokens_after(after).take(size + 1).collect();
        let more = found.len() > size;
        found.truncate(size);
        let next_page_token = match found.last() {
            Some(last) if more => page::token(LIST, &last.id.to_string()),
            Some(_) | None => String::new(),
        };
        let admin_tokens = found.into_iter().map(render::admin_token).collect();
        Ok(Response::new(ListAdminTokensResponse { admin_tokens, next_page_token }))
    }

    async fn revoke_admin_token(
        &self,
        request: Request<RevokeAdminTokenRequest>,
    ) -> Result<Response<RevokeAdminTokenResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        call.manages_all()?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let outcome = match self.0.begin(key).await? {
            Begun::Recorded(outcome) => outcome,
            Begun::Fresh(fresh) => {
                let id = resource::admin_token("name", &request.name)?;
                self.0.revoke_admin_token(&call, fresh, id).await?
            }
        };
        Ok(Response::new(RevokeAdminTokenResponse { position: self.0.told(outcome.last) }))
    }
}

async fn create(
    writer: Arc<Writer>,
    call: Call,
    mut request: CreateAdminTokenRequest,
) -> Result<CreateAdminTokenResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let (outcome, token) = match writer.begin(key).await? {
        Begun::Recorded(outcome) => {
            let id = answer::created_admin_token(&writer, outcome).await?;
            (outcome, writer.vault.admin_token(key, id)?)
        }
        Begun::Fresh(fresh) => {
            let id = AdminTokenId(Uuid::now_v7());
            let token = writer.vault.admin_token(key, id)?;
            (record(&writer, &call, fresh, request, id, hash(&token)).await?, token)
        }
    };
    let model = writer.model();
    // Nothing of a token changes after its making but that it is revoked.
    let entry = model.admin_token_by_hash(&hash(&token)).ok_or(Error::SecretShredded)?;
    Ok(CreateAdminTokenResponse {
        admin_token: Some(render::admin_token(entry)),
        token: token.expose().to_owned(),
        position: writer.told(outcome.last),
    })
}

async fn record(
    writer: &Arc<Writer>,
    call: &Call,
    fresh: Fresh,
    request: CreateAdminTokenRequest,
    id: AdminTokenId,
    hash: TokenHash,
) -> Result<Outcome, Error> {
    let asked = request.admin_token.ok_or_else(|| Error::invalid("admin_token", "is missing"))?;
    let name = UserName::parse(&asked.display_name)
        .map_err(|error| Error::invalid("admin_token.display_name", error.to_string()))?;
    let account = match asked.account.as_str() {
        "" => None,
        name => Some(resource::account(&writer.model(), call, "admin_token.account", name)?),
    };
    let expires_at =
        access_key_service::instant("admin_token.expire_time", asked.expire_time.as_ref())?;
    let command = admin_token::Command::Create {
        name,
        hash,
        account,
        read_only: asked.read_only,
        expires_at,
    };
    writer.create_admin_token(call, fresh, id, command).await
}

fn hash(token: &rpc::Token) -> TokenHash {
    TokenHash(Sha256::digest(token.expose()).into())
}
