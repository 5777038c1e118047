//! `envoy.service.auth.v3.Authorization`: what Envoy's filter `ext_authz` asks.
//!
//! A check becomes a `VerifySignatureRequest` and is answered by what answers that, so that verdicts, lock-outs,
//! uses and what is counted are the same.

mod answer;
mod question;

use std::sync::Arc;

use api::auth::v1::verify_signature_response::Verdict;
use api::envoy::service::auth::v3::authorization_server::Authorization;
use api::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use tonic::{Request, Response, Status};

use crate::handle::Handle;

/// The name of the service, as health and reflection tell it.
pub(crate) const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// What the names begin with of headers by which the upstream is told what it may believe.
const OURS: &str = "x-claviger-";

/// The service.
pub(crate) struct Service {
    handle: Handle,
    /// The region where a route names none.
    region: Option<Arc<str>>,
}

impl Service {
    pub(crate) fn new(handle: Handle, region: Option<&str>) -> Self {
        Self { handle, region: region.map(Arc::from) }
    }
}

#[tonic::async_trait]
impl Authorization for Service {
    /// No verdict is no answer: Envoy then goes by its `status_on_error`, which should be 503.
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let check = question::Check::of(request.get_ref(), self.region.as_deref())?;
        let reached = self.handle.verify_signature(&check.question()?).await?;
        Ok(Response::new(match &reached.verdict {
            Some(Verdict::Verified(verified)) => answer::allow(&check, verified),
            Some(Verdict::Denied(denied)) => answer::deny(&check, denied),
            None => return Err(Status::internal("a verdict is missing")),
        }))
    }
}
