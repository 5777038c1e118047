//! Requests that botocore signed, recorded by `vectors/generate.py`.

mod server;

use proptest::prelude::*;
use proptest::sample::Index;
use server::{NOW, is_accepted_in_another_meaning, verdict};
use sigv4::{Expected, Head, authenticate};

struct Vector {
    name: &'static str,
    head: &'static str,
    canonical_request: &'static str,
    string_to_sign: &'static str,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("vectors/botocore.txt");
    let sections = text.strip_prefix("== ").unwrap().trim_end().split("\n== ");
    sections
        .map(|section| {
            let (name, rest) = section.split_once('\n').unwrap();
            let (head, rest) = rest.split_once("\n-- canonical request\n").unwrap();
            let (canonical_request, string_to_sign) =
                rest.split_once("\n-- string to sign\n").unwrap();
            Vector { name, head, canonical_request, string_to_sign }
        })
        .collect()
}

#[test]
fn what_botocore_signs_is_accepted() {
    let vectors = vectors();
    assert!(vectors.len() >= 50, "{} vectors", vectors.len());
    for Vector { name, head: raw, canonical_request, string_to_sign } in vectors {
        let head = Head::parse(raw.as_bytes()).unwrap();
        let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
        let canonical = request.canonical_request();
        assert_eq!(String::from_utf8_lossy(&canonical), canonical_request, "{name}");
        let signed = request.string_to_sign();
        assert_eq!(String::from_utf8_lossy(signed.as_bytes()), string_to_sign, "{name}");
        assert_eq!(verdict(raw.as_bytes(), NOW), Ok(()), "{name}");
    }
}

#[test]
fn no_header_that_botocore_signs_can_be_left_out_changed_or_sent_twice() {
    for Vector { name, head, .. } in vectors() {
        for (index, line) in head.lines().enumerate().skip(1) {
            let replace = |with: &[String]| {
                let lines = head.lines().map(str::to_owned).enumerate();
                let lines: Vec<_> = lines
                    .flat_map(|(at, own)| if at == index { with.to_vec() } else { vec![own] })
                    .collect();
                verdict(lines.join("\n").as_bytes(), NOW)
            };
            let header = line.split(':').next().unwrap().to_ascii_lowercase();
            let is_signed = head.contains(&format!(";{header}"))
                || head.contains(&format!("={header}"))
                || head.contains(&format!("%3B{header}"))
                || header == "authorization";
            if is_signed {
                assert!(replace(&[]).is_err(), "{name}: without {header}");
                assert!(replace(&[format!("{line}x")]).is_err(), "{name}: changed {header}");
                let twice = [line.to_owned(), line.to_owned()];
                assert!(replace(&twice).is_err(), "{name}: twice {header}");
            }
        }
    }
}

/// Heads that were drawn at random and signed by botocore, recorded by `vectors/generate_bulk.py`.
fn bulk() -> Vec<&'static str> {
    include_str!("vectors/bulk.txt").trim_end().split("\n\n").collect()
}

#[test]
fn whatever_botocore_signs_is_accepted() {
    let heads = bulk();
    assert_eq!(heads.len(), 300);
    for head in heads {
        assert_eq!(verdict(head.as_bytes(), NOW), Ok(()), "{head}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_botocore_signs_is_refused_with_one_other_bit(head: Index, at: Index, bit in 0..8) {
        let heads = bulk();
        let head = head.get(&heads).as_bytes();
        let mut changed = head.to_vec();
        changed[at.index(head.len())] ^= 1_u8 << bit;
        prop_assert!(!is_accepted_in_another_meaning(head, &changed), "{}", String::from_utf8_lossy(&changed));
    }

    #[test]
    fn whatever_botocore_signs_is_refused_with_another_header_line(head: Index, line: Index, twice: bool) {
        let heads = bulk();
        let head = head.get(&heads);
        let mut lines: Vec<_> = head.lines().collect();
        let at = 1 + line.index(lines.len() - 1);
        let line = lines.remove(at);
        if twice {
            lines.splice(at..at, [line, line]);
        }
        prop_assert!(verdict(lines.join("\n").as_bytes(), NOW).is_err(), "{}", lines.join("\n"));
    }
}
