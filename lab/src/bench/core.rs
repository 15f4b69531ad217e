//! `core`: one packet written and received, one sent and read, by one thread.

use std::time::Instant;

use super::unit::{Driver, Packet, Shape, Unit};
use super::{Figure, Goal, compare};
use crate::error::Error;
use crate::mode::Mode;

/// Packets each way in a round.
const PACKETS: u32 = 20_000;
/// Bytes of IP.
const LENGTHS: [usize; 2] = [64, 1400];

/// The device against allocating, copying and freeing the same bytes.
pub(super) fn run(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let _lab = driver.boot()?;
    let mut figures = Vec::new();
    for mode in Mode::ALL {
        let unit = driver.unit(mode, 0, true)?;
        for length in LENGTHS {
            let shape = Shape::new(mode, &unit, length);
            figures.push(compare(
                format!("core/{mode}/{length}"),
                "ns",
                Goal::AtMost(1.5),
                || device(&unit, &shape),
                || floor(&shape),
            )?);
        }
    }
    Ok(figures)
}

/// One driver against another, each in a system of its own.
pub(super) fn against(linked: &Driver, real: &Driver) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for mode in Mode::ALL {
        for length in LENGTHS {
            let measure = |driver: &Driver| {
                let _lab = driver.boot()?;
                let unit = driver.unit(mode, 0, true)?;
                let shape = Shape::new(mode, &unit, length);
                device(&unit, &shape)?;
                device(&unit, &shape)
            };
            figures.push(compare(
                format!("real/{mode}/{length}"),
                "ns",
                Goal::AtMost(1.1),
                || measure(real),
                || measure(linked),
            )?);
        }
    }
    Ok(figures)
}

/// Nanoseconds for a packet each way, through the device.
pub(super) fn device(unit: &Unit, shape: &Shape) -> Result<f64, Error> {
    let mut buffer = [0; 2048];
    let start = Instant::now();
    for _ in 0..PACKETS {
        unit.write(&shape.packet)?;
        unit.receive()?;
        unit.send(&shape.frame)?;
        unit.read(&mut buffer)?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(PACKETS))
}

/// Nanoseconds for the same bytes without a device: what is written is copied in, what is sent is copied in and out.
fn floor(shape: &Shape) -> Result<f64, Error> {
    let mut buffer = [0; 2048];
    let start = Instant::now();
    for _ in 0..PACKETS {
        drop(Packet::new(&shape.packet)?);
        let packet = Packet::new(&shape.frame)?;
        packet.read(&mut buffer[..shape.frame.len()])?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(PACKETS))
}
