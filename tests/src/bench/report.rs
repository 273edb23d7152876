//! What `darter-bench run` tells of its runs: as text, as JSON, as a page. It measures nothing.

use serde::Serialize;

use super::machine::Machine;
use super::page::{Page, align};
use super::plan::{Extent, Load, Plan};
use super::run::Figures;
use super::svg::{Plot, Scale, Series};

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `darter-bench`.
    pub tool: &'static str,
    /// Its version.
    pub version: &'static str,
    /// On what it ran.
    pub machine: Machine,
    /// What was asked.
    pub plan: Outline,
    /// The server's process, if it was found.
    pub server_pid: Option<u32>,
    /// What the fill has shown.
    pub fill: Option<Fill>,
    /// What idle connections have shown.
    pub idle: Option<Idle>,
    /// The measurement.
    pub figures: Option<Figures>,
    /// Measurements at one rate after the other.
    pub sweep: Vec<Figures>,
    /// What is not as it must be.
    pub complaint: Option<String>,
}

/// A plan, to be shown.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "they are those of the plan")]
pub struct Outline {
    pub address: String,
    pub protocol: super::protocol::Protocol,
    pub commands: String,
    pub connections: usize,
    pub pipeline: usize,
    pub threads: usize,
    pub keys: u64,
    pub key_bytes: usize,
    pub value_bytes_max: usize,
    pub distribution: String,
    pub rate: Option<f64>,
    pub seconds: Option<f64>,
    pub requests: Option<u64>,
    pub warm_up_seconds: f64,
    pub seed: u64,
}

/// Every key written once.
#[derive(Clone, Debug, Serialize)]
pub struct Fill {
    /// How many.
    pub keys: u64,
    /// How long it took.
    pub seconds: f64,
    /// Bytes resident before and after.
    pub resident_bytes: Option<(u64, u64)>,
    /// The difference for each key: of a server that had none of them before.
    pub bytes_per_key: Option<f64>,
}

/// Connections that are open and say nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// How many.
    pub connections: usize,
    /// Bytes resident before and after they were opened.
    pub resident_bytes: Option<(u64, u64)>,
    /// The difference for each.
    pub bytes_per_connection: Option<f64>,
}

impl Outline {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Outline {
        Outline {
            address: plan.address.to_string(),
            protocol: plan.rules.protocol,
            commands: plan.mix.text(),
            connections: plan.connections,
            pipeline: plan.pipeline,
            threads: plan.threads,
            keys: plan.keys,
            key_bytes: plan.rules.names.len(),
            value_bytes_max: plan.mix.value_max(),
            distribution: plan.distribution.to_string(),
            rate: if let Load::Open { rate, .. } = plan.load { Some(rate) } else { None },
            seconds: if let Extent::Time(time) = plan.extent { Some(time.as_secs_f64()) } else { None },
            requests: if let Extent::Requests(requests) = plan.extent { Some(requests) } else { None },
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            seed: plan.seed,
        }
    }

    /// In one line.
    fn line(&self) -> String {
        let load = match self.rate {
            Some(rate) => format!("open loop of {rate:.0}/s, at most {} in flight on each", self.pipeline),
            None => format!("{} deep", self.pipeline),
        };
        format!(
            "{}: {} connections, {load}, {} threads, {} keys of {} bytes ({}), values up to {} bytes",
            self.commands,
            self.connections,
            self.threads,
            self.keys,
            self.key_bytes,
            self.distribution,
            self.value_bytes_max,
        )
    }
}

/// What one run has found, as rows of a name and a figure.
fn rows(figures: &Figures) -> Vec<Vec<String>> {
    let mut rows: Vec<(&str, String)> = vec![
        ("operations", figures.operations.to_string()),
        ("seconds", format!("{:.3}", figures.seconds)),
        ("operations/s", format!("{:.0}", figures.per_second)),
    ];
    if let Some(rate) = figures.rate {
        rows.push(("asked for, operations/s", format!("{rate:.0}")));
    }
    let latency = &figures.latency;
    let named = [
        ("latency us, min", latency.min),
        ("mean", latency.mean),
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p999),
        ("p99.99", latency.p9999),
        ("max", latency.max),
    ];
    rows.extend(named.map(|(name, figure)| (name, format!("{figure:.1}"))));
    if let Some(server) = &figures.server {
        rows.push(("server CPU us/operation", format!("{:.3}", server.total_us)));
        rows.push(("of it user, system", format!("{:.3}, {:.3}", server.user_us, server.system_us)));
        rows.push(("server, CPUs busy", format!("{:.2}", server.cpus)));
    }
    rows.push(("generator CPU us/operation", format!("{:.3}", figures.generator.total_us)));
    rows.push(("generator, CPUs busy", format!("{:.2}", figures.generator.cpus)));
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6 / figures.seconds.max(1e-9));
    rows.push(("MB/s sent", megabytes(figures.tally.bytes_sent)));
    rows.push(("MB/s received", megabytes(figures.tally.bytes_received)));
    let tally = &figures.tally;
    rows.push(("hits, misses", format!("{}, {}", tally.hits, tally.misses)));
    rows.push(("requests, replies", format!("{}, {}", tally.requests, tally.replies)));
    rows.push((
        "errors, wrong, unanswered",
        format!("{}, {}, {}", tally.errors, tally.wrong, tally.unanswered),
    ));
    if tally.unsent > 0 {
        rows.push(("due and not sent in time", tally.unsent.to_string()));
    }
    rows.into_iter().map(|(name, figure)| vec![name.into(), figure]).collect()
}

/// What a reader must know to judge the figures.
fn remarks(figures: &Figures) -> Vec<String> {
    let mut remarks = Vec::new();
    if figures.generator_busy > 0.9 {
        remarks.push(format!(
            "The generator was busy {:.0}% of the time: throughput and latency are its own rather than the server's.",
            figures.generator_busy * 100.0
        ));
    }
    if figures.tally.unsent > 0 {
        remarks.push(format!(
            "The server did not keep up: {} requests were due and not sent; they count with the time that they had waited.",
            figures.tally.unsent
        ));
    }
    if figures.interrupted {
        remarks.push("It was ended by hand before its time.".into());
    }
    remarks
}

/// Rows of a sweep: a rate, what it reached, latencies, CPU.
fn sweep_rows(sweep: &[Figures]) -> Vec<Vec<String>> {
    let head = [
        "asked for/s",
        "reached/s",
        "p50 us",
        "p90",
        "p99",
        "p99.9",
        "max",
        "server CPU us",
        "generator CPU us",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for figures in sweep {
        let latency = &figures.latency;
        let mut row = vec![
            figures.rate.map_or("closed loop".into(), |rate| format!("{rate:.0}")),
            format!("{:.0}", figures.per_second),
        ];
        let all = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
        row.extend(all.map(|figure| format!("{figure:.1}")));
        row.push(figures.server.map_or("-".into(), |server| format!("{:.3}", server.total_us)));
        row.push(format!("{:.3}", figures.generator.total_us));
        rows.push(row);
    }
    rows
}

impl Report {
    /// As text.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n", self.plan.address, self.plan.line());
        self.before().iter().for_each(|line| text.push_str(&format!("{line}\n")));
        if let Some(figures) = &self.figures {
            text.push_str(&format!("\n{}", align(&rows(figures))));
            remarks(figures).iter().for_each(|remark| text.push_str(&format!("{remark}\n")));
        }
        if !self.sweep.is_empty() {
            text.push_str(&format!("\n{}", align(&sweep_rows(&self.sweep))));
        }
        text
    }

    /// What was seen before anything was measured.
    fn before(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.server_pid.is_none() {
            lines.push("The server's process was not found: no CPU and no memory of it is shown.".into());
        }
        if let Some(fill) = &self.fill {
            let per_key = fill.bytes_per_key.map_or("-".into(), |bytes| format!("{bytes:.1}"));
            let each = fill.keys as f64 / fill.seconds.max(1e-9);
            lines.push(format!("filled {} keys, {each:.0}/s, {per_key} resident bytes per key", fill.keys));
        }
        if let Some(idle) = &self.idle {
            let each = idle.bytes_per_connection.map_or("-".into(), |bytes| format!("{bytes:.0}"));
            lines.push(format!("{} idle connections, {each} resident bytes for each", idle.connections));
        }
        lines
    }

    /// As a page with plots.
    pub fn html(&self) -> String {
        let mut page = Page::new("darter-bench");
        page.text(&format!("{} at {}", self.plan.line(), self.plan.address));
        let machine = &self.machine;
        page.text(&format!("{}, {} CPUs, Linux {}", machine.processor, machine.cpus, machine.kernel));
        self.before().iter().for_each(|line| page.text(line));
        if let Some(complaint) = &self.complaint {
            page.complaint(complaint);
        }
        let percentiles = |page: &mut Page, series: Vec<Series>| {
            page.heading("Latency by percentile");
            let plot = Plot { x: ("requests", Scale::Percentile), y: ("microseconds", Scale::Log), series };
            page.drawing(&plot.svg());
        };
        if let Some(figures) = &self.figures {
            remarks(figures).iter().for_each(|remark| page.complaint(remark));
            percentiles(&mut page, vec![curve("latency", figures)]);
            page.heading("Figures");
            let mut table = vec![vec![String::new(), String::new()]];
            table.extend(rows(figures));
            page.table(&table);
        }
        if !self.sweep.is_empty() {
            page.heading("Latency by throughput");
            let line = |name: &str, of: fn(&Figures) -> f64| Series {
                name: name.into(),
                points: self.open().map(|figures| (figures.per_second, of(figures))).collect(),
            };
            let series = vec![
                line("p50", |figures| figures.latency.p50),
                line("p99", |figures| figures.latency.p99),
                line("p99.9", |figures| figures.latency.p999),
            ];
            let plot = Plot { x: ("operations/s", Scale::Linear), y: ("microseconds", Scale::Log), series };
            page.drawing(&plot.svg());
            let names = self.open().map(|figures| curve(&format!("{:.0}/s", figures.per_second), figures));
            percentiles(&mut page, names.collect());
            page.table(&sweep_rows(&self.sweep));
        }
        page.finish()
    }

    /// The runs of a sweep that had a rate.
    fn open(&self) -> impl Iterator<Item = &Figures> {
        self.sweep.iter().filter(|figures| figures.rate.is_some())
    }
}

/// The curve of all percentiles of a run.
pub fn curve(name: &str, figures: &Figures) -> Series {
    // The slowest of a thousand requests says nothing of the one in a million.
    let most = 1.0 - 0.5 / figures.operations.max(1) as f64;
    let points = figures.curve.iter().map(|point| (point.share.min(most), point.microseconds));
    Series { name: name.into(), points: points.collect() }
}
