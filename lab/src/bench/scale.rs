//! `units` and `depth`: whether a packet costs the same, however many units are open and however much is queued.

use super::unit::{Driver, Shape, Unit};
use super::{Figure, compare, core};
use crate::error::Error;
use crate::mode::Mode;

/// A cost that hardly grows.
const FLAT: f64 = 1.1;

/// The cost of a packet with many units open, against that with one.
pub(super) fn units(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    let _lab = driver.boot()?;
    let first = driver.unit(Mode::Tun, 0, true)?;
    let shape = Shape::new(Mode::Tun, &first, 64);
    for count in [16_usize, 256] {
        let figure = compare(
            format!("units/{count}"),
            "ns",
            FLAT,
            || {
                let others: Result<Vec<Unit>, Error> =
                    (1..count).map(|number| driver.unit(Mode::Tun, number, true)).collect();
                let _others = others?;
                core::device(&first, &shape, core::PACKETS)
            },
            || core::device(&first, &shape, core::PACKETS),
        )?;
        figures.push(figure);
    }
    Ok(figures)
}

/// The cost of a packet through a queue that holds many, against one that holds none.
pub(super) fn depth(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    let _lab = driver.boot()?;
    let unit = driver.unit(Mode::Tun, 0, true)?;
    let shape = Shape::new(Mode::Tun, &unit, 64);
    for depth in [64_usize, 500] {
        let figure = compare(
            format!("depth/{depth}"),
            "ns",
            FLAT,
            || through(&unit, &shape, depth),
            || through(&unit, &shape, 1),
        )?;
        figures.push(figure);
    }
    Ok(figures)
}

/// Nanoseconds for a packet sent and read, with `depth` in the queue.
fn through(unit: &Unit, shape: &Shape, depth: usize) -> Result<f64, Error> {
    let mut buffer = [0; 2048];
    for _ in 1..depth {
        unit.send(&shape.frame)?;
    }
    let time = core::each(core::PACKETS, || {
        for _ in 0..core::PACKETS {
            unit.send(&shape.frame)?;
            unit.read(&mut buffer)?;
        }
        Ok(())
    });
    for _ in 1..depth {
        unit.read(&mut buffer)?;
    }
    time
}
