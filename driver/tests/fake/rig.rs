//! A device on the fake kernel, and what must be so at its end.

use std::sync::Arc;

use tuntap_driver::{Backlog, Blocking, Counters, Descriptor, Device, DropReason, Dropped, Error, Mode, WaitPoints};

use crate::fake::{Delivery, Fake, INTERFACE, OWN, Packet, User, World};

/// A device under test. At the end no packet, wake or select may be left, and every packet must be accounted for.
pub(crate) struct Rig<M: Mode> {
    pub(crate) world: Arc<World>,
    pub(crate) device: Arc<Device<M, Fake>>,
    /// Looks after the device is gone, because fields are dropped in their order.
    _after: NoPacketLeft,
}

/// Checks at its end that every packet of a kernel is freed.
struct NoPacketLeft(Arc<World>);

impl Drop for NoPacketLeft {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.0.packets(), 0, "packets were left behind");
        }
    }
}

/// Who calls a [`Rig`]'s device from another thread.
pub(crate) type Shared<M> = Arc<Device<M, Fake>>;

impl<M: Mode> Rig<M> {
    /// A unit without an opener and without an interface.
    pub(crate) fn new() -> Self {
        let world = World::new();
        let device = Device::new(OWN, 1500, Delivery::default(), WaitPoints::new().expect("memory enough"));
        Self { _after: NoPacketLeft(Arc::clone(&world)), world, device: Arc::new(device) }
    }

    /// A unit with an interface that is up, and a descriptor of it.
    pub(crate) fn running(blocking: Blocking) -> (Self, Descriptor) {
        let rig = Self::new();
        rig.device.attach();
        rig.device.up(INTERFACE);
        let descriptor = rig.device.open(blocking).expect("a free unit");
        (rig, descriptor)
    }

    /// The device, for another thread.
    pub(crate) fn share(&self) -> Shared<M> {
        Arc::clone(&self.device)
    }

    /// The stack sends a frame: see [`send`].
    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), DropReason> {
        send(&self.device, frame)
    }

    /// The program reads into a buffer that any packet fits in.
    pub(crate) fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        read(&self.device, descriptor)
    }

    /// The program writes a packet.
    pub(crate) fn write(&self, descriptor: &Descriptor, packet: &[u8]) -> Result<usize, Error> {
        self.device.write(descriptor, &User::holding(packet))
    }

    /// The stack's reader takes a frame. There must be one, or none to come: this thread cannot wait.
    pub(crate) fn receive(&self) -> Result<Vec<u8>, Error> {
        self.device.receive().map(|packet| packet.bytes().to_vec())
    }

    /// The program closes its descriptor, and the last call of it has returned.
    pub(crate) fn close_and_free(&self) {
        self.device.close();
        self.device.free();
    }

    /// Checks the books of a device at rest.
    #[track_caller]
    pub(crate) fn check_accounts(&self) {
        let statistics = self.device.statistics();
        balance("to user", &statistics.to_user, statistics.to_user_queued);
        balance("to stack", &statistics.to_stack, statistics.to_stack_queued);
        let queued = statistics.to_user_queued.packets + statistics.to_stack_queued.packets;
        // An acknowledgement that was superseded is freed when its place is read.
        let superseded = statistics.to_user.dropped(DropReason::Superseded).min(16) as usize;
        let alive = queued as usize..=queued as usize + superseded;
        let packets = self.world.packets();
        assert!(alive.contains(&packets), "{packets} packets are alive, of {alive:?}");
    }
}

#[track_caller]
fn balance(direction: &str, counters: &Counters, queued: Backlog) {
    let accounted = counters.accounted() + u64::from(queued.packets);
    assert_eq!(counters.accepted, accounted, "{direction}: {counters:?}, queued {queued:?}");
}

impl<M: Mode> Drop for Rig<M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.check_accounts();
        // Packets in the device's queues are dropped with it.
        assert_eq!(Arc::strong_count(&self.device), 1, "a thread was left behind");
    }
}

/// The stack sends a frame. An error is a drop because of the device's state; what the mode drops is in the counters.
pub(crate) fn send<M: Mode>(device: &Device<M, Fake>, frame: &[u8]) -> Result<(), DropReason> {
    match device.send(Packet::new(frame)) {
        Err(Dropped::ByCore(reason @ (DropReason::Full | DropReason::NoProgram | DropReason::Down))) => Err(reason),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The program reads into a buffer that any packet fits in.
pub(crate) fn read<M: Mode>(device: &Device<M, Fake>, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let user = User::room(2000);
    device.read(descriptor, &user).map(|length| user.first(length))
}
