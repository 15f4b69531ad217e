//! What Haiku's ARP does to the machine that deletes an interface while it asks: here the lab ends, in the same words.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Types commands into the lab's shell.
fn shell(commands: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haiku-lab"));
    command.arg("shell").env_remove("RUST_BACKTRACE");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the lab starts");
    let mut input = child.stdin.take().expect("a pipe");
    for line in commands {
        // A lab that has ended reads no further.
        let _ = writeln!(input, "{line}");
    }
    drop(input);
    child.wait_with_output().expect("the lab ends")
}

const WORDS: &str = "PANIC: vm_page_fault: unhandled page fault in kernel space: ARP still asks for 10.3.0.9";

#[test]
fn deleting_an_interface_while_arp_sends_requests_through_it_panics() {
    // The second ping is there to let a second pass: long enough for the next question of the first.
    let output = shell(&[
        "ifconfig tap/0 10.3.0.1 255.255.255.0 up",
        "ifconfig tap/1 10.4.0.1 255.255.255.0 up",
        "ping -c 1 -W 10 10.3.0.9",
        "ifconfig --delete tap/0",
        "ping -c 1 -W 8000 10.4.0.9",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(WORDS), "{said}");
}

#[test]
fn a_tun_without_an_opener_answers_and_can_be_deleted() {
    let output = shell(&[
        "ifconfig tun/0 10.3.0.1 255.255.255.0 up",
        "ifconfig tap/1 10.4.0.1 255.255.255.0 up",
        "ping -c 1 -W 10 10.3.0.9",
        "ifconfig --delete tun/0",
        "ping -c 1 -W 3000 10.4.0.9",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("PANIC"), "{said}");
}
