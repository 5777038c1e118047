//! Who calls, from where: what each event records of it.

use event_store::{Actor, Label};
use rpc::Caller;
use tonic::Request;

use crate::error::Error;

/// The facade of calls that come by gRPC.
const FACADE: &str = "grpc";

/// What a call says of its caller.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) actor: Actor,
}

impl Call {
    /// # Errors
    /// If no guard has told who calls, which the assembly of the server rules out.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Error> {
        let caller = request.extensions().get::<Caller>().ok_or(Error::Internal)?;
        let address = request.remote_addr().map(|address| address.ip().to_string());
        let request_id =
            request.metadata().get("x-request-id").and_then(|value| value.to_str().ok());
        Ok(Self {
            actor: Actor {
                principal: Label::truncated(caller.principal()),
                facade: Label::truncated(FACADE),
                source_address: Label::truncated(&address.unwrap_or_default()),
                request_id: match request_id {
                    Some(id) => Label::truncated(id),
                    None => Label::truncated(&uuid::Uuid::now_v7().to_string()),
                },
            },
        })
    }

    pub(crate) fn principal(&self) -> &str {
        self.actor.principal.as_str()
    }
}
