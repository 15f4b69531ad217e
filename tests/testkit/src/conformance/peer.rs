//! The other end of the subject's link: smoltcp with one TCP socket.

use std::net::IpAddr;
use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;

use super::Subject;
use haiku_system::Mode;
use haiku_system::far::network::Network;

/// How long a frame is waited for before the link is taken to be quiet.
const QUIET: Duration = Duration::from_millis(20);
/// How far the timers are moved each time that nothing happens.
const STEP: Duration = Duration::from_secs(4);
/// How often they are.
const STEPS: usize = 10;

/// A TCP socket with room for so many bytes either way.
pub(super) fn socket(room: usize) -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; room]);
    tcp::Socket::new(buffer(), buffer())
}

/// The other end.
pub(super) struct Peer<'a> {
    pub(super) subject: &'a dyn Subject,
    network: Network,
    socket: SocketHandle,
}

impl<'a> Peer<'a> {
    /// The address of Haiku's side.
    pub(super) const NEAR: [u8; 4] = [10, 1, 0, 1];
    /// Its own.
    pub(super) const OWN: [u8; 4] = [10, 1, 0, 2];

    /// A peer with this socket.
    pub(super) fn new(subject: &'a dyn Subject, socket: tcp::Socket<'static>) -> Self {
        let mut network = Network::new(Mode::Tap, &[(IpAddr::from(Self::OWN), 24)]);
        let socket = network.state().sockets.add(socket);
        Self { subject, network, socket }
    }

    /// Its socket.
    pub(super) fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.network.state().sockets.get_mut(self.socket)
    }

    /// Connects to a port of Haiku's.
    pub(super) fn connect(&mut self, port: u16) {
        let state = self.network.state();
        let socket = state.sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        let near = smoltcp::wire::IpAddress::from(IpAddr::from(Self::NEAR));
        socket.connect(state.interface.context(), (near, port), 50_000).expect("a socket that is closed");
    }

    /// Reads what the driver delivers until it is quiet, and hands in what the peer answers if `answers`.
    pub(super) fn exchange(&mut self, answers: bool) {
        loop {
            let emitted = self.network.poll();
            if answers {
                emitted.iter().for_each(|frame| self.subject.give(frame));
            }
            let Some(frame) = self.subject.delivered(QUIET) else { return };
            self.network.push(&frame);
        }
    }

    /// Hands in what the peer has to say.
    pub(super) fn speak(&mut self) {
        let emitted = self.network.poll();
        emitted.iter().for_each(|frame| self.subject.give(frame));
    }

    /// Lets both ends talk until `done`, moving Haiku's timers while nothing happens. Returns whether it came to that.
    pub(super) fn until(&mut self, mut done: impl FnMut(&mut tcp::Socket<'static>) -> bool) -> bool {
        for _ in 0..STEPS {
            self.exchange(true);
            if done(self.socket()) {
                return true;
            }
            let stack = self.subject.lab().stack();
            stack.advance_timers(self.subject.interface(), STEP).expect("the interface");
        }
        false
    }
}
