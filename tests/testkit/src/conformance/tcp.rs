//! TCP: a segment that is refused where Haiku has no timer, or takes the refusal for the end.

use std::net::IpAddr;
use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};

use super::peer::{Peer, socket};
use super::{Harm, Subject, while_blocked};

/// The port that Haiku's side listens at.
const PORT: u16 = 80;
/// The room in the peer's buffers, and so its window.
const WINDOW: usize = 4096;

/// Does something with a socket of Haiku's.
fn act<R>(subject: &dyn Subject, handle: SocketHandle, act: impl FnOnce(&mut Socket<'static>) -> R) -> R {
    let stack = subject.lab().stack();
    stack.with_sockets(subject.interface(), |state| act(state.sockets.get_mut(handle))).expect("the interface")
}

/// A connection that the peer opened, so that no timer of `Connect` runs.
fn established(subject: &dyn Subject) -> (Peer<'_>, SocketHandle) {
    let stack = subject.lab().stack();
    let mut listener = socket(4 * WINDOW);
    listener.listen(PORT).expect("a port");
    let handle = stack.with_sockets(subject.interface(), |state| state.sockets.add(listener)).expect("the interface");
    let mut peer = Peer::new(subject, socket(WINDOW));
    peer.connect(PORT);
    assert!(peer.until(|socket| socket.state() == State::Established), "a connection");
    assert_eq!(act(subject, handle, |socket| socket.state()), State::Established);
    (peer, handle)
}

fn stalled_unless(arrived: bool, what: &'static str) -> Result<(), Harm> {
    if arrived { Ok(()) } else { Err(Harm::Stalled(what)) }
}

/// A program writes to an idle connection.
pub(super) fn response(subject: &dyn Subject) -> Result<(), Harm> {
    let (mut peer, handle) = established(subject);
    while_blocked(subject, 1, || act(subject, handle, |socket| socket.send_slice(b"200 OK"))).expect("`send` says OK");
    stalled_unless(peer.until(|socket| socket.recv_queue() == 6), "a response")
}

/// As [`response`], but the program writes again. Returns whether what was refused arrives, with no timer moved.
pub fn saved_by_the_next_write(subject: &dyn Subject) -> bool {
    let (mut peer, handle) = established(subject);
    while_blocked(subject, 1, || act(subject, handle, |socket| socket.send_slice(b"200"))).expect("`send` says OK");
    // smoltcp emits nothing now: it takes the first for sent, and waits for its acknowledgement.
    act(subject, handle, |socket| socket.send_slice(b" OK")).expect("`send` says OK");
    peer.exchange(true);
    peer.socket().recv_queue() >= 3
}

/// The peer acknowledges all that is under way, and the rest is to follow.
pub(super) fn continuation(subject: &dyn Subject) -> Result<(), Harm> {
    let (mut peer, handle) = established(subject);
    let sent = act(subject, handle, |socket| socket.send_slice(&[7; 2 * WINDOW]));
    assert_eq!(sent, Ok(2 * WINDOW));
    peer.exchange(false);
    let taken = peer.socket().recv(|bytes| (bytes.len(), bytes.len())).expect("the first window");
    while_blocked(subject, 1, || peer.speak());
    stalled_unless(peer.until(|socket| taken + socket.recv_queue() > WINDOW), "what follows an acknowledgement")
}

/// A segment gets lost on its way, and its retransmission is refused.
pub(super) fn retransmission(subject: &dyn Subject) -> Result<(), Harm> {
    let (mut peer, handle) = established(subject);
    subject.lose();
    act(subject, handle, |socket| socket.send_slice(b"200 OK")).expect("`send` says OK");
    while_blocked(subject, 0, || {
        subject.lab().stack().advance_timers(subject.interface(), Duration::from_secs(4)).expect("the interface");
    });
    stalled_unless(peer.until(|socket| socket.recv_queue() == 6), "a retransmission")
}

/// A program connects.
pub(super) fn connect(subject: &dyn Subject) -> Result<(), Harm> {
    let mut listener = socket(WINDOW);
    listener.listen(PORT).expect("a port");
    let mut peer = Peer::new(subject, listener);
    // The peer makes itself known, so that the SYN does not wait for ARP.
    let stack = subject.lab().stack();
    stack.learn_neighbour(IpAddr::from(Peer::OWN), [0x02, 0x00, 0x5e, 0x10, 0x00, 0xfe]);
    let peer_address = smoltcp::wire::IpAddress::from(IpAddr::from(Peer::OWN));
    let connected = while_blocked(subject, 1, || {
        stack.send_with(subject.interface(), |state| {
            let (interface, sockets) = state.parts();
            let mut client = socket(WINDOW);
            client.connect(interface.context(), (peer_address, PORT), 49_152).expect("a socket that is closed");
            sockets.add(client);
            Ok(())
        })
    });
    connected.expect("the interface").map_err(Harm::Failed)?;
    stalled_unless(peer.until(|socket| socket.state() == State::Established), "a SYN")
}

/// A program shuts an idle connection down.
pub(super) fn shutdown(subject: &dyn Subject) -> Result<(), Harm> {
    let (mut peer, handle) = established(subject);
    while_blocked(subject, 1, || act(subject, handle, Socket::close));
    stalled_unless(peer.until(|socket| socket.state() == State::CloseWait), "a FIN")
}
