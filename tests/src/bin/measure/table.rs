//! Interleaved rounds of a workload on all servers, and their medians in a table beside redis-server's.

use darter_tests::Server;

use super::load::{Figures, Turn, run};
use super::{ROUNDS, SERVERS, name};

/// What is measured in one row.
pub struct Workload<'a> {
    /// Its title.
    pub title: &'a str,
    /// How many connections it has.
    pub connections: usize,
    /// How many operations a round has.
    pub operations: u64,
    /// What is written and read in the round of this number.
    pub turns: &'a dyn Fn(u64) -> Vec<Turn>,
}

/// One of the figures of a round.
type Figure = fn(&Figures) -> f64;

/// The head of a table.
pub fn head(title: &str) {
    println!("\n{title}, medians of {ROUNDS}, in brackets beside redis-server in the same run");
    println!("{:52} {:>14} {:>22} {:>22}", "", name(SERVERS[0]), name(SERVERS[1]), name(SERVERS[2]));
}

/// Measures and prints one workload. A server that refuses it has no figures but its error.
pub fn row(servers: &[Server; 3], workload: &Workload) {
    let mut figures: [Result<Vec<Figures>, String>; 3] = [const { Ok(Vec::new()) }; 3];
    for round in 0..ROUNDS as u64 {
        let turns = (workload.turns)(round);
        for (server, figures) in servers.iter().zip(&mut figures) {
            let Ok(before) = figures else { continue };
            match run(server, workload.connections, &turns, workload.operations) {
                Ok(more) => before.push(more),
                Err(error) => *figures = Err(error),
            }
        }
    }
    let lines: [(&str, usize, Figure); 3] = [
        ("server CPU us", 2, |figures| figures.server_us),
        ("operations/s", 0, |figures| figures.per_second),
        ("client CPU us", 2, |figures| figures.client_us),
    ];
    for (at, (what, decimals, figure)) in lines.into_iter().enumerate() {
        let title = if at == 0 { workload.title } else { "" };
        let medians = [0, 1, 2].map(|server: usize| {
            let mut round: Vec<f64> = figures[server].as_ref().ok()?.iter().map(figure).collect();
            round.sort_by(f64::total_cmp);
            Some(round[ROUNDS / 2])
        });
        let cell = |median: Option<f64>| median.map_or("-".into(), |median| format!("{median:.decimals$}"));
        let beside = |median: Option<f64>| match (median, medians[0]) {
            (Some(median), Some(first)) => format!("{median:.decimals$} ({:.2} x)", median / first),
            _ => cell(median),
        };
        let (first, second, third) = (cell(medians[0]), beside(medians[1]), beside(medians[2]));
        println!("{title:36} {what:>15} {first:>14} {second:>22} {third:>22}");
    }
    for (shards, figures) in SERVERS.into_iter().zip(figures) {
        if let Err(error) = figures {
            println!("    {}: {error}", name(shards));
        }
    }
}
