//! What a run is to look like: two sides, their addresses, their files, and who configures what.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Mode;

/// The address at which the sides reach each other.
pub const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// One end of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The server.
    Server,
    /// The client.
    Client,
}

impl Side {
    /// Both, in the order in which they are started.
    pub const ALL: [Side; 2] = [Side::Server, Side::Client];

    /// `server` or `client`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    /// 1 or 2: the last part of addresses.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Server => 1,
            Self::Client => 2,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the two sides know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Keys {
    /// TLS with a certificate authority made on the spot.
    Tls,
    /// One key that both have.
    Static,
}

/// One tool's run.
#[derive(Debug)]
pub struct Plan {
    /// What the device carries.
    pub mode: Mode,
    /// How the sides know each other.
    pub keys: Keys,
    /// Where everything is written.
    pub folder: PathBuf,
    /// This program, for scripts.
    pub program: PathBuf,
    /// The ports of the sides, and one for a third process.
    pub ports: [u16; 3],
}

impl Plan {
    /// Gives a side another port, for the next time that it is started.
    pub fn move_port(&mut self, side: Side) -> Result<(), Error> {
        let socket = std::net::UdpSocket::bind((HOST, 0));
        let address = socket.and_then(|socket| socket.local_addr());
        let port = address.map_err(|error| Error::io("looking for a free port", error))?.port();
        let [server, client, _] = &mut self.ports;
        *(if side == Side::Server { server } else { client }) = port;
        Ok(())
    }

    /// The name that a tool gives its interface.
    #[must_use]
    pub fn interface(&self) -> String {
        format!("{}0", self.mode)
    }

    /// The port of a side.
    #[must_use]
    pub fn port(&self, side: Side) -> u16 {
        let [server, client, _] = self.ports;
        if side == Side::Server { server } else { client }
    }

    /// A file of a side's.
    #[must_use]
    pub fn file(&self, side: Side, name: &str) -> PathBuf {
        self.folder.join(format!("{side}-{name}"))
    }

    /// The second part of the IPv4 prefix, and of the IPv6 one, as the mode writes them: 9 or 10.
    fn network(&self) -> (u8, u16) {
        match self.mode {
            Mode::Tun => (9, 0x9),
            Mode::Tap => (10, 0x10),
        }
    }

    /// A side's address inside the tunnel.
    #[must_use]
    pub fn address(&self, side: Side, family: Family) -> IpAddr {
        let (v4, v6) = self.network();
        match family {
            Family::Inet => Ipv4Addr::new(10, v4, 0, side.number()).into(),
            Family::Inet6 => Ipv6Addr::new(0xfd00, v6, 0, 0, 0, 0, 0, side.number().into()).into(),
        }
    }

    /// The lines for Haiku's console that configure a side.
    #[must_use]
    pub fn console(&self, side: Side) -> Vec<String> {
        let name = self.mode.interface(0);
        vec![
            format!("ifconfig {name} {} 255.255.255.0 up", self.address(side, Family::Inet)),
            format!("ifconfig {name} inet6 {} prefixlen 64", self.address(side, Family::Inet6)),
            format!("route add {name} inet6 ff00:: prefixlen 8"),
        ]
    }

    /// The control socket of a side's Haiku.
    #[must_use]
    pub fn socket(&self, side: Side) -> PathBuf {
        self.file(side, "haiku.sock")
    }

    /// Writes a script that configures a side's interface; returns its path. The tool runs it when it has its device.
    pub fn up_script(&self, side: Side) -> Result<PathBuf, Error> {
        let (program, socket) = (quoted(&self.program), quoted(&self.socket(side)));
        let lines: String = self.console(side).iter().map(|line| scripted(line)).collect();
        // Neither the shell nor `attach` may run with the library in front.
        let body =
            format!("set -e\nunset LD_PRELOAD\nhaiku() {{ {program} attach --socket {socket} \"$@\"; }}\n{lines}");
        let path = self.file(side, "up");
        write(&path, &format!("#!/bin/sh\n# Configures the interface of the {side}.\n{body}"))?;
        set_mode(&path, 0o755)?;
        Ok(path)
    }
}

/// A line for Haiku's console in a script. A tool that restarts runs its script again, and finds its routes there.
fn scripted(line: &str) -> String {
    let before = match line.strip_prefix("route add ") {
        Some(route) => format!("haiku route delete {route} 2>/dev/null || true\n"),
        None => String::new(),
    };
    format!("{before}haiku {line}\n")
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::io(format!("making {}", folder.display()), error))?;
    }
    std::fs::write(path, text).map_err(|error| Error::io(format!("writing {}", path.display()), error))
}

/// Sets a file's permissions.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| Error::io(format!("setting the permissions of {}", path.display()), error))
}
