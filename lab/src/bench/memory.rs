//! `memory`: what a unit holds while nothing happens, and what a full queue holds beyond its packets.

use haiku_kernel::Ledgers;
use tuntap_driver::Limits;

use super::Figure;
use super::unit::{Driver, Shape};
use crate::error::Error;
use crate::mode::Mode;

/// What an idle unit may hold: 4 KiB.
const IDLE: f64 = 4096.0;

/// Bytes on the kernel's heap.
fn held(ledgers: &Ledgers) -> f64 {
    ledgers.heap_bytes as f64
}

/// Counts the driver's own bytes on the kernel's heap.
pub(super) fn run(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for mode in Mode::ALL {
        let lab = driver.boot()?;
        let before = held(&lab.kernel().ledgers());
        let unit = driver.unit(mode, 0, false)?;
        let idle = held(&lab.kernel().ledgers()) - before;
        figures.push(Figure {
            name: format!("memory/{mode}/idle"),
            value: idle,
            unit: "bytes",
            floor: IDLE,
            ratio: idle / IDLE,
            goal: 1.0,
        });
        let shape = Shape::new(mode, &unit, 1400);
        // The driver takes every packet, and drops those that no longer fit.
        for _ in 0..2 * Limits::DEFAULT.packets {
            unit.send(&shape.frame)?;
        }
        let beyond = held(&lab.kernel().ledgers()) - before - idle;
        let (mut packets, mut buffer) = (0, [0; 2048]);
        while unit.read(&mut buffer)?.is_some() {
            packets += 1;
        }
        let bytes = f64::from(packets) * shape.frame.len() as f64;
        figures.push(Figure {
            name: format!("memory/{mode}/full"),
            value: beyond,
            unit: "bytes",
            floor: bytes,
            ratio: beyond / bytes,
            goal: 0.02,
        });
    }
    Ok(figures)
}
