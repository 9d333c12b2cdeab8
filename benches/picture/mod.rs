//! Pictures of a figure that was taken after each round: for a terminal, and as a file.

use std::fmt::Write;

const TEXT_COLUMNS: usize = 72;
const TEXT_ROWS: usize = 14;
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;

/// A straight line through the rounds after the warm-up.
#[derive(Clone, Copy)]
pub struct Fit {
    /// At the first round.
    pub start: f64,
    /// A round.
    pub slope: f64,
}

impl Fit {
    /// By least squares, through the figures from round `first` on.
    pub fn through(values: &[f64], first: usize) -> Self {
        let points = || values.iter().enumerate().skip(first).map(|(x, &y)| (x as f64, y));
        let count = points().count() as f64;
        let mean_x = points().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points().map(|(_, y)| y).sum::<f64>() / count;
        let covariance: f64 = points().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let variance: f64 = points().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let slope = covariance / variance;
        Self {
            start: mean_y - slope * mean_x,
            slope,
        }
    }

    fn at(self, round: usize) -> f64 {
        self.start + self.slope * round as f64
    }
}

/// Figures by round.
pub struct Picture<'a> {
    pub title: &'a str,
    /// Of the figures.
    pub unit: &'a str,
    pub values: &'a [f64],
    /// Rounds that do not count.
    pub warm_up: usize,
    pub fit: Fit,
}

impl Picture<'_> {
    /// The lowest and the highest figure that is drawn, with some room.
    fn bounds(&self) -> (f64, f64) {
        let fitted = [self.fit.at(self.warm_up), self.fit.at(self.values.len() - 1)];
        let all = || self.values.iter().copied().chain(fitted);
        let (low, high) = (
            all().fold(f64::INFINITY, f64::min),
            all().fold(f64::NEG_INFINITY, f64::max),
        );
        let room = ((high - low) * 0.05).max(0.01);
        (low - room, high + room)
    }

    /// For a terminal: a column for some rounds, `*` where their mean is, `-` where the fitted line is.
    pub fn text(&self) -> String {
        let (low, high) = self.bounds();
        let rounds = self.values.len();
        let columns = TEXT_COLUMNS.min(rounds);
        let row_of = |value: f64| (((high - value) / (high - low)) * (TEXT_ROWS - 1) as f64).round() as usize;
        // By column, and in it from above.
        let mut cells = vec![[' '; TEXT_ROWS]; columns];
        for (column, cells) in cells.iter_mut().enumerate() {
            let (first, end) = (column * rounds / columns, (column + 1) * rounds / columns);
            if first >= self.warm_up {
                cells[row_of(self.fit.at(first))] = '-';
            }
            let mean = self.values[first..end].iter().sum::<f64>() / (end - first) as f64;
            cells[row_of(mean)] = '*';
        }
        let mut text = format!("{} ({})\n", self.title, self.unit);
        for row in 0..TEXT_ROWS {
            let value = high - (high - low) * row as f64 / (TEXT_ROWS - 1) as f64;
            let line: String = cells.iter().map(|column| column[row]).collect();
            let _ = writeln!(text, "{value:>9.2} |{}", line.trim_end());
        }
        let _ = writeln!(text, "{:>9} +{}", "", "-".repeat(columns));
        let _ = writeln!(text, "{:>9}  1{:>width$}", "round", rounds, width = columns - 1);
        text
    }

    /// As a file of its own.
    pub fn svg(&self) -> String {
        let (low, high) = self.bounds();
        let rounds = self.values.len();
        let x = |round: usize| LEFT + (WIDTH - LEFT - RIGHT) * round as f64 / (rounds - 1) as f64;
        let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low);
        let (bottom, end) = (HEIGHT - BOTTOM, x(rounds - 1));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
             <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#eee\"/>\n\
             <text x=\"{LEFT}\" y=\"28\" font-size=\"16\">{} ({}); warm-up in grey</text>\n",
            x(self.warm_up) - LEFT,
            bottom - TOP,
            self.title,
            self.unit
        );
        for step in 0..=4 {
            let value = low + (high - low) * f64::from(step) / 4.0;
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{end:.1}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#ccc\"/>\
                 <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{value:.2}</text>",
                y(value),
                LEFT - 8.0,
                y(value) + 4.0
            );
            let round = (rounds - 1) * step as usize / 4;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(round),
                bottom + 20.0,
                round + 1
            );
        }
        let points: Vec<_> = self
            .values
            .iter()
            .enumerate()
            .map(|(i, &v)| format!("{:.1},{:.1}", x(i), y(v)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f5fbf\" stroke-width=\"1.5\"/>",
            points.join(" ")
        );
        let _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{end:.1}\" y2=\"{:.1}\" stroke=\"#c0392b\" stroke-width=\"1.5\" \
             stroke-dasharray=\"6 4\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">round</text>\n</svg>",
            x(self.warm_up),
            y(self.fit.at(self.warm_up)),
            y(self.fit.at(rounds - 1)),
            (LEFT + end) / 2.0,
            HEIGHT - 10.0
        );
        svg
    }
}
