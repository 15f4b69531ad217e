//! The soak: traffic over many units at once, while programs are killed and interfaces come, go and vanish.
//!
//! [`program`] is one program for each unit, in its own thread; [`disturb`] has the background disturbances. From time to time
//! all threads rest: then every packet of every unit must be accounted for, and the driver's memory must be what it was
//! before the first packet. At the end the ledgers must be zero.

mod disturb;
mod program;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use haiku_kernel::{Ledgers as Memory, syscalls, thread};

use haiku_stack::Error;
use haiku_stack::Stack;
use haiku_system::Mode;
use haiku_system::statistics::{DeviceStatistics, Direction, device_statistics};
use haiku_system::{Lab, LabOptions, Ledgers};

/// How long the threads work between two rests.
const WORK: Duration = Duration::from_secs(20);
/// How often a view is shown and dead programs are replaced, in microseconds.
const TICK: i64 = 100_000;

/// What to soak.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For so long.
    pub time: Duration,
    /// So many units of each mode.
    pub units: usize,
    /// What the choices of all threads start from.
    pub seed: u64,
}

/// What happened so far, counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Packets that programs read.
    pub read: AtomicU64,
    /// Packets that programs wrote.
    pub written: AtomicU64,
    /// Packets that the stack was given to send.
    pub sent: AtomicU64,
    /// Calls of programs that the device refused, or would have had wait.
    pub refused: AtomicU64,
    /// Calls that a signal ended.
    pub interrupted: AtomicU64,
    /// Opens that came about.
    pub opens: AtomicU64,
    /// Programs that were killed.
    pub kills: AtomicU64,
    /// Interfaces brought up or down.
    pub switched: AtomicU64,
    /// Interfaces deleted.
    pub deleted: AtomicU64,
}

/// One unit, and its opener.
struct Unit {
    mode: Mode,
    number: usize,
    fd: AtomicI32,
    /// The kernel's id of the program's thread.
    thread: AtomicI32,
    /// The program has been killed, and ends.
    killed: AtomicBool,
}

/// What all threads share.
struct Shared {
    seed: u64,
    stack: Arc<Stack>,
    units: Vec<Unit>,
    counts: Arc<Counts>,
    /// All threads must rest.
    rest: AtomicBool,
    /// All threads must end.
    stop: AtomicBool,
    resting: AtomicI64,
    /// Units that were found to be right at a rest.
    checked: AtomicU64,
    unaccounted: AtomicU64,
}

/// What there is to see.
#[derive(Clone, Debug)]
pub struct View {
    /// Since the beginning.
    pub elapsed: Duration,
    /// What happened so far.
    pub counts: Arc<Counts>,
    /// The units that are open now, added up.
    pub now: DeviceStatistics,
    /// What the driver holds.
    pub memory: Memory,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened.
    pub counts: Arc<Counts>,
    /// How often a unit's packets were added up at rest.
    pub checked: u64,
    /// Packets that were in no sum.
    pub unaccounted: u64,
    /// The driver's bytes at the first rest and at those that followed.
    pub memory: Vec<i64>,
    /// What was not given back.
    pub ledgers: Ledgers,
}

impl Report {
    /// Whether nothing was lost, nothing leaked and nothing grew.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let flat = self.memory.windows(2).all(|pair| pair[0] == pair[1]);
        self.unaccounted == 0 && self.checked > 0 && flat && self.ledgers.is_zero()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { read, written, sent, refused, interrupted, opens, kills, switched, deleted } = &*self.counts;
        writeln!(f, "{} packets read, {} written, {} sent", get(read), get(written), get(sent))?;
        writeln!(f, "{} calls refused, {} interrupted", get(refused), get(interrupted))?;
        writeln!(
            f,
            "{} opens, {} kills, {} ups and downs, {} deletes",
            get(opens),
            get(kills),
            get(switched),
            get(deleted)
        )?;
        writeln!(f, "{} sums at rest, {} packets unaccounted for", self.checked, self.unaccounted)?;
        writeln!(f, "the driver's bytes at each rest: {:?}", self.memory)?;
        write!(
            f,
            "ledgers {}",
            if self.ledgers.is_zero() { "zero".to_owned() } else { format!("not zero:\n{}", self.ledgers) }
        )
    }
}

impl Shared {
    /// Waits until the rest is over, if there is one.
    fn rest(&self) {
        if !self.rest.load(Ordering::SeqCst) {
            return;
        }
        self.resting.fetch_add(1, Ordering::SeqCst);
        while self.rest.load(Ordering::SeqCst) {
            let _ = thread::snooze(1000);
        }
        self.resting.fetch_sub(1, Ordering::SeqCst);
    }

    fn interrupted(&self) -> bool {
        self.rest.load(Ordering::SeqCst) || self.stop.load(Ordering::SeqCst)
    }

    /// Has every interface there and up.
    fn interfaces(&self, lab: &Lab) {
        for unit in &self.units {
            let _ = lab.ifconfig(&unit.configure());
            let _ = lab.ifconfig(&format!("{} up", unit.mode.interface(unit.number)));
        }
    }

    fn now(&self) -> DeviceStatistics {
        let mut sum = DeviceStatistics::default();
        for unit in &self.units {
            let fd = unit.fd.load(Ordering::SeqCst);
            if fd >= 0
                && let Ok(one) = device_statistics(fd)
            {
                add(&mut sum.to_user, &one.to_user);
                add(&mut sum.to_stack, &one.to_stack);
            }
        }
        sum
    }
}

fn add(sum: &mut Direction, one: &Direction) {
    sum.accepted += one.accepted;
    sum.delivered += one.delivered;
    sum.answered += one.answered;
    sum.purged += one.purged;
    sum.queued += one.queued;
    for &(reason, count) in &one.dropped {
        match sum.dropped.iter_mut().find(|(name, _)| *name == reason) {
            Some((_, so_far)) => *so_far += count,
            None => sum.dropped.push((reason, count)),
        }
    }
}

impl Unit {
    /// Haiku's address and this unit's network: 10.100.N.0 of a TUN, 10.101.N.0 of a TAP.
    fn host(&self, last: u8) -> [u8; 4] {
        let second = if self.mode == Mode::Tun { 100 } else { 101 };
        [10, second, self.number as u8, last]
    }

    fn configure(&self) -> String {
        let [a, b, c, d] = self.host(1);
        format!("{} {a}.{b}.{c}.{d} 255.255.255.0 up", self.mode.interface(self.number))
    }
}

/// A thread that is begun again when it was killed.
type Program = JoinHandle<()>;

fn begin(shared: &Arc<Shared>, index: usize, life: u64) -> Program {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || program::run(&shared, index, life))
}

/// Makes all threads rest. Returns what the driver holds then.
fn rest(shared: &Arc<Shared>, lab: &Lab, programs: &mut [Program], lives: &mut u64) -> i64 {
    shared.rest.store(true, Ordering::SeqCst);
    let all = shared.units.len() as i64 + disturb::THREADS as i64;
    while shared.resting.load(Ordering::SeqCst) < all {
        revive(shared, programs, lives);
        for unit in &shared.units {
            let _ = thread::signal(unit.thread.load(Ordering::SeqCst));
        }
        let _ = thread::snooze(1000);
    }
    shared.interfaces(lab);
    let held = lab.kernel().ledgers().heap_bytes;
    shared.rest.store(false, Ordering::SeqCst);
    // All threads must leave this rest before the next one begins.
    while shared.resting.load(Ordering::SeqCst) > 0 {
        let _ = thread::snooze(1000);
    }
    held
}

/// Replaces the programs that were killed.
fn revive(shared: &Arc<Shared>, programs: &mut [Program], lives: &mut u64) {
    for (index, program) in programs.iter_mut().enumerate() {
        if program.is_finished() && !shared.stop.load(Ordering::SeqCst) {
            *lives += 1;
            *program = begin(shared, index, *lives);
        }
    }
}

/// Soaks, and shows a view now and then.
///
/// # Errors
/// If the lab does not boot, or `show` fails.
pub fn run(options: &Options, mut show: impl FnMut(&View) -> Result<(), Error>) -> Result<Report, Error> {
    let lab = Lab::boot(LabOptions { seed: Some(options.seed), ..LabOptions::default() })?;
    let unit = |mode, number| Unit {
        mode,
        number,
        fd: AtomicI32::new(-1),
        thread: AtomicI32::new(-1),
        killed: AtomicBool::new(false),
    };
    let count = options.units.clamp(1, 256);
    syscalls::set_descriptor_limit(1024);
    let shared = Arc::new(Shared {
        seed: options.seed,
        stack: Arc::clone(lab.stack()),
        units: Mode::ALL.into_iter().flat_map(|mode| (0..count).map(move |number| unit(mode, number))).collect(),
        counts: Arc::default(),
        rest: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        resting: AtomicI64::new(0),
        checked: AtomicU64::new(0),
        unaccounted: AtomicU64::new(0),
    });
    shared.interfaces(&lab);
    let start = Instant::now();
    let mut memory = vec![lab.kernel().ledgers().heap_bytes];
    let mut lives = shared.units.len() as u64;
    let mut programs: Vec<Program> = (0..shared.units.len()).map(|index| begin(&shared, index, index as u64)).collect();
    let mut shown = Ok(());
    let outcome = std::thread::scope(|scope| {
        disturb::begin(scope, &shared, lab.console());
        let mut rested = Instant::now();
        while start.elapsed() < options.time && shown.is_ok() {
            let _ = thread::snooze(TICK);
            revive(&shared, &mut programs, &mut lives);
            let elapsed = start.elapsed();
            let (counts, now) = (Arc::clone(&shared.counts), shared.now());
            shown = show(&View { elapsed, counts, now, memory: lab.kernel().ledgers() });
            if rested.elapsed() >= WORK {
                memory.push(rest(&shared, &lab, &mut programs, &mut lives));
                rested = Instant::now();
            }
        }
        memory.push(rest(&shared, &lab, &mut programs, &mut lives));
        shared.stop.store(true, Ordering::SeqCst);
        while programs.iter().any(|program| !program.is_finished()) {
            for unit in &shared.units {
                let _ = thread::signal(unit.thread.load(Ordering::SeqCst));
            }
            let _ = thread::snooze(1000);
        }
        programs.drain(..).all(|program| program.join().is_ok())
    });
    shown?;
    if !outcome {
        return Err(Error::Failed("a program of the soak panicked".to_owned()));
    }
    let (checked, unaccounted) = (shared.checked.load(Ordering::SeqCst), shared.unaccounted.load(Ordering::SeqCst));
    let counts = Arc::clone(&shared.counts);
    drop(shared);
    Ok(Report { counts, checked, unaccounted, memory, ledgers: lab.shutdown() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_soak_loses_nothing_and_leaks_nothing() {
        let options = Options { time: Duration::from_millis(500), units: 4, seed: 1 };
        let report = run(&options, |_| Ok(())).expect("it runs");
        assert!(report.is_clean(), "{report}");
        assert!(report.counts.opens.load(Ordering::Relaxed) > 0, "{report}");
    }
}
