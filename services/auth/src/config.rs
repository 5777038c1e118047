//! What must be known to serve.

use std::sync::Arc;
use std::time::Duration;

use rpc::{Callers, ServerTls, Target};

use crate::clock::{Clock, SystemClock};

/// What must be known to serve. [`Config::new`] sets the rest to its default.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where identity is, and how auth shows itself to it.
    pub identity: Target,
    /// Who may call: operators and gateways.
    pub callers: Callers,
    /// By which connections are encrypted, and callers may show who they are. None by default.
    pub tls: Option<ServerTls>,
    /// When identity has not been heard for this long, a warning is logged. 5 s by default.
    pub soft_staleness: Duration,
    /// When identity has not been heard for this long, no verdict is given any more. 15 minutes by
    /// default.
    pub hard_staleness: Duration,
    /// Serves on so many threads with a runtime each: one for each core that is to verify signatures. On the
    /// caller's runtime if 0, which is the default.
    pub workers: usize,
    /// Whether signatures of Version 2 are accepted, which identity must verify. Off by default.
    pub accepts_signature_v2: bool,
    /// Whether callers may name hosts that may have been signed for S3 too. Off by default.
    pub accepts_s3_host_candidates: bool,
    /// The region that is served by whoever asks in another contract than ours, and does not say: by RGW, which
    /// never does, and by Envoy where its routes do not. None by default, and such a question has no answer.
    pub region: Option<String>,
    /// The clock. The system's by default.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// Follows this identity.
    pub fn new(identity: Target, callers: Callers) -> Self {
        Self {
            identity,
            callers,
            tls: None,
            soft_staleness: Duration::from_secs(5),
            hard_staleness: Duration::from_secs(15 * 60),
            workers: 0,
            accepts_signature_v2: false,
            accepts_s3_host_candidates: false,
            region: None,
            clock: Arc::new(SystemClock::default()),
        }
    }
}
