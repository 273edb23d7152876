//! LATENCY DOCTOR: what was seen, in words, and what may help.

use super::joined;
use crate::args::Args;
use crate::latency::LatencyEvent;
use crate::node::Local;
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply};

pub(super) fn report(local: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let events = joined(parts);
    let text = if !events.is_empty() {
        findings(&events)
    } else if local.node.settings.latency_monitor_threshold == 0 {
        "Latency monitoring is disabled in this instance. \"CONFIG SET latency-monitor-threshold <milliseconds>\" enables it.\n"
            .to_string()
    } else {
        "No latency spike was observed during the lifetime of this instance.\n".to_string()
    };
    reply.verbatim("txt", &text);
    Ok(())
}

fn findings(events: &[LatencyEvent]) -> String {
    let mut text = String::from("Latency spikes were observed in this instance:\n\n");
    for (number, event) in events.iter().enumerate() {
        text.push_str(&format!("{}. {}\n", number + 1, summary(event)));
    }
    text.push_str("\nWhat may help:\n\n");
    for event in events {
        text.push_str(&format!("- {}\n", advice(&event.name)));
    }
    text
}

fn summary(event: &LatencyEvent) -> String {
    let count = event.samples.len() as u64;
    let average = event.samples.iter().map(|(_, millis)| millis).sum::<u64>() / count.max(1);
    let deviation =
        event.samples.iter().map(|(_, millis)| millis.abs_diff(average)).sum::<u64>() / count.max(1);
    let seconds = match (event.samples.front(), event.samples.back()) {
        (Some((first, _)), Some((last, _))) => last - first,
        _ => 0,
    };
    let period = seconds as f64 / count.saturating_sub(1).max(1) as f64;
    format!(
        "{}: {count} latency spikes (average {average}ms, mean deviation {deviation}ms, period {period:.2} sec). Worst all time event \
         {}ms.",
        event.name, event.max_millis
    )
}

fn advice(event: &str) -> &'static str {
    match event {
        "command" => {
            "command: SLOWLOG GET shows which calls are slow; those that visit many keys, such as KEYS, are better made with SCAN."
        }
        "fast-command" => {
            "fast-command: commands that should be fast were not: other processes may take the processor or the memory \
             may be swapped."
        }
        "expire-cycle" => "expire-cycle: many keys end at the same moment; spread their deadlines.",
        _ => "Look at what else runs on this machine.",
    }
}
