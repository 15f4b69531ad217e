//! The tools' processes: started, watched, ended, and none left behind.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::plan::{Plan, Side};
use crate::preload;
use haiku_stack::Error;
use haiku_system::control;

/// How long a tool may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(5);
/// Lines of a tool's log that are shown when something went wrong.
const LOG_LINES: usize = 40;

/// A command line.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What is added to its environment.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    /// A program with arguments.
    pub fn new<A: Into<OsString>>(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, environment: Vec::new() }
    }

    /// With a variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }
}

/// Finds a program where Debian puts them, root's places included.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders =
        path.split(':').map(PathBuf::from).chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Prepares a command to end with this process.
fn confine(command: &mut Command) {
    let enter = || {
        // SAFETY: the call affects only the calling process.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: between fork and exec `enter` makes one system call and nothing else.
    unsafe { command.pre_exec(enter) };
}

/// A process of a run.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ledgers: Option<PathBuf>,
    started: u64,
}

/// The second that it is, counted from 1970.
pub(super) fn unix_second() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Process {
    /// Starts a tool's side, with the library in front.
    pub fn start(plan: &Plan, side: Side, launch: &Launch) -> Result<Self, Error> {
        let log = plan.file(side, "log");
        let mut command = Self::command(launch, &log)?;
        let ledgers = plan.file(side, "ledgers");
        let _ = std::fs::remove_file(&ledgers);
        preload::insert(&mut command, &preload::library()?);
        command.env(control::SOCKET, plan.socket(side)).env(control::SEED, side.number().to_string());
        command.env(control::LOG, plan.file(side, "haiku-log")).env(control::LEDGERS, &ledgers);
        Self::spawn(side.to_string(), command, log, Some(ledgers))
    }

    /// Starts a process that has no device.
    pub fn helper(plan: &Plan, launch: &Launch) -> Result<Self, Error> {
        let log = plan.folder.join("helper-log");
        let command = Self::command(launch, &log)?;
        Self::spawn("helper".to_owned(), command, log, None)
    }

    fn command(launch: &Launch, log: &Path) -> Result<Command, Error> {
        let open = || File::options().create(true).append(true).open(log);
        let failed = |error| Error::io(format!("opening the log {}", log.display()), error);
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(open().map_err(failed)?).stderr(open().map_err(failed)?);
        if let Some(folder) = log.parent() {
            command.current_dir(folder);
        }
        Ok(command)
    }

    fn spawn(name: String, mut command: Command, log: PathBuf, ledgers: Option<PathBuf>) -> Result<Self, Error> {
        confine(&mut command);
        let child = command
            .spawn()
            .map_err(|error| Error::io(format!("starting {}", command.get_program().display()), error))?;
        Ok(Self { name, child, log, ledgers, started: unix_second() })
    }

    /// The second in which it was started, at the latest.
    pub(super) const fn started(&self) -> u64 {
        self.started
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> libc::pid_t {
        self.child.id() as libc::pid_t
    }

    /// Sends a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the process is a child that has not been waited for, so that the number is its own.
        unsafe { libc::kill(self.id(), signal) };
    }

    /// Whether it still runs; if not, why, with its log.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Failed(format!("the {} has ended ({status})", self.name))),
            Err(error) => Err(Error::io(format!("waiting for the {}", self.name), error)),
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
        format!("--- the log of the {} ---\n{}\n", self.name, shown.join("\n"))
    }

    /// CPU time that its threads have used so far, to the nanosecond, those that have ended among them.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        let (mut clock, mut used) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: a live place for the answer.
        let found = unsafe { libc::clock_getcpuclockid(self.id() as libc::pid_t, &mut clock) } == 0;
        // SAFETY: as above.
        let read = found && unsafe { libc::clock_gettime(clock, &mut used) } == 0;
        read.then(|| Duration::new(used.tv_sec as u64, used.tv_nsec as u32))
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and says how it did and what was not given back.
    ///
    /// # Errors
    /// It did not end when asked, or something was not given back.
    pub fn end(&mut self) -> Result<(), Error> {
        if let Some(status) = self.ended(Duration::ZERO)? {
            return Err(Error::Failed(format!("the {} had ended before ({status})", self.name)));
        }
        self.signal(libc::SIGTERM);
        if self.ended(PATIENCE)?.is_none() {
            self.kill();
            return Err(Error::Failed(format!("the {} did not end when asked to, and was killed", self.name)));
        }
        let Some(path) = self.ledgers.take() else { return Ok(()) };
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim() == "zero" => Ok(()),
            Ok(text) => Err(Error::Failed(format!("the {} did not give everything back:\n{text}", self.name))),
            // A tool that leaves by `_exit` or with a signal's default action says nothing.
            Err(_) => Ok(()),
        }
    }

    fn ended(&mut self, patience: Duration) -> Result<Option<ExitStatus>, Error> {
        let deadline = Instant::now() + patience;
        loop {
            let status =
                self.child.try_wait().map_err(|error| Error::io(format!("waiting for the {}", self.name), error))?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(libc::SIGTERM);
            self.signal(libc::SIGCONT);
            if !matches!(self.ended(PATIENCE), Ok(Some(_))) {
                self.kill();
            }
        }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It failed; with what it said.
pub fn run(launch: &Launch) -> Result<(), Error> {
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).stdin(Stdio::null());
    confine(&mut command);
    let output =
        command.output().map_err(|error| Error::io(format!("starting {}", launch.program.display()), error))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Error::Failed(format!("{:?} failed ({}): {}{}", command, output.status, out.trim(), errors.trim())))
}
