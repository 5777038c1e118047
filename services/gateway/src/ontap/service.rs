//! Accounts as ONTAP has them: SVMs, each with one S3 service; and the cluster that they are in.

use api::event::v1::AccountSettings;
use api::identity::v1::{Account, ListAccountsRequest, UpdateAccountRequest};
use prost_types::FieldMask;
use serde_json::{Value, json};
use uuid::Uuid;

use super::collection::Source;
use super::error::{OntapError, To};
use super::select::{Fields, Select, Shown};
use super::{Call, Reply, body, render};

const CLUSTER: Fields = Fields {
    keys: &[],
    others: &[
        "name",
        "version",
        "version.full",
        "version.generation",
        "version.major",
        "version.minor",
    ],
};
pub(super) const SVM: Fields =
    Fields { keys: &["uuid", "name"], others: &["state", "subtype", "s3", "s3.enabled"] };
pub(super) const SERVICE: Fields = Fields {
    keys: &["svm.uuid", "svm.name", "name"],
    others: &["svm", "enabled", "max_key_time_to_live"],
};

/// Accounts that one change of a collection may change.
const CHANGED_MAX: usize = 1000;

impl Call<'_> {
    /// Sees that whoever asks is somebody.
    pub(super) async fn check_who(&self) -> Result<(), OntapError> {
        if self.acting.user().is_some() {
            return Ok(());
        }
        let request = ListAccountsRequest { page_size: 1, ..Default::default() };
        self.identity
            .list_accounts(&self.acting, request)
            .await
            .map_err(self.refused(To::Other))?;
        Ok(())
    }

    pub(super) async fn get_cluster(&self) -> Result<Reply, OntapError> {
        self.check_who().await?;
        let shown = Shown::of_one(&self.query, &CLUSTER)?;
        // The release whose S3 users these are, so that clients do not leave anything out.
        let full = concat!("claviger ", env!("CARGO_PKG_VERSION"), ", as NetApp Release 9.17.1");
        let record = json!({
            "name": "claviger",
            "version": { "full": full, "generation": 9, "major": 17, "minor": 1 },
            "_links": render::links("/api/cluster"),
        });
        Ok(shown.show(record).into())
    }

    pub(super) async fn list_svms(&self) -> Result<Reply, OntapError> {
        let select = Select::parse(&self.query, &SVM)?;
        self.list(&Source::Svms, &select).await
    }

    pub(super) async fn get_svm(&self, svm: Uuid) -> Result<Reply, OntapError> {
        let shown = Shown::of_one(&self.query, &SVM)?;
        let account = self.account(svm).await?;
        Ok(shown.show(render::svm(&account)).into())
    }

    pub(super) async fn list_services(&self) -> Result<Reply, OntapError> {
        let select = Select::parse(&self.query, &SERVICE)?;
        self.list(&Source::Services, &select).await
    }

    pub(super) async fn get_service(&self, svm: Uuid) -> Result<Reply, OntapError> {
        let shown = Shown::of_one(&self.query, &SERVICE)?;
        let account = self.account(svm).await?;
        Ok(shown.show(render::service(&account)).into())
    }

    pub(super) async fn patch_service(&self, svm: Uuid) -> Result<Reply, OntapError> {
        self.query.only(&["return_timeout", "return_records"])?;
        let max = body::service(&self.body)?;
        let account = self.account(svm).await?;
        if let Some(max) = max {
            self.limit_lifetimes(account.name, max).await?;
        }
        Ok(json!({}).into())
    }

    pub(super) async fn patch_services(&self) -> Result<Reply, OntapError> {
        let select = Select::parse(&self.query, &SERVICE)?;
        let max = body::service(&self.body)?;
        let found = self.matching(&Source::Services, &select, CHANGED_MAX).await?;
        for record in &found {
            if let (Some(max), Some(uuid)) = (max, record["svm"]["uuid"].as_str()) {
                self.limit_lifetimes(format!("accounts/{uuid}"), max).await?;
            }
        }
        Ok(json!({ "num_records": found.len() }).into())
    }

    async fn limit_lifetimes(&self, name: String, seconds: u64) -> Result<(), OntapError> {
        let settings =
            AccountSettings { access_key_lifetime_seconds_max: seconds, ..Default::default() };
        let request = UpdateAccountRequest {
            account: Some(Account { name, settings: Some(settings), ..Default::default() }),
            update_mask: Some(FieldMask {
                paths: vec!["settings.access_key_lifetime_seconds_max".to_owned()],
            }),
            ..Default::default()
        };
        let updated = self.identity.update_account(&self.acting, request).await;
        updated.map_err(self.refused(To::Other))?;
        Ok(())
    }

    /// A page of accounts, oldest first, and where the next begins.
    pub(super) async fn accounts(
        &self,
        page_size: i32,
        page_token: String,
        render: fn(&Account) -> Value,
    ) -> Result<(Vec<Value>, String), OntapError> {
        let request = ListAccountsRequest { page_size, page_token, ..Default::default() };
        let listed = self.identity.list_accounts(&self.acting, request).await;
        let listed = listed.map_err(self.refused(To::Other))?;
        Ok((listed.accounts.iter().map(render).collect(), listed.next_page_token))
    }
}
