//! A drawing of quantities over the time worked. Lines are stretched to the width that there is; everything with letters
//! in it is HTML beside them, so that it stays readable.

use keymill::audit::{KeyHistory, Run};

use super::axis::{Scale, TimeAxis};
use super::words::{self, escaped};

const HEIGHT: f64 = 100.0;
/// Interruptions that are numbered in the drawing; more numbers would stand on each other.
const NUMBERED_MAX: usize = 10;
/// A rate is taken over this part of the time at least: commits come in groups.
const RATE_PARTS: u64 = 150;

/// A line of a chart: for each run its points, as time in milliseconds since 1970 and quantity.
pub struct Line {
    pub name: &'static str,
    pub class: &'static str,
    pub runs: Vec<Vec<(u64, f64)>>,
}

/// A chart.
pub struct Chart<'a> {
    pub id: &'static str,
    pub title: &'static str,
    /// What is drawn, in a sentence.
    pub note: String,
    /// What there is to see in it, in figures.
    pub summary: String,
    pub lines: Vec<Line>,
    pub scale: Scale,
    pub tick: fn(f64) -> String,
    pub axis: &'a TimeAxis<'a>,
    pub history: &'a KeyHistory,
}

/// Epochs a second between samples, as steps.
pub fn rates(axis: &TimeAxis<'_>) -> Vec<Vec<(u64, f64)>> {
    let least_ms = axis.worked_ms / RATE_PARTS;
    let of_run = |segment: &super::axis::Segment<'_>| {
        let (mut steps, mut from) = (Vec::new(), segment.samples[0]);
        for (at, sample) in segment.samples.iter().enumerate().skip(1) {
            let elapsed_ms = sample.unix_ms.saturating_sub(from.unix_ms);
            let is_last = at + 1 == segment.samples.len();
            if elapsed_ms == 0 || (elapsed_ms < least_ms && !is_last) {
                continue;
            }
            let rate = sample.run_epochs.saturating_sub(from.run_epochs) as f64 * 1e3 / elapsed_ms as f64;
            steps.extend([(from.unix_ms, rate), (sample.unix_ms, rate)]);
            from = *sample;
        }
        steps
    };
    axis.segments.iter().map(of_run).collect()
}

/// The most of any line.
pub fn most(lines: &[Line]) -> f64 {
    let points = lines.iter().flat_map(|line| line.runs.iter().flatten());
    points.fold(0.0, |most, (_, quantity)| quantity.max(most))
}

impl Chart<'_> {
    /// The figure.
    pub fn html(&self) -> String {
        let mut drawing = String::new();
        for tick in &self.scale.ticks {
            let y = self.y(*tick);
            drawing += &format!("<path class=\"grid\" d=\"M0 {y:.1}H1000\"/>");
        }
        drawing += &self.gaps();
        for line in &self.lines {
            drawing += &self.path(line);
        }
        let id = self.id;
        format!(
            "<figure class=\"chart\" id=\"{id}\"><figcaption><h2>{}</h2><p>{}</p></figcaption>{}\
             <div class=\"frame\"><div class=\"y\" aria-hidden=\"true\">{}</div><div class=\"plot\" data-chart=\"{id}\">\
             <svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{drawing}</svg>\
             {}</div><div class=\"x\" aria-hidden=\"true\">{}</div></div>\
             <output class=\"at\" for=\"{id}\">{}.</output></figure>\n",
            self.title,
            self.note,
            self.legend(),
            self.y_labels(),
            escaped(self.title),
            self.numbers(),
            self.x_labels(),
            self.summary,
        )
    }

    /// The places of interruptions; where there are few, each says how long it was.
    fn gaps(&self) -> String {
        let (gaps, width) = (self.axis.gaps(self.history), self.axis.gap);
        if gaps.len() > NUMBERED_MAX {
            let place = |(x, ..): &(f64, _, _)| format!("M{x:.1} 0h{width:.1}v100h-{width:.1}z");
            let places: String = gaps.iter().map(place).collect();
            return format!("<path class=\"gap\" d=\"{places}\"/>");
        }
        let place = |(x, before, after): &(f64, &Run, &Run)| {
            let away_ms = after.started_unix_ms.saturating_sub(before.seen_unix_ms);
            format!(
                "<rect class=\"gap\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"100\"><title>{} between runs; the \
                 one before: {}</title></rect>",
                words::duration(away_ms),
                words::end(before, false)
            )
        };
        gaps.iter().map(place).collect()
    }

    fn y(&self, quantity: f64) -> f64 {
        HEIGHT * (1.0 - (quantity / self.scale.top).clamp(0.0, 1.0))
    }

    fn path(&self, line: &Line) -> String {
        let mut path = String::new();
        for (segment, points) in self.axis.segments.iter().zip(&line.runs) {
            for (at, (unix_ms, quantity)) in points.iter().enumerate() {
                let letter = if at == 0 { 'M' } else { 'L' };
                path += &format!("{letter}{:.1} {:.1}", self.axis.x(segment, *unix_ms), self.y(*quantity));
            }
        }
        format!("<path class=\"line {}\" d=\"{path}\"/>", line.class)
    }

    fn legend(&self) -> String {
        if self.lines.len() < 2 {
            return String::new();
        }
        let entry = |line: &Line| format!("<li><i class=\"{}\"></i>{}</li>", line.class, line.name);
        let entries: String = self.lines.iter().map(entry).collect();
        format!("<ul class=\"legend\">{entries}</ul>")
    }

    fn y_labels(&self) -> String {
        let label = |tick: &f64| {
            format!(
                "<span style=\"top:{:.1}%\">{}</span>",
                self.y(*tick),
                (self.tick)(*tick)
            )
        };
        self.scale.ticks.iter().map(label).collect()
    }

    fn x_labels(&self) -> String {
        let ticks = self.axis.ticks();
        let label = |(x, name): &(f64, String)| {
            let class = if *x > 940.0 { " class=\"end\"" } else { "" };
            format!("<span{class} style=\"left:{:.1}%\">{name}</span>", x / 10.0)
        };
        ticks.iter().map(label).collect()
    }

    fn numbers(&self) -> String {
        let gaps = self.axis.gaps(self.history);
        if gaps.len() > NUMBERED_MAX {
            return String::new();
        }
        let number = |(at, (x, ..)): (usize, &(f64, _, _))| {
            format!(
                "<b class=\"number\" style=\"left:{:.1}%\">{}</b>",
                (x + self.axis.gap / 2.0) / 10.0,
                at + 1
            )
        };
        gaps.iter().enumerate().map(number).collect()
    }
}
