//! A run in a process of its own: whatever it ends in, a difference, a panic of the emulated kernel or a crash, can be
//! reported and tried again.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::step::Planned;
use super::world::World;

/// How long a run may take before it is said to have no end: a minute, and a second for so many steps.
const PATIENCE_SECONDS: u64 = 60;
const STEPS_A_SECOND: u64 = 200;

/// The step that the worker is at.
static AT: AtomicU64 = AtomicU64::new(0);

/// Which steps of a run are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steps {
    /// All up to this number.
    Until(u64),
    /// Those of these numbers.
    Only(Vec<u64>),
}

impl Steps {
    /// Those whose numbers are read from standard input, one a line.
    ///
    /// # Errors
    /// What the system says.
    pub fn read() -> io::Result<Self> {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        Ok(Self::Only(text.lines().filter_map(|line| line.parse().ok()).collect()))
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<u64> {
        match self {
            Self::Until(end) => (0..*end).collect(),
            Self::Only(numbers) => numbers.clone(),
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// Its steps.
    pub steps: Steps,
    /// The semaphore whose wakes are lost: a planted fault.
    pub lost_wakes: Option<String>,
}

/// How a run went wrong: at which step, and in which words.
pub(super) type Wrong = (u64, String);

/// The hash of every event of the run, and how many there were; a step that went wrong.
pub(super) type Ended = Result<(u64, u64), Wrong>;

impl Run {
    /// Does the run in a process of its own, which `program` is.
    pub(super) fn supervise(&self, program: &Path) -> io::Result<Ended> {
        let mut command = Command::new(program);
        command.args(["simulate", "--here", "--seed", &self.seed.to_string()]);
        // A complaint is compared with others, and calls have other addresses each time.
        command.env_remove("RUST_BACKTRACE");
        if let Some(semaphore) = &self.lost_wakes {
            command.args(["--lose-wakes", semaphore]);
        }
        let numbers = match &self.steps {
            Steps::Until(steps) => {
                command.args(["--steps", &steps.to_string()]);
                String::new()
            }
            Steps::Only(numbers) => numbers.iter().map(|number| format!("{number}\n")).collect(),
        };
        let pipe = Stdio::piped;
        let mut child = command.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A worker that has ended already reads no further.
            let _ = input.write_all(numbers.as_bytes());
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let mut words = said.lines().next().unwrap_or_default().split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok());
        if output.status.success()
            && let (Some(hash), Some(events)) = (number(), number())
        {
            return Ok(Ok((hash, events)));
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let at = complaint.lines().rev().find_map(|line| line.trim().strip_prefix("at step ")?.parse().ok());
        let text = complaint.lines().filter(|line| !line.trim().starts_with("at step ")).collect::<Vec<_>>().join("\n");
        let what = if text.is_empty() { format!("the process ended with {}", output.status) } else { text };
        Ok(Err((at.unwrap_or(u64::MAX), what)))
    }

    /// Does the run in this process, which ends with it.
    pub fn perform(&self, out: &mut dyn Write) -> ! {
        haiku_kernel::describe_panics(at_step);
        // One CPU: only one thread runs at a time, and handing over to one that is near is quicker.
        stay_on_one_cpu();
        let numbers = self.steps.numbers();
        // SAFETY: a plain call; the alarm ends the process.
        unsafe { libc::alarm((PATIENCE_SECONDS + numbers.len() as u64 / STEPS_A_SECOND) as u32) };
        let code = match run(self, &numbers) {
            Ok((hash, events)) => {
                let _ = writeln!(out, "{hash} {events}");
                0
            }
            Err(what) => {
                eprintln!("{what}\n{}", at_step());
                1
            }
        };
        let _ = out.flush();
        // Threads that wait for ever are part of what may have gone wrong: nothing is cleaned up.
        std::process::exit(code)
    }
}

fn at_step() -> String {
    format!("at step {}", AT.load(Ordering::Relaxed))
}

fn run(run: &Run, numbers: &[u64]) -> Result<(u64, u64), String> {
    let mut world = World::new(run.seed)?;
    haiku_kernel::fault::lose_wakes(run.lost_wakes.as_deref().unwrap_or_default());
    for &number in numbers {
        AT.store(number, Ordering::Relaxed);
        haiku_kernel::schedule::reseed(run.seed ^ number.wrapping_mul(0x9fb2_1c65_1e98_df25));
        if let Err(what) = world.step(&Planned::of(run.seed, number)) {
            std::mem::forget(world);
            return Err(what);
        }
    }
    AT.store(numbers.last().map_or(0, |last| last + 1), Ordering::Relaxed);
    let trace = haiku_kernel::schedule::trace();
    world.end()?;
    Ok((trace.hash, trace.events))
}

fn stay_on_one_cpu() {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call.
    let Ok(cpu) = usize::try_from(unsafe { libc::sched_getcpu() }) else { return };
    // SAFETY: the set is large enough for any CPU that the machine names.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: a set of the size that is said. If it is refused, the run is slower.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
}
