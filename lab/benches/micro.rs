//! The parts of `haiku-lab bench`, one by one: a verdict of the point-to-point layer, a packet through a device's queue
//! on a kernel that does nothing, and a packet through the hooks of the whole driver.

mod plain;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use haiku_lab::Mode;
use haiku_lab::bench::{Hooks, Options};
use tuntap_driver::{Blocking, Device};
use tuntap_ptp::{MacAddress, Reply, Responder};
use tuntap_tun::Tun;

use plain::{Plain, Token, User};

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A frame from the stack: an Ethernet header, and zeros where nothing else is said.
fn frame(destination: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&destination[..], &OWN, &ether_type.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(78), 0);
    frame
}

fn verdict(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ptp verdict");
    let responder = Responder::new(MacAddress::from_bytes(OWN));
    let [a, b, c, d, e, f] = OWN;
    let question = [0, 1, 8, 0, 6, 4, 0, 1, a, b, c, d, e, f, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0, 10, 9, 0, 2];
    let frames = [
        ("IPv4", frame([2, 0, 0, 0, 0, 9], 0x0800, &[0x45])),
        ("IPv6", frame([2, 0, 0, 0, 0, 9], 0x86dd, &[0x60, 0, 0, 0, 0, 24, 17, 64])),
        ("ARP question", frame([0xff; 6], 0x0806, &question)),
    ];
    for (name, frame) in &frames {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let mut reply = Reply::new();
                black_box(responder.classify_to_user(black_box(frame), frame.len(), &mut reply))
            });
        });
    }
}

fn queue(criterion: &mut Criterion) {
    let device: Device<Tun, Plain> = Device::new(OWN, 1500).expect("the plain kernel has memory");
    device.attach();
    device.up();
    let descriptor = device.open(Blocking::DontWait).expect("a free unit");
    let user = User(64);
    let mut group = criterion.benchmark_group("channel push and pop");
    group.bench_function("to the stack", |bencher| {
        bencher.iter(|| {
            device.write(&descriptor, &user).expect("room");
            device.receive().expect("a packet")
        });
    });
    group.bench_function("to the program", |bencher| {
        bencher.iter(|| {
            device.send(Token(78)).expect("room");
            device.read(&descriptor, &user).expect("a packet")
        });
    });
}

fn hooks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hooks");
    for mode in Mode::ALL {
        for length in [64, 1400] {
            let hooks = Hooks::new(mode, length, &Options::default()).expect("a lab");
            group.bench_function(BenchmarkId::new(format!("{mode} write and receive"), length), |bencher| {
                bencher.iter(|| hooks.to_stack().expect("a packet"));
            });
            let mut buffer = [0; 2048];
            group.bench_function(BenchmarkId::new(format!("{mode} send and read"), length), |bencher| {
                bencher.iter(|| hooks.to_user(&mut buffer).expect("a packet"));
            });
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    verdict(&mut criterion);
    queue(&mut criterion);
    hooks(&mut criterion);
    criterion.final_summary();
}
