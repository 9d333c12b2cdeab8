//! Axes: round ticks, and the time that was worked, with what lies between runs left out.

use keymill::audit::{KeyHistory, Run, Sample};

/// Width of a drawing in its own units.
pub const WIDTH: f64 = 1000.0;
/// What the gaps between runs take of the width at most, and each of them.
const GAPS_MAX: f64 = 200.0;
const GAP_MAX: f64 = 14.0;
const TICKS_MAX: u64 = 5;

/// The samples of one run, in their order.
pub struct Segment<'a> {
    pub samples: &'a [Sample],
    /// Where it begins on the axis.
    pub x: f64,
    /// Work that was done before it, in milliseconds.
    pub worked_ms: u64,
}

impl Segment<'_> {
    fn length_ms(&self) -> u64 {
        length_ms(self.samples)
    }
}

/// A clock that was set back stands still here.
fn length_ms(samples: &[Sample]) -> u64 {
    let first = samples.first().map_or(0, |sample| sample.unix_ms);
    samples
        .iter()
        .map(|sample| sample.unix_ms.saturating_sub(first))
        .max()
        .unwrap_or(0)
}

/// The time during which runs committed, one run after the other.
pub struct TimeAxis<'a> {
    pub segments: Vec<Segment<'a>>,
    pub worked_ms: u64,
    pub gap: f64,
}

impl<'a> TimeAxis<'a> {
    pub fn new(history: &'a KeyHistory) -> Self {
        let runs: Vec<&[Sample]> = history
            .samples
            .chunk_by(|before, after| before.run == after.run)
            .collect();
        let worked_ms = runs
            .iter()
            .fold(0_u64, |sum, samples| sum.saturating_add(length_ms(samples)));
        let gaps = runs.len().saturating_sub(1) as f64;
        let gap = if gaps > 0.0 { GAP_MAX.min(GAPS_MAX / gaps) } else { 0.0 };
        let mut axis = Self {
            segments: Vec::with_capacity(runs.len()),
            worked_ms: worked_ms.max(1),
            gap,
        };
        let mut before_ms = 0;
        for (gaps_before, samples) in runs.into_iter().enumerate() {
            let segment = Segment {
                samples,
                x: gaps_before as f64 * gap + axis.width_of(before_ms, gaps),
                worked_ms: before_ms,
            };
            before_ms = before_ms.saturating_add(segment.length_ms());
            axis.segments.push(segment);
        }
        axis
    }

    fn width_of(&self, ms: u64, gaps: f64) -> f64 {
        ms as f64 / self.worked_ms as f64 * (WIDTH - gaps * self.gap)
    }

    /// Where a moment of a segment stands.
    pub fn x(&self, segment: &Segment<'_>, unix_ms: u64) -> f64 {
        let since = unix_ms
            .saturating_sub(segment.samples[0].unix_ms)
            .min(segment.length_ms());
        segment.x + self.width_of(since, self.segments.len() as f64 - 1.0)
    }

    /// Round times of work, and where they stand.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let (step, name) = time_step(self.worked_ms);
        let gaps = self.segments.len() as f64 - 1.0;
        let x = |ms: u64| {
            let gaps_before = self
                .segments
                .iter()
                .skip(1)
                .filter(|segment| segment.worked_ms < ms)
                .count();
            gaps_before as f64 * self.gap + self.width_of(ms, gaps)
        };
        let times = (0..=self.worked_ms / step).map(|n| n * step);
        times.map(|ms| (x(ms), name(ms))).collect()
    }

    /// The places between runs, and the runs before and after.
    pub fn gaps<'h>(&self, history: &'h KeyHistory) -> Vec<(f64, &'h Run, &'h Run)> {
        let run_of = |segment: &Segment<'_>| {
            let number = segment.samples[0].run;
            let after = history.runs.partition_point(|run| run.number <= number);
            history.runs[..after].last()
        };
        let pairs = self.segments.windows(2);
        pairs
            .filter_map(|pair| Some((pair[1].x - self.gap, run_of(&pair[0])?, run_of(&pair[1])?)))
            .filter(|(_, before, after)| before.number != after.number)
            .collect()
    }
}

fn time_step(worked_ms: u64) -> (u64, fn(u64) -> String) {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const STEPS: [(u64, u64); 25] = [
        (SECOND, 100),
        (SECOND, 200),
        (SECOND, 500),
        (SECOND, SECOND),
        (SECOND, 2 * SECOND),
        (SECOND, 5 * SECOND),
        (SECOND, 10 * SECOND),
        (SECOND, 20 * SECOND),
        (MINUTE, 30 * SECOND),
        (MINUTE, MINUTE),
        (MINUTE, 2 * MINUTE),
        (MINUTE, 5 * MINUTE),
        (MINUTE, 10 * MINUTE),
        (MINUTE, 20 * MINUTE),
        (HOUR, 30 * MINUTE),
        (HOUR, HOUR),
        (HOUR, 2 * HOUR),
        (HOUR, 3 * HOUR),
        (HOUR, 6 * HOUR),
        (HOUR, 12 * HOUR),
        (DAY, DAY),
        (DAY, 2 * DAY),
        (DAY, 5 * DAY),
        (DAY, 10 * DAY),
        (DAY, 50 * DAY),
    ];
    let fits = |step: &&(u64, u64)| worked_ms / step.1 <= TICKS_MAX;
    let (unit, step) = STEPS
        .iter()
        .find(fits)
        .copied()
        .unwrap_or((DAY, (worked_ms / TICKS_MAX / DAY + 1) * DAY));
    let name: fn(u64) -> String = match unit {
        SECOND => |ms| format!("{} s", ms as f64 / 1e3),
        MINUTE => |ms| format!("{} min", ms as f64 / 60e3),
        HOUR => |ms| format!("{} h", ms as f64 / 3600e3),
        _ => |ms| format!("{} d", ms / DAY),
    };
    (step, name)
}

/// An axis of quantities, from 0.
pub struct Scale {
    pub top: f64,
    pub ticks: Vec<f64>,
}

impl Scale {
    /// With steps of 1, 2 or 5 and zeros.
    pub fn decimal(most: f64) -> Self {
        let magnitude = 10_f64.powf((most.max(1.0) / TICKS_MAX as f64).log10().floor());
        Self::in_steps(most, [1.0, 2.0, 5.0, 10.0].map(|step| (step * magnitude).max(1.0)))
    }

    /// With steps that are powers of two.
    pub fn binary(most: f64) -> Self {
        let magnitude = 2_f64.powf((most.max(1.0) / TICKS_MAX as f64).log2().floor());
        Self::in_steps(most, [1.0, 2.0, 2.0, 4.0].map(|step| (step * magnitude).max(1.0)))
    }

    fn in_steps(most: f64, steps: [f64; 4]) -> Self {
        let fits = |step: &f64| most / step <= TICKS_MAX as f64;
        let step = steps.into_iter().find(fits).unwrap_or(steps[3]);
        let count = (most / step).ceil().max(1.0);
        Self {
            top: count * step,
            ticks: (0..=count as u64).map(|n| n as f64 * step).collect(),
        }
    }
}
