//! What a device does, one behaviour a test, on the threads of this machine.

#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/threads.rs"]
mod sync;

mod acks;
mod answers;
mod batches;
mod costs;
mod direct;
mod hangup;
mod interface;
mod limits;
mod opening;
mod past;
mod readiness;
mod reading;
mod signals;
mod states;
mod writing;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, atomic::Ordering};

use fake::{Rig, Task, World};
use sync::LOST;
use tuntap_driver::{Descriptor, Error, Mode};

/// A call that another thread is in.
struct Call<R> {
    result: Receiver<R>,
    task: Arc<Task>,
}

impl<R: Send + 'static> Call<R> {
    /// Starts it.
    fn start(world: &Arc<World>, call: impl FnOnce() -> R + Send + 'static) -> Self {
        let (sender, result) = channel();
        let (_, task) = world.spawn(move || drop(sender.send(call())));
        Self { result, task }
    }

    /// Its result, once it has returned.
    #[track_caller]
    fn result(self) -> R {
        self.result.recv_timeout(LOST).expect("the call returns")
    }
}

/// A call that is blocked by now.
#[track_caller]
fn blocked<M: Mode, R: Send + 'static>(
    rig: &Rig<M>,
    call: impl FnOnce(&fake::Shared<M>) -> R + Send + 'static,
) -> Call<R> {
    let asleep = rig.world.sleepers();
    let device = rig.share();
    let call = Call::start(&rig.world, move || call(&device));
    rig.world.until_asleep(asleep + 1);
    call
}

/// Three readers of one descriptor, blocked.
fn three_readers<M: Mode>(rig: &Rig<M>, descriptor: Descriptor) -> Vec<Call<Result<Vec<u8>, Error>>> {
    let descriptor = Arc::new(descriptor);
    let reader = |_| {
        let descriptor = Arc::clone(&descriptor);
        blocked(rig, move |device| fake::read(device, &descriptor))
    };
    (0..3).map(reader).collect()
}

/// Starts a call that finds nothing and is held just before it would sleep; does something meanwhile; lets it go on.
#[track_caller]
fn about_to_block<M: Mode, R: Send + 'static>(
    rig: &Rig<M>,
    call: impl FnOnce(&fake::Shared<M>) -> R + Send + 'static,
    meanwhile: impl FnOnce(),
) -> R {
    rig.world.hold();
    let device = rig.share();
    let call = Call::start(&rig.world, move || call(&device));
    rig.world.until_held(1);
    meanwhile();
    rig.world.release();
    call.result()
}

/// Whether a waiter that a signal and a wake have both come to takes it for a signal.
fn signal_wins(world: &World, wins: bool) {
    world.signal_wins.store(wins, Ordering::SeqCst);
}

/// Returns the error of a read that must fail; an unexpected packet fails the test with its bytes.
#[track_caller]
fn failed(result: Result<Vec<u8>, Error>) -> Error {
    result.expect_err("no packet")
}
