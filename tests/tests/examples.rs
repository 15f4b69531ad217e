//! The programs in `examples/`: they compile without a warning, work in the lab as they are, and stand in the documents as
//! they are.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use haiku_lab::preload;
use haiku_system::control::{self, Remote};
use tuntap_testkit::watchdog::Watchdog;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compiles a program. `None` without a C compiler.
fn compile(name: &str, folder: &Path) -> Option<PathBuf> {
    let program = folder.join(name);
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]).arg("-I").arg(root().join("net-addon/include"));
    command.arg("-o").arg(&program).arg(root().join("examples").join(name).with_extension("c"));
    let Ok(output) = command.output() else {
        eprintln!("passed over: there is no cc");
        return None;
    };
    assert!(output.status.success(), "{name}.c: {}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// A program with a Haiku in its process, which ends with this value.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    socket: PathBuf,
    folder: PathBuf,
    _watchdog: Watchdog,
}

/// A folder for one test, which [`Running`] removes.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("example-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

impl Running {
    fn start(command: &mut Command, folder: PathBuf) -> Self {
        static LIBRARY: LazyLock<PathBuf> =
            LazyLock::new(|| preload::library().unwrap_or_else(|error| panic!("{error}")));
        // It may have to be built, which is nothing that the watchdog should end.
        let library = LIBRARY.as_path();
        let watchdog = Watchdog::over(folder.display().to_string());
        let socket = folder.join("haiku.sock");
        preload::insert(command, library);
        let mut child =
            command.env(control::SOCKET, &socket).stdout(Stdio::piped()).spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, output, socket, folder, _watchdog: watchdog }
    }

    /// The next line of the program's output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        assert!(!line.is_empty(), "the program ended: {:?}", self.child.wait());
        line
    }

    /// The program's Haiku, which boots when the program opens its device.
    fn haiku(&mut self) -> Remote {
        let deadline = Instant::now() + Duration::from_secs(50);
        loop {
            match Remote::connect(&self.socket) {
                Ok(remote) => return remote,
                Err(error) => assert!(Instant::now() < deadline, "no Haiku: {error}"),
            }
            assert!(self.child.try_wait().expect("a child").is_none(), "the program ended");
            std::thread::yield_now();
        }
    }

    /// Has the program's Haiku do something.
    fn execute(&mut self, line: &str) -> String {
        self.haiku().execute(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Pings over both families as far as the program answers them.
fn answers_pings(mut program: Running, targets: &[&str]) {
    program.execute("ifconfig tun/0 10.9.0.1 255.255.255.0 up");
    program.execute("ifconfig tun/0 inet6 fd00:909::1 prefixlen 64");
    program.execute("route add tun/0 inet6 ff00:: prefixlen 8");
    for target in targets {
        let report = program.execute(&format!("ping -q -i 0 -c 200 {target}"));
        assert!(report.contains(" 0.0% packet loss"), "{target}: {report}");
    }
}

#[test]
fn the_answering_program_of_the_first_ping_answers() {
    let script = root().join("examples/answer.py");
    let Ok(python) = Command::new("python3")
        .args(["-I", "-c", "compile(open(0).read(), 'answer.py', 'exec')"])
        .stdin(std::fs::File::open(&script).expect("the script"))
        .output()
    else {
        eprintln!("passed over: there is no python3");
        return;
    };
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let program = Running::start(Command::new("python3").arg(&script), folder("answer"));
    answers_pings(program, &["10.9.0.2"]);
}

#[test]
fn echo_answers_pings_of_both_families() {
    let folder = folder("echo");
    let Some(program) = compile("echo", &folder) else { return };
    let mut program = Running::start(Command::new(program).arg("/dev/tun/0"), folder);
    assert_eq!(program.line(), "answering the pings to tun/0\n");
    answers_pings(program, &["10.9.0.2", "fd00:909::2"]);
}

#[test]
fn batch_answers_pings_of_both_families() {
    let folder = folder("batch");
    let Some(program) = compile("batch", &folder) else { return };
    let mut program = Running::start(Command::new(program).arg("/dev/tun/0"), folder);
    assert_eq!(program.line(), "answering the pings to /dev/tun/0 in batches\n");
    answers_pings(program, &["10.9.0.2", "fd00:909::2"]);
}

#[test]
fn tunstat_shows_the_nodes_as_they_are() {
    let folder = folder("nodes");
    let Some(tunstat) = compile("tunstat", &folder) else { return };
    for (argument, last) in [(None, "No unit has an interface or is open.\n"), (Some("-s"), "OPENER\n")] {
        let folder = folder.join(argument.unwrap_or("table"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut program = Running::start(Command::new(&tunstat).args(argument), folder);
        let mut text = String::new();
        program.output.read_to_string(&mut text).expect("text");
        assert!(program.child.wait().expect("a child").success());
        assert!(text.ends_with(last), "{text}");
    }
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[test]
fn tunstat_shows_what_a_unit_drops_while_no_program_has_it_open() {
    let folder = folder("watch");
    let Some(tunstat) = compile("tunstat", &folder) else { return };
    let mut program = Running::start(Command::new(tunstat).args(["tun/0", "1"]), folder);
    assert!(program.line().contains("to the program"), "the heading");
    assert!(program.line().contains("dropped"), "the second heading");
    program.execute("ifconfig tun/0 10.9.0.1 255.255.255.0 up");
    assert!(program.haiku().execute("ping -q -i 0 -c 3 -W 10 10.9.0.2").is_err(), "no program answers");
    let mut dropped = 0;
    while dropped < 3 {
        let line = program.line();
        let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        assert_eq!(numbers.len(), 8, "{line}");
        assert_eq!(numbers[0], 0, "nothing is delivered: {line}");
        dropped += numbers[2];
    }
    assert_eq!(dropped, 3);
}

#[test]
fn tunstat_refuses_what_is_no_unit() {
    let folder = folder("refusals");
    let Some(tunstat) = compile("tunstat", &folder) else { return };
    for arguments in [&["loop"][..], &["tun/"], &["tun/x"], &["tun/0", "0"], &["-x"], &["tun/0", "1", "1", "1"]] {
        let output = Command::new(&tunstat).args(arguments).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(errors.contains("tunstat"), "{arguments:?}: {errors}");
    }
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

/// The documents that may quote an example.
fn documents() -> Vec<PathBuf> {
    let in_docs =
        std::fs::read_dir(root().join("docs")).expect("the documents").map(|entry| entry.expect("one").path());
    let markdown = in_docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    markdown.chain(["README.md", "examples/README.md"].map(|path| root().join(path))).collect()
}

#[test]
fn what_a_document_quotes_is_what_the_file_says() {
    let mut quoted = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        for after in text.split("<!-- examples/").skip(1) {
            let (name, rest) = after.split_once(" -->\n").expect("the end of the mark, and a line after it");
            let file = std::fs::read_to_string(root().join("examples").join(name))
                .unwrap_or_else(|error| panic!("{}: {name}: {error}", document.display()));
            let fence = rest.strip_prefix("```").unwrap_or_else(|| panic!("{name}: no fence below the mark"));
            let block = fence.split_once('\n').and_then(|(_, block)| block.split_once("```")).expect("a whole block").0;
            assert!(
                !block.is_empty() && file.contains(block),
                "{}: {name} says otherwise than\n{block}",
                document.display()
            );
            quoted.push(name.to_owned());
        }
    }
    for name in ["answer.py", "echo.c", "batch.c", "tunstat.c"] {
        assert!(quoted.iter().any(|quote| quote == name), "no document quotes examples/{name}");
    }
}
