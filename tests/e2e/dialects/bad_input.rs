//! One table of bad input over all dialects: each has its own error for it, and nothing is changed.

use std::time::{Duration, SystemTime};

use api::identity::v1::DeleteAccessKeyRequest;

use super::Dialect::{self, Iam, Ontap, Osc, Rest};
use super::{Asked, head};
use crate::support::{Dev, Home, Key};

const ALL: [Dialect; 4] = [Iam, Osc, Ontap, Rest];
/// More than the 15 minutes that a signature is good for.
const LONG: Duration = Duration::from_secs(20 * 60);

/// A new user is asked for, with something wrong about it.
struct Bad {
    what: &'static str,
    /// Nothing, where a dialect has no such thing.
    make: fn(&Asking<'_>, Dialect) -> Option<Asked>,
    /// Status and code, dialect by dialect.
    expected: [(u16, &'static str); 4],
}

/// Where there is nothing to send.
const NONE: (u16, &str) = (0, "");

/// Who asks.
struct Asking<'a> {
    dev: &'a Dev,
    key: Key,
}

impl Asking<'_> {
    fn creation(&self, dialect: Dialect, body: impl Into<Vec<u8>>) -> Asked {
        let svm = self.dev.text("account/id");
        match dialect {
            Iam => Asked::form(body),
            Osc => Asked::json("POST", "/api/v1/CreateUser", body),
            Ontap => Asked::json("POST", format!("/api/protocols/s3/services/{svm}/users"), body),
            Rest => Asked::json("POST", format!("/v1/{}/users", self.dev.account()), body),
        }
    }

    /// A new user, as it would be made.
    fn good(&self, dialect: Dialect) -> Asked {
        let body = match dialect {
            Iam => "Action=CreateUser&UserName=mallory",
            Osc => r#"{"UserName": "mallory"}"#,
            Ontap => r#"{"name": "mallory"}"#,
            Rest => r#"{"userName": "mallory"}"#,
        };
        self.creation(dialect, body)
    }

    /// Something that only reads.
    fn reading(&self, dialect: Dialect) -> Asked {
        match dialect {
            Iam => Asked::form("Action=ListUsers"),
            Osc => Asked::json("POST", "/api/v1/ReadUsers", "{}"),
            Ontap => Asked::new("GET", "/api/svm/svms", "", ""),
            Rest => Asked::new("GET", format!("/v1/{}/users", self.dev.account()), "", ""),
        }
    }

    fn shown(&self, dialect: Dialect, asked: Asked) -> Asked {
        self.shown_at(dialect, asked, SystemTime::now())
    }

    fn shown_at(&self, dialect: Dialect, asked: Asked, time: SystemTime) -> Asked {
        let service = match dialect {
            Iam => "iam",
            Osc => "api",
            Rest => "claviger",
            Ontap => {
                let [login, password] = ["root/login", "root/password"].map(|it| self.dev.text(it));
                return asked.logged_in(&login, &password);
            }
        };
        asked.signed(self.dev, &self.key, service, time)
    }

    fn refused_by_its_body(&self, dialect: Dialect, body: impl Into<Vec<u8>>) -> Option<Asked> {
        Some(self.shown(dialect, self.creation(dialect, body)))
    }

    /// A body that `replace` makes of the good one.
    fn altered(&self, dialect: Dialect, replace: impl Fn(&str) -> Vec<u8>) -> Option<Asked> {
        let good = String::from_utf8(self.good(dialect).body).expect("text");
        self.refused_by_its_body(dialect, replace(&good))
    }
}

/// A request whose body was signed, and another was sent; none by a password.
fn with_another_body(asking: &Asking<'_>, dialect: Dialect) -> Option<Asked> {
    let body = asking.good(dialect).body;
    let signed = String::from_utf8(body.clone()).expect("text").replace("mallory", "eve");
    let asked = asking.shown(dialect, asking.creation(dialect, signed));
    (dialect != Ontap).then_some(Asked { body, ..asked })
}

/// The signature of a request that only read, shown again with another.
fn replayed(asking: &Asking<'_>, dialect: Dialect) -> Option<Asked> {
    let seen = asking.shown(dialect, asking.reading(dialect));
    let shown = seen.headers.into_iter().filter(|(name, _)| *name != "content-type");
    let mut asked = asking.good(dialect);
    asked.headers.extend(shown);
    (dialect != Ontap).then_some(asked)
}

const TABLE: [Bad; 18] = [
    Bad {
        what: "a body of more than 1 MiB",
        make: |asking, dialect| {
            asking.altered(dialect, |good| format!("{good}{}", " ".repeat(1 << 20)).into())
        },
        expected: [
            (413, "RequestEntityTooLarge"),
            (413, "InvalidParameter"),
            (413, "2"),
            (413, "BODY_TOO_LARGE"),
        ],
    },
    Bad {
        what: "JSON that is deep",
        make: |asking, dialect| {
            let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
            (dialect != Iam).then(|| asking.refused_by_its_body(dialect, deep))?
        },
        expected: [NONE, (400, "InvalidParameter"), (400, "262199"), (400, "MALFORMED_REQUEST")],
    },
    Bad {
        what: "a field twice",
        make: |asking, dialect| {
            asking.altered(dialect, |good| match dialect {
                Iam => format!("{good}&UserName=eve").into(),
                Osc | Ontap | Rest => {
                    let member = &good[1..good.len() - 1];
                    format!("{{{member}, {}}}", member.replace("mallory", "eve")).into()
                }
            })
        },
        expected: [
            (400, "MalformedInput"),
            (400, "InvalidParameter"),
            (400, "262199"),
            (400, "MALFORMED_REQUEST"),
        ],
    },
    Bad {
        what: "bytes that are no UTF-8",
        make: |asking, dialect| {
            asking.altered(dialect, |good| {
                let bytes = good.replace("mallory", "mallor*").into_bytes();
                bytes.into_iter().map(|byte| if byte == b'*' { 0xff } else { byte }).collect()
            })
        },
        expected: [
            (400, "MalformedInput"),
            (400, "InvalidParameter"),
            (400, "262199"),
            (400, "MALFORMED_REQUEST"),
        ],
    },
    Bad {
        what: "half of a body",
        make: |asking, dialect| {
            asking
                .altered(dialect, |good| good.as_bytes()[..good.len() - 1].to_vec())
                .filter(|_| dialect != Iam)
        },
        expected: [NONE, (400, "InvalidParameter"), (400, "262199"), (400, "MALFORMED_REQUEST")],
    },
    Bad {
        what: "a name that is none",
        make: |asking, dialect| {
            asking.altered(dialect, |good| good.replace("mallory", "mal/lory").into())
        },
        expected: [
            (400, "ValidationError"),
            (400, "InvalidParameterValue"),
            (400, "92405787"),
            (400, "INVALID_FIELD"),
        ],
    },
    Bad {
        what: "a field that there is not",
        make: |asking, dialect| {
            asking
                .altered(dialect, |good| good.replace('{', "{\"colour\": \"red\", ").into())
                // AWS does not look at further fields.
                .filter(|_| dialect != Iam)
        },
        expected: [NONE, (400, "InvalidParameter"), (400, "262179"), (400, "INVALID_FIELD")],
    },
    Bad {
        what: "an action that there is not",
        make: |asking, dialect| {
            let Asked { body, .. } = asking.good(dialect);
            Some(asking.shown(
                dialect,
                match dialect {
                    Iam => Asked::form("Action=CreateUsers&UserName=mallory"),
                    Osc => Asked::json("POST", "/api/v1/CreateUsers", body),
                    Ontap => Asked::json("POST", "/api/protocols/s3/users", body),
                    Rest => Asked::json("POST", "/v1/users", body),
                },
            ))
        },
        expected: [
            (400, "InvalidAction"),
            (404, "InvalidResource"),
            (404, "3"),
            (404, "NO_SUCH_ROUTE"),
        ],
    },
    Bad {
        what: "a method that there is not",
        make: |asking, dialect| {
            let asked = Asked { method: "PUT", ..asking.good(dialect) };
            // By another method the endpoint itself is not IAM's.
            (dialect != Iam).then(|| asking.shown(dialect, asked))
        },
        expected: [NONE, (405, "MethodNotAllowed"), (405, "3"), (405, "METHOD_NOT_ALLOWED")],
    },
    Bad {
        what: "a body that is said to be something else",
        make: |asking, dialect| {
            let mut asked = asking.good(dialect);
            asked.headers = vec![("content-type", "text/plain".to_owned())];
            Some(asking.shown(dialect, asked))
        },
        expected: [
            (400, "MalformedInput"),
            (415, "InvalidParameter"),
            (415, "2"),
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ],
    },
    Bad {
        what: "a body that is said to be compressed",
        make: |asking, dialect| {
            Some(asking.shown(dialect, asking.good(dialect)).with("content-encoding", "gzip"))
        },
        expected: [
            (400, "MalformedInput"),
            (415, "InvalidParameter"),
            (415, "2"),
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ],
    },
    Bad {
        what: "nobody asks",
        make: |asking, dialect| Some(asking.good(dialect)),
        expected: [
            (403, "MissingAuthenticationToken"),
            (401, "AccessDenied"),
            (401, "6691623"),
            (401, "MISSING_CREDENTIAL"),
        ],
    },
    Bad {
        what: "the secret is wrong",
        make: |asking, dialect| {
            let asked = asking.good(dialect);
            if dialect == Ontap {
                return Some(asked.logged_in(&asking.dev.text("root/login"), "wrong"));
            }
            let key = Key { secret: "x".repeat(40), ..asking.key.clone() };
            Some(Asking { dev: asking.dev, key }.shown(dialect, asked))
        },
        expected: [
            (403, "SignatureDoesNotMatch"),
            (401, "AccessDenied"),
            (401, "6691623"),
            (401, "SIGNATURE_DOES_NOT_MATCH"),
        ],
    },
    Bad {
        what: "a signature from long ago",
        make: |asking, dialect| {
            let time = SystemTime::now() - LONG;
            (dialect != Ontap).then(|| asking.shown_at(dialect, asking.good(dialect), time))
        },
        expected: [
            (403, "SignatureDoesNotMatch"),
            (401, "AccessDenied"),
            NONE,
            (401, "REQUEST_TIME_TOO_SKEWED"),
        ],
    },
    Bad {
        what: "a signature of times to come",
        make: |asking, dialect| {
            let time = SystemTime::now() + LONG;
            (dialect != Ontap).then(|| asking.shown_at(dialect, asking.good(dialect), time))
        },
        expected: [
            (403, "SignatureDoesNotMatch"),
            (401, "AccessDenied"),
            NONE,
            (401, "REQUEST_TIME_TOO_SKEWED"),
        ],
    },
    Bad {
        what: "another body than was signed",
        make: with_another_body,
        expected: [
            (403, "SignatureDoesNotMatch"),
            (401, "AccessDenied"),
            NONE,
            (401, "SIGNATURE_DOES_NOT_MATCH"),
        ],
    },
    Bad {
        what: "the signature of another request",
        make: replayed,
        expected: [
            (403, "SignatureDoesNotMatch"),
            (401, "AccessDenied"),
            NONE,
            (401, "SIGNATURE_DOES_NOT_MATCH"),
        ],
    },
    Bad {
        what: "another site's page asks",
        make: |asking, dialect| {
            let asked = asking.shown(dialect, asking.good(dialect));
            let browsers_show_it = [Ontap, Rest].contains(&dialect);
            browsers_show_it.then(|| asked.with("sec-fetch-site", "cross-site"))
        },
        expected: [NONE, NONE, (403, "6"), (403, "CROSS_ORIGIN")],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_has_each_dialects_own_error_and_changes_nothing() {
    let home = Home::new();
    let dev = home.start();
    let root = format!("{}/users/root", dev.account());
    for Bad { what, make, expected } in TABLE {
        // A key for each, as too many wrong signatures by one are another error.
        let made = dev.key(&root).await;
        let asking = Asking { dev: &dev, key: Key::from(&made) };
        let before = head(&dev).await;
        for (dialect, expected) in ALL.into_iter().zip(expected) {
            let Some(asked) = make(&asking, dialect) else {
                assert_eq!(expected, NONE, "{what}, {dialect:?}");
                continue;
            };
            let answer = asked.send(&dev).await;
            let code = dialect.code(&answer);
            assert_eq!((answer.status, code.as_str()), expected, "{what}, {dialect:?}: {answer:?}");
        }
        assert_eq!(head(&dev).await, before, "{what} changed something");
        let name = made.access_key.expect("there").name;
        let request = DeleteAccessKeyRequest { name, ..Default::default() };
        dev.access_keys().delete_access_key(request).await.expect("deleted");
    }
    // With nothing wrong about it, each is done; and once, if the same is sent again.
    for dialect in ALL {
        let asking = Asking { dev: &dev, key: dev.root() };
        let name = format!("{dialect:?}");
        let mut asked = asking.good(dialect).with("idempotency-key", name.as_str());
        let body = String::from_utf8(asked.body).expect("text").replace("mallory", &name);
        asked.body = body.into();
        let asked = asking.shown(dialect, asked);
        let before = head(&dev).await;
        let mut answers = vec![];
        for _ in 0..2 {
            let answer = asked.send(&dev).await;
            assert!([200, 201].contains(&answer.status), "{answer:?}");
            assert!(answer.body.contains(&name), "{answer:?}");
            answers.push((answer.status, head(&dev).await));
        }
        assert!(answers[0] == answers[1] && answers[0].1 > before, "{dialect:?}: {answers:?}");
    }
    assert!(!home.log().contains("panicked"), "{}", home.log());
}
