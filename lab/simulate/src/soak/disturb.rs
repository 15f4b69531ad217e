//! Background disturbances: stack traffic, `ifconfig`, kills.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Scope;

use haiku_kernel::thread;
use haiku_stack::Family;

use super::Shared;
use super::program::FAR;
use crate::Random;
use haiku_system::Mode;
use haiku_system::console::Console;

/// How many threads there are of them.
pub(super) const THREADS: usize = 3;

/// Starts them. They end with the soak.
pub(super) fn begin<'s>(scope: &'s Scope<'s, '_>, shared: &Arc<Shared>, console: &'s Console) {
    for sender in 0..2 {
        let shared = Arc::clone(shared);
        scope.spawn(move || send(&shared, sender));
    }
    let shared = Arc::clone(shared);
    scope.spawn(move || trouble(&shared, console));
}

/// The stack sends to every interface that is up.
fn send(shared: &Shared, sender: u64) {
    let mut random = Random::new(shared.seed ^ 0xa5a5 ^ sender);
    while !shared.stop.load(Ordering::SeqCst) {
        shared.rest();
        let unit = &shared.units[random.below(shared.units.len() as u64) as usize];
        let length = 28 + random.below(1400) as usize;
        let mut packet = vec![sender as u8; length];
        packet[..12].copy_from_slice(&[0x45, 0, (length >> 8) as u8, length as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
        packet[12..16].copy_from_slice(&unit.host(1));
        packet[16..20].copy_from_slice(&unit.host(2));
        if unit.mode == Mode::Tap {
            // As `arp -s` would: the dead answer no questions, and Haiku does not survive the removal of an interface
            // through which it still asks.
            shared.stack.learn_neighbour(unit.host(2).into(), FAR);
        }
        for _ in 0..random.below(20) {
            if shared.stack.send_ip(&packet).is_ok() {
                shared.counts.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Waits until the stack no longer resolves `neighbour`. Its interface is down, so that no packet starts a new request;
/// Haiku panics if an interface is deleted while ARP still sends requests through it.
fn await_answers(shared: &Shared, neighbour: IpAddr) {
    let asks = || {
        let known = shared.stack.neighbours(Family::Inet);
        known.iter().any(|other| other.address == neighbour && other.state == "asking")
    };
    // A packet that found its route before may be about to ask: the second look is for its question.
    for _ in 0..2 {
        let _ = thread::snooze(2_000);
        while asks() {
            let _ = thread::snooze(20_000);
        }
    }
}

/// Signals, kills, ups, downs and deletes.
fn trouble(shared: &Shared, console: &Console) {
    let mut random = Random::new(shared.seed ^ 0x5a5a_0000);
    while !shared.stop.load(Ordering::SeqCst) {
        shared.rest();
        let unit = &shared.units[random.below(shared.units.len() as u64) as usize];
        let (id, name) = (unit.thread.load(Ordering::SeqCst), unit.mode.interface(unit.number));
        let (count, line) = match random.below(100) {
            0..70 => {
                // A program that waits for ever would do nothing else.
                let _ = thread::signal(id);
                continue;
            }
            70..74 => {
                if id >= 0 && !unit.killed.swap(true, Ordering::SeqCst) {
                    let _ = thread::kill(id);
                    shared.counts.kills.fetch_add(1, Ordering::Relaxed);
                }
                continue;
            }
            74..80 => (&shared.counts.switched, format!("ifconfig {name} down")),
            80..84 => {
                let _ = console.execute(&format!("ifconfig {name} down"));
                await_answers(shared, unit.host(2).into());
                (&shared.counts.deleted, format!("ifconfig --delete {name}"))
            }
            _ => (&shared.counts.switched, format!("ifconfig {}", unit.configure())),
        };
        if console.execute(&line).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let _ = thread::snooze(500);
    }
}
