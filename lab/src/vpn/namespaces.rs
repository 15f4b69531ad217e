//! Two network namespaces with a cable between them, for tools over Linux's own devices: never the host's network.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::plan::Side;
use super::process::{self, Launch, Namespace};
use crate::error::Error;

/// The hosts' addresses on the cable.
pub const HOSTS: [std::net::Ipv4Addr; 2] =
    [std::net::Ipv4Addr::new(192, 0, 2, 1), std::net::Ipv4Addr::new(192, 0, 2, 2)];

/// Two hosts that exist as long as this does.
#[derive(Debug)]
pub struct Namespaces {
    holders: [Child; 2],
    handles: [Namespace; 2],
}

impl Namespaces {
    /// Makes them.
    ///
    /// # Errors
    /// No root, or no `ip`.
    pub fn new() -> Result<Self, Error> {
        let mut server = holder()?;
        let client = match holder() {
            Ok(client) => client,
            Err(error) => {
                end(&mut server);
                return Err(error);
            }
        };
        let ids = [server.id(), client.id()];
        let mut holders = [server, client];
        let opened = ids.map(handle);
        let [Ok(server), Ok(client)] = opened else {
            holders.iter_mut().for_each(end);
            return Err(Error::Failed("the new network namespaces could not be opened".to_owned()));
        };
        let this = Self { holders, handles: [server, client] };
        this.connect(ids[1])?;
        Ok(this)
    }

    fn connect(&self, client: u32) -> Result<(), Error> {
        let [server_host, client_host] = HOSTS;
        self.ip(Side::Server, &format!("ip link add cable type veth peer name cable netns {client}"))?;
        for (side, host) in [(Side::Server, server_host), (Side::Client, client_host)] {
            for line in [
                "ip link set lo up".to_owned(),
                format!("ip addr add {host}/30 dev cable"),
                "ip link set cable up".to_owned(),
            ] {
                self.ip(side, &line)?;
            }
        }
        Ok(())
    }

    /// Runs an `ip` command at a host.
    ///
    /// # Errors
    /// What it complained of.
    pub fn ip(&self, side: Side, line: &str) -> Result<(), Error> {
        let program = process::find("ip")
            .ok_or_else(|| Error::Failed("there is no `ip`; install the package iproute2".to_owned()))?;
        process::run(&Launch::new(program, line.split_whitespace().skip(1)), Some(self.of(side)))
    }

    /// A side's namespace.
    #[must_use]
    pub fn of(&self, side: Side) -> &Namespace {
        let [server, client] = &self.handles;
        if side == Side::Server { server } else { client }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.holders.iter_mut().for_each(end);
    }
}

/// A process that does nothing in a network namespace of its own.
fn holder() -> Result<Child, Error> {
    let mut command = Command::new("sleep");
    command.arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let leave = || {
        // SAFETY: the calls concern the calling process only.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: between fork and exec it makes two system calls and nothing else.
    unsafe { command.pre_exec(leave) };
    command.spawn().map_err(|error| Error::io("making a network namespace, which takes root", error))
}

fn handle(process: u32) -> std::io::Result<Namespace> {
    let file = File::open(format!("/proc/{process}/ns/net"))?;
    Ok(Arc::new(OwnedFd::from(file)))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
