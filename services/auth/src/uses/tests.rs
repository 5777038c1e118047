use std::time::Duration;

use super::*;

/// 2026-03-01T12:00:00Z.
const START_UNIX_MS: i64 = 1_772_366_400_000;

fn at(second: u64) -> Now {
    let unix_ms = START_UNIX_MS + i64::try_from(second * 1000).expect("fits");
    Now { unix_ms, monotonic: Duration::from_secs(second) }
}

fn used<'a>(access_key_id: &'a str, generation: u32, user_agent: &'a str) -> Use<'a> {
    Use {
        access_key_id,
        generation,
        address: Some([192, 0, 2, 1].into()),
        user_agent: user_agent.as_bytes(),
        region: "us-east-1",
        service: "s3",
    }
}

/// Everything that is to be reported: secret, second and user agent.
fn reported(uses: &Uses) -> Vec<(String, u32, i64, String)> {
    uses.collect();
    let mut all: Vec<_> = uses
        .take(usize::MAX)
        .into_iter()
        .map(|record| {
            let told = record.r#use.expect("there");
            let second = told.time.expect("there").seconds - START_UNIX_MS / 1000;
            (record.access_key_id, record.generation, second, told.user_agent)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_use_is_reported_with_all_that_is_known_of_it() {
    let uses = Uses::default();
    uses.note(&used("AKIA1", 2, "aws-cli/2.0 \u{e9}\t"), at(0));
    uses.collect();
    let expected = AccessKeyUse {
        time: Some(Timestamp { seconds: START_UNIX_MS / 1000, nanos: 0 }),
        source_address: "192.0.2.1".into(),
        user_agent: "aws-cli/2.0 ???".into(),
        region: "us-east-1".into(),
        service: "s3".into(),
    };
    let [record] = &uses.take(10)[..] else { panic!("one is reported") };
    assert_eq!((&*record.access_key_id, record.generation), ("AKIA1", 2));
    assert_eq!(record.r#use, Some(expected));
    assert_eq!(reported(&uses), []);
}

#[test]
fn each_secret_is_reported_once_a_minute_unless_something_else_changes() {
    let uses = Uses::default();
    let key = |generation, second, agent: &str| ("AKIA1".into(), generation, second, agent.into());
    for second in 0..60 {
        for _ in 0..10 {
            uses.note(&used("AKIA1", 1, "a"), at(second));
            uses.note(&used("AKIA1", 2, "a"), at(second));
        }
    }
    assert_eq!(reported(&uses), [key(1, 0, "a"), key(2, 0, "a")]);
    uses.note(&used("AKIA1", 1, "a"), at(60));
    assert_eq!(reported(&uses), [key(1, 60, "a")]);
    // From two places at once: the one that was there last in each second, of which one is noted.
    uses.note(&used("AKIA1", 1, "b"), at(60));
    assert_eq!(reported(&uses), []);
    uses.note(&used("AKIA1", 1, "b"), at(61));
    assert_eq!(reported(&uses), [key(1, 61, "b")]);
    uses.note(&used("AKIA1", 1, "a"), at(62));
    uses.note(&used("AKIA1", 1, "b"), at(63));
    assert_eq!(reported(&uses), [key(1, 63, "b")], "the later one counts");
}

#[test]
fn what_could_not_be_reported_is_kept_unless_there_is_newer() {
    let uses = Uses::default();
    uses.note(&used("AKIA1", 1, "a"), at(0));
    uses.note(&used("AKIA2", 1, "a"), at(0));
    uses.collect();
    let taken = uses.take(10);
    uses.note(&used("AKIA1", 1, "b"), at(5));
    uses.collect();
    uses.give_back(taken);
    let expected = [("AKIA1", 5, "b"), ("AKIA2", 0, "a")];
    assert_eq!(reported(&uses), expected.map(|(id, at, agent)| (id.into(), 1, at, agent.into())));
}

#[test]
fn a_million_access_keys_take_no_more_room_than_a_few_and_what_finds_none_is_noted_later() {
    let uses = Uses::default();
    for n in 0..1_000_000_u32 {
        uses.note(&used(&format!("AKIA{n}"), 1, "a"), at(0));
    }
    let noted = reported(&uses).len();
    assert!((SLOTS * 3 / 4..=SLOTS).contains(&noted), "{noted}");
    let lost = uses.lost() as usize;
    assert!((999_000 - noted..=1_000_000 - noted).contains(&lost), "{lost}");
    let mut seen = std::collections::BTreeSet::new();
    for second in 1..10 {
        for n in (0..30_000).map(|n| (n + second * 7919) % 30_000) {
            uses.note(&used(&format!("AKIA{n}"), 2, "a"), at(second));
        }
        seen.extend(reported(&uses).into_iter().map(|(id, ..)| id));
    }
    assert_eq!(seen.len(), 30_000, "in the end all have been noted");
}

#[test]
fn texts_of_any_length_fit() {
    let uses = Uses::default();
    let (id, long) = ("A".repeat(128), "x".repeat(10_000));
    uses.note(&Use { region: &long, service: &long, ..used(&id, 1, &long) }, at(0));
    uses.collect();
    let told = uses.take(1).remove(0).r#use.expect("there");
    assert_eq!([told.user_agent, told.region, told.service].map(|t| t.len()), [256, 64, 32]);
}
