//! The plots and tables of `docs/performance.md`, from the `ratio` lines that `tests/haiku/measure` printed on booted Haikus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The measurements: a file of `docs/measured` and its name. The tables have the first two.
const RUNS: [(&str, &str); 4] = [
    ("kdebug0", "KDEBUG 0"),
    ("kdebug2", "KDEBUG 2"),
    ("kdebug0-2cpus", "KDEBUG 0, 2 CPUs"),
    ("kdebug0-4cpus", "KDEBUG 0, 4 CPUs"),
];
const TABLE_RUNS: usize = 2;
const KINDS: [&str; 2] = ["tun", "tap"];

const DOCUMENT: &str = "docs/performance.md";

/// One measurement of `measure`, as its `of=` says it, with the name and the goal that the document gives it.
struct Row {
    of: &'static str,
    name: &'static str,
    goal: &'static str,
}

const fn row(of: &'static str, name: &'static str, goal: &'static str) -> Row {
    Row { of, name, goal }
}

struct Plot {
    file: &'static str,
    title: &'static str,
    /// Places of the axis's lines, in ascending order; the axis shows as many as the ratios need.
    ticks: &'static [f64],
    rows: &'static [Row],
}

const PLOTS: [Plot; 2] = [
    Plot {
        file: "costs",
        title: "Instructions, ours to stock: less is better",
        ticks: &[0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0],
        rows: &[
            row("rtt icmp 64", "round trip, ICMP of 64 bytes", "0.80"),
            row("rtt udp 64", "round trip, UDP of 64 bytes", "0.80"),
            row("rtt udp 1400", "round trip, UDP of 1,400 bytes", "0.86, 0.87 (TAP)"),
            row("rtt udp 64 poll", "round trip, UDP of 64 bytes, with `poll`", ""),
            row("tcp-out 4", "TCP out", "0.98, 0.95 (KDEBUG 2)"),
            row("tcp-out 4 poll", "TCP out, with `poll`", "0.92, 0.88 (KDEBUG 2)"),
            row("tcp-in 4", "TCP in", "1.00"),
            row("tcp-in 4 poll", "TCP in, with `poll`", "1.00"),
        ],
    },
    Plot {
        file: "rates",
        title: "Packets that arrive, ours to stock: more is better",
        ticks: &[0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
        rows: &[
            row("flood-in 64 block samples=3", "inward, 64 bytes", "1.2"),
            row("flood-in 1400 block samples=3", "inward, 1,400 bytes", "1.2"),
            row("flood-in 1400 spin samples=3", "inward, 1,400 bytes, the writer spins", "1.2"),
            row("flood-in 1400 poll samples=3", "inward, 1,400 bytes, the writer polls", "1.2"),
            row("flood-in 1400 block rcvbuf=1000000 samples=3", "inward, 1,400 bytes, a receive buffer of 1 MB", "1.2"),
            row("flood-out 64 block ms=200 samples=41", "outward, 64 bytes", "1.0"),
            row("flood-out 1400 block ms=200 samples=41", "outward, 1,400 bytes", "2.0"),
            row("flood-out 1400 poll ms=200 samples=41", "outward, 1,400 bytes, with `poll`", "2.2"),
        ],
    },
];

/// Ratios of one run by kind of device and measurement.
type Ratios = BTreeMap<(String, String), f64>;

/// Writes the plots and the document's tables.
///
/// # Errors
/// When a measurement is missing or a file cannot be read or written.
pub fn run(root: &Path) -> Result<()> {
    for (path, text) in files(root)? {
        fs::write(&path, text).with_context(|| format!("{} could not be written.", path.display()))?;
        println!("Wrote {}.", path.display());
    }
    Ok(())
}

/// Returns the files that the measurements make, with their text.
///
/// # Errors
/// When a measurement is missing or a file cannot be read.
pub fn files(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut runs = Vec::new();
    for (file, _) in RUNS {
        let path = root.join("docs/measured").join(file).with_extension("txt");
        runs.push(ratios(&read(&path)?).with_context(|| format!("{} cannot be used.", path.display()))?);
    }
    let mut files = Vec::new();
    let mut document = read(&root.join(DOCUMENT))?;
    for plot in &PLOTS {
        let path = root.join("docs/drawings").join(format!("ratio-{}.svg", plot.file));
        files.push((path, svg(plot, &runs)?));
        document = with_table(&document, plot, &table(plot, &runs))?;
    }
    files.push((root.join(DOCUMENT), document));
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} could not be read.", path.display()))
}

/// Reads lines like `ratio tun/0=14310 tun/301=17036 ratio=0.840 of=rtt icmp 64`; others are passed over.
fn ratios(log: &str) -> Result<Ratios> {
    let mut ratios = Ratios::new();
    for line in log.lines().filter(|line| line.starts_with("ratio ")) {
        let unclear = || format!("this is no line of measure: {line}");
        let (head, of) = line.split_once(" of=").with_context(unclear)?;
        let words: Vec<&str> = head.split(['=', ' ']).collect();
        let &[_, ours, our_result, _, stock_result, "ratio", _] = words.as_slice() else {
            anyhow::bail!(unclear());
        };
        let ratio =
            our_result.parse::<f64>().with_context(unclear)? / stock_result.parse::<f64>().with_context(unclear)?;
        let (kind, _) = ours.split_once('/').with_context(unclear)?;
        ratios.insert((kind.to_owned(), of.to_owned()), ratio);
    }
    for kind in KINDS {
        for row in PLOTS.iter().flat_map(|plot| plot.rows) {
            ensure!(
                ratios.contains_key(&(kind.to_owned(), row.of.to_owned())),
                "it has no \"{}\" over a {kind}",
                row.of
            );
        }
    }
    Ok(ratios)
}

fn ratio(run: &Ratios, kind: &str, row: &Row) -> f64 {
    run[&(kind.to_owned(), row.of.to_owned())]
}

fn table(plot: &Plot, runs: &[Ratios]) -> String {
    let mut text = String::from("| | goal |");
    let columns = || (0..TABLE_RUNS).flat_map(|run| KINDS.map(|kind| (run, kind)));
    for (run, kind) in columns() {
        let _ = write!(text, " {}, {} |", kind.to_uppercase(), RUNS[run].1);
    }
    let _ = write!(text, "\n|---|---|{}\n", "---|".repeat(columns().count()));
    for row in plot.rows {
        let _ = write!(text, "| {} | {} |", row.name, row.goal);
        for (run, kind) in columns() {
            let _ = write!(text, " {:.2} |", ratio(&runs[run], kind, row));
        }
        text.push('\n');
    }
    text
}

/// Returns the document with another table between the plot's marks.
fn with_table(document: &str, plot: &Plot, table: &str) -> Result<String> {
    let (start, end) = (format!("<!-- table of {} -->\n", plot.file), format!("<!-- end of {} -->", plot.file));
    let missing = || format!("{DOCUMENT} has no marks for the table of {}.", plot.file);
    let (before, rest) = document.split_once(&start).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{start}{table}{end}{after}"))
}

const LABELS: f64 = 300.0;
const WIDTH: f64 = 880.0;
const TOP: f64 = 84.0;
const ROW: f64 = 44.0;
const STYLE: &str = r##"  <style>
    text { font: 12px system-ui, "Noto Sans", "DejaVu Sans", sans-serif; fill: #1f2328; }
    .title { font-weight: 600; font-size: 14px; }
    .page { fill: #ffffff; stroke: #d0d7de; }
    .line { stroke: #d0d7de; }
    .one { stroke: #57606a; stroke-width: 1.5; }
    .run0 { fill: #0969da; } .run1 { fill: #57606a; } .run2 { fill: #bc4c00; } .run3 { fill: #1a7f37; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .page { fill: #0d1117; stroke: #3d444d; }
      .line { stroke: #3d444d; }
      .one { stroke: #9da7b3; }
      .run0 { fill: #58a6ff; } .run1 { fill: #9da7b3; } .run2 { fill: #f0883e; } .run3 { fill: #3fb950; }
    }
  </style>
"##;

/// Draws a row for each measurement with a mark for each run and kind of device, on a logarithmic axis.
fn svg(plot: &Plot, runs: &[Ratios]) -> Result<String> {
    let all: Vec<f64> = plot
        .rows
        .iter()
        .flat_map(|row| runs.iter().flat_map(move |run| KINDS.map(|kind| ratio(run, kind, row))))
        .filter(|ratio| ratio.is_finite())
        .chain([1.0])
        .collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let most = all.iter().copied().fold(0.0, f64::max);
    let first = plot.ticks.iter().rposition(|&tick| tick <= least).context("A ratio is below the axis.")?;
    let last = plot.ticks.iter().position(|&tick| tick >= most).context("A ratio is above the axis.")?;
    let ticks = &plot.ticks[first..=last];
    let (low, high) = (ticks[0].ln(), ticks[ticks.len() - 1].ln());
    // Where nothing arrives over the stock add-on, the ratio is infinite: its mark is at the end of the axis.
    let x = |ratio: f64| LABELS + (ratio.ln().min(high) - low) / (high - low) * (WIDTH - LABELS - 30.0);
    let bottom = TOP + ROW * plot.rows.len() as f64;
    let height = bottom + 34.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title\">\n  <title id=\"title\">{0}</title>\n{STYLE}  <rect class=\"page\" x=\"0.5\" \
         y=\"0.5\" width=\"{1}\" height=\"{2}\" rx=\"6\"/>\n  <text class=\"title\" x=\"20\" y=\"28\">{0}</text>\n",
        plot.title,
        WIDTH - 1.0,
        height - 1.0
    );
    for (place, (run, (_, name))) in (0_u8..).zip(RUNS.iter().enumerate()) {
        let left = 20.0 + 160.0 * f64::from(place);
        text.push_str(&mark(run, "tun", left, 48.0));
        text.push_str(&mark(run, "tap", left + 14.0, 48.0));
        let _ = writeln!(text, "  <text x=\"{}\" y=\"52\">{name}</text>", left + 26.0);
    }
    let _ = writeln!(text, "  <text x=\"{}\" y=\"52\">circle: TUN, square: TAP</text>", WIDTH - 190.0);
    for &tick in ticks {
        let class = if tick == 1.0 { "one" } else { "line" };
        let _ = writeln!(
            text,
            "  <line class=\"{class}\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\n  <text x=\"{0:.1}\" \
             y=\"{1}\" text-anchor=\"middle\">{tick}</text>",
            x(tick),
            bottom + 18.0
        );
    }
    let mut top = TOP;
    for row in plot.rows {
        let _ = writeln!(text, "  <text x=\"20\" y=\"{}\">{}</text>", top + ROW / 2.0 + 4.0, row.name.replace('`', ""));
        let _ = writeln!(text, "  <line class=\"line\" x1=\"20\" x2=\"{}\" y1=\"{top}\" y2=\"{top}\"/>", WIDTH - 30.0);
        let mut y = top + 10.0;
        for (run, ratios) in runs.iter().enumerate() {
            for kind in KINDS {
                text.push_str(&mark(run, kind, x(ratio(ratios, kind, row)), y));
            }
            y += 8.0;
        }
        top += ROW;
    }
    text.push_str("</svg>\n");
    Ok(text)
}

/// Draws a mark.
fn mark(run: usize, kind: &str, x: f64, y: f64) -> String {
    if kind == "tun" {
        format!("  <circle class=\"run{run}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\n")
    } else {
        format!("  <rect class=\"run{run}\" x=\"{:.1}\" y=\"{:.1}\" width=\"6\" height=\"6\"/>\n", x - 3.0, y - 3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    fn log() -> String {
        let mut log = String::from("PASS rtt-complete lost=0 late=0\n");
        for (kind, row) in
            KINDS.iter().flat_map(|kind| PLOTS.iter().flat_map(|plot| plot.rows).map(move |row| (kind, row)))
        {
            let _ = writeln!(log, "ratio {kind}/0=3 {kind}/301=4 ratio=0.750 of={}", row.of);
        }
        log
    }

    #[test]
    fn ratio_lines_are_read_and_others_passed_over() {
        let ratios = ratios(&log()).unwrap();
        assert_eq!(ratios.len(), 32);
        assert!(ratios.values().all(|&ratio| ratio == 0.75));
    }

    #[test]
    fn a_log_that_lacks_a_measurement_is_refused() {
        let lacking = log().replace("of=tcp-in 4\n", "of=tcp-in 8\n");
        assert_eq!(ratios(&lacking).unwrap_err().to_string(), "it has no \"tcp-in 4\" over a tun");
        let error = ratios("ratio tun/0=3 tun/301=4\n").unwrap_err();
        assert_eq!(error.to_string(), "this is no line of measure: ratio tun/0=3 tun/301=4");
    }

    #[test]
    fn the_committed_plots_and_tables_are_those_of_the_committed_measurements() {
        for (path, text) in files(Project::find().unwrap().root()).unwrap() {
            assert_eq!(read(&path).unwrap(), text, "{}: run `cargo xtask plots`", path.display());
        }
    }
}
