//! A graph of an event's spikes in letters: the higher, the longer; below it the age of each.

use crate::latency::LatencyEvent;

/// Lines of the graph, and steps within a line.
const LINES: usize = 4;
const STEPS: [char; 3] = ['_', 'o', '#'];
const COLUMNS: usize = 80;

/// The heading and the graph, in blocks of 80 columns.
pub(super) fn graph(event: &LatencyEvent, now_seconds: u64) -> String {
    let samples: Vec<(u64, u64)> = event.samples.iter().copied().collect();
    let (low, high) = bounds(&samples);
    let mut text = format!(
        "{} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.name,
        event.max_millis,
        "-".repeat(COLUMNS)
    );
    for block in samples.chunks(COLUMNS) {
        for line in 0..LINES {
            text.extend(block.iter().map(|&(_, millis)| cell(height(millis, low, high), LINES - 1 - line)));
            text.push('\n');
        }
        let ages: Vec<Vec<char>> = block.iter().map(|&(second, _)| age(second, now_seconds)).collect();
        let longest = ages.iter().map(Vec::len).max().unwrap_or(0);
        text.extend(std::iter::repeat_n(' ', block.len()));
        text.push('\n');
        for line in 0..longest {
            text.extend(ages.iter().map(|age| age.get(line).copied().unwrap_or(' ')));
            text.push('\n');
        }
    }
    text
}

fn bounds(samples: &[(u64, u64)]) -> (u64, u64) {
    let millis = samples.iter().map(|(_, millis)| *millis);
    (millis.clone().min().unwrap_or(0), millis.max().unwrap_or(0))
}

/// Steps above the ground, from 0 for the lowest.
fn height(millis: u64, low: u64, high: u64) -> usize {
    let steps = LINES * STEPS.len();
    let range = (high - low).max(1);
    (((millis - low) * steps as u64 / range) as usize).min(steps - 1)
}

/// What a column of this height shows on a line, counted from below.
fn cell(height: usize, line: usize) -> char {
    match height.checked_sub(line * STEPS.len()) {
        None => ' ',
        Some(above) => STEPS.get(above).copied().unwrap_or('|'),
    }
}

/// Age with its unit, a letter a line.
fn age(second: u64, now_seconds: u64) -> Vec<char> {
    let age = now_seconds.saturating_sub(second);
    let text = match age {
        0..60 => format!("{age}s"),
        60..3_600 => format!("{}m", age / 60),
        3_600..86_400 => format!("{}h", age / 3_600),
        _ => format!("{}d", age / 86_400),
    };
    text.chars().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_grow_by_thirds_of_a_line() {
        let column = |height| -> String { (0..LINES).map(|line| cell(height, line)).collect() };
        for (height, letters) in [(0, "_   "), (2, "#   "), (3, "|_  "), (7, "||o "), (11, "|||#")] {
            assert_eq!(column(height), letters);
        }
        assert_eq!((height(20, 20, 20), height(300, 20, 300), height(160, 20, 300)), (0, 11, 6));
    }

    #[test]
    fn ages_have_units() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m"), (7_200, "2h"), (86_400, "1d")] {
            assert_eq!(age(1_000, 1_000 + seconds).into_iter().collect::<String>(), text);
        }
    }
}
