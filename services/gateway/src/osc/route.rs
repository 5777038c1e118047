//! Which call a path names, and what a call takes.

use http::uri::PathAndQuery;

/// The versions under which calls are found.
const VERSIONS: [&str; 2] = ["v1", "latest"];

/// A path of this dialect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Route<'a> {
    version: &'a str,
    /// As the path has it; none may have this name.
    pub(super) call: &'a str,
}

/// What a call takes.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [&'static str],
    /// Whether login and password do for a signature.
    pub(super) takes_password: bool,
}

/// Source: the OpenAPI document, schemas `{Call}Request` and the calls' `security`.
const SPECS: [Spec; 12] = [
    Spec {
        name: "CreateAccessKey",
        parameters: &["DryRun", "ExpirationDate", "Tag", "UserName"],
        takes_password: true,
    },
    Spec {
        name: "ReadAccessKeys",
        parameters: &["DryRun", "Filters", "Tag", "UserName"],
        takes_password: true,
    },
    Spec {
        name: "UpdateAccessKey",
        parameters: &[
            "AccessKeyId",
            "ClearExpirationDate",
            "ClearTag",
            "DryRun",
            "ExpirationDate",
            "State",
            "Tag",
            "UserName",
        ],
        takes_password: true,
    },
    Spec {
        name: "DeleteAccessKey",
        parameters: &["AccessKeyId", "DryRun", "UserName"],
        takes_password: true,
    },
    Spec {
        name: "CreateUser",
        parameters: &["DryRun", "Path", "UserEmail", "UserName"],
        takes_password: false,
    },
    Spec {
        name: "ReadUsers",
        parameters: &["DryRun", "Filters", "FirstItem", "ResultsPerPage"],
        takes_password: false,
    },
    Spec {
        name: "UpdateUser",
        parameters: &["DryRun", "NewPath", "NewUserEmail", "NewUserName", "UserName"],
        takes_password: false,
    },
    Spec { name: "DeleteUser", parameters: &["DryRun", "UserName"], takes_password: false },
    Spec { name: "ReadApiAccessPolicy", parameters: &["DryRun"], takes_password: true },
    Spec {
        name: "UpdateApiAccessPolicy",
        parameters: &["DryRun", "MaxAccessKeyExpirationSeconds", "RequireTrustedEnv"],
        takes_password: true,
    },
    Spec {
        name: "CheckAuthentication",
        parameters: &["DryRun", "Login", "Password"],
        takes_password: false,
    },
    Spec {
        name: "ReadApiLogs",
        parameters: &["DryRun", "Filters", "NextPageToken", "ResultsPerPage", "With"],
        takes_password: false,
    },
];

/// Whether a path is one of this dialect.
pub(crate) fn is_mine(path: &str) -> bool {
    Route::of(path).is_some()
}

impl<'a> Route<'a> {
    /// Of `/api/v1/{Call}` or `/api/latest/{Call}`, with slashes repeated as clients do. `osc-cli` puts the
    /// latter behind whatever path it is given, and signs the latter alone: where there are two, the last
    /// counts.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let mut route = None;
        while let Some(segment) = segments.next() {
            let version = segments.next().filter(|version| VERSIONS.contains(version));
            match version.filter(|_| segment == "api") {
                Some(version) => {
                    let mut rest = segments.clone();
                    let call = rest.next().unwrap_or_default();
                    let another = call == "api";
                    let call = if another || rest.next().is_some() { "" } else { call };
                    route = Some(Self { version, call });
                    if !another {
                        break;
                    }
                }
                None => break,
            }
        }
        route
    }

    /// What the call takes, if there is such a call.
    pub(super) fn spec(&self) -> Option<&'static Spec> {
        SPECS.iter().find(|spec| spec.name == self.call)
    }

    /// The target that clients sign, whatever slashes they send.
    pub(super) fn target(&self, query: Option<&str>) -> Option<PathAndQuery> {
        let Self { version, call } = self;
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("/api/{version}/{call}{query}").try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_call() {
        let check = |path: &str, expected: Option<(&str, &str)>| {
            let found = Route::of(path);
            assert_eq!(found.map(|route| (route.version, route.call)), expected, "{path}");
        };
        check("/api/v1/ReadUsers", Some(("v1", "ReadUsers")));
        check("/api/latest/ReadUsers", Some(("latest", "ReadUsers")));
        check("//api//latest///ReadUsers", Some(("latest", "ReadUsers")));
        check("/api/v1//api/latest/ReadUsers", Some(("latest", "ReadUsers")));
        check("/api/v1", Some(("v1", "")));
        check("/api/v1/", Some(("v1", "")));
        check("/api/v1/ReadUsers/more", Some(("v1", "")));
        check("/api/v1/api/v2/ReadUsers", Some(("v1", "")));
        check("/api/v2/ReadUsers", None);
        check("/api/protocols/s3", None);
        check("/other/api/v1/ReadUsers", None);
        check("/v1/users", None);
        check("/", None);
    }

    #[test]
    fn what_is_signed_has_no_slash_too_many() {
        let target = |path, query| Route::of(path).and_then(|route| route.target(query));
        let target = |path, query| target(path, query).map(|target| target.to_string());
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(target("/api/v1//api/latest/A", None), expected("/api/latest/A"));
        assert_eq!(target("//api/v1/A", Some("b=c")), expected("/api/v1/A?b=c"));
    }

    #[test]
    fn every_call_can_be_tried() {
        assert!(SPECS.iter().all(|spec| spec.parameters.contains(&"DryRun")));
        assert!(Route::of("/api/v1/CreateVms").expect("a route").spec().is_none());
    }
}
