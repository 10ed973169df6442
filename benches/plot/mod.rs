//! Plots as SVG: lines over a logarithmic axis of sizes, the other axis from 0.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;
const COLORS: [&str; 4] = ["#1b6ca8", "#c8553d", "#3a7d44", "#7a5195"];

/// One line.
pub struct Series {
    /// What it shows.
    pub name: String,
    /// Size and value.
    pub points: Vec<(f64, f64)>,
}

/// Lines over the same sizes.
pub struct Plot {
    /// What stands above.
    pub title: String,
    /// What stands below.
    pub across: String,
    /// The lines.
    pub series: Vec<Series>,
}

impl Plot {
    /// The picture.
    pub fn svg(&self) -> String {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let (least, most) =
            all().fold((f64::MAX, f64::MIN), |(least, most), (x, _)| (least.min(x.log10()), most.max(x.log10())));
        let top = nice_above(all().fold(0.0, |most: f64, (_, y)| most.max(*y)));
        let x = |size: f64| LEFT + (size.log10() - least) / (most - least).max(0.1) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{}</text>",
            self.title
        );
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let at = y(value);
            let _ = writeln!(
                out,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\n<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                short(value)
            );
        }
        for (size, _) in &self.series[0].points {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(*size),
                HEIGHT - BOTTOM + 18.0,
                short(*size)
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - BOTTOM + 36.0,
            self.across
        );
        for (at, (series, color)) in self.series.iter().zip(COLORS.iter().cycle()).enumerate() {
            let points: Vec<String> =
                series.points.iter().map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(*value))).collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
                points.join(" ")
            );
            for (size, value) in &series.points {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{color}\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{color}\" font-size=\"11\">{}</text>",
                    x(*size),
                    y(*value),
                    x(*size),
                    y(*value) - 8.0,
                    short(*value)
                );
            }
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{color}\">{}</text>",
                LEFT + 150.0 * at as f64,
                HEIGHT - 8.0,
                series.name
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

/// The next of 1, 2, 4, 6, 8, 10 times a power of ten.
fn nice_above(value: f64) -> f64 {
    let unit = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter().map(|times| times * unit).find(|bound| *bound >= value).unwrap_or(value)
}

/// A number in few digits.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 100.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
