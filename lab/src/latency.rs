//! Round-trip times: collected, sorted, and told in a few figures.

use std::time::Duration;

use serde::Serialize;

/// A collection of times.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    nanoseconds: Vec<u64>,
}

/// The figures of a collection, in microseconds. `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// The shortest.
    pub min: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// What 99 of 100 stay below.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

/// A time in microseconds, to a tenth.
fn microseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}

impl Latencies {
    /// Room for `count` times without allocating in between.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self { nanoseconds: Vec::with_capacity(count) }
    }

    /// Adds a time.
    pub fn push(&mut self, time: Duration) {
        self.nanoseconds.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All of them, in the order in which they came.
    #[must_use]
    pub fn nanoseconds(&self) -> &[u64] {
        &self.nanoseconds
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nanoseconds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nanoseconds.is_empty()
    }

    /// Adds another collection's times.
    pub fn extend(&mut self, other: &Self) {
        self.nanoseconds.extend_from_slice(&other.nanoseconds);
    }

    /// The figures.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        // The nearest rank: the smallest time that at least so many per cent do not exceed.
        let rank = |percent: usize| {
            let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
            sorted.get(at).copied().map(microseconds)
        };
        Figures { min: rank(0), p50: rank(50), p99: rank(99), max: rank(100) }
    }

    /// Minimum, mean, maximum and standard deviation in milliseconds, as `ping` ends with.
    #[must_use]
    pub fn ping_figures(&self) -> Option<[f64; 4]> {
        let milliseconds = |time: u64| time as f64 / 1e6;
        let min = milliseconds(*self.nanoseconds.iter().min()?);
        let max = milliseconds(*self.nanoseconds.iter().max()?);
        let count = self.nanoseconds.len() as f64;
        let mean = self.nanoseconds.iter().map(|time| milliseconds(*time)).sum::<f64>() / count;
        let square = self.nanoseconds.iter().map(|time| (milliseconds(*time) - mean).powi(2)).sum::<f64>() / count;
        Some([min, mean, max, square.sqrt()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_nearest_rank() {
        let mut times = Latencies::default();
        assert_eq!(times.figures(), Figures::default());
        for microseconds in (1..=200).rev() {
            times.push(Duration::from_micros(microseconds));
        }
        let figures = times.figures();
        assert_eq!(figures, Figures { min: Some(1.0), p50: Some(100.0), p99: Some(198.0), max: Some(200.0) });
        assert_eq!(times.len(), 200);
    }

    #[test]
    fn one_time_is_all_figures() {
        let mut times = Latencies::default();
        times.push(Duration::from_nanos(12_345));
        let figures = times.figures();
        assert_eq!(
            (figures.min, figures.p50, figures.p99, figures.max),
            (Some(12.3), Some(12.3), Some(12.3), Some(12.3))
        );
        assert_eq!(times.ping_figures().unwrap()[0], 0.012_345);
    }
}
