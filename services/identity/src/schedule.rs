//! What identity does by itself when its time has come: it announces what accounts ask to be told,
//! and purges deleted access keys that can no longer be undeleted.
//!
//! What is due is seen in the model, and what was done is recorded: it happens once, also when
//! identity was not running at the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{UserId, user};
use tokio_util::sync::CancellationToken;

use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::UserEntry;
use crate::turn::Intent;
use crate::writer::{Begun, Writer};

/// How long at least from one look at all users to the next.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 100;
/// Users that are looked at under one lock of the model.
const USERS_AT_ONCE: usize = 1024;

/// By how much the clock may be behind the log, in milliseconds, without a word: clocks are set now and then.
const CLOCK_BEHIND_MS_MAX: u64 = 1000;

/// Does what is due until `shutdown`.
pub(crate) async fn run(writer: Arc<Writer>, shutdown: CancellationToken) {
    let mut is_behind = false;
    loop {
        // The log's times never go back: when the clock does, they stand still.
        let behind_ms = writer.clock_behind_ms();
        if !is_behind && behind_ms > CLOCK_BEHIND_MS_MAX {
            tracing::warn!(
                behind_ms,
                "the clock has gone back; nothing expires until it has caught up"
            );
        }
        is_behind = behind_ms > CLOCK_BEHIND_MS_MAX;
        let start = Instant::now();
        let due = due(&writer);
        let pause = PAUSE_MIN.max(start.elapsed() * SHARE);
        for user in due {
            if shutdown.is_cancelled() {
                return;
            }
            if let Err(error) = tick(&writer, user).await {
                // It stays due: the next look finds it again.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a scheduled change failed"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Does what is due of one user.
async fn tick(writer: &Arc<Writer>, user: UserId) -> Result<(), Error> {
    let call = Call::schedule();
    // It stands for itself: it was never before.
    let Begun::Fresh(fresh) = writer.begin(CommandKey::once()).await? else { return Ok(()) };
    let tick = |_: &UserEntry| Ok(user::Command::Tick);
    match writer.change_user(&call, fresh, Intent::Change, user, tick).await {
        // It may have been deleted since.
        Ok(_) | Err(Error::NoSuchUser) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Users of which something is due.
fn due(writer: &Writer) -> Vec<UserId> {
    let ids = writer.model().user_ids();
    let mut due = vec![];
    for ids in ids.chunks(USERS_AT_ONCE) {
        let now = writer.now();
        let model = writer.model();
        for entry in ids.iter().filter_map(|id| model.user(*id)) {
            let Some(account) = model.account(entry.account) else { continue };
            if entry.user.is_due(&account.account.settings, now) {
                due.push(entry.id);
            }
        }
    }
    due
}
