//! The main job: everything once, explained to a first-time user.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use haiku_kernel::devfs;

use super::{Global, figures, say, settle};
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Lab;
use haiku_system::Mode;
use haiku_system::far::{FarSide, Traffic, Waiting};
use haiku_system::ping::{self, Options, Report};
use haiku_system::scenario;
use haiku_system::statistics::{DeviceStatistics, device_statistics};

/// Echo requests that are shown one by one.
const SHOWN: u64 = 3;
/// The time between two of them.
const INTERVAL: Duration = Duration::from_millis(100);
/// Echo requests that follow at full speed.
const FLOOD: u64 = 1_000;

/// One line of the summary.
struct Line {
    mode: Mode,
    family: Family,
    report: Report,
    /// What the device answered itself meanwhile: ARP for IPv4, neighbour discovery for IPv6.
    answered: u64,
}

/// Does the main job.
///
/// # Errors
/// A command that failed, a request without a reply, or something that was not given back.
pub fn run(global: &Global, out: &mut dyn Write) -> Result<(), Error> {
    say(out, "An emulated Haiku boots and loads the TUN/TAP driver.\n\n")?;
    let lab = global.boot()?;
    let nodes: Vec<String> = devfs::devices().iter().map(|device| format!("/dev/{device}")).collect();
    say(out, &format!("Below /dev the driver published: {}\n\n", nodes.join("  ")))?;
    let mut lines = Vec::new();
    let mut told = String::new();
    for mode in Mode::ALL {
        let far = lab.far(mode, Waiting::Select)?;
        say(out, &format!("A program opened {} and waits for packets. On Haiku one types:\n\n", mode.node(0)))?;
        for command in scenario::commands(mode) {
            say(out, &format!("> {command}\n"))?;
            say(out, &lab.console().execute(&command)?)?;
        }
        say(out, "\n")?;
        for family in Family::ALL {
            lines.push(line(&lab, &far, mode, family, out)?);
        }
        let device = device_statistics(far.fd())?;
        told += &tell(mode, &device, far.stop()?);
    }
    let ledgers = lab.shutdown();
    say(out, &format!("{}\n{told}\n", table(&lines)))?;
    settle(&ledgers)?;
    let lost: u64 = lines.iter().map(|line| line.report.lost()).sum();
    if lost > 0 {
        return Err(Error::Failed(format!("{lost} echo requests were not answered")));
    }
    say(out, "Nothing was lost, and every packet, semaphore, cookie and node was given back.\n")
}

/// Pings over one family: a few for the eye, then many for the figures.
fn line(lab: &Lab, far: &FarSide, mode: Mode, family: Family, out: &mut dyn Write) -> Result<Line, Error> {
    let target = scenario::peer(mode, family);
    let before = device_statistics(far.fd())?.to_user.answered;
    let mut report = shown(lab, target, out)?;
    let many = lab.ping(&Options::flood(target, FLOOD))?;
    report.sent += many.sent;
    report.received += many.received;
    report.times.add(&many.times).map_err(|error| Error::Failed(error.to_string()))?;
    say(out, &format!("({FLOOD} more at full speed: {} answered)\n\n", many.received))?;
    Ok(Line { mode, family, report, answered: device_statistics(far.fd())?.to_user.answered - before })
}

fn shown(lab: &Lab, target: IpAddr, out: &mut dyn Write) -> Result<Report, Error> {
    let options = Options { interval: INTERVAL, ..Options::new(target, SHOWN) };
    say(out, &format!("> ping -c {SHOWN} -i {} {target}\n", INTERVAL.as_secs_f64()))?;
    say(out, &format!("PING {target} ({target}): {} data bytes\n", options.size))?;
    let mut written = Ok(());
    let report = ping::run(lab.stack(), &options, &mut |event| {
        if written.is_ok() {
            written = say(out, &format!("{}\n", ping::line(target, event)));
        }
    })?;
    written?;
    say(out, &format!("\n{}", report.summary(target)))?;
    Ok(report)
}

/// The summary's table.
fn table(lines: &[Line]) -> String {
    let mut text = format!(
        "{:<14} {:>6} {:>9} {:>5}   {:>9} {:>9} {:>9} {:>9}   {}\n",
        "", "sent", "answered", "lost", "min µs", "median", "p99", "max", "answered inside the device"
    );
    for Line { mode, family, report, answered } in lines {
        let [min, median, p99, max] = figures(report);
        let inside = match (mode, family) {
            (Mode::Tun, Family::Inet) => format!("{answered} ARP"),
            (Mode::Tun, Family::Inet6) => format!("{answered} neighbour discovery"),
            (Mode::Tap, _) => format!("{answered} (the program speaks ARP and ND itself)"),
        };
        text += &format!(
            "{:<14} {:>6} {:>9} {:>5}   {min:>9} {median:>9} {p99:>9} {max:>9}   {inside}\n",
            format!("{} {}", mode.interface(0), family.label()),
            report.sent,
            report.received,
            report.lost(),
        );
    }
    text
}

/// What went where through one device.
fn tell(mode: Mode, device: &DeviceStatistics, far: Traffic) -> String {
    let name = mode.interface(0);
    let mut text = format!(
        "{name}: the stack sent {} packets: {} reached the program, {} were answered inside, {} were for no receiver.\n",
        device.to_user.accepted,
        device.to_user.delivered,
        device.to_user.answered,
        device.to_user.dropped_packets()
    );
    for (reason, count) in &device.to_user.dropped {
        text += &format!("{:>width$}  {count} {reason}\n", "", width = name.len());
    }
    text + &format!(
        "{name}: the program read {} packets and wrote {}; with the device's answers {} reached the stack.\n",
        far.read, far.written, device.to_stack.delivered
    )
}
