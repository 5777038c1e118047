//! Which resource a path names.

use uuid::Uuid;

use super::query::decode;

/// A resource of ONTAP's API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    Cluster,
    Svms,
    Svm(Uuid),
    Services,
    Service(Uuid),
    Users(Uuid),
    User(Uuid, String),
    /// On ONTAP's routes, but none that is offered.
    Nothing,
}

/// Whether a path is one of ONTAP's.
pub(crate) fn is_mine(path: &str) -> bool {
    let mut segments = path.split('/');
    segments.next() == Some("")
        && segments.next() == Some("api")
        && matches!(segments.next(), Some("cluster" | "svm" | "protocols"))
}

impl Route {
    pub(crate) fn of(path: &str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Option<Vec<String>> =
            path.split('/').skip(1).take(8).map(|segment| decode(segment, false)).collect();
        let segments = segments.unwrap_or_default();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        // In the one form that is told: no account is named in two ways.
        let uuid = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
        let found = match segments.as_slice() {
            ["api", "cluster"] => Some(Self::Cluster),
            ["api", "svm", "svms"] => Some(Self::Svms),
            ["api", "svm", "svms", svm] => uuid(svm).map(Self::Svm),
            ["api", "protocols", "s3", "services"] => Some(Self::Services),
            ["api", "protocols", "s3", "services", svm] => uuid(svm).map(Self::Service),
            ["api", "protocols", "s3", "services", svm, "users"] => uuid(svm).map(Self::Users),
            ["api", "protocols", "s3", "services", svm, "users", name] => {
                uuid(svm).map(|svm| Self::User(svm, (*name).to_owned()))
            }
            _ => None,
        };
        found.unwrap_or(Self::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources() {
        let svm = "02c9e252-41be-11e9-81d5-00a0986138f7";
        let id = svm.parse().expect("a UUID");
        let services = "/api/protocols/s3/services";
        for (path, expected) in [
            ("/api/cluster".to_owned(), Route::Cluster),
            ("/api/svm/svms".to_owned(), Route::Svms),
            ("/api/svm/svms/".to_owned(), Route::Svms),
            (format!("/api/svm/svms/{svm}"), Route::Svm(id)),
            (services.to_owned(), Route::Services),
            (format!("{services}/{svm}"), Route::Service(id)),
            (format!("{services}/{svm}/users"), Route::Users(id)),
            (format!("{services}/{svm}/users/a%40b+c%2Bd"), Route::User(id, "a@b+c+d".into())),
            (format!("{services}/{svm}/users/a%2Fb"), Route::User(id, "a/b".into())),
            (format!("{services}/{svm}/users/a/b"), Route::Nothing),
            (format!("{services}/{svm}/users/%ff"), Route::Nothing),
            (format!("{services}/123456789012/users"), Route::Nothing),
            (format!("{services}/{}/users", svm.replace('-', "")), Route::Nothing),
            (format!("{services}/{svm}/buckets"), Route::Nothing),
            ("/api/protocols/nfs/services".to_owned(), Route::Nothing),
        ] {
            assert!(is_mine(&path), "{path}");
            assert_eq!(Route::of(&path), expected, "{path}");
        }
        for path in
            ["/api/v1/ReadUsers", "/api", "/", "/apiary/cluster", "/api/clusters", "/x/api/svm"]
        {
            assert!(!is_mine(path), "{path}");
        }
    }
}
