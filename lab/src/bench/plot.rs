//! Pictures: round trips as a histogram, and the cost of a packet against its size and against the number of devices.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;

use super::unit::{Driver, Shape, Unit};
use super::{core, median, threads};
use crate::error::Error;
use crate::mode::Mode;

/// A picture's width and height.
const SIZE: (u32, u32) = (720, 400);
/// Bytes of IP.
const LENGTHS: [usize; 8] = [64, 128, 256, 512, 768, 1024, 1280, 1500];
/// Units that are open.
const UNITS: [usize; 6] = [1, 4, 16, 64, 128, 256];
/// Rounds of each point: the median is drawn.
const ROUNDS: usize = 5;
/// Packets in a round.
const PACKETS: u32 = 5_000;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn failed(error: impl Display) -> Error {
    Error::Failed(format!("drawing: {error}"))
}

/// Draws all pictures.
pub(super) fn draw(driver: &Driver, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io(format!("making {}", folder.display()), error))?;
    let pictures = ["round-trips.svg", "packet-size.svg", "devices.svg"].map(|name| folder.join(name));
    let [trips, size, devices] = &pictures;
    histogram(trips, threads::samples(driver)?)?;
    lines(size, "What a packet each way costs, against its size", "bytes of IP", &sizes(driver)?)?;
    lines(devices, "What a packet each way costs, against the devices that are open", "devices", &units(driver)?)?;
    Ok(pictures.into())
}

/// A line: its name, and its points.
type Line = (String, Vec<(f64, f64)>);

fn typical(mut measure: impl FnMut() -> Result<f64, Error>) -> Result<f64, Error> {
    measure()?;
    let rounds: Result<Vec<f64>, Error> = (0..ROUNDS).map(|_| measure()).collect();
    Ok(median(&mut rounds?))
}

fn sizes(driver: &Driver) -> Result<Vec<Line>, Error> {
    let _lab = driver.boot()?;
    let mut lines = Vec::new();
    for mode in Mode::ALL {
        let unit = driver.unit(mode, 0, true)?;
        let mut points = Vec::new();
        let mut floors = Vec::new();
        for length in LENGTHS {
            let shape = Shape::new(mode, &unit, length);
            points.push((length as f64, typical(|| core::device(&unit, &shape, PACKETS))?));
            floors.push((length as f64, typical(|| core::floor(&shape, PACKETS))?));
        }
        lines.push((format!("{mode}"), points));
        if mode == Mode::Tun {
            lines.push(("allocate, copy, free".to_owned(), floors));
        }
    }
    Ok(lines)
}

fn units(driver: &Driver) -> Result<Vec<Line>, Error> {
    let _lab = driver.boot()?;
    let first = driver.unit(Mode::Tun, 0, true)?;
    let shape = Shape::new(Mode::Tun, &first, 64);
    let mut points = Vec::new();
    let mut others: Vec<Unit> = Vec::new();
    for count in UNITS {
        while others.len() + 1 < count {
            others.push(driver.unit(Mode::Tun, others.len() + 1, true)?);
        }
        points.push((count as f64, typical(|| core::device(&first, &shape, PACKETS))?));
    }
    Ok(vec![("tun, 64 bytes".to_owned(), points)])
}

const COLOURS: [RGBColor; 3] = [RGBColor(0x1f, 0x5f, 0xbf), RGBColor(0x80, 0x80, 0x80), RGBColor(0xc0, 0x50, 0x20)];

fn canvas(path: &Path) -> Result<Canvas<'_>, Error> {
    let canvas = SVGBackend::new(path, SIZE).into_drawing_area();
    canvas.fill(&WHITE).map_err(failed)?;
    Ok(canvas)
}

/// Nanoseconds against something.
fn lines(path: &Path, title: &str, along: &str, lines: &[Line]) -> Result<(), Error> {
    let canvas = canvas(path)?;
    let most = |pick: fn(&(f64, f64)) -> f64| lines.iter().flat_map(|(_, points)| points).map(pick).fold(0.0, f64::max);
    let (width, height) = (most(|point| point.0), most(|point| point.1) * 1.1);
    let mut chart = axes(&canvas, title, (along, "ns of one processor"), 0.0..width, 0.0..height)?;
    for ((name, points), colour) in lines.iter().zip(COLOURS) {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
        chart
            .draw_series(line)
            .map_err(failed)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    finish(&canvas, chart)
}

type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn axes<'a>(
    canvas: &Canvas<'a>,
    title: &str,
    (along, up): (&str, &str),
    x: Range<f64>,
    y: Range<f64>,
) -> Result<Chart<'a, 'a>, Error> {
    let mut builder = ChartBuilder::on(canvas);
    builder.margin(12).caption(title, ("sans-serif", 18)).x_label_area_size(40).y_label_area_size(64);
    let mut chart = builder.build_cartesian_2d(x, y).map_err(failed)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc(along).y_desc(up).draw().map_err(failed)?;
    Ok(chart)
}

fn finish<'a>(canvas: &Canvas<'a>, mut chart: Chart<'a, 'a>) -> Result<(), Error> {
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::LowerRight)
        .draw()
        .map_err(failed)?;
    canvas.present().map_err(failed)
}

/// How many round trips took how long, in microseconds, device and floor.
fn histogram(path: &Path, (device, floor): (Vec<f64>, Vec<f64>)) -> Result<(), Error> {
    const BINS: usize = 60;
    let canvas = canvas(path)?;
    let mut sorted = device.clone();
    sorted.extend_from_slice(&floor);
    sorted.sort_by(f64::total_cmp);
    // The few that take longest would make one bar of all others.
    let longest = sorted.get(sorted.len() * 98 / 100).copied().unwrap_or(1.0);
    let width = longest / BINS as f64;
    let bins = |times: &[f64]| {
        let mut bins = vec![0.0; BINS];
        for time in times {
            if let Some(bin) = bins.get_mut((time / width) as usize) {
                *bin += 100.0 / times.len() as f64;
            }
        }
        bins
    };
    let series = [("device", bins(&device)), ("bare queue and futex", bins(&floor))];
    let tallest = series.iter().flat_map(|(_, bins)| bins).copied().fold(0.0, f64::max) * 1.1;
    let title = "Round trips between two threads that wait for each other";
    let mut chart = axes(&canvas, title, ("µs", "% of round trips"), 0.0..longest, 0.0..tallest)?;
    for ((name, bins), colour) in series.iter().zip(COLOURS) {
        let steps = bins
            .iter()
            .enumerate()
            .flat_map(|(bin, &height)| [(bin as f64 * width, height), ((bin + 1) as f64 * width, height)]);
        chart
            .draw_series(AreaSeries::new(steps, 0.0, colour.mix(0.25)).border_style(colour))
            .map_err(failed)?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 20, y + 5)], colour.mix(0.5).filled()));
    }
    finish(&canvas, chart)
}
