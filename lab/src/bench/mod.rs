//! The benchmark: what the device costs, as ratios to a floor that is measured in the same run.
//!
//! Machines are noisy, so no figure stands alone: the device and its floor take turns, round by round, and the ratio is
//! the median of the rounds' ratios.

mod core;
mod memory;
mod scale;
mod threads;
mod unit;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use unit::Driver;

/// Rounds of each measurement: an odd number, so that there is a middle one.
const ROUNDS: usize = 7;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Which: `core/tun/64`, say.
    pub name: String,
    /// The device's figure: the median of the rounds.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The floor's figure.
    pub floor: f64,
    /// The median of the rounds' ratios: above 1 the device costs more than the floor.
    pub ratio: f64,
    /// What the ratio should be, for the table.
    #[serde(skip)]
    pub goal: Goal,
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Goal {
    /// Whether a ratio reaches it.
    #[must_use]
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

/// What to measure, and on what.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only the benchmark of this name.
    pub name: Option<String>,
    /// A real add-on file, for `real`; all others run on the linked-in driver.
    pub addon: Option<PathBuf>,
}

/// A benchmark: its name, and how to run it.
type Benchmark = (&'static str, fn(&Options) -> Result<Vec<Figure>, Error>);

/// All benchmarks.
const BENCHMARKS: &[Benchmark] = &[
    ("core", |_| core::run(&Driver::linked())),
    ("wake", |_| threads::wake(&Driver::linked())),
    ("select", |_| threads::select(&Driver::linked())),
    ("flood", |_| threads::flood(&Driver::linked())),
    ("batch", |_| threads::batch(&Driver::linked())),
    ("units", |_| scale::units(&Driver::linked())),
    ("depth", |_| scale::depth(&Driver::linked())),
    ("memory", |_| memory::run(&Driver::linked())),
    ("real", real),
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

/// `core` on the real add-on file against the linked-in driver.
fn real(options: &Options) -> Result<Vec<Figure>, Error> {
    let Some(file) = options.addon.as_deref() else {
        if options.name.is_some() {
            return Err(Error::Failed("the benchmark real needs the add-on's file: give --addon FILE".to_owned()));
        }
        return Ok(Vec::new());
    };
    let real = Driver::file(Path::new(file))?;
    core::against(&Driver::linked(), &real)
}

/// Takes turns between the device and its floor, and says how they compare.
fn compare(
    name: impl Into<String>,
    unit: &'static str,
    goal: Goal,
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
        let figure = compare("x", "ns", Goal::AtMost(4.0), || Ok(times.next().unwrap_or_default()), || Ok(1.0));
        let figure = figure.expect("nothing fails");
        assert_eq!((figure.value, figure.floor, figure.ratio), (4.0, 1.0, 4.0));
        assert!(figure.goal.is_met(figure.ratio));
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_list_of_those_there_are() {
        let options = Options { name: Some("speed".to_owned()), addon: None };
        let error = run(&options, |_| Ok(())).expect_err("there is none of that name");
        assert!(error.to_string().contains("core, wake"), "{error}");
    }
}
