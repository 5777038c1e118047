//! Collections: filtered, ordered, page by page.

use std::collections::HashMap;
use std::time::Instant;

use api::identity::v1::{AccessKey, Account, ListUsersRequest};
use serde_json::{Value, json};

use super::error::{OntapError, To};
use super::select::{INDEX, Select, TOKEN};
use super::{Call, Reply, render};

/// Records that identity gives at once: as many as there may be, fewer where each has its access keys.
const PAGE_SIZE: usize = 1000;
const PAGE_SIZE_WITH_KEYS: usize = 250;
/// The most records that are put in an order.
const ORDERED_MAX: usize = 10_000;

/// Where records come from.
#[derive(Debug)]
pub(super) enum Source {
    Svms,
    Services,
    /// The users of an account.
    Users(Box<Account>),
}

impl Source {
    /// The fields for which access keys are to be asked for.
    fn is_of_key(field: &str) -> bool {
        field.starts_with("key") || field == "access_key"
    }
}

impl Call<'_> {
    pub(super) async fn list(&self, source: &Source, select: &Select) -> Result<Reply, OntapError> {
        if select.order.is_empty() {
            return self.list_as_it_is(source, select).await;
        }
        let index = self.query.number(INDEX, 0..=ORDERED_MAX as u64)?.unwrap_or(0);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let mut found = self.matching_in_time(source, select, ORDERED_MAX).await?;
        found.sort_by(|one, other| select.compare(one, other));
        let end = index.saturating_add(select.records_max);
        let next = (found.len() > end).then(|| (INDEX, end.to_string()));
        let count = found.len();
        let page = found.into_iter().skip(index).take(select.records_max);
        let page: Vec<Value> = page.map(|record| select.show(record)).collect();
        Ok(self.page(select, page, count, next))
    }

    /// In identity's order, as far as the page, or the time for it, goes.
    async fn list_as_it_is(&self, source: &Source, select: &Select) -> Result<Reply, OntapError> {
        let started = Instant::now();
        let mut token = self.query.get(TOKEN).unwrap_or_default().to_owned();
        let (mut records, mut count) = (vec![], 0);
        loop {
            // So that no page goes beyond the end of this one.
            let room = match select.return_records {
                true => select.records_max - records.len(),
                false => PAGE_SIZE,
            };
            let (page, next) = self.some(source, select, room, token).await?;
            let matching = page.into_iter().filter(|record| select.matches(record));
            for record in matching {
                count += 1;
                if select.return_records {
                    records.push(select.show(record));
                }
            }
            token = next;
            let late = started.elapsed() >= select.timeout;
            if token.is_empty() || records.len() == select.records_max && select.return_records {
                break;
            }
            if late && !select.return_records {
                // A count of a part would be taken for the whole.
                return Err(OntapError::unavailable());
            }
            if late {
                break;
            }
        }
        let next = (!token.is_empty()).then_some((TOKEN, token));
        Ok(self.page(select, records, count, next))
    }

    fn page(
        &self,
        select: &Select,
        records: Vec<Value>,
        count: usize,
        next: Option<(&str, String)>,
    ) -> Reply {
        let mut links = render::links(&self.query.href(self.path));
        if !select.return_records {
            return json!({ "num_records": count, "_links": links }).into();
        }
        if let Some((name, value)) = next {
            let next = self.query.with(&[TOKEN, INDEX], name, &value).href(self.path);
            links["next"] = json!({ "href": next });
        }
        json!({ "num_records": records.len(), "records": records, "_links": links }).into()
    }

    /// All that a query of changes means, which must have a filter.
    pub(super) async fn matching(
        &self,
        source: &Source,
        select: &Select,
        max: usize,
    ) -> Result<Vec<Value>, OntapError> {
        if select.filters.is_empty() {
            let message = "A change of a collection needs a query that says of what.";
            return Err(OntapError::bad("2", message));
        }
        self.matching_in_time(source, select, max).await
    }

    async fn matching_in_time(
        &self,
        source: &Source,
        select: &Select,
        max: usize,
    ) -> Result<Vec<Value>, OntapError> {
        let started = Instant::now();
        let (mut found, mut token) = (vec![], String::new());
        loop {
            let (page, next) = self.some(source, select, PAGE_SIZE, token).await?;
            found.extend(page.into_iter().filter(|record| select.matches(record)));
            if found.len() > max {
                let message = format!("More than {max} records match. Narrow the query.");
                return Err(OntapError::bad("2", message));
            }
            if next.is_empty() {
                return Ok(found);
            }
            if started.elapsed() >= select.timeout {
                return Err(OntapError::unavailable());
            }
            token = next;
        }
    }

    /// At most so many records, and where the next begin.
    async fn some(
        &self,
        source: &Source,
        select: &Select,
        room: usize,
        token: String,
    ) -> Result<(Vec<Value>, String), OntapError> {
        let size = |max: usize| i32::try_from(room.clamp(1, max)).unwrap_or(1);
        match source {
            Source::Svms => self.accounts(size(PAGE_SIZE), token, render::svm).await,
            Source::Services => self.accounts(size(PAGE_SIZE), token, render::service).await,
            Source::Users(account) => {
                if let Some(name) = select.exactly("name") {
                    return Ok((self.find_user(account, name).await?, String::new()));
                }
                let with_keys = select.touches(Source::is_of_key);
                let max = if with_keys { PAGE_SIZE_WITH_KEYS } else { PAGE_SIZE };
                self.users(account, size(max), token, with_keys).await
            }
        }
    }

    /// A page of users, by name, and where the next begins.
    async fn users(
        &self,
        account: &Account,
        page_size: i32,
        page_token: String,
        show_access_keys: bool,
    ) -> Result<(Vec<Value>, String), OntapError> {
        let request = ListUsersRequest {
            parent: account.name.clone(),
            page_size,
            page_token,
            show_access_keys,
            ..Default::default()
        };
        let listed = self.identity.list_users(&self.acting, request).await;
        let listed = listed.map_err(self.refused(To::Other))?;
        let mut keys: HashMap<String, Vec<AccessKey>> = HashMap::new();
        for key in listed.access_keys {
            let holder = key.name.split("/accessKeys/").next().unwrap_or_default().to_owned();
            keys.entry(holder).or_default().push(key);
        }
        let users = listed.users.iter().map(|user| {
            let keys = keys.get(&user.name).map(Vec::as_slice).unwrap_or_default();
            render::user(account, user, keys)
        });
        Ok((users.collect(), listed.next_page_token))
    }
}
