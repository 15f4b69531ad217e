//! One program: it opens its unit, does this and that with it, closes it, and begins anew, until it is killed.

use std::sync::atomic::Ordering;

use haiku_kernel::syscalls::{self, F_SETFL, Fd, POLLIN, POLLOUT, PollFd};
use haiku_kernel::thread;
use haiku_sys::{B_INTERRUPTED, FIONREAD, O_NONBLOCK, O_RDWR, status_t};
use tuntap_net_addon::ioctl::wire::{
    LimitsRequest, LinuxRequest, Preamble, SIOCGIFHWADDR, TUNREADBATCH, TUNSETLIMITS, TUNWRITEBATCH, VERSION,
};

use super::{Shared, Unit};
use crate::Random;
use haiku_system::Mode;
use haiku_system::statistics::{Direction, device_statistics};

/// How often packets that are under way are waited for, a millisecond each time, before they count as lost.
const PATIENCE: usize = 3000;
/// The far side's address on a TAP.
pub(super) const FAR: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// Bytes of a batch's header.
const HEADER: usize = 16;

/// Runs until it is killed, or all threads end.
pub(super) fn run(shared: &Shared, index: usize, life: u64) {
    let unit = &shared.units[index];
    let mut random = Random::new(shared.seed ^ life.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    unit.killed.store(false, Ordering::SeqCst);
    unit.thread.store(thread::current(), Ordering::SeqCst);
    let mut buffer = vec![0; 4096];
    let killed = || unit.killed.load(Ordering::SeqCst);
    while !shared.stop.load(Ordering::SeqCst) && !killed() {
        let flags = O_RDWR | if random.one_in(2) { O_NONBLOCK } else { 0 };
        let Ok(fd) = syscalls::open(&unit.mode.node(unit.number), flags) else {
            let _ = thread::snooze(1000);
            continue;
        };
        shared.counts.opens.fetch_add(1, Ordering::Relaxed);
        unit.fd.store(fd, Ordering::SeqCst);
        let address = address(fd);
        let calls = 50 + random.below(2000);
        for _ in 0..calls {
            if shared.interrupted() || killed() {
                break;
            }
            let done = act(shared, unit, fd, address, &mut random, &mut buffer);
            match done {
                Err(B_INTERRUPTED) => shared.counts.interrupted.fetch_add(1, Ordering::Relaxed),
                Err(_) => shared.counts.refused.fetch_add(1, Ordering::Relaxed),
                Ok(()) => continue,
            };
        }
        if shared.rest.load(Ordering::SeqCst) && !killed() {
            account(shared, fd);
        }
        unit.fd.store(-1, Ordering::SeqCst);
        let _ = syscalls::close(fd);
        if !killed() {
            shared.rest();
        }
    }
    unit.thread.store(-1, Ordering::SeqCst);
}

/// Checks, while all threads rest, that each packet is accounted for.
fn account(shared: &Shared, fd: Fd) {
    let missing = |line: &Direction| {
        let found = line.delivered + line.answered + line.purged + line.dropped_packets() + line.queued;
        line.accepted.abs_diff(found)
    };
    let mut lost = u64::MAX;
    for _ in 0..PATIENCE {
        let Ok(statistics) = device_statistics(fd) else { return };
        lost = missing(&statistics.to_user) + missing(&statistics.to_stack);
        if lost == 0 {
            break;
        }
        let _ = thread::snooze(1000);
    }
    shared.checked.fetch_add(1, Ordering::SeqCst);
    shared.unaccounted.fetch_add(lost, Ordering::SeqCst);
}

fn address(fd: Fd) -> [u8; 6] {
    let mut request = LinuxRequest { name: [0; 16], flags: 0, address: [0; 6], rest: [0; 16] };
    let _ = syscalls::ioctl_ref(fd, SIOCGIFHWADDR, &mut request);
    request.address
}

/// A packet from the far side to Haiku, or to a group.
fn packet(unit: &Unit, address: [u8; 6], length: usize, mark: u8) -> Vec<u8> {
    let length = length.max(28);
    let udp = (length - 20) as u16;
    let mut bytes = if unit.mode == Mode::Tap { [&address[..], &FAR[..], &[8, 0]].concat() } else { Vec::new() };
    let start = bytes.len();
    bytes.extend_from_slice(&[0x45, 0]);
    bytes.extend_from_slice(&(length as u16).to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
    // From nowhere on a TAP: no answer to it has to ask for the way back.
    bytes.extend_from_slice(&if unit.mode == Mode::Tap { [0; 4] } else { unit.host(2) });
    bytes.extend_from_slice(&unit.host(1));
    let sum: u32 = bytes[start..].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    bytes[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend_from_slice(&[0, 9, 0, 9]);
    bytes.extend_from_slice(&udp.to_be_bytes());
    bytes.resize(start + length, mark);
    bytes
}

/// Answers an ARP request, as the far side of a TAP must.
fn answer(shared: &Shared, fd: Fd, frame: &[u8]) {
    if frame.len() >= 42 && frame[12..14] == [8, 6] && frame[21] == 1 {
        let own = FAR;
        let head = [&frame[6..12], &own, &[8, 6], &frame[14..20], &[0, 2], &own].concat();
        let reply = [&head[..], &frame[38..42], &frame[22..28], &frame[28..32]].concat();
        if syscalls::write(fd, &reply).is_ok() {
            shared.counts.written.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One call.
fn act(
    shared: &Shared,
    unit: &Unit,
    fd: Fd,
    address: [u8; 6],
    random: &mut Random,
    buffer: &mut [u8],
) -> Result<(), status_t> {
    let length = 28 + random.below(1400) as usize;
    match random.below(40) {
        0..16 => {
            let length = syscalls::read(fd, buffer)?;
            shared.counts.read.fetch_add(1, Ordering::Relaxed);
            if unit.mode == Mode::Tap {
                answer(shared, fd, &buffer[..length]);
            }
        }
        16..32 => {
            syscalls::write(fd, &packet(unit, address, length, length as u8))?;
            shared.counts.written.fetch_add(1, Ordering::Relaxed);
        }
        32 | 33 => {
            let packets = batch(fd, TUNREADBATCH, buffer.len() - HEADER, 8, buffer)?;
            shared.counts.read.fetch_add(packets.into(), Ordering::Relaxed);
        }
        34 => {
            let mut at = HEADER;
            for _ in 0..4 {
                let packet = packet(unit, address, length / 2, 7);
                buffer[at..at + 4].copy_from_slice(&(packet.len() as u32).to_ne_bytes());
                buffer[at + 4..at + 4 + packet.len()].copy_from_slice(&packet);
                at = (at + 4 + packet.len()).next_multiple_of(4);
            }
            let packets = batch(fd, TUNWRITEBATCH, at - HEADER, 4, buffer)?;
            shared.counts.written.fetch_add(packets.into(), Ordering::Relaxed);
        }
        35 | 36 => {
            let events = POLLIN | if random.one_in(4) { POLLOUT } else { 0 };
            syscalls::poll(&mut [PollFd { fd, events, revents: 0 }], random.below(2000) as i64)?;
        }
        37 => {
            let flags = if random.one_in(2) { O_NONBLOCK } else { 0 };
            syscalls::fcntl(fd, F_SETFL, flags as usize)?;
        }
        38 => {
            let mut next = 0_i32;
            syscalls::ioctl_ref(fd, FIONREAD, &mut next)?;
            syscalls::close(syscalls::dup(fd)?)?;
        }
        _ => {
            let mut limits = LimitsRequest {
                preamble: Preamble { version: VERSION, size: size_of::<LimitsRequest>() as u32 },
                to_user_packets: 1 + random.below(64) as u32,
                to_user_bytes: 1 << 18,
                to_stack_packets: 1 + random.below(64) as u32,
                to_stack_bytes: 1 << 18,
            };
            syscalls::ioctl_ref(fd, TUNSETLIMITS, &mut limits)?;
        }
    }
    Ok(())
}

/// A batch over the records in the buffer; how many packets it came to.
fn batch(fd: Fd, op: u32, size: usize, most: u32, buffer: &mut [u8]) -> Result<u32, status_t> {
    let words = [VERSION, (HEADER + size) as u32, most, 0];
    for (word, place) in words.iter().zip(buffer.chunks_exact_mut(4)) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let address = haiku_kernel::user::to_user(buffer.as_mut_ptr() as usize);
    syscalls::ioctl(fd, op, address, 0)?;
    Ok(u32::from_ne_bytes([buffer[8], buffer[9], buffer[10], buffer[11]]))
}
