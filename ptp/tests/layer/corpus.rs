//! The fuzzer's corpus, replayed, and where it comes from.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use smoltcp::time::Duration;
use smoltcp::wire::ArpOperation;

use crate::conversation::{Link, dual};
use crate::frames::*;
use crate::oracle;

/// The corpus is beside the fuzz target, which is a separate workspace.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/responder")
}

#[test]
fn the_corpus_finds_nothing_wrong() {
    let Ok(entries) = fs::read_dir(directory()) else {
        return;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in &paths {
        println!("{}", path.display());
        oracle::play(&fs::read(path).unwrap());
    }
    assert!(paths.len() >= 24, "a corpus of {} inputs", paths.len());
}

#[test]
fn the_seeds_find_nothing_wrong_however_they_are_cut() {
    for input in seeds().values() {
        for length in (0..input.len().min(600)).chain([input.len()]) {
            oracle::play(&input[..length]);
        }
    }
}

/// Writes the seeds, after a conversation or the form of an input has changed.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_seeds() {
    fs::create_dir_all(directory()).unwrap();
    for (name, input) in seeds() {
        fs::write(directory().join(name), input).unwrap();
    }
}

fn record(action: u8, bytes: &[u8]) -> Vec<u8> {
    [&[action, bytes.len() as u8], bytes].concat()
}

/// Small inputs that reach every verdict, and the starts of whole conversations.
fn seeds() -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::new();
    for (name, frame) in frames() {
        seeds.insert(format!("frame-{name}"), record(oracle::FRAME, &frame));
    }
    for (name, packet) in packets() {
        seeds.insert(format!("packet-{name}"), record(oracle::PACKET, &packet));
    }
    for (name, transcript) in conversations() {
        seeds.insert(format!("conversation-{name}"), transcript);
    }
    seeds
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let unspecified = Ipv6Addr::UNSPECIFIED;
    let routers = "ff02::2".parse().unwrap();
    let question = Icmpv6::solicitation(OWN6, FAR6);
    let router_alert = (0, vec![0, 0, 5, 2, 0, 0, 1, 0]);
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    vec![
        ("arp-announcement", arp_request(OWN4, OWN4)),
        ("arp-unnumbered", arp_request(Ipv4Addr::UNSPECIFIED, OWN4)),
        ("arp-reply", arp(ArpOperation::Reply, OWN4, FAR4)),
        ("arp-request", arp_request(OWN4, FAR4)),
        ("arp-short", arp_request(OWN4, FAR4)[..30].to_vec()),
        ("ipv4", ipv4_frame(OWN4, FAR4, 64)),
        ("ipv4-version", ethernet(PEER, INTERFACE, 0x0800, &ipv6(OWN6, FAR6, 17, 64, &[]))),
        ("ipv6", ipv6_frame(OWN6, FAR6, 64)),
        ("listener-report", {
            let report = Icmpv6::new(143, LINK6, "ff02::16".parse().unwrap(), &[0; 4]);
            report.with(|report| report.extensions = vec![router_alert]).frame()
        }),
        ("neighbour-advertisement", Icmpv6::new(136, OWN6, FAR6, &[0; 20]).frame()),
        ("neighbour-bare", Icmpv6::bare_solicitation(OWN6, FAR6).frame()),
        ("neighbour-duplicate", Icmpv6::bare_solicitation(unspecified, OWN6).frame()),
        ("neighbour-fragment", question.clone().with(|question| question.extensions = vec![(44, vec![0; 8])]).frame()),
        ("neighbour-nonce", question.clone().with(|question| question.body.extend(nonce)).frame()),
        ("neighbour-self", Icmpv6::solicitation(OWN6, OWN6).frame()),
        ("neighbour-solicitation", question.frame()),
        ("neighbour-unicast", question.unicast().frame()),
        ("not-ip", ethernet(PEER, INTERFACE, 0x8100, &[0; 20])),
        ("ping", Icmpv6::new(128, OWN6, FAR6, &[0; 12]).frame()),
        ("redirect", Icmpv6::new(137, LINK6, OWN6, &[0; 36]).frame()),
        ("router-advertisement", Icmpv6::new(134, LINK6, OWN6, &[0; 12]).frame()),
        ("router-solicitation", Icmpv6::new(133, LINK6, routers, &[0; 4]).frame()),
    ]
}

fn packets() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("broadcast", ipv4(FAR4, Ipv4Addr::BROADCAST, 64, &[])),
        ("empty", vec![]),
        ("group4", ipv4(FAR4, Ipv4Addr::new(224, 0, 0, 251), 1, &[])),
        ("group6", ipv6(FAR6, "ff02::fb".parse().unwrap(), 17, 1, &[])),
        ("ipv4", ipv4(FAR4, OWN4, 64, &[1, 2])),
        ("ipv6", ipv6(FAR6, OWN6, 17, 64, &[1, 2])),
        ("short", ipv6(FAR6, OWN6, 17, 64, &[])[..39].to_vec()),
        ("version", vec![0x50; 40]),
    ]
}

fn conversations() -> Vec<(&'static str, Vec<u8>)> {
    let mut pings = dual();
    for target in [FAR4.into(), FAR6.into()] {
        assert!(pings.ping(target));
    }
    let mut later = dual();
    assert!(later.ping(FAR4.into()));
    later.wait(Duration::from_secs(61));
    assert!(later.ping(FAR4.into()));
    assert!(later.ping("fe80::1".parse::<Ipv6Addr>().unwrap().into()));

    let mut moved = Link::new();
    moved.send(&arp_request(FAR4, OWN4));
    moved.send(&Icmpv6::solicitation(FAR6, OWN6).frame());
    for _ in 0..4 {
        moved.send(&arp_request(OWN4, FAR4));
        moved.send(&Icmpv6::solicitation(OWN6, FAR6).frame());
    }
    let mut removed = Link::new();
    removed.send(&arp_request(OWN4, FAR4));
    removed.send(&arp_request(FAR4, OWN4));
    removed.transcript.extend(record(oracle::INTERFACE, &[2, 0, 0, 0, 0, 9]));
    removed.send(&arp_request(FAR4, ALIAS4));
    removed.write(&ipv4(OWN4, FAR4, 64, &[]));

    let repaired = record(oracle::REPAIRED_FRAME, &Icmpv6::solicitation(OWN6, FAR6).frame());
    vec![
        ("later", later.link.transcript),
        ("moved", moved.transcript),
        ("pings", pings.link.transcript),
        ("removed", removed.transcript),
        ("repaired", repaired),
    ]
}
