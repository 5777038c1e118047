//! How benchmarks measure, and the lines by which they tell what they found.
//!
//! The machine may be shared and its speed changes by the minute. So what is compared takes turns in
//! one run, and what counts is the ratio of two that ran side by side; work of one thread is measured
//! by the time that the thread itself had of a CPU. A figure is the median over rounds, shown with its
//! quartiles.
//!
//! `cargo xtask bench` collects the lines of [`Row::tell`] and [`Row::skip`] and makes a table of them.
//! It sets two variables: `CLAVIGER_BENCH_QUICK`, to do less, and `CLAVIGER_BENCH_ROWS`, the ids of the
//! rows that are asked for, with commas between.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Begins each line that is meant for the table; its fields are separated by tabs.
pub const MARK: &str = "measured";

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is called on the command line, such as `verify-hot`.
    pub id: &'static str,
    /// What is measured, and against what.
    pub what: &'static str,
    /// Written behind each figure, such as ` x` or ` ms`.
    pub unit: &'static str,
    /// What it is to be.
    pub goal: Goal,
}

/// What a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// It is only told.
    Told,
}

impl Row {
    /// Whether this row is asked for.
    pub fn is_wanted(&self) -> bool {
        std::env::var("CLAVIGER_BENCH_ROWS")
            .map_or(true, |rows| rows.split(',').any(|row| row == self.id))
    }

    /// Tells the figures of all rounds, in any order. Without one there is nothing to tell.
    pub fn tell(&self, rounds: &[f64]) {
        println!("{}", self.line(rounds));
    }

    /// Tells why there is no figure.
    pub fn skip(&self, reason: &str) {
        println!("{MARK}\t{}\t{}\t{}\t-\t-\t0\tskipped: {reason}", self.id, self.what, self.goal());
    }

    fn line(&self, rounds: &[f64]) -> String {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted.get((part * (sorted.len() - 1) as f64).round() as usize);
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| *at(part).unwrap_or(&f64::NAN));
        let met = match self.goal {
            Goal::AtMost(goal) if median <= goal => "yes",
            Goal::AtLeast(goal) if median >= goal => "yes",
            Goal::AtMost(_) | Goal::AtLeast(_) => "NO",
            Goal::Told => "",
        };
        let mut line = format!("{MARK}\t{}\t{}\t{}", self.id, self.what, self.goal());
        let unit = self.unit;
        let (count, of) = (rounds.len(), [figure(low), figure(high)].join(" to "));
        let _ = write!(line, "\t{}{unit}\t{of}{unit}\t{count}\t{met}", figure(median)); // to a String
        line
    }

    fn goal(&self) -> String {
        match self.goal {
            Goal::AtMost(goal) => format!("<= {}{}", figure(goal), self.unit),
            Goal::AtLeast(goal) => format!(">= {}{}", figure(goal), self.unit),
            Goal::Told => "-".to_owned(),
        }
    }
}

/// A number in three digits or more.
fn figure(number: f64) -> String {
    let digits = match number.abs() {
        0.0 => 0,
        size if size < 0.1 => 4,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{number:.digits$}")
}

/// Whether less is to be done, for a first look.
pub fn is_quick() -> bool {
    std::env::var_os("CLAVIGER_BENCH_QUICK").is_some()
}

/// The CPU time that this thread has had.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32) // below a second
}

/// The CPU time that all threads of another process have had, in steps of 10 ms; zero if there is none.
pub fn process_cpu(process_id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: fields 14 and 15, in hundredths of a second.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Keeps this thread, and threads and processes that it starts from now on, on one CPU, counted from 0.
/// Whether it is so: not if there is no such CPU, or it may not be used.
pub fn stay_on_cpu(cpu: usize) -> bool {
    let mut set = CpuSet::new();
    cpu < CpuSet::MAX_CPU && {
        set.set(cpu);
        sched_setaffinity(None, &set).is_ok()
    }
}

/// Memory of this process, in bytes, by a name of `/proc/self/status`: `VmRSS` is what it has in use,
/// `VmHWM` the most that it ever had.
pub fn memory_bytes(name: &str) -> u64 {
    process_memory_bytes(std::process::id(), name)
}

/// Memory of any process, in bytes, by a name as in [`memory_bytes`]; zero if there is none.
pub fn process_memory_bytes(process_id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Memory that no process uses, in bytes.
pub fn free_memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Nanoseconds of CPU that a call of each function takes, round by round. The functions take turns, each
/// for `calls` calls at a time; the first round is not counted.
pub fn take_turns<const N: usize>(
    rounds: usize,
    calls: u32,
    mut functions: [&mut dyn FnMut(); N],
) -> [Vec<f64>; N] {
    let mut taken: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for round in 0..=rounds {
        for (taken, function) in taken.iter_mut().zip(functions.iter_mut()) {
            let before = thread_cpu();
            (0..calls).for_each(|_| function());
            let time = thread_cpu().saturating_sub(before);
            if round > 0 {
                taken.push(time.as_nanos() as f64 / f64::from(calls));
            }
        }
    }
    taken
}

/// The figures of one by those of the other, round by round.
pub fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

/// The value below which `part` of all lie: 0.5 for the median. NaN if there is none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    *sorted.get((part * last as f64).round() as usize).unwrap_or(&f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(goal: Goal, rounds: &[f64]) -> String {
        Row { id: "a", what: "b", unit: " x", goal }.line(rounds)
    }

    #[test]
    fn a_line_tells_the_median_and_the_quartiles_and_whether_the_goal_is_met() {
        let rounds = [9.0, 1.0, 2.0, 3.0, 4.0];
        let told = |goal, met| format!("measured\ta\tb\t{goal}\t3.00 x\t2.00 to 4.00 x\t5\t{met}");
        assert_eq!(line(Goal::AtMost(3.0), &rounds), told("<= 3.00 x", "yes"));
        assert_eq!(line(Goal::AtMost(2.9), &rounds), told("<= 2.90 x", "NO"));
        assert_eq!(line(Goal::AtLeast(3.0), &rounds), told(">= 3.00 x", "yes"));
        assert_eq!(line(Goal::AtLeast(3.1), &rounds), told(">= 3.10 x", "NO"));
        assert_eq!(line(Goal::Told, &rounds), told("-", ""));
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (0..101).rev().map(f64::from).collect();
        for (part, value) in [(0.0, 0.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert_eq!(quantile(&values, part), value);
        }
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn turns_are_measured_by_the_time_of_this_thread_alone() {
        let (mut slept, mut worked) = (0, 0_u64);
        let mut sleep = || {
            slept += 1;
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut work = || {
            for n in 0..200_000_u64 {
                worked = std::hint::black_box(worked.wrapping_add(n));
            }
        };
        let [sleeping, working] = take_turns(3, 2, [&mut sleep, &mut work]);
        assert_eq!((sleeping.len(), working.len(), slept), (3, 3, 8));
        assert!(sleeping.iter().all(|ns| *ns < 5e6), "{sleeping:?}");
        assert!(working.iter().all(|ns| *ns > 1e3), "{working:?}");
    }

    #[test]
    fn this_process_has_memory() {
        assert!(memory_bytes("VmRSS") > 0 && memory_bytes("VmHWM") >= memory_bytes("VmRSS"));
        assert!(free_memory_bytes() > 0);
        assert_eq!((process_cpu(0), process_memory_bytes(0, "VmRSS")), (Duration::ZERO, 0));
    }
}
