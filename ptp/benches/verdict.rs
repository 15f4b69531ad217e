//! The cost of the layer: the decision on an ordinary packet, compared with a bare copy of the same packet.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr};
use tuntap_ptp::{HEAD_TO_STACK, HEAD_TO_USER, MacAddress, Reply, Responder, Verdict};

const INTERFACE: [u8; 6] = [0x02, 0xa0, 0x00, 0x00, 0x00, 0x07];
const PAYLOAD: usize = 1380;

fn ipv4() -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: [10, 8, 0, 2].into(),
        dst_addr: [10, 8, 0, 1].into(),
        next_header: IpProtocol::Udp,
        payload_len: PAYLOAD,
        hop_limit: 64,
    };
    let mut bytes = vec![0x5a; 20 + PAYLOAD];
    repr.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &ChecksumCapabilities::default());
    bytes
}

fn ipv6() -> Vec<u8> {
    let repr = Ipv6Repr {
        src_addr: "fd00::2".parse().unwrap(),
        dst_addr: "fd00::1".parse().unwrap(),
        next_header: IpProtocol::Udp,
        payload_len: PAYLOAD,
        hop_limit: 64,
    };
    let mut bytes = vec![0x5a; 40 + PAYLOAD];
    repr.emit(&mut Ipv6Packet::new_unchecked(&mut bytes));
    bytes
}

fn packets(criterion: &mut Criterion) {
    for (name, ether_type, packet) in [("ipv4", [0x08, 0x00], ipv4()), ("ipv6", [0x86, 0xdd], ipv6())] {
        let interface = MacAddress::from_bytes(INTERFACE);
        let responder = Responder::new(interface);
        let mut reply = Reply::new();
        let frame = [&interface.peer().as_bytes()[..], &INTERFACE, &ether_type, &packet].concat();
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        let mut copy = vec![0; frame.len()];
        group.bench_function(BenchmarkId::new("copy", frame.len()), |bencher| {
            bencher.iter(|| {
                copy.copy_from_slice(black_box(&frame));
                black_box(&mut copy);
            });
        });
        group.bench_function("to_user", |bencher| {
            bencher.iter(|| {
                let verdict = responder.classify_to_user(black_box(&frame[..HEAD_TO_USER]), frame.len(), &mut reply);
                assert_eq!(verdict, Verdict::Deliver);
            });
        });
        group.bench_function("to_user and the copy of the head", |bencher| {
            let mut head = [0; HEAD_TO_USER];
            bencher.iter(|| {
                head.copy_from_slice(&black_box(&frame)[..HEAD_TO_USER]);
                let verdict = responder.classify_to_user(black_box(&head), frame.len(), &mut reply);
                assert_eq!(verdict, Verdict::Deliver);
            });
        });
        group.bench_function("to_stack", |bencher| {
            bencher.iter(|| responder.classify_to_stack(black_box(&packet[..HEAD_TO_STACK]), packet.len()).unwrap());
        });
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    packets(&mut criterion);
    criterion.final_summary();
}
