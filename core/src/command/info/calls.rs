//! Commandstats, Errorstats and Latencystats: a line for each command or code that has occurred.

use super::Section;

pub(super) fn commands(section: &mut Section<'_>) {
    for (id, counters) in &section.sum.per_command {
        let micros = counters.nanos / 1_000;
        let per_call = if counters.calls == 0 { 0.0 } else { micros as f64 / counters.calls as f64 };
        section.field(
            format_args!("cmdstat_{}", id.full_name()),
            format_args!(
                "calls={},usec={micros},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                counters.calls, counters.rejected, counters.failed
            ),
        );
    }
}

pub(super) fn errors(section: &mut Section<'_>) {
    for (code, count) in &section.sum.error_codes {
        section.field(format_args!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn latencies(section: &mut Section<'_>) {
    let percentiles = &section.node.settings.latency_tracking_info_percentiles;
    for (id, histogram) in &section.sum.histograms {
        let values: Vec<String> = percentiles
            .iter()
            .map(|percent| format!("p{percent}={:.3}", histogram.percentile_micros(*percent)))
            .collect();
        section.field(format_args!("latency_percentiles_usec_{}", id.full_name()), values.join(","));
    }
}
