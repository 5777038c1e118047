//! Replicas and their identity on a simulated network, by simulated time: connections are cut with and
//! without a word, delayed, and made anew, and all processes end at any instant and start again, while keys
//! are made, rotated, locked and deleted. Each seed is another history.
//!
//! Whatever happens: what a replica serves at a position is what the log says up to there, exactly. So it
//! verifies no key at or after the position of its deletion, and has left out no event. Without identity it
//! serves on until the hard limit, and then nothing. Once all is well again it is up to date soon.
//!
//! `SIMULATION_SEEDS` (default 8) may be set in the environment to try as many histories.

mod log;
mod processes;

use std::sync::Arc;
use std::time::Duration;

use log::{Log, Random};
use processes::{Seen, identity, replica};

/// After this without identity there is no verdict.
const HARD_STALENESS: Duration = Duration::from_secs(30);
/// Once all is well, every replica is up to date within this: what is left of noticing a cut, 8 s, one
/// attempt that was begun too early, and the wait before the next, 5 s at most.
const HEALED_MAX: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(10);
const REPLICAS: [&str; 2] = ["auth-1", "auth-2"];
const IDENTITY: &str = "identity";

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

struct Simulation {
    sim: turmoil::Sim<'static>,
    random: Random,
    log: Arc<Log>,
    seen: [Arc<Seen>; 2],
}

impl Simulation {
    /// Replicas of an identity that tells of every event but those whose position is divisible by
    /// `left_out`.
    fn new(seed: u64, left_out: Option<u64>) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(80))
            .simulation_duration(Duration::from_secs(3600))
            .tcp_capacity(4096)
            .build();
        let log = Arc::new(Log::default());
        let served = Arc::clone(&log);
        sim.host(IDENTITY, move || identity(Arc::clone(&served), left_out));
        let seen = REPLICAS.map(|name| {
            let (log, seen) = (Arc::clone(&log), Arc::new(Seen::default()));
            let this = Arc::clone(&seen);
            sim.host(name, move || replica(Arc::clone(&log), Arc::clone(&this)));
            seen
        });
        Self { sim, random: Random::new(seed), log, seen }
    }

    /// Lets time pass, in which something is written ten times a second.
    fn pass(&mut self, time: Duration) -> Outcome {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            if self.sim.is_host_running(IDENTITY) && self.random.below(10) == 0 {
                self.log.write(&mut self.random);
            }
            self.sim.step()?;
        }
        Ok(())
    }

    /// Something that happens to networks and processes.
    fn befall(&mut self) {
        let replica = REPLICAS[self.random.below(2)];
        match self.random.below(9) {
            0 => self.sim.partition(replica, IDENTITY),
            1 => self.sim.partition_oneway(replica, IDENTITY),
            2 => self.sim.partition_oneway(IDENTITY, replica),
            3 | 4 => self.sim.repair(replica, IDENTITY),
            5 => self.sim.hold(replica, IDENTITY),
            6 => self.sim.release(replica, IDENTITY),
            7 => self.sim.bounce(replica),
            _ if self.sim.is_host_running(IDENTITY) => self.sim.crash(IDENTITY),
            _ => self.sim.bounce(IDENTITY),
        }
    }

    fn heal(&mut self) {
        if !self.sim.is_host_running(IDENTITY) {
            self.sim.bounce(IDENTITY);
        }
        for replica in REPLICAS {
            self.sim.repair(replica, IDENTITY);
            self.sim.release(replica, IDENTITY);
        }
    }

    /// Waits until every replica serves all that is written by now, and hears of more.
    fn converge(&mut self) -> Outcome {
        let (written, end) = (self.log.written(), self.sim.elapsed() + HEALED_MAX);
        while !self.seen.iter().all(|seen| seen.is_up_to_date(written)) {
            if self.sim.elapsed() > end {
                return Err(format!("{written} is not served by all: {:?}", self.seen).into());
            }
            self.pass(TICK)?;
        }
        Ok(())
    }
}

/// One history, to its end.
fn run(seed: u64, left_out: Option<u64>) -> Outcome {
    let mut simulation = Simulation::new(seed, left_out);
    simulation.converge()?;
    for _ in 0..12 {
        simulation.befall();
        let some = Duration::from_millis(simulation.random.below(6000) as u64);
        simulation.pass(some)?;
    }
    simulation.heal();
    simulation.converge()?;

    // Cut off for as long as it may be, a replica serves on ...
    for replica in REPLICAS {
        simulation.sim.partition(replica, IDENTITY);
    }
    simulation.pass(HARD_STALENESS - Duration::from_secs(2))?;
    if !simulation.seen.iter().all(|seen| seen.is_serving()) {
        return Err(format!("too early: {:?}", simulation.seen).into());
    }
    // ... and for longer, not any more, until identity is back.
    simulation.pass(Duration::from_secs(4))?;
    if simulation.seen.iter().any(|seen| seen.is_serving()) {
        return Err(format!("too long: {:?}", simulation.seen).into());
    }
    simulation.heal();
    simulation.converge()
}

#[test]
fn whatever_befalls_it_a_replica_serves_what_the_log_says_up_to_its_position() {
    let seeds = std::env::var("SIMULATION_SEEDS").map(|seeds| seeds.parse().expect("a number"));
    for seed in 0..seeds.unwrap_or(8) {
        run(seed, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn an_event_that_was_left_out_is_noticed_here() {
    let error = run(1, Some(17)).expect_err("is noticed").to_string();
    assert!(error.contains("is not what the log says"), "{error}");
}
