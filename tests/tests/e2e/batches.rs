//! Many packets in one call: `TUNREADBATCH` and `TUNWRITEBATCH`.

use haiku_sys::{
    B_BAD_ADDRESS, B_INTERRUPTED, B_WOULD_BLOCK, EBADF, EINVAL, EMSGSIZE, ENETDOWN, ENXIO, O_NONBLOCK, O_RDONLY,
    O_WRONLY, status_t,
};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{BatchRequest, Preamble, TUNREADBATCH, TUNWRITEBATCH};
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, program_packet, stack_frame};
use tuntap_testkit::program::{Cliff, Program, dropped_for, nowhere, user_address};
use tuntap_testkit::rig::Rig;
use tuntap_testkit::wait::Place;
use zerocopy::{FromBytes, IntoBytes};

const HEADER: usize = size_of::<BatchRequest>();

/// The header of a batch with so many bytes of records.
fn header(packets: u32, records: usize) -> BatchRequest {
    let size = (HEADER + records) as u32;
    BatchRequest { preamble: Preamble { version: 1, size }, packets, bytes: 0 }
}

/// A whole batch for writing.
fn batch(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    for packet in packets {
        records.extend((packet.len() as u32).to_ne_bytes());
        records.extend(packet);
        records.resize(records.len().next_multiple_of(4), 0);
    }
    let mut memory = header(packets.len() as u32, records.len()).as_bytes().to_vec();
    memory.extend(records);
    memory
}

/// What the driver wrote into the header.
fn outcome(memory: &[u8]) -> (u32, u32) {
    let (request, _) = BatchRequest::read_from_prefix(memory).unwrap();
    (request.packets, request.bytes)
}

fn write(program: Program, memory: &mut [u8]) -> Result<(u32, u32), status_t> {
    program.control(TUNWRITEBATCH, user_address(memory))?;
    Ok(outcome(memory))
}

/// Reads up to `most` packets into so many bytes of records.
fn read(program: Program, most: u32, records: usize) -> Result<Vec<Vec<u8>>, status_t> {
    let mut memory = header(most, records).as_bytes().to_vec();
    memory.resize(HEADER + records, 0xee);
    program.control(TUNREADBATCH, user_address(&mut memory))?;
    let (count, bytes) = outcome(&memory);
    let (mut packets, mut rest) = (Vec::new(), &memory[HEADER..HEADER + bytes as usize]);
    for _ in 0..count {
        let length = u32::from_ne_bytes(*rest.first_chunk().unwrap()) as usize;
        packets.push(rest[4..4 + length].to_vec());
        rest = rest.get((4 + length).next_multiple_of(4)..).unwrap_or_default();
    }
    assert!(rest.is_empty(), "{} bytes are said to be records and are not", rest.len());
    assert!(memory[HEADER + bytes as usize..].iter().all(|&byte| byte == 0xee), "nothing is written beyond");
    Ok(packets)
}

fn packets(mode: Mode, lengths: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
    lengths.into_iter().map(|length| program_packet(mode, Way::ToStack, length)).collect()
}

fn lengths(packets: &[Vec<u8>]) -> Vec<usize> {
    packets.iter().map(Vec::len).collect()
}

#[test]
fn a_batch_written_is_as_many_packets_for_the_stack() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let sent = packets(mode, (60..1500).step_by(31));
        let mut memory = batch(&sent);
        let all = (sent.len() as u32, (memory.len() - HEADER) as u32);
        assert_eq!(write(program, &mut memory), Ok(all));
        for packet in &sent {
            assert_eq!(card.receive().map(|frame| frame.ends_with(packet)), Ok(true));
        }
        assert_eq!(program.statistics().to_stack.queued, 0);
        program.check_accounts();
        drop(card);
        rig.end();
    }
}

#[test]
fn a_batch_read_is_as_many_packets_as_there_are_and_fit_whole() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let send = |lengths: &[usize]| {
            for &length in lengths {
                card.send(&stack_frame(mode, card.address(), length)).unwrap();
            }
        };
        send(&[100, 61, 62, 63, 64]);
        let read_all = read(program, 10, 4096).unwrap();
        assert_eq!(lengths(&read_all), [100, 61, 62, 63, 64]);
        assert_eq!(read_all[1], program_packet(mode, Way::ToUser, 61));
        send(&[100, 100, 100]);
        assert_eq!(read(program, 2, 4096).map(|packets| lengths(&packets)), Ok(vec![100, 100]), "no more than wanted");
        assert_eq!(read(program, 9, 4096).map(|packets| lengths(&packets)), Ok(vec![100]));
        send(&[100, 100, 200]);
        assert_eq!(read(program, 9, 104 + 104 + 203).map(|packets| lengths(&packets)), Ok(vec![100, 100]));
        assert_eq!(read(program, 9, 203), Err(EINVAL), "not even the first fits");
        assert_eq!(read(program, 9, 204).map(|packets| lengths(&packets)), Ok(vec![200]), "and was left where it was");
        assert_eq!(read(program, 9, 4096), Err(B_WOULD_BLOCK));
        send(&[61]);
        assert_eq!(read(program, 1, 65).map(|packets| lengths(&packets)), Ok(vec![61]), "padding need not be there");
        program.check_accounts();
        assert_eq!(program.statistics().to_user.truncated, 0);
        drop(card);
        rig.end();
    }
}

#[test]
fn a_batch_waits_for_its_first_packet_only() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    let send = || card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    let got = rig.while_blocked(Place::Read, || read(program, 10, 4096), |_| send());
    assert_eq!(got.map(|packets| lengths(&packets)), Ok(vec![100]));
    let interrupted = rig.while_blocked(
        Place::Read,
        || read(program, 10, 4096),
        |thread| haiku_kernel::thread::signal(thread).unwrap(),
    );
    assert_eq!(interrupted, Err(B_INTERRUPTED));
    drop(card);
    rig.end();
}

#[test]
fn records_before_a_bad_one_are_written_and_counted() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let bad = [(Vec::new(), EINVAL), (vec![0x50; 3], EINVAL), (vec![0x45; 65_554], EMSGSIZE)];
        for (bad, error) in bad {
            let mut sent = packets(mode, [100, 61]);
            sent.push(bad.clone());
            sent.extend(packets(mode, [70]));
            assert_eq!(write(program, &mut batch(&sent)), Ok((2, 104 + 68)), "{} bytes are bad", bad.len());
            assert_eq!(write(program, &mut batch(&[bad])), Err(error));
            for _ in 0..2 {
                card.receive().unwrap();
            }
        }
        assert_eq!(program.statistics().to_stack.queued, 0);
        program.check_accounts();
        drop(card);
        rig.end();
    }
}

#[test]
fn a_record_that_is_cut_off_is_bad() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let whole = batch(&packets(Mode::Tun, [100, 100]));
    for missing in 1..104 {
        let mut memory = whole[..whole.len() - missing].to_vec();
        let size = memory.len() as u32;
        memory[4..8].copy_from_slice(&size.to_ne_bytes());
        assert_eq!(write(program, &mut memory), Ok((1, 104)), "{missing} bytes are missing");
        card.receive().unwrap();
    }
    let mut endless = batch(&packets(Mode::Tun, [100]));
    for length in [101, 4096, u32::MAX, u32::MAX - 3, i32::MAX as u32] {
        endless[HEADER..HEADER + 4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(write(program, &mut endless), Err(EINVAL), "a record of {length} bytes");
    }
    assert_eq!(program.statistics().to_stack.queued, 0);
    drop(card);
    rig.end();
}

#[test]
fn a_batch_of_no_packets_or_of_another_version_is_refused() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let good = batch(&packets(Mode::Tun, [100]));
    for op in [TUNREADBATCH, TUNWRITEBATCH] {
        for (at, word) in [(0, 0), (0, 2), (4, 0), (4, 15), (8, 0)] {
            let mut memory = good.clone();
            memory[at..at + 4].copy_from_slice(&u32::to_ne_bytes(word));
            assert_eq!(program.control(op, user_address(&mut memory)), Err(EINVAL), "{op:#x}: {word} at {at}");
        }
    }
    // A batch without records has nothing to write, and no room to read.
    let mut empty = header(1, 0).as_bytes().to_vec();
    assert_eq!(write(program, &mut empty), Ok((0, 0)));
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    assert_eq!(read(program, 1, 0), Err(EINVAL));
    assert_eq!(read(program, 1, 3), Err(EINVAL));
    drop(card);
    rig.end();
}

#[test]
fn a_full_queue_takes_a_part_of_a_batch() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    program.set_limits([512, 1 << 20, 5, 1 << 20]).unwrap();
    let sent = packets(Mode::Tap, [100; 8]);
    assert_eq!(write(program, &mut batch(&sent)), Ok((5, 5 * 104)));
    assert_eq!(write(program, &mut batch(&sent)), Err(B_WOULD_BLOCK));
    card.receive().unwrap();
    assert_eq!(write(program, &mut batch(&sent)), Ok((1, 104)));
    card.down();
    assert_eq!(write(program, &mut batch(&sent)), Err(ENETDOWN));
    drop(card);
    assert_eq!(write(program, &mut batch(&sent)), Err(ENXIO));
    assert_eq!(read(program, 1, 4096), Err(ENXIO));
    program.check_accounts();
    rig.end();
}

#[test]
fn a_writer_that_waits_gets_a_whole_batch_through_a_short_queue() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    program.set_limits([512, 1 << 20, 2, 1 << 20]).unwrap();
    let sent = packets(Mode::Tun, 60..160);
    let mut memory = batch(&sent);
    let written = rig.while_blocked(
        Place::Write,
        || write(program, &mut memory).map(|(packets, _)| packets),
        |_| {
            for packet in &sent {
                assert_eq!(card.receive().map(|frame| frame[14..] == *packet), Ok(true));
            }
        },
    );
    assert_eq!(written, Ok(100));
    drop(card);
    rig.end();
}

#[test]
fn memory_that_ends_within_a_batch_is_an_error_or_the_end_of_a_part() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let before = rig.ledgers();
    let whole = batch(&packets(Mode::Tun, [100, 100, 100]));
    let mut cliff = Cliff::new();
    for there in 0..whole.len() {
        let written = program.control(TUNWRITEBATCH, cliff.edge(&whole[..there]));
        let complete = there.saturating_sub(HEADER) / 104;
        assert_eq!(written, if complete > 0 { Ok(()) } else { Err(B_BAD_ADDRESS) }, "{there} bytes are there");
        let statistics = program.statistics().to_stack;
        assert_eq!(statistics.queued, complete as u64, "{there} bytes are there");
        for _ in 0..complete {
            card.receive().unwrap();
        }
    }
    for address in [0, nowhere(), (1 << 46) - 8] {
        for op in [TUNREADBATCH, TUNWRITEBATCH] {
            assert_eq!(program.control(op, address), Err(B_BAD_ADDRESS));
        }
    }
    // Two records have room; the third packet finds none, and is counted.
    for _ in 0..3 {
        card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    }
    let request = header(3, 3 * 104);
    let mut memory = request.as_bytes().to_vec();
    memory.resize(HEADER + 2 * 104 + 50, 0);
    let address = cliff.edge(&memory);
    assert_eq!(program.control(TUNREADBATCH, address), Ok(()));
    assert_eq!(outcome(&cliff.read(memory.len())), (2, 2 * 104));
    assert_eq!(dropped_for(&program.statistics().to_user, "bad-address"), 1);
    program.check_accounts();
    assert_eq!(rig.ledgers(), before);
    drop(card);
    rig.end();
}

#[test]
fn framing_is_a_part_of_each_record() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    program.set_interface(1).unwrap();
    for _ in 0..2 {
        card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    }
    let read_all = read(program, 9, 4096).unwrap();
    assert_eq!(lengths(&read_all), [104, 104]);
    assert_eq!(read_all[0][..4], [0, 0, 8, 0]);
    let behind = |packet: Vec<u8>| [vec![0, 0, 8, 0], packet].concat();
    let sent: Vec<_> = packets(Mode::Tun, [61, 62]).into_iter().map(behind).collect();
    assert_eq!(write(program, &mut batch(&sent)).map(|(packets, _)| packets), Ok(2));
    assert_eq!(card.receive().map(|frame| frame[14..].to_vec()), Ok(sent[0][4..].to_vec()));
    assert_eq!(write(program, &mut batch(&[vec![0, 0, 8]])), Err(EINVAL));
    drop(card);
    rig.end();
}

#[test]
fn a_batch_needs_the_descriptors_access_mode() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let packet = program_packet(Mode::Tun, Way::ToStack, 100);
    let open = |mode| Program::with_mode("/dev/tun/0", mode | O_NONBLOCK).expect("the unit is free");
    let reader = open(O_RDONLY);
    assert_eq!(write(reader, &mut batch(std::slice::from_ref(&packet))), Err(EBADF));
    assert_eq!(reader.write(&packet), Err(EBADF), "as a single write");
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    assert_eq!(read(reader, 1, 200).unwrap().len(), 1);
    reader.close();
    let writer = open(O_WRONLY);
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    assert_eq!(read(writer, 1, 200), Err(EBADF));
    assert_eq!(write(writer, &mut batch(&[packet])).map(|(packets, _)| packets), Ok(1));
    card.receive().unwrap();
    writer.close();
    drop(card);
    rig.end();
}
