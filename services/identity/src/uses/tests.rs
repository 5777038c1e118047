use super::*;

fn id(n: u8) -> AccessKeyId {
    AccessKeyId::from_random([n; 10])
}

fn used(generation: u32, time_ms: i64, user_agent: &str) -> Use {
    Use {
        generation,
        time_ms,
        source_address: "192.0.2.1".into(),
        user_agent: user_agent.into(),
        region: "us-east-1".into(),
        service: "s3".into(),
    }
}

/// What is told of an access key with secrets of these generations: when it was last used, and each of them.
fn told(uses: &Uses, id: &AccessKeyId, generations: &[u32]) -> (Option<i64>, Vec<Option<i64>>) {
    let secret = |generation: &u32| proto::SecretGeneration {
        generation: *generation,
        ..Default::default()
    };
    let mut key = proto::AccessKey {
        access_key_id: id.to_string(),
        secrets: generations.iter().map(secret).collect(),
        ..Default::default()
    };
    uses.tell(&mut key);
    let at = |told: &Option<proto::AccessKeyUse>| {
        told.as_ref().and_then(|told| milliseconds(told.time.as_ref()?))
    };
    (at(&key.last_use), key.secrets.iter().map(|secret| at(&secret.last_use)).collect())
}

#[test]
fn the_latest_use_of_each_secret_is_kept_whatever_the_order() {
    let home = tempfile::tempdir().expect("a place");
    let uses = Uses::open(&home.path().join("uses"));
    assert_eq!(told(&uses, &id(1), &[2, 1]), (None, vec![None, None]));
    for (generation, time_ms) in [(1, 100_000), (2, 900_000), (1, 500_000), (2, 700_000)] {
        uses.keep(vec![(id(1), used(generation, time_ms, "a"))]).expect("kept");
    }
    assert_eq!(told(&uses, &id(1), &[2, 1]), (Some(900_000), vec![Some(900_000), Some(500_000)]));
    assert_eq!(told(&uses, &id(1), &[3]), (Some(900_000), vec![None]), "a rotation loses nothing");
    assert_eq!(told(&uses, &id(2), &[1]), (None, vec![None]));
}

#[test]
fn what_is_kept_survives_and_what_is_damaged_is_put_aside() {
    let home = tempfile::tempdir().expect("a place");
    let folder = home.path().join("uses");
    let uses = Uses::open(&folder);
    uses.keep(vec![(id(1), used(1, 5000, "a"))]).expect("kept");
    drop(uses);
    let uses = Uses::open(&folder);
    assert_eq!(told(&uses, &id(1), &[1]), (Some(5000), vec![Some(5000)]));
    drop(uses);
    let wait = Uses::open(&folder); // until its threads have let go of the file
    drop(wait);
    fs::write(folder.join("conf"), "not a configuration").expect("written");
    let uses = Uses::open(&folder);
    assert_eq!(told(&uses, &id(1), &[1]), (None, vec![None]));
    uses.keep(vec![(id(1), used(1, 6000, "a"))]).expect("kept");
    assert_eq!(told(&uses, &id(1), &[1]), (Some(6000), vec![Some(6000)]));
    assert!(home.path().join("uses.damaged").exists());
}

#[test]
fn a_use_that_tells_nothing_new_is_not_written() {
    let kept = vec![used(2, 100_000, "a"), used(1, 100_000, "a")];
    for (new, written) in [
        (used(2, 100_000, "a"), false),
        (used(2, 130_000, "a"), false),
        (used(2, 130_001, "a"), true),
        (used(2, 100_001, "b"), true),
        (used(2, 100_000, "b"), false),
        (used(1, 99_999, "b"), false),
        (used(3, 0, "a"), true),
    ] {
        let mut uses = kept.clone();
        assert_eq!(merge(&mut uses, new.clone()), written, "{new:?}");
        assert_eq!(uses.contains(&new), written || kept.contains(&new), "{new:?}");
        assert!(uses.is_sorted_by(|one, next| one.generation > next.generation));
    }
}

#[test]
fn of_many_secrets_the_newest_are_kept() {
    let mut uses = vec![];
    for generation in [5, 3, 9, 7, 1, 8] {
        merge(&mut uses, used(generation, 0, "a"));
    }
    assert_eq!(uses.iter().map(|used| used.generation).collect::<Vec<_>>(), [9, 8, 7]);
    assert_eq!(decode(&encode(&uses)), uses);
    assert_eq!(decode(&[2, 0]), []);
}

#[test]
fn access_keys_that_are_gone_are_forgotten() {
    let home = tempfile::tempdir().expect("a place");
    let uses = Uses::open(&home.path().join("uses"));
    let all: Vec<_> = (0..40).map(|n| (id(n), used(1, 5000, "a"))).collect();
    uses.keep(all).expect("kept");
    let held = id(7);
    assert_eq!(uses.sweep(|id| id == held.as_str()), 39);
    assert_eq!(told(&uses, &held, &[1]).0, Some(5000));
    assert_eq!(told(&uses, &id(8), &[1]).0, None);
}

#[test]
fn what_is_reported_is_bounded() {
    let record = |change: fn(&mut proto::UseRecord, &mut proto::AccessKeyUse)| {
        let mut told = used(1, 5000, "a").shown();
        let mut record = proto::UseRecord {
            access_key_id: id(1).to_string(),
            generation: 1,
            ..Default::default()
        };
        change(&mut record, &mut told);
        record.r#use.get_or_insert(told);
        Use::read(record, 6000)
    };
    assert_eq!(record(|_, _| {}).expect("right"), (id(1), used(1, 5000, "a")));
    let future = record(|_, told| told.time = Some(Timestamp { seconds: 7, nanos: 0 }));
    assert_eq!(future.expect("now").1.time_ms, 6000);
    for wrong in [
        record(|record, _| record.access_key_id = "x".into()),
        record(|_, told| told.time = None),
        record(|_, told| told.time = Some(Timestamp { seconds: -1, nanos: 0 })),
        record(|_, told| told.time = Some(Timestamp { seconds: i64::MAX, nanos: 0 })),
        record(|_, told| told.time = Some(Timestamp { seconds: 1, nanos: -1_000_000 })),
        record(|_, told| told.source_address = "localhost".into()),
        record(|_, told| told.user_agent = "a".repeat(257)),
        record(|_, told| told.user_agent = "a\nb".into()),
        record(|_, told| told.region = "a".repeat(65)),
        record(|_, told| told.service = "a".repeat(33)),
    ] {
        assert!(matches!(wrong, Err(Error::InvalidField { .. })), "{wrong:?}");
    }
}
