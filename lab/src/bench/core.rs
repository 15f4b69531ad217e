//! What `units`, `depth` and `instructions` measure: one thread writes and receives a packet, sends and reads another.

use std::time::Duration;

use super::Options;
use super::unit::{Driver, Packet, Shape, Unit};
use crate::error::Error;
use crate::mode::Mode;

/// Packets each way in a round.
pub(super) const PACKETS: u32 = 20_000;
/// Bytes of IP.
pub(super) const LENGTHS: [usize; 2] = [64, 1400];

/// Runs the device or the floor once, for a tool that counts; `name` is a mode and a length, such as `tun/64`.
pub(super) fn once(options: &Options, name: &str, packets: u32, as_floor: bool) -> Result<(), Error> {
    let unknown = || Error::Failed(format!("\"{name}\" is no mode and length"));
    let (mode, length) = name.split_once('/').ok_or_else(unknown)?;
    let mode = Mode::ALL.into_iter().find(|one| one.to_string() == mode).ok_or_else(unknown)?;
    let length = length.parse().map_err(|_| unknown())?;
    let driver = Driver::linked(options);
    let _lab = driver.boot()?;
    let unit = driver.unit(mode, 0, true)?;
    let shape = Shape::new(mode, &unit, length);
    if as_floor { floor(&shape, packets) } else { device(&unit, &shape, packets) }.map(drop)
}

/// What this thread has had of a processor so far: what others do on the machine costs it nothing.
pub(super) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a live place.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Runs something for one thread, and says how many nanoseconds of its processor each of `count` took.
pub(super) fn each(count: u32, run: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let start = processor_time();
    run()?;
    Ok((processor_time() - start).as_nanos() as f64 / f64::from(count))
}

/// Nanoseconds for a packet each way, through the device.
pub(super) fn device(unit: &Unit, shape: &Shape, packets: u32) -> Result<f64, Error> {
    let mut buffer = [0; 2048];
    each(packets, || {
        for _ in 0..packets {
            unit.write(&shape.packet)?;
            unit.receive()?;
            unit.send(&shape.frame)?;
            unit.read(&mut buffer)?;
        }
        Ok(())
    })
}

/// Nanoseconds for the same bytes without a device: what is written is copied in, what is sent is copied in and out.
pub(super) fn floor(shape: &Shape, packets: u32) -> Result<f64, Error> {
    let mut buffer = [0; 2048];
    each(packets, || {
        for _ in 0..packets {
            drop(Packet::new(&shape.packet)?);
            let packet = Packet::new(&shape.frame)?;
            packet.read(&mut buffer[..shape.frame.len()])?;
        }
        Ok(())
    })
}
