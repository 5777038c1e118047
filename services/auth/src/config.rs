//! What must be known to serve.

use std::sync::Arc;
use std::time::Duration;

use rpc::{Callers, Token};

use crate::clock::{Clock, SystemClock};

/// What must be known to serve. [`Config::new`] sets the rest to its default.
#[derive(Clone, Debug)]
pub struct Config {
    /// URI of identity, such as `http://127.0.0.1:7110`.
    pub identity: String,
    /// Who may call: operators and gateways.
    pub callers: Callers,
    /// How auth shows itself to identity.
    pub identity_token: Token,
    /// When identity has not been heard for this long, a warning is logged. 5 s by default.
    pub soft_staleness: Duration,
    /// When identity has not been heard for this long, no verdict is given any more. 15 minutes by
    /// default.
    pub hard_staleness: Duration,
    /// The clock. The system's by default.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// Follows identity at this URI.
    pub fn new(identity: impl Into<String>, callers: Callers, identity_token: Token) -> Self {
        Self {
            identity: identity.into(),
            callers,
            identity_token,
            soft_staleness: Duration::from_secs(5),
            hard_staleness: Duration::from_secs(15 * 60),
            clock: Arc::new(SystemClock::default()),
        }
    }
}
