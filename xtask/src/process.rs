//! Runs other programs, and says in a sentence what went wrong when one fails.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use anyhow::{Context, Result, bail};

/// The program of this name on the search path.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The command as one would type it.
#[must_use]
pub fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or_default()).chain(command.get_args());
    let mut line = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    if line.len() > 300 {
        let cut = (0..=300).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        line.truncate(cut);
        line.push_str(" …");
    }
    line
}

/// Runs the command with its output going where ours goes.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` failed ({status}); its own messages are above.");
    }
    Ok(())
}

/// Runs the command and returns what it wrote to standard output.
///
/// # Errors
/// When it cannot be started or fails; with what it wrote to standard error.
pub fn output_of(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command.output().with_context(|| format!("`{line}` could not be started"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// What a program wrote, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// Whether it ended with status 0 in time.
    pub succeeded: bool,
    /// Standard output and standard error, one after the other.
    pub text: String,
    /// How it ended, in words.
    pub how: String,
}

/// Runs the command with its output kept, and ends it when it takes longer than `limit`.
///
/// # Errors
/// When it cannot be started.
pub fn run_limited(command: &mut Command, limit: Duration) -> Result<Finished> {
    let line = describe(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("`{line}` could not be started"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > limit {
            // It may have ended on its own just now; then there is nothing to kill.
            let _ = child.kill();
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let join = |reader: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().expect("reading does not panic")).into_owned()
    };
    let text = join(stdout) + &join(stderr);
    let (succeeded, how) = match status {
        Some(status) => (status.success(), status.to_string()),
        None => (false, format!("it took longer than {} seconds and was ended", limit.as_secs())),
    };
    Ok(Finished { succeeded, text, how })
}

/// Reads a pipe to its end in a thread of its own, so that neither pipe can fill up and block the program.
fn collect(pipe: Option<impl io::Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Runs the command with its output kept; for programs that end by themselves.
///
/// # Errors
/// When it cannot be started.
pub fn run_quietly(command: &mut Command) -> Result<Output> {
    let line = describe(command);
    command.stdin(Stdio::null()).output().with_context(|| format!("`{line}` could not be started"))
}

/// Writes a file, naming it when that fails.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("{} could not be made", directory.display()))?;
    }
    std::fs::write(path, contents).with_context(|| format!("{} could not be written", path.display()))
}

/// Puts files in place once all of them are complete; until then, what was there before stays.
///
/// # Errors
/// When one cannot be written. Nothing of any is left then.
pub fn replace(files: &[(&Path, &[u8])]) -> Result<()> {
    let unfinished = |path: &Path| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        path.with_file_name(name)
    };
    let replaced = files.iter().try_for_each(|(path, contents)| write(&unfinished(path), contents)).and_then(|()| {
        files.iter().try_for_each(|(path, _)| {
            std::fs::rename(unfinished(path), path).with_context(|| format!("{} could not be replaced", path.display()))
        })
    });
    if replaced.is_err() {
        for (path, _) in files {
            // The error above says what is wrong; that there was nothing to remove adds nothing to it.
            let _ = std::fs::remove_file(unfinished(path));
        }
    }
    replaced
}

/// Reads a file, naming it when that fails.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{} could not be read", path.display()))
}
