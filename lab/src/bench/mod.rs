//! The benchmark: what the device costs, as ratios to a floor that is measured in the same run.
//!
//! Machines are noisy, so no figure stands alone: the device and its floor take turns, round by round, and the ratio is
//! the median of the rounds' ratios.

mod core;
mod instructions;
mod memory;
mod scale;
mod unit;

use serde::Serialize;

use crate::error::Error;
use unit::Driver;

/// Rounds of each measurement: an odd number, so that there is a middle one.
const ROUNDS: usize = 7;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The benchmark and its parameters, such as `units/16`.
    pub name: String,
    /// The device's figure: the median of the rounds.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The floor's figure.
    pub floor: f64,
    /// The median of the rounds' ratios: above 1 the device costs more than the floor.
    pub ratio: f64,
    /// The largest ratio that meets the goal, for the table.
    #[serde(skip)]
    pub goal: f64,
}

impl Figure {
    /// Returns whether the ratio meets the goal.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.ratio <= self.goal
    }
}

/// What to measure, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only the benchmark of this name.
    pub name: Option<String>,
    /// The emulated kernel neither fills nor checks memory: less of the measurement is the emulation's.
    pub unchecked_memory: bool,
}

/// A benchmark: its name, and how to run it.
type Benchmark = (&'static str, fn(&Options) -> Result<Vec<Figure>, Error>);

/// All benchmarks.
const BENCHMARKS: &[Benchmark] = &[
    ("units", |options| scale::units(&Driver::linked(options))),
    ("depth", |options| scale::depth(&Driver::linked(options))),
    ("memory", |options| memory::run(&Driver::linked(options))),
    ("instructions", instructions::run),
];

/// The names of all benchmarks.
pub fn names() -> impl Iterator<Item = &'static str> {
    BENCHMARKS.iter().map(|(name, _)| *name)
}

/// Runs the benchmarks that were asked for, and shows each figure as it comes.
///
/// # Errors
/// An unknown name, or a lab that does not boot.
pub fn run(options: &Options, mut show: impl FnMut(&Figure) -> Result<(), Error>) -> Result<(), Error> {
    let wanted = |name: &str| options.name.as_deref().is_none_or(|only| only == name);
    if !names().any(wanted) {
        let known: Vec<&str> = names().collect();
        let name = options.name.as_deref().unwrap_or_default();
        return Err(Error::Failed(format!("there is no benchmark \"{name}\"; there are: {}", known.join(", "))));
    }
    for (name, benchmark) in BENCHMARKS {
        if !wanted(name) {
            continue;
        }
        for figure in benchmark(options)? {
            show(&figure)?;
        }
    }
    Ok(())
}

/// Runs the device or the floor once, for a tool that counts what it executes.
///
/// # Errors
/// An unknown name, or a lab that does not boot.
pub fn once(options: &Options, packets: u32, as_floor: bool) -> Result<(), Error> {
    core::once(options, options.name.as_deref().unwrap_or_default(), packets, as_floor)
}

/// A unit in a system of its own, for the micro-benchmarks of `cargo bench`: the hooks, one packet at a time.
pub struct Hooks {
    unit: unit::Unit,
    shape: unit::Shape,
    // Behind what lives in it, for it is dropped last.
    _lab: crate::lab::Lab,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooks")
    }
}

impl Hooks {
    /// A unit that is open and up, and packets with so many bytes of IP for it.
    ///
    /// # Errors
    /// A lab that does not boot.
    pub fn new(mode: crate::mode::Mode, length: usize, options: &Options) -> Result<Self, Error> {
        let driver = Driver::linked(options);
        let lab = driver.boot()?;
        let unit = driver.unit(mode, 0, true)?;
        Ok(Self { shape: unit::Shape::new(mode, &unit, length), unit, _lab: lab })
    }

    /// The program writes a packet, and the stack receives and frees it.
    ///
    /// # Errors
    /// The driver's.
    pub fn to_stack(&self) -> Result<(), Error> {
        self.unit.write(&self.shape.packet)?;
        self.unit.receive()
    }

    /// The stack makes a packet and sends it, and the program reads it.
    ///
    /// # Errors
    /// The driver's.
    pub fn to_user(&self, buffer: &mut [u8]) -> Result<(), Error> {
        self.unit.send(&self.shape.frame)?;
        self.unit.read(buffer).map(drop)
    }
}

/// Takes turns between the device and its floor, and says how they compare.
fn compare(
    name: impl Into<String>,
    unit: &'static str,
    goal: f64,
    mut device: impl FnMut() -> Result<f64, Error>,
    mut floor: impl FnMut() -> Result<f64, Error>,
) -> Result<Figure, Error> {
    // The first round warms up.
    device()?;
    floor()?;
    let mut values = Vec::with_capacity(ROUNDS);
    let mut floors = Vec::with_capacity(ROUNDS);
    let mut ratios = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (value, floor) = (device()?, floor()?);
        values.push(value);
        floors.push(floor);
        ratios.push(value / floor);
    }
    Ok(Figure {
        name: name.into(),
        value: median(&mut values),
        unit,
        floor: median(&mut floors),
        ratio: median(&mut ratios),
        goal,
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_middle_one_of_the_rounds() {
        let mut times = [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].into_iter();
        let figure = compare("x", "ns", 4.0, || Ok(times.next().unwrap_or_default()), || Ok(1.0));
        let figure = figure.expect("nothing fails");
        assert_eq!((figure.value, figure.floor, figure.ratio), (4.0, 1.0, 4.0));
        assert!(figure.is_met());
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_list_of_those_there_are() {
        let options = Options { name: Some("speed".to_owned()), ..Options::default() };
        let error = run(&options, |_| Ok(())).expect_err("there is none of that name");
        assert!(error.to_string().contains("units, depth"), "{error}");
    }
}
