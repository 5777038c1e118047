//! The benchmarks, and one table of what they found.
//!
//! Each benchmark writes a line for each row, made by the crate `measure`: a mark and fields with tabs
//! between. All else that it writes is for whoever watches.

use std::path::Path;

use crate::run::{Cmd, Error, Result};
use crate::tools;

/// Begins each line that is meant for the table.
const MARK: &str = "measured\t";
const HEADINGS: [&str; 6] = ["measure", "goal", "median", "quartiles", "rounds", "met?"];

/// The row for which Keystone is installed.
const KEYSTONE: &str = "peer-keystone";

/// A benchmark that writes rows, and their ids.
struct Bench {
    package: &'static str,
    name: &'static str,
    rows: &'static [&'static str],
}

const BENCHES: &[Bench] = &[
    Bench {
        package: "auth",
        name: "in_process",
        rows: &[
            "verify-hot",
            "verify-random",
            "verify-first-use",
            "verify-time",
            "string-to-sign",
            "allocations",
        ],
    },
    Bench { package: "auth", name: "peers", rows: &["peer-s3s"] },
    Bench { package: "auth", name: "feed", rows: &["feed-1m", "feed-10m"] },
    Bench {
        package: "auth",
        name: "verify_signature",
        rows: &[
            "unary-cpu",
            "unary-time",
            "unary-rate",
            "stream-raw-rate",
            "stream-raw-cpu",
            "stream-string-rate",
            "stream-string-cpu",
            "unknown-rate",
            "unknown-memory",
            "overload-p99",
            "overload-refused",
            "latency-p50",
            "latency-p99",
            KEYSTONE,
        ],
    },
    Bench {
        package: "read-model",
        name: "scale",
        rows: &[
            "bytes-1m",
            "bytes-user-1m",
            "lookup-random-1m",
            "lookup-hot-1m",
            "lookup-written-1m",
            "lookup-tail-1m",
            "update-1m",
            "growth-insert-1m",
            "growth-lookup-1m",
            "growth-clock-1m",
            "growth-memory-1m",
            "growth-read-1m",
            "bytes-10m",
            "bytes-user-10m",
            "lookup-random-10m",
            "lookup-hot-10m",
            "lookup-written-10m",
            "lookup-tail-10m",
            "update-10m",
            "growth-insert-10m",
            "growth-lookup-10m",
            "growth-clock-10m",
            "growth-memory-10m",
            "growth-read-10m",
        ],
    },
    Bench {
        package: "gateway",
        name: "proxy",
        rows: &[
            "gateway-get",
            "gateway-get-1m",
            "gateway-remote",
            "gateway-remote-1m",
            "gateway-remote-both",
            "gateway-time",
            "gateway-nginx",
            "gateway-nginx-1m",
            "gateway-rate-1",
            "gateway-rates-1",
            "gateway-rate-64",
            "gateway-rates-64",
            "gateway-rate-1000",
            "gateway-rates-1000",
            "gateway-put-1m",
            "gateway-put-64m",
            "gateway-memory-1000",
            "gateway-memory-up",
            "gateway-memory-chunks",
            "gateway-memory-down",
        ],
    },
    Bench { package: "claviger", name: "replicas", rows: &["write-p50", "write-p99", "load"] },
];

/// What is to be measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    quick: bool,
    /// All if empty.
    rows: Vec<String>,
}

impl Request {
    /// Reads `[--quick] [ROW...]`; `None` if a row is not known.
    pub(crate) fn parse(args: &[String]) -> Option<Self> {
        let (options, rows): (Vec<_>, Vec<_>) =
            args.iter().cloned().partition(|argument| argument.starts_with('-'));
        let is_known = |row: &String| rows_known().any(|known| known == row);
        let quick = options == ["--quick"];
        ((quick || options.is_empty()) && rows.iter().all(is_known)).then_some(Self { quick, rows })
    }
}

/// The ids of all rows.
pub(crate) fn rows_known() -> impl Iterator<Item = &'static str> {
    BENCHES.iter().flat_map(|bench| bench.rows.iter().copied())
}

/// Measures, and prints the table. Figures that miss their goals are no error.
pub(crate) fn bench(root: &Path, request: &Request) -> Result<()> {
    let is_asked = |row: &&str| request.rows.is_empty() || request.rows.iter().any(|r| r == row);
    let (mut lines, mut failed) = (vec![], vec![]);
    for Bench { package, name, rows } in BENCHES {
        let asked: Vec<&str> = rows.iter().copied().filter(is_asked).collect();
        if asked.is_empty() {
            continue;
        }
        let mut cargo = Cmd::cargo(root)
            .args(["bench", "--package", package, "--bench", name])
            .env("CLAVIGER_BENCH_ROWS", asked.join(","));
        if request.quick {
            cargo = cargo.env("CLAVIGER_BENCH_QUICK", "1");
        }
        if asked.contains(&KEYSTONE) {
            cargo = cargo.env("CLAVIGER_KEYSTONE", tools::install_keystone(root)?);
        }
        let (ended_well, output) = cargo.show_and_read()?;
        let told: Vec<Vec<String>> = output.lines().filter_map(fields).collect();
        let is_told = |row: &&str| told.iter().any(|line| line[0] == **row);
        failed.extend(asked.iter().filter(|row| !is_told(row)).map(|row| (*row).to_owned()));
        lines.extend(told);
        if !ended_well {
            eprintln!("xtask: {package}'s {name} failed");
        }
    }
    print!("{}", table(&lines));
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error(format!("nothing was measured of {}", failed.join(", "))))
}

/// The fields of a line for the table: the row's id, and a field for each heading.
fn fields(line: &str) -> Option<Vec<String>> {
    let fields: Vec<String> = line.strip_prefix(MARK)?.split('\t').map(str::to_owned).collect();
    (fields.len() == HEADINGS.len() + 1).then_some(fields)
}

/// The lines in columns, as Markdown too.
fn table(lines: &[Vec<String>]) -> String {
    let heading: Vec<String> =
        ["row"].iter().chain(&HEADINGS).map(|text| (*text).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heading).chain(lines).collect();
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| all.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut table = String::new();
    for (number, line) in all.iter().enumerate() {
        let cells = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
        table.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        if number == 0 {
            let dashes = widths.iter().map(|width| "-".repeat(*width));
            table.push_str(&format!("| {} |\n", dashes.collect::<Vec<_>>().join(" | ")));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], expected: Option<(bool, &[&str])>) {
        let args: Vec<String> = args.iter().map(|text| (*text).to_owned()).collect();
        let read = Request::parse(&args).map(|request| (request.quick, request.rows));
        let rows = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect();
        assert_eq!(read, expected.map(|(quick, asked)| (quick, rows(asked))));
    }

    #[test]
    fn rows_are_asked_for_by_their_ids() {
        check(&[], Some((false, &[])));
        check(&["--quick"], Some((true, &[])));
        check(&["load", "--quick", "verify-hot"], Some((true, &["load", "verify-hot"])));
        check(&["verify"], None);
        check(&["--fast"], None);
        check(&["--quick", "--quick"], None);
    }

    #[test]
    fn no_two_rows_have_the_same_id() {
        let mut rows: Vec<&str> = rows_known().collect();
        let count = rows.len();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), count);
    }

    #[test]
    fn lines_become_a_table_and_all_else_is_left_out() {
        let output = "warming up\nmeasured\ta\tb / c\t<= 2 x\t1.90 x\t1.80 to 2.00 x\t5\tyes\n\
            measured\ttoo\tshort\n";
        let lines: Vec<_> = output.lines().filter_map(fields).collect();
        assert_eq!(
            table(&lines),
            "| row | measure | goal   | median | quartiles      | rounds | met? |\n\
             | --- | ------- | ------ | ------ | -------------- | ------ | ---- |\n\
             | a   | b / c   | <= 2 x | 1.90 x | 1.80 to 2.00 x | 5      | yes  |\n"
        );
    }
}
