//! Packets that go straight to their protocol, in the writer's thread.

use tuntap_driver::{Blocking, Error, Limits};

use crate::fake::{
    self, ARP, INTERFACE, IPV4, IPV6, OWN, Rig, ToyTap, ToyTun, User, frame, packet4, packet6, received,
};
use crate::{blocked, failed};

fn direct<M: tuntap_driver::Mode>() -> (Rig<M>, tuntap_driver::Descriptor) {
    let (rig, descriptor) = Rig::running(Blocking::DontWait);
    rig.device.delivery().set_direct(true);
    (rig, descriptor)
}

#[test]
fn a_packet_reaches_its_protocol_without_a_link_header_and_with_its_description() {
    let (rig, descriptor) = direct::<ToyTun>();
    for (packet, ether_type) in [(packet4(1, 40), IPV4), (packet6(2, 1400), IPV6)] {
        assert_eq!(rig.write(&descriptor, &packet), Ok(packet.len()));
        let delivered = rig.device.delivery().take();
        let [(header, bytes)] = &delivered[..] else { panic!("{} packets", delivered.len()) };
        assert_eq!(*bytes, packet);
        assert_eq!((header.destination(), header.ether_type()), (OWN, ether_type));
        assert_eq!(header.source(), [2, 0, 0, 0, 0, 9]);
    }
    assert_eq!(rig.device.statistics().to_stack_queued.packets, 0);
}

#[test]
fn a_frame_loses_the_header_that_its_program_wrote() {
    let (rig, descriptor) = direct::<ToyTap>();
    for length in [0, 40, 1400] {
        let frame = frame(IPV4, &packet4(1, length));
        assert_eq!(rig.write(&descriptor, &frame), Ok(frame.len()));
        let delivered = rig.device.delivery().take();
        assert_eq!(delivered[0].1, packet4(1, length));
        assert_eq!(delivered[0].0.bytes()[..], frame[..14]);
    }
}

#[test]
fn other_frames_go_through_the_queue() {
    let (rig, descriptor) = direct::<ToyTap>();
    for ether_type in [ARP, 0x8100, 0x88cc] {
        rig.write(&descriptor, &frame(ether_type, &[0; 46])).unwrap();
        assert_eq!(rig.receive(), Ok(frame(ether_type, &[0; 46])));
    }
    assert!(rig.device.delivery().take().is_empty());
    assert_eq!(rig.device.delivery().queued(), 0, "their order beside IP does not matter");
}

#[test]
fn a_packet_that_is_not_delivered_straight_is_reported_as_queued() {
    let (rig, descriptor) = direct::<ToyTun>();
    rig.device.delivery().set_direct(false);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(rig.device.delivery().queued(), 1);
    rig.device.delivery().set_direct(true);
    rig.write(&descriptor, &packet4(2, 40)).unwrap();
    assert_eq!(rig.device.delivery().queued(), 2, "the queue is not drained");
    assert_eq!([rig.receive(), rig.receive()].map(|frame| frame.unwrap()[14] & 15), [1, 2]);
    rig.write(&descriptor, &packet4(3, 40)).unwrap();
    assert_eq!(rig.device.delivery().take().len(), 1);
}

/// Direct delivery resumes some time after the last note, so a note from before the wait would be out of date.
#[test]
fn a_writer_that_waited_for_room_reports_its_packet_after_the_wait() {
    let (rig, descriptor) = direct::<ToyTun>();
    descriptor.set_blocking(Blocking::Wait);
    rig.device.delivery().set_direct(false);
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 1 << 20 });
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    let descriptor = std::sync::Arc::new(descriptor);
    let own = std::sync::Arc::clone(&descriptor);
    let writer = blocked(&rig, move |device| device.write(&own, &User::holding(&packet4(2, 40))));
    assert_eq!(rig.device.delivery().queued(), 1);
    rig.receive().unwrap();
    assert_eq!(writer.result(), Ok(40));
    assert_eq!(rig.device.delivery().queued(), 2);
    rig.receive().unwrap();
}

#[test]
fn direct_packets_are_counted_by_the_device_and_by_the_interface() {
    let (rig, descriptor) = direct::<ToyTun>();
    let before = received();
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    // Other tests count too.
    assert!(received() >= before + 40);
    let counters = rig.device.statistics().to_stack;
    assert_eq!((counters.accepted, counters.delivered), (1, 1));
    assert_eq!((counters.accepted_bytes, counters.delivered_bytes), (54, 54));
    rig.check_accounts();
}

#[test]
fn nothing_is_delivered_while_the_interface_is_down_or_gone_or_the_descriptor_closed() {
    let rig = Rig::<ToyTun>::new();
    rig.device.delivery().set_direct(true);
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    let allocations = rig.world.allocations();
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    let attachment = rig.device.attach();
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    rig.device.up(INTERFACE);
    rig.device.down();
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    rig.device.up(INTERFACE);
    rig.device.detach(attachment);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::Gone));
    rig.device.close();
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::Closed));
    assert_eq!(rig.world.allocations(), allocations);
    assert!(rig.device.delivery().take().is_empty());
    rig.device.free();
}

#[test]
fn a_faulting_or_starved_write_delivers_nothing() {
    let (rig, descriptor) = direct::<ToyTun>();
    let user = User::holding(&packet4(1, 1400)).faulting(1000..1001);
    assert_eq!(rig.device.write(&descriptor, &user), Err(Error::BadAddress));
    rig.world.fail_allocation(0);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NoMemory));
    rig.world.fail_allocation(-1);
    assert!(rig.device.delivery().take().is_empty());
    assert_eq!(rig.device.statistics().to_stack.accepted, 0);
}

#[test]
fn a_batch_keeps_its_order_across_the_queue_and_past_it() {
    let (rig, descriptor) = direct::<ToyTap>();
    let packets = [frame(IPV4, &packet4(1, 40)), frame(ARP, &[0; 28]), frame(IPV4, &packet4(2, 40))];
    let records: Vec<u8> = packets
        .iter()
        .flat_map(|packet| {
            [&(packet.len() as u32).to_ne_bytes()[..], packet, &[0; 3][..(4 - packet.len() % 4) % 4]].concat()
        })
        .collect();
    let batch = rig.device.write_batch(&descriptor, &User::holding(&records), 3).unwrap();
    assert_eq!((batch.packets, batch.bytes), (3, records.len()));
    let marks: Vec<_> = rig.device.delivery().take().iter().map(|(_, packet)| packet[0] & 15).collect();
    // The last one may not pass the one that the batch holds for the queue.
    assert_eq!(marks, [1]);
    let queued = [(); 2].map(|()| rig.receive().unwrap());
    assert_eq!(queued, packets[1..]);
}

#[test]
fn a_batch_of_direct_packets_is_delivered_whole() {
    let (rig, descriptor) = direct::<ToyTun>();
    let record = |mark| [&40_u32.to_ne_bytes()[..], &packet4(mark, 40)].concat();
    let records: Vec<u8> = (0..5).flat_map(record).collect();
    let batch = rig.device.write_batch(&descriptor, &User::holding(&records), 5).unwrap();
    assert_eq!((batch.packets, batch.bytes), (5, 5 * 44));
    let marks: Vec<_> = rig.device.delivery().take().iter().map(|(_, packet)| packet[0] & 15).collect();
    assert_eq!(marks, [0, 1, 2, 3, 4]);
}

#[test]
fn a_device_whose_queue_is_full_of_answers_still_takes_writes_in_order() {
    let (rig, descriptor) = direct::<ToyTun>();
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 1 << 20 });
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::WouldBlock));
    rig.receive().unwrap();
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(rig.device.delivery().take().len(), 1);
}

#[test]
fn a_blocked_reader_thread_of_the_stack_is_not_woken() {
    let (rig, descriptor) = direct::<ToyTun>();
    let receiver = blocked(&rig, |device| device.receive().err());
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(rig.world.wakes(), 0);
    rig.device.down();
    assert_eq!(receiver.result(), Some(Error::NetworkDown));
    assert_eq!(failed(fake::read(&rig.device, &descriptor)), Error::WouldBlock);
}

#[test]
fn a_program_is_behind_with_reading_while_sixteen_kibibytes_wait_for_it() {
    let (rig, descriptor) = direct::<ToyTun>();
    rig.device.delivery().set_yields();
    let is_direct = || {
        rig.write(&descriptor, &packet4(1, 40)).unwrap();
        let direct = rig.device.delivery().take().len() == 1;
        assert!(direct || rig.receive().is_ok());
        direct
    };
    for _ in 0..15 {
        assert!(is_direct());
        rig.send(&frame(IPV4, &packet4(1, 1024))).unwrap();
    }
    assert!(is_direct(), "15 packets of 1,038 bytes wait");
    rig.send(&frame(IPV4, &packet4(1, 1024))).unwrap();
    assert!(!is_direct());
    rig.read(&descriptor).unwrap();
    assert!(is_direct());
}

#[test]
fn a_protocol_is_told_while_128_kibibytes_wait_for_the_program() {
    let (rig, descriptor) = direct::<ToyTun>();
    let crowded = || {
        rig.write(&descriptor, &packet4(1, 40)).unwrap();
        rig.device.delivery().crowded()
    };
    for _ in 0..126 {
        rig.send(&frame(IPV4, &packet4(1, 1024))).unwrap();
    }
    assert!(!crowded(), "126 packets of 1,038 bytes wait");
    rig.send(&frame(IPV4, &packet4(1, 1024))).unwrap();
    assert!(crowded());
    rig.read(&descriptor).unwrap();
    assert!(!crowded());
}

/// The records of so many packets of 20 bytes.
fn records(packets: u8) -> Vec<u8> {
    (0..packets).flat_map(|mark| [&20_u32.to_ne_bytes()[..], &packet4(mark, 20)].concat()).collect()
}

#[test]
fn what_a_batch_holds_for_the_queue_is_not_overtaken() {
    let (rig, descriptor) = direct::<ToyTun>();
    rig.device.delivery().set_direct(false);
    let device = rig.device.clone();
    rig.device.delivery().when_asked(move |question| device.delivery().set_direct(question > 0));
    rig.device.write_batch(&descriptor, &User::holding(&records(2)), 2).unwrap();
    assert!(rig.device.delivery().take().is_empty());
    let queued = [(); 2].map(|()| rig.receive().unwrap());
    assert_eq!(queued, [0, 1].map(|mark| frame(IPV4, &packet4(mark, 20))));
    rig.device.delivery().when_asked(|_| {});
}

#[test]
fn a_batch_holds_no_packets_while_it_waits_for_room_that_another_writer_took() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.set_to_stack_limits(Limits { packets: 2, bytes: 1 << 20 });
    let descriptor = std::sync::Arc::new(descriptor);
    let (device, other) = (rig.device.clone(), descriptor.clone());
    rig.device.delivery().when_asked(move |question| {
        if question == 0 {
            for mark in 7..9 {
                device.write(&other, &User::holding(&packet4(mark, 20))).unwrap();
            }
        }
    });
    let writer = blocked(&rig, move |device| device.write_batch(&descriptor, &User::holding(&records(3)), 3));
    assert_eq!(rig.world.packets(), 2, "those of the other writer");
    rig.device.close();
    assert_eq!(writer.result(), Err(Error::Closed));
    rig.device.delivery().when_asked(|_| {});
    rig.device.free();
}
