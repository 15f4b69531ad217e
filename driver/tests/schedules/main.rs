//! The whole device under random schedules: every lock, wait and wake is a place where another thread may go on.
//!
//! `TUNTAP_SHUTTLE_SCHEDULES` sets how many there are in all; without it there are 10,000, always the same ones, from
//! the seed 0 or `TUNTAP_SHUTTLE_SEED`. A failure prints the seed of its schedule; to see that one again, name it and the
//! test: `TUNTAP_SHUTTLE_REPLAY=<seed> cargo test --test schedules <test>`. The "failing schedule" that shuttle prints
//! can be named instead, and must be for those chosen by priority.

#[path = "../fake/mod.rs"]
mod fake;

mod chaos;
mod flow;
mod ledger;

/// The scheduler: shuttle's.
mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex};
    pub(crate) use shuttle::{thread, thread_local};
}

use std::env;
use std::ops::Range;

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

fn variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

/// Runs `body` under `share` per cent of the schedules: most with a random choice at each step, the others with random
/// priorities and a few changes of them, which is better at keeping a thread waiting for long.
fn under_schedules(share: u64, body: fn()) {
    if let Ok(replay) = env::var("TUNTAP_SHUTTLE_REPLAY") {
        return match replay.parse() {
            Ok(seed) => run(RandomScheduler::new_from_seed(seed, 1), FailurePersistence::None, body),
            Err(_) => run(ReplayScheduler::new_from_encoded(&replay), FailurePersistence::None, body),
        };
    }
    let schedules = variable("TUNTAP_SHUTTLE_SCHEDULES").unwrap_or(10_000) * share / 100;
    let seed = variable("TUNTAP_SHUTTLE_SEED").unwrap_or(0);
    let by_priority = schedules / 4;
    // The first says the seed of the schedule that fails; the other can only write all of it out.
    run(RandomScheduler::new_from_seed(seed, (schedules - by_priority) as usize), FailurePersistence::None, body);
    run(PctScheduler::new_from_seed(seed, 4, by_priority as usize), FailurePersistence::Print, body);
}

fn run(scheduler: impl Scheduler + 'static, failure: FailurePersistence, body: fn()) {
    let mut config = Config::new();
    config.failure_persistence = failure;
    Runner::new(scheduler, config).run(body);
}

/// A random number that the schedule's seed decides.
fn pick(range: Range<u32>) -> u32 {
    thread_rng().gen_range(range)
}

/// Whether to do what is done once in `n` times.
fn once_in(n: u32) -> bool {
    pick(0..n) == 0
}

#[test]
fn chaos_leaves_nothing_behind_and_loses_nothing_unaccounted() {
    under_schedules(50, chaos::run);
}

#[test]
fn every_packet_to_the_program_arrives_however_it_is_fetched() {
    under_schedules(20, flow::to_user);
}

#[test]
fn writers_that_wait_keep_no_packets() {
    under_schedules(10, flow::waiting_writers);
}

#[test]
fn every_packet_to_the_stack_arrives_however_it_is_written() {
    under_schedules(20, flow::to_stack);
}
