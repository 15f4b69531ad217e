//! The commands as a whole, with the real driver.

use std::time::Duration;

use clap::Parser;

use crate::{Cli, Command, Global, main_job, ping as ping_command, shell};
use haiku_stack::Family;
use haiku_system::Mode;
use haiku_system::far::Waiting;
use haiku_system::ping::Options;
use haiku_system::scenario;
use haiku_system::statistics::device_statistics;
use haiku_system::{Lab, LabOptions};

fn boot() -> Lab {
    Lab::boot(LabOptions::default()).unwrap()
}

fn end(lab: Lab) {
    let ledgers = lab.shutdown();
    assert!(ledgers.is_zero(), "{ledgers}");
}

#[test]
fn the_main_job_tells_what_went_where_and_ends_well() {
    let mut out = Vec::new();
    main_job::run(&Global::default(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for words in [
        "/dev/tun/0",
        "> ifconfig tun/0 10.9.0.1 255.255.255.0 up",
        "> route add tap/0 inet6 ff02::1:ff00:12",
        "64 bytes from fd00:9::2: icmp_seq=2 hlim=64 time=",
        "3 packets transmitted, 3 packets received, 0.0% packet loss",
        "1 ARP",
        "neighbour discovery",
        "Nothing was lost",
    ] {
        assert!(text.contains(words), "{words} is missing in:\n{text}");
    }
}

#[test]
fn ping_prints_one_json_object_for_each_mode_and_family() {
    let cli = Cli::parse_from(["haiku-lab", "ping", "--count", "20", "--interval", "0", "--json"]);
    let Some(Command::Ping(arguments)) = cli.command else { panic!("a ping") };
    let mut out = Vec::new();
    ping_command::run(&cli.global, &arguments, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> =
        lines.iter().map(|line| (line["mode"].as_str().unwrap(), line["family"].as_u64().unwrap())).collect();
    assert_eq!(seen, [("tun", 4), ("tun", 6), ("tap", 4), ("tap", 6)]);
    for line in lines {
        assert_eq!((&line["sent"], &line["received"], &line["lost"]), (&20.into(), &20.into(), &0.into()));
        assert!(line["rtt_us"]["p50"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn every_way_of_waiting_serves_both_modes_and_all_packets_are_accounted_for() {
    for waiting in Waiting::ALL {
        let lab = boot();
        for mode in Mode::ALL {
            lab.configure(mode).unwrap();
            let far = lab.far(mode, waiting).unwrap();
            for family in Family::ALL {
                let report = lab.flood(scenario::peer(mode, family), 50, 56).unwrap();
                assert_eq!((report.received, report.corrupt, report.duplicates), (50, 0, 0), "{mode} {waiting:?}");
            }
            let device = device_statistics(far.fd()).unwrap();
            assert!(device.to_user.is_complete() && device.to_stack.is_complete(), "{device:?}");
            assert_eq!(far.stop().unwrap().refused, 0);
        }
        end(lab);
    }
}

#[test]
fn data_of_any_size_comes_back_as_it_left_in_fragments_too() {
    let lab = boot();
    lab.configure(Mode::Tun).unwrap();
    let far = lab.far(Mode::Tun, Waiting::Read).unwrap();
    for size in [0, 1, 7, 8, 1471, 1472, 1473, 4000] {
        assert_eq!(lab.flood(scenario::peer(Mode::Tun, Family::Inet), 3, size).unwrap().received, 3, "{size} bytes");
    }
    let peer = scenario::peer(Mode::Tun, Family::Inet6);
    assert_eq!(lab.flood(peer, 3, 1452).unwrap().received, 3);
    // smoltcp makes no fragments of IPv6.
    let patience = Duration::from_millis(1);
    let report = lab.ping(&Options { size: 1453, patience, ..Options::flood(peer, 1) }).unwrap();
    assert_eq!((report.received, report.refused), (0, Some(haiku_sys::EMSGSIZE)));
    drop(far);
    end(lab);
}

#[test]
fn the_far_side_pings_haiku_and_its_first_packet_is_not_lost() {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::socket::icmp;
    use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr};

    let lab = boot();
    lab.configure(Mode::Tun).unwrap();
    let (seen, answers) = std::sync::mpsc::channel();
    let watcher: haiku_system::far::Watcher = Box::new(move |way, packet| {
        if way == haiku_system::far::Way::Read && packet.get(20) == Some(&0) {
            seen.send(packet.to_vec()).unwrap();
        }
    });
    let options = haiku_system::far::Options { watcher: Some(watcher), ..scenario::far_side(Mode::Tun, Waiting::Read) };
    let far = haiku_system::far::FarSide::start(options).unwrap();
    far.with(|state| {
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 256]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(7)).unwrap();
        let request = Icmpv4Repr::EchoRequest { ident: 7, seq_no: 1, data: b"who is there" };
        let bytes = socket.send(request.buffer_len(), scenario::near(Mode::Tun, Family::Inet).into()).unwrap();
        request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ChecksumCapabilities::ignored());
        state.sockets.add(socket);
    })
    .unwrap();
    let answer = answers.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(&answer[28..], b"who is there");
    far.stop().unwrap();
    end(lab);
}

#[test]
fn a_pipe_of_commands_reports_the_lines_that_failed_and_goes_on() {
    let lab = boot();
    lab.console().start_far(Mode::Tun).unwrap();
    let commands = "# a comment\nifconfig tun/0 10.9.0.1 255.255.255.0 up\nfly\n\nls /dev\n\
                    ping -c 1 10.9.0.2\nkdl tun_tap\nifconfig tun/0 mtu 12\nexit\nls\n";
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let result = shell::lines(lab.console(), "", &mut commands.as_bytes(), &mut out, &mut complaints);
    assert_eq!(result.unwrap_err().to_string(), "2 commands failed");
    assert_eq!(
        String::from_utf8(complaints).unwrap(),
        "line 3: fly: no such command; try help\n\
         line 8: ifconfig: Option 'mtu' expected valid max transfer unit size\n"
    );
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("misc/\ntap/\ntun/\n"), "{out}");
    assert!(out.contains("1 packets received, 0.0% packet loss"), "{out}");
    end(lab);
}

#[test]
fn dropping_a_lab_in_the_middle_is_clean() {
    let lab = boot();
    lab.configure(Mode::Tap).unwrap();
    lab.console().start_far(Mode::Tap).unwrap();
    lab.flood(scenario::peer(Mode::Tap, Family::Inet), 5, 56).unwrap();
    drop(lab);
    let again = boot();
    again.configure(Mode::Tap).unwrap();
    end(again);
}

#[test]
fn a_lab_may_be_shut_down_while_a_program_still_has_the_device_open() {
    let lab = boot();
    lab.configure(Mode::Tun).unwrap();
    let far = lab.far(Mode::Tun, Waiting::Read).unwrap();
    lab.flood(scenario::peer(Mode::Tun, Family::Inet), 5, 56).unwrap();
    end(lab);
    drop(far);
}

#[test]
fn an_interface_deleted_in_the_middle_of_a_ping_ends_it_and_leaks_nothing() {
    let lab = boot();
    lab.configure(Mode::Tun).unwrap();
    let far = lab.far(Mode::Tun, Waiting::Poll).unwrap();
    let patience = Duration::from_millis(20);
    let options = Options { patience, ..Options::flood(scenario::peer(Mode::Tun, Family::Inet), u64::MAX) };
    let (replies, started) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let pinging = scope.spawn(|| {
            haiku_system::ping::run(lab.stack(), &options, &mut |_| {
                let _ = replies.send(());
            })
        });
        started.recv().unwrap();
        lab.ifconfig("--delete tun/0").unwrap();
        let error = pinging.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("tun/0 has gone"), "{error}");
    });
    drop(far);
    end(lab);
}

#[test]
fn tcp_carries_a_megabyte_across_unharmed() {
    use smoltcp::socket::tcp;

    const BYTES: usize = 1 << 20;
    let socket = || {
        let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
        tcp::Socket::new(buffer(), buffer())
    };
    let byte = |place: usize| (place.wrapping_mul(0x9e37) >> 7) as u8;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let lab = boot();
    lab.configure(Mode::Tun).unwrap();
    let far = lab.far(Mode::Tun, Waiting::Poll).unwrap();
    let server = far
        .with(|state| {
            let mut socket = socket();
            socket.listen(5001).unwrap();
            state.sockets.add(socket)
        })
        .unwrap();
    let peer = scenario::peer(Mode::Tun, Family::Inet);
    let client = lab
        .stack()
        .with_sockets("tun/0", |state| {
            let (interface, sockets) = state.parts();
            let mut socket = socket();
            socket.connect(interface.context(), (smoltcp::wire::IpAddress::from(peer), 5001), 49_152).unwrap();
            sockets.add(socket)
        })
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sent = 0;
            while sent < BYTES {
                let ready = lab.stack().wait_until("tun/0", deadline, |state| {
                    state.sockets.get::<tcp::Socket<'_>>(client).can_send().then_some(())
                });
                ready.unwrap().expect("room to send in time");
                sent += lab
                    .stack()
                    .with_sockets("tun/0", |state| {
                        let data: Vec<u8> = (sent..BYTES.min(sent + 16_384)).map(byte).collect();
                        state.sockets.get_mut::<tcp::Socket<'_>>(client).send_slice(&data).unwrap()
                    })
                    .unwrap();
            }
        });
        let mut received = 0;
        while received < BYTES {
            let can_recv = |state: &mut haiku_system::far::FarState| {
                state.sockets.get::<tcp::Socket<'_>>(server).can_recv().then_some(())
            };
            far.wait_until(deadline, can_recv).expect("data in time");
            far.with(|state| {
                let socket = state.sockets.get_mut::<tcp::Socket<'_>>(server);
                while socket.can_recv() {
                    let harmed = socket
                        .recv(|data| {
                            let harmed = data.iter().zip(received..).position(|(found, place)| *found != byte(place));
                            received += data.len();
                            (data.len(), harmed)
                        })
                        .unwrap();
                    assert_eq!(harmed, None);
                }
            })
            .unwrap();
        }
    });
    drop(far);
    end(lab);
}

#[test]
fn a_capture_holds_every_frame() {
    let file = std::env::temp_dir().join(format!("haiku-lab-test-{}.pcap", std::process::id()));
    let lab = Lab::boot(LabOptions { pcap: Some(file.clone()), ..LabOptions::default() }).unwrap();
    lab.configure(Mode::Tun).unwrap();
    let far = lab.far(Mode::Tun, Waiting::Read).unwrap();
    lab.flood(scenario::peer(Mode::Tun, Family::Inet), 5, 56).unwrap();
    drop(far);
    end(lab);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let (mut rest, mut echoes) = (&bytes[24..], 0);
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (frame, next) = after.split_at(length);
        echoes += usize::from(frame.len() == 98 && frame[12..14] == [8, 0] && frame[23] == 1);
        rest = next;
    }
    assert_eq!(echoes, 10, "five requests and their replies");
}
