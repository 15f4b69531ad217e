//! A running tunnel: a tool's two sides, and what can be done across it.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use super::plan::{Keys, Plan, Side};
use super::process::{Process, unix_second};
use super::tools::Tool;
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Mode;
use haiku_system::control::{Measured, Remote};

/// A first packet is waited for so long before another is sent.
const TRY: Duration = Duration::from_millis(300);

/// What a session is started with.
pub struct Setup<'a> {
    /// The program.
    pub tool: &'static Tool,
    /// What the device carries.
    pub mode: Mode,
    /// How the sides know each other.
    pub keys: Keys,
    /// An empty folder.
    pub folder: &'a Path,
}

/// A tunnel.
pub struct Session {
    tool: &'static Tool,
    plan: Plan,
    helper: Option<Process>,
    sides: [Option<Process>; 2],
}

/// Finds ports that are free at the moment.
fn free_ports() -> Result<[u16; 3], Error> {
    let failed = |error| Error::io("looking for free ports", error);
    let mut sockets = Vec::new();
    let mut ports = [0; 3];
    for port in &mut ports {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        *port = socket.local_addr().map_err(failed)?.port();
        sockets.push(socket);
    }
    Ok(ports)
}

impl Session {
    /// Starts both sides and returns when packets flow. What went wrong comes with the tools' own logs.
    ///
    /// # Errors
    /// A side that could not be started or has ended, or no packet in time.
    pub fn start(setup: &Setup<'_>) -> Result<Self, Error> {
        let program = crate::preload::program()?;
        let plan =
            Plan { mode: setup.mode, keys: setup.keys, folder: setup.folder.to_owned(), program, ports: free_ports()? };
        std::fs::create_dir_all(&plan.folder)
            .map_err(|error| Error::io(format!("making {}", plan.folder.display()), error))?;
        setup.tool.prepare(&plan)?;
        let mut session = Self { tool: setup.tool, plan, helper: None, sides: [None, None] };
        match session.bring_up() {
            Ok(()) => Ok(session),
            Err(error) => Err(session.explain(&error)),
        }
    }

    /// An error, with the tools' logs behind it.
    pub fn explain(&self, error: &Error) -> Error {
        let logs: String = self.sides.iter().flatten().chain(&self.helper).map(Process::log).collect();
        Error::Failed(format!("{}: {error}\n{logs}", self.tool.name))
    }

    /// What the tunnel carries.
    #[must_use]
    pub fn families(&self) -> &'static [Family] {
        self.tool.families
    }

    /// What it was started with.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Has a side's packets come from another port from its next start on, as after a change of networks.
    pub fn roam(&mut self, side: Side) -> Result<(), Error> {
        self.plan.move_port(side)
    }

    fn slot(&mut self, side: Side) -> &mut Option<Process> {
        let [server, client] = &mut self.sides;
        if side == Side::Server { server } else { client }
    }

    /// A side's process.
    ///
    /// # Errors
    /// It was not started.
    pub fn process(&mut self, side: Side) -> Result<&mut Process, Error> {
        self.slot(side).as_mut().ok_or_else(|| Error::Failed(format!("the {side} was not started")))
    }

    fn bring_up(&mut self) -> Result<(), Error> {
        if let Some(launch) = self.tool.helper(&self.plan) {
            self.helper = Some(Process::helper(&self.plan, &launch)?);
        }
        for side in Side::ALL {
            self.start_side(side)?;
        }
        self.await_packets()
    }

    /// Starts a side, for the first time or after its end.
    pub fn start_side(&mut self, side: Side) -> Result<(), Error> {
        let launch = self.tool.launch(&self.plan, side)?;
        if let Some(before) = self.slot(side) {
            // OpenVPN with a static key numbers its packets from the second in which it was started. One that is
            // started again in the same second repeats them, and the other side takes them for replays.
            let next = before.started() + 1;
            while unix_second() < next {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let process = Process::start(&self.plan, side, &launch)?;
        *self.slot(side) = Some(process);
        Ok(())
    }

    /// A connection to a side's Haiku, as soon as it has one.
    ///
    /// # Errors
    /// The tool has ended, or opened no device in time.
    pub fn remote(&mut self, side: Side) -> Result<Remote, Error> {
        let (socket, patience) = (self.plan.socket(side), self.tool.patience);
        let process = self.process(side)?;
        let remote = Remote::await_listener(&socket, patience, &mut || process.check())?;
        remote.set_patience(Duration::from_secs(600))?;
        Ok(remote)
    }

    /// Waits until packets flow in both directions and all families.
    ///
    /// # Errors
    /// They did not in time.
    pub fn await_packets(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.tool.patience;
        for side in Side::ALL {
            for &family in self.families() {
                self.await_reply(side, family, deadline)?;
            }
        }
        Ok(())
    }

    /// Waits until a ping from one side is answered.
    ///
    /// # Errors
    /// None was, by then.
    pub fn await_reply(&mut self, side: Side, family: Family, deadline: Instant) -> Result<(), Error> {
        let target = self.plan.address(side.other(), family);
        loop {
            let line = format!("ping -q -c 1 -W {} {target}", TRY.as_millis());
            let Err(error) = self.remote(side)?.execute(&line) else { return Ok(()) };
            for side in Side::ALL {
                self.process(side)?.check()?;
            }
            if Instant::now() > deadline {
                return Err(Error::Failed(format!("no packet came through from the {side}: {error}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Pings from one side to the other, each request after the last reply.
    ///
    /// # Errors
    /// The tool has ended, or there is no way to the other side.
    pub fn measure(&mut self, side: Side, family: Family, count: u64, size: usize) -> Result<Measured, Error> {
        let target = self.plan.address(side.other(), family);
        let text = self.remote(side)?.execute(&format!("measure {target} {count} {size} 0"))?;
        text.parse()
    }

    /// Ends both sides.
    ///
    /// # Errors
    /// One did not end when asked to, or did not give everything back.
    pub fn end(mut self) -> Result<(), Error> {
        let mut result = Ok(());
        for side in [Side::Client, Side::Server] {
            if let Some(process) = self.slot(side).as_mut() {
                let ended = process.end();
                result = result.and(ended);
            }
        }
        result.map_err(|error| self.explain(&error))
    }
}
