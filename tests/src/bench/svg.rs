//! Plots as SVG text, to be put into a page. It does not know what is plotted.

use std::fmt::Write;

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0 on.
    Linear,
    /// By powers of ten.
    Log,
    /// Shares of all, 0 to 1, finer towards 1: drawn by how many of a million are left.
    Percentile,
}

/// A line of a plot.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// In order of x.
    pub points: Vec<(f64, f64)>,
}

/// Lines over two axes.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Below the horizontal axis.
    pub x: (&'static str, Scale),
    /// Beside the vertical axis.
    pub y: (&'static str, Scale),
    /// The lines.
    pub series: Vec<Series>,
}

/// A group of bars.
#[derive(Clone, Debug)]
pub struct Group {
    /// What all of them are about.
    pub name: String,
    /// One for each series, if it has a figure.
    pub bars: Vec<Option<f64>>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 56.0;
/// Colours that are told apart by those who see fewer of them (Okabe, Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555"];

/// Text as it may stand in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number with as many digits as it deserves.
pub fn short(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        size if size >= 1e6 => format!("{:.4}M", number / 1e6).replace(".0000M", "M"),
        size if size >= 1e4 => format!("{}k", trimmed(number / 1e3)),
        _ => trimmed(number),
    }
}

fn trimmed(number: f64) -> String {
    let decimals = if number.abs() >= 100.0 { 0 } else { 2 };
    let text = format!("{number:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// An axis between its ends.
struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Axis {
        let values = values.map(|value| place(scale, value)).filter(|value| value.is_finite());
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (from, to) = match scale {
            _ if low > high => (0.0, 1.0),
            Scale::Linear => (0.0, if high > 0.0 { high * 1.05 } else { 1.0 }),
            Scale::Log => ((low - 0.05).floor_to(0.5), (high + 0.05).ceil_to(0.5)),
            Scale::Percentile => (0.0, high.max(1.0)),
        };
        Axis { scale, from, to }
    }

    /// Between 0 and 1.
    fn share(&self, value: f64) -> f64 {
        ((place(self.scale, value) - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => {
                let rough = self.to / 6.0;
                let power = 10f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
                let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
                let count = (self.to / step) as usize;
                (0..=count).map(|n| n as f64 * step).map(|value| (value, short(value))).collect()
            }
            Scale::Log => {
                let decades = self.from.floor() as i32..=self.to.ceil() as i32;
                let dense = self.to - self.from < 3.0;
                let steps: &[f64] = if dense { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let values =
                    decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
                let inside = values.filter(|value| (self.from..=self.to).contains(&value.log10()));
                inside.map(|value| (value, short(value))).collect()
            }
            Scale::Percentile => {
                let shares = [0.0, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
                let names = ["0", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%"];
                let inside =
                    shares.iter().zip(names).filter(|(share, _)| place(self.scale, **share) <= self.to);
                inside.map(|(share, name)| (*share, name.into())).collect()
            }
        }
    }
}

/// Where a value stands before it is scaled.
fn place(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Log => value.max(1e-12).log10(),
        Scale::Percentile => -(1.0 - value).max(1e-6).log10(),
    }
}

trait Rounding {
    fn floor_to(self, step: f64) -> f64;
    fn ceil_to(self, step: f64) -> f64;
}

impl Rounding for f64 {
    fn floor_to(self, step: f64) -> f64 {
        (self / step).floor() * step
    }

    fn ceil_to(self, step: f64) -> f64 {
        (self / step).ceil() * step
    }
}

impl Plot {
    /// The plot as an element of a page.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Axis::of(self.x.1, points().map(|point| point.0));
        let y = Axis::of(self.y.1, points().map(|point| point.1));
        let across = |value: f64| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
        let down = |value: f64| HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = open(HEIGHT + 22.0 * self.series.len().div_ceil(3) as f64);
        for (value, name) in x.ticks() {
            line(&mut svg, (across(value), TOP), (across(value), HEIGHT - BOTTOM));
            text(&mut svg, (across(value), HEIGHT - BOTTOM + 18.0), "middle", &name);
        }
        for (value, name) in y.ticks() {
            line(&mut svg, (LEFT, down(value)), (WIDTH - RIGHT, down(value)));
            text(&mut svg, (LEFT - 8.0, down(value) + 4.0), "end", &name);
        }
        text(&mut svg, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 14.0), "middle", self.x.0);
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = write!(svg, "<g transform=\"rotate(-90 16 {middle})\">");
        text(&mut svg, (16.0, middle), "middle", self.y.0);
        svg.push_str("</g>");
        for (at, series) in self.series.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let places = series.points.iter().map(|(a, b)| format!("{:.1},{:.1}", across(*a), down(*b)));
            let places: Vec<String> = places.collect();
            let _ = write!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                places.join(" ")
            );
            // Few points are measurements of their own.
            for place in places.iter().filter(|_| places.len() <= 25) {
                let (a, b) = place.split_once(',').unwrap_or(("0", "0"));
                let _ = write!(svg, "<circle cx=\"{a}\" cy=\"{b}\" r=\"3\" fill=\"{colour}\"/>");
            }
            legend(&mut svg, at, &series.name, HEIGHT);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Horizontal bars, a group below the other.
pub fn bars(unit: &str, names: &[String], groups: &[Group]) -> String {
    const BAR: f64 = 16.0;
    const NAMES: f64 = 130.0;
    let height = groups.iter().map(|group| group.bars.len() as f64 * BAR + 14.0).sum::<f64>() + 10.0;
    let longest =
        groups.iter().flat_map(|group| &group.bars).flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = open(height + 22.0 * names.len().div_ceil(3) as f64);
    let mut top = 6.0;
    for group in groups {
        let middle = top + group.bars.len() as f64 * BAR / 2.0 + 4.0;
        text(&mut svg, (NAMES - 8.0, middle), "end", &group.name);
        for (at, bar) in group.bars.iter().enumerate() {
            let shown = bar.map_or("-".into(), |bar| format!("{} {unit}", short(bar)));
            let width = bar.unwrap_or(0.0) / longest * (WIDTH - NAMES - 120.0);
            let colour = COLOURS[at % COLOURS.len()];
            let _ = write!(
                svg,
                "<rect x=\"{NAMES}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                BAR - 2.0
            );
            text(&mut svg, (NAMES + width + 6.0, top + BAR - 4.0), "start", &shown);
            top += BAR;
        }
        top += 14.0;
    }
    names.iter().enumerate().for_each(|(at, name)| legend(&mut svg, at, name, height));
    svg.push_str("</svg>\n");
    svg
}

fn open(height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
    )
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((a, b), (c, d)) = (from, to);
    let _ = write!(svg, "<line x1=\"{a:.1}\" y1=\"{b:.1}\" x2=\"{c:.1}\" y2=\"{d:.1}\" stroke=\"#ddd\"/>");
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, content: &str) {
    let content = escape(content);
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

fn legend(svg: &mut String, at: usize, name: &str, below: f64) {
    let (x, y) = (LEFT + 220.0 * (at % 3) as f64, below + 22.0 * (at / 3) as f64);
    let colour = COLOURS[at % COLOURS.len()];
    let _ = write!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
    text(svg, (x + 18.0, y + 11.0), "start", name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_what_is_drawn() {
        for (scale, values) in [
            (Scale::Linear, vec![0.0, 12_345.0]),
            (Scale::Log, vec![13.0, 99_000.0]),
            (Scale::Log, vec![20.0, 21.0]),
            (Scale::Percentile, vec![0.0, 0.5, 0.9999, 1.0]),
            (Scale::Linear, vec![]),
        ] {
            let axis = Axis::of(scale, values.iter().copied());
            assert!(axis.from < axis.to);
            assert!(axis.ticks().len() >= 2, "{scale:?} {values:?}: {:?}", axis.ticks());
            let shares: Vec<f64> = values.iter().map(|value| axis.share(*value)).collect();
            assert!(shares.is_sorted() && shares.iter().all(|share| (0.0..=1.0).contains(share)));
        }
    }

    #[test]
    fn plots_are_closed_elements_with_escaped_names() {
        let series = vec![Series { name: "<a & b>".into(), points: vec![(1.0, 2.0), (3.0, 4.0)] }];
        let svg = Plot { x: ("x", Scale::Linear), y: ("y", Scale::Log), series }.svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("&lt;a &amp; b&gt;") && !svg.contains("<a"));
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
        let groups = vec![Group { name: "get".into(), bars: vec![Some(1.5), None] }];
        let svg = bars("us", &["one".into(), "two".into()], &groups);
        assert!(svg.contains("1.5 us") && svg.contains(">-<"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn numbers_are_short() {
        for (number, expected) in
            [(0.0, "0"), (0.25, "0.25"), (1.5, "1.5"), (123.4, "123"), (20_000.0, "20k"), (2e6, "2M")]
        {
            assert_eq!(short(number), expected);
        }
    }
}
