//! A run in a separate process, so that any end of it, a difference, a panic of the emulated kernel or a crash, can be
//! reported and repeated.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::step::Planned;
use super::world::World;

/// How long a run may compute before it is said to have no end: so many seconds, and one for so many steps. In the
/// processor's time, of which others on a busy machine take nothing away.
const PATIENCE_SECONDS: u64 = 30;
const STEPS_A_SECOND: u64 = 200;

/// How often in a row all threads have to be found asleep, a second apart, before they are said to wait for each other.
const ASLEEP: u32 = 10;

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
        let numbers = self.steps.numbers();
        let patience = Duration::from_secs(PATIENCE_SECONDS + numbers.len() as u64 / STEPS_A_SECOND);
        std::thread::spawn(move || watch(patience));
        // One CPU: only one thread runs at a time, and handing over to one that is near is quicker.
        stay_on_one_cpu();
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

/// Ends the process if the run has no end. A thread that has its turn and waits for Linux is nothing that the schedule
/// would notice.
fn watch(patience: Duration) {
    let mut asleep = 0;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        asleep = if is_any_thread_awake() { 0 } else { asleep + 1 };
        let complaint = match asleep {
            ASLEEP.. => "every thread waits for Linux",
            _ if processor_time() > patience => "there is no end",
            _ => continue,
        };
        eprintln!("{complaint}\n{}", at_step());
        std::process::exit(1);
    }
}

/// Whether a thread besides this one runs, waits for a processor, or waits for a disk.
fn is_any_thread_awake() -> bool {
    // SAFETY: a plain call.
    let own = unsafe { libc::gettid() }.to_string();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return true };
    threads.flatten().filter(|thread| *thread.file_name() != *own).any(|thread| {
        // One that has ended since is none.
        is_awake(&std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default())
    })
}

/// Whether a thread is, of which Linux says this: its state is behind its name, which may have anything in it.
fn is_awake(stat: &str) -> bool {
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['R', 'D']))
}

/// How long this process has computed.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_state_of_a_thread_is_behind_its_name() {
        assert!(is_awake("7 (reader) R 1 7"));
        assert!(is_awake("7 (a) S 1 (b) D 1 7"));
        assert!(!is_awake("7 (a) R 1 (b) S 1 7"));
        assert!(!is_awake(""));
    }

    #[test]
    fn a_thread_that_computes_is_awake_and_uses_processor_time() {
        let (stop, stopped) = mpsc::channel::<()>();
        let busy = std::thread::spawn(move || while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {});
        let from = processor_time();
        while processor_time() - from < Duration::from_millis(20) {
            assert!(is_any_thread_awake());
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(stop);
        busy.join().unwrap();
    }
}
