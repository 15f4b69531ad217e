//! Round-trip times, told in a few figures.

use hdrhistogram::Histogram;

/// Round-trip times in nanoseconds, exact to four digits.
pub type Latencies = Histogram<u64>;

/// The figures of a collection, in microseconds. `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

impl Figures {
    /// The figures of `times`.
    #[must_use]
    pub fn of(times: &Latencies) -> Self {
        let tenth = |nanoseconds: u64| (nanoseconds as f64 / 100.0).round() / 10.0;
        let rank = |quantile| (!times.is_empty()).then(|| tenth(times.value_at_quantile(quantile)));
        Self { min: rank(0.0), p50: rank(0.5), p99: rank(0.99), max: rank(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_nearest_rank() {
        let mut times = Latencies::new(4).unwrap();
        assert_eq!(Figures::of(&times), Figures::default());
        (1..=200_u64).for_each(|microseconds| times.record(microseconds * 1000).unwrap());
        let found = Figures::of(&times);
        for (found, right) in [(found.min, 1.0), (found.p50, 100.0), (found.p99, 198.0), (found.max, 200.0)] {
            assert!((found.unwrap() / right - 1.0).abs() < 0.001, "{found:?} instead of {right}");
        }
    }
}
