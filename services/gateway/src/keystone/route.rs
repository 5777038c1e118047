//! What there is below `/v3`.

/// Something that is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Route {
    Version,
    Tokens,
    S3Tokens,
    Ec2Tokens,
    /// A secret access key, or a list of them.
    Secret,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v3")?;
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts[..] {
            [""] => Some(Self::Version),
            ["auth", "tokens"] => Some(Self::Tokens),
            ["s3tokens"] => Some(Self::S3Tokens),
            ["ec2tokens"] => Some(Self::Ec2Tokens),
            ["users", _, "credentials", "OS-EC2"] | ["users", _, "credentials", "OS-EC2", _] => {
                Some(Self::Secret)
            }
            _ => None,
        }
    }

    /// The methods that it has.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Version => "GET, HEAD",
            Self::Tokens => "DELETE, GET, HEAD, POST",
            Self::S3Tokens | Self::Ec2Tokens => "POST",
            Self::Secret => "DELETE, GET, HEAD, POST",
        }
    }
}

/// Whether a path is one of this API.
pub(crate) fn is_mine(path: &str) -> bool {
    path == "/v3" || path.starts_with("/v3/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_thing_or_to_nothing() {
        for (path, expected) in [
            ("/v3", Some(Route::Version)),
            ("/v3/", Some(Route::Version)),
            ("/v3/auth/tokens", Some(Route::Tokens)),
            ("/v3/s3tokens", Some(Route::S3Tokens)),
            ("/v3/s3tokens/", Some(Route::S3Tokens)),
            ("/v3/ec2tokens", Some(Route::Ec2Tokens)),
            ("/v3/users/u/credentials/OS-EC2", Some(Route::Secret)),
            ("/v3/users/u/credentials/OS-EC2/AK", Some(Route::Secret)),
            ("/v3/users/u/credentials/OS-EC2/AK/x", None),
            ("/v3/users", None),
            ("/v3/auth", None),
            ("/v3/auth//tokens", None),
            ("/v3/auth%2Ftokens", None),
            ("/v30", None),
            ("/v2.0/tokens", None),
        ] {
            assert_eq!(Route::of(path).filter(|_| is_mine(path)), expected, "{path}");
        }
    }
}
