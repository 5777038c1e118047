//! What auth reports: uses of access keys, and who is locked out.

use std::sync::Arc;

use api::identity::v1::{
    ReportLockoutRequest, ReportLockoutResponse, ReportUseRequest, ReportUseResponse,
};
use domain::{UserId, user};

use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::lockouts::{Lockout, REPORT_LOCKOUTS_MAX, Reported};
use crate::model::{UserEntry, time};
use crate::turn::Intent;
use crate::uses::{REPORT_USES_MAX, Use};
use crate::writer::{Begun, Writer};

/// Keeps when access keys were last used, of those that there are.
pub(super) async fn uses(
    writer: &Arc<Writer>,
    request: ReportUseRequest,
) -> Result<ReportUseResponse, Error> {
    if request.uses.len() > REPORT_USES_MAX {
        return Err(Error::invalid("uses", format!("must be at most {REPORT_USES_MAX}")));
    }
    let now_ms = writer.now().timestamp_millis();
    let uses = request.uses.into_iter().map(|record| Use::read(record, now_ms));
    let mut uses = uses.collect::<Result<Vec<_>, _>>()?;
    {
        // One that is deleted and can be undeleted may be used by an auth that has not heard of it yet.
        let model = writer.model();
        uses.retain(|(id, _)| model.holds_access_key(id.as_str()));
    }
    let (writer, turn) = (Arc::clone(writer), writer.uses.turn().await?);
    let kept = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        writer.uses.keep(uses)
    });
    let kept = kept.await;
    kept.unwrap_or(Err(Error::Internal))?;
    Ok(ReportUseResponse {})
}

/// Tells on who is locked out, and records some of it.
pub(super) async fn lockouts(
    writer: &Arc<Writer>,
    request: ReportLockoutRequest,
) -> Result<ReportLockoutResponse, Error> {
    if request.lockouts.len() > REPORT_LOCKOUTS_MAX {
        return Err(Error::invalid("lockouts", format!("must be at most {REPORT_LOCKOUTS_MAX}")));
    }
    let now_ms = writer.now().timestamp_millis();
    let lockouts = request.lockouts.iter().map(|record| Lockout::read(record, now_ms));
    let lockouts = lockouts.collect::<Result<Vec<_>, _>>()?;
    for lockout in lockouts {
        let holder = {
            let model = writer.model();
            let holder =
                model.access_key(&lockout.id).map(|(holder, _)| (holder.id, holder.account));
            holder.filter(|(_, account)| lockout.is_asked_for(model.settings(*account).lockout))
        };
        let Some((holder, _)) = holder else { continue };
        if writer.lockouts.report(&lockout, now_ms) == Reported::ToRecord
            && let Err(error) = record(writer, holder, lockout).await
        {
            // It is in force all the same.
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a lock-out could not be recorded");
        }
    }
    Ok(ReportLockoutResponse {})
}

async fn record(writer: &Arc<Writer>, holder: UserId, lockout: Lockout) -> Result<(), Error> {
    let Begun::Fresh(fresh) = writer.begin(CommandKey::once()).await? else { return Ok(()) };
    let Lockout { id, source, end_ms, failures } = lockout;
    let ends_at = time(u64::try_from(end_ms).unwrap_or_default());
    let command =
        move |_: &UserEntry| Ok(user::Command::LockOutAccessKey { id, source, ends_at, failures });
    let recorded = writer.change_user(&Call::feed(), fresh, Intent::Change, holder, command).await;
    recorded.map(|_| ())
}
