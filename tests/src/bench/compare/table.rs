//! Tables and bars of a comparison: medians, and ratios to the first server with how far they lie apart. It measures nothing.

use super::rounds::{Cell, Row};
use super::workload::Kind;
use crate::bench::page::{Page, align};
use crate::bench::report::curve;
use crate::bench::run::Figures;
use crate::bench::statistics::Spread;
use crate::bench::svg::{Group, Plot, Scale, bars};

/// A figure of a round, if it has it.
type Of = fn(&Row, &Figures) -> Option<f64>;

/// A table: a title, which rows it has, the figure, digits behind the point.
struct Table {
    title: &'static str,
    unit: &'static str,
    has: fn(Kind) -> bool,
    of: Of,
    decimals: usize,
}

const TABLES: [Table; 8] = [
    Table {
        title: "server CPU, microseconds per operation",
        unit: "us",
        has: |kind| kind != Kind::Bytes,
        of: |_, figures| figures.server.map(|server| server.total_us),
        decimals: 2,
    },
    Table {
        title: "bytes of values for a second of server CPU, MB",
        unit: "MB",
        has: |kind| kind == Kind::Bytes,
        // Bytes for a microsecond are megabytes for a second.
        of: |row, figures| figures.server.map(|server| row.value as f64 / server.total_us),
        decimals: 0,
    },
    Table {
        title: "operations per second: of this generator and these CPUs, not the server's limit",
        unit: "/s",
        has: |kind| kind != Kind::Open,
        of: |_, figures| Some(figures.per_second),
        decimals: 0,
    },
    Table {
        title: "latency p50, microseconds",
        unit: "us",
        has: |kind| kind == Kind::Open || kind == Kind::Operations,
        of: |_, figures| Some(figures.latency.p50),
        decimals: 1,
    },
    Table {
        title: "latency p99, microseconds",
        unit: "us",
        has: |kind| kind == Kind::Open || kind == Kind::Operations,
        of: |_, figures| Some(figures.latency.p99),
        decimals: 1,
    },
    Table {
        title: "latency p99.9, microseconds",
        unit: "us",
        has: |kind| kind == Kind::Open,
        of: |_, figures| Some(figures.latency.p999),
        decimals: 1,
    },
    Table {
        title: "generator CPU, microseconds per operation",
        unit: "us",
        has: |_| true,
        of: |_, figures| Some(figures.generator.total_us),
        decimals: 2,
    },
    Table {
        title: "server's CPUs busy",
        unit: "CPUs",
        has: |_| true,
        of: |_, figures| figures.server.map(|server| server.cpus),
        decimals: 2,
    },
];

/// A figure that a cell has once.
type Once = fn(&Cell) -> Option<f64>;

/// One figure of each idle connection or key, without rounds.
const SINGLE: [(&str, Once); 2] = [
    ("resident bytes for each idle connection", |cell| cell.bytes_per_connection),
    ("server CPU with them while nothing is asked, microseconds in a second", |cell| cell.idle_us_per_second),
];

fn figures(row: &Row, cell: &Cell, of: Of) -> Vec<f64> {
    cell.rounds.iter().filter_map(|figures| of(row, figures)).collect()
}

/// The median and, beside others, the ratio with its spread.
fn shown(figures: &[f64], first: &[f64], is_first: bool, decimals: usize) -> String {
    let Some(spread) = Spread::of(figures) else { return "-".into() };
    let median = format!("{:.decimals$}", spread.median);
    match Spread::of_ratios(figures, first).filter(|_| !is_first) {
        Some(ratio) => format!("{median}  {:.2}x ({:.2}-{:.2})", ratio.median, ratio.min, ratio.max),
        None => format!("{median} ({:.decimals$}-{:.decimals$})", spread.min, spread.max),
    }
}

impl Table {
    fn rows(&self, names: &[String], rows: &[Row]) -> Option<Vec<Vec<String>>> {
        let mut table = vec![head(names)];
        for row in rows.iter().filter(|row| (self.has)(row.kind)) {
            let first = figures(row, &row.cells[0], self.of);
            let mut line = vec![row.name.clone()];
            for (at, cell) in row.cells.iter().enumerate() {
                line.push(shown(&figures(row, cell, self.of), &first, at == 0, self.decimals));
            }
            table.push(line);
        }
        (table.len() > 1).then_some(table)
    }

    fn bars(&self, names: &[String], rows: &[Row]) -> String {
        let groups: Vec<Group> = rows
            .iter()
            .filter(|row| (self.has)(row.kind))
            .map(|row| Group {
                name: row.name.clone(),
                bars: row
                    .cells
                    .iter()
                    .map(|cell| Some(Spread::of(&figures(row, cell, self.of))?.median))
                    .collect(),
            })
            .collect();
        bars(self.unit, names, &groups)
    }
}

fn head(names: &[String]) -> Vec<String> {
    std::iter::once(String::new()).chain(names.iter().cloned()).collect()
}

/// A table of figures that are measured once.
fn single(names: &[String], rows: &[Row], of: Once) -> Option<Vec<Vec<String>>> {
    let mut table = vec![head(names)];
    for row in rows.iter().filter(|row| row.cells.iter().any(|cell| of(cell).is_some())) {
        let first: Vec<f64> = of(&row.cells[0]).into_iter().collect();
        let mut line = vec![row.name.clone()];
        for (at, cell) in row.cells.iter().enumerate() {
            line.push(match (of(cell), first.first()) {
                (Some(figure), Some(first)) if at > 0 && *first != 0.0 => {
                    format!("{figure:.1}  {:.2}x", figure / first)
                }
                (Some(figure), _) => format!("{figure:.1}"),
                (None, _) => "-".into(),
            });
        }
        table.push(line);
    }
    (table.len() > 1).then_some(table)
}

/// All tables with their titles, of workloads and of memory.
fn tables(names: &[String], rows: &[Row], memory: &[Row]) -> Vec<(String, Vec<Vec<String>>)> {
    let of_rounds = TABLES.iter().map(|table| (table.title, table.rows(names, rows)));
    let once = SINGLE.iter().map(|(title, of)| (*title, single(names, rows, *of)));
    let memory = [("resident bytes per key", single(names, memory, |cell| cell.bytes_per_key))];
    let all = of_rounds.chain(once).chain(memory);
    all.filter_map(|(title, table)| Some((title.to_string(), table?))).collect()
}

/// What servers did not do, each reason once.
fn refusals(names: &[String], rows: &[&Row]) -> Vec<String> {
    let mut said = Vec::new();
    for row in rows {
        for (name, cell) in names.iter().zip(&row.cells) {
            if let Some(reason) = &cell.refused {
                said.push(format!("{name} has no {}: {reason}", row.name));
            }
        }
    }
    said
}

/// As text.
pub fn text(names: &[String], rows: &[Row], memory: &[Row]) -> String {
    let mut text = String::new();
    for (title, table) in tables(names, rows, memory) {
        text.push_str(&format!("\n{title}\n{}", align(&table)));
    }
    let refused = refusals(names, &rows.iter().chain(memory).collect::<Vec<_>>());
    if !refused.is_empty() {
        text.push_str(&format!("\n{}\n", refused.join("\n")));
    }
    text
}

/// Onto a page, with bars and curves.
pub fn draw(page: &mut Page, names: &[String], rows: &[Row], memory: &[Row]) {
    for table in TABLES.iter().take(2).filter(|table| rows.iter().any(|row| (table.has)(row.kind))) {
        page.heading(table.title);
        page.drawing(&table.bars(names, rows));
    }
    for row in rows.iter().filter(|row| row.kind == Kind::Open) {
        let rate = row.cells.iter().flat_map(|cell| &cell.rounds).find_map(|figures| figures.rate);
        page.heading(&format!("latency by percentile, {:.0} operations a second", rate.unwrap_or(0.0)));
        let series = names.iter().zip(&row.cells).filter_map(|(name, cell)| Some(curve(name, middle(cell)?)));
        let series = series.collect();
        let plot = Plot { x: ("requests", Scale::Percentile), y: ("microseconds", Scale::Log), series };
        page.drawing(&plot.svg());
    }
    for (title, table) in tables(names, rows, memory) {
        page.heading(&title);
        page.table(&table);
    }
    refusals(names, &rows.iter().chain(memory).collect::<Vec<_>>()).iter().for_each(|line| page.text(line));
}

/// The round whose p99 is the median.
fn middle(cell: &Cell) -> Option<&Figures> {
    let mut rounds: Vec<&Figures> = cell.rounds.iter().collect();
    rounds.sort_by(|a, b| a.latency.p99.total_cmp(&b.latency.p99));
    rounds.get(rounds.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::latency::Percentiles;
    use crate::bench::observe::CpuPerOperation;
    use crate::bench::tally::Tally;

    fn round(us: f64) -> Figures {
        let cpu = CpuPerOperation { total_us: us, user_us: us / 2.0, system_us: us / 2.0, cpus: 0.5 };
        Figures {
            seconds: 1.0,
            operations: 1_000,
            per_second: 1e6 / us,
            rate: None,
            latency: Percentiles { p99: us * 10.0, ..Percentiles::default() },
            curve: Vec::new(),
            tally: Tally::default(),
            server: Some(cpu),
            generator: CpuPerOperation::default(),
            generator_busy: 0.5,
            interrupted: false,
        }
    }

    fn row(kind: Kind, cells: &[&[f64]]) -> Row {
        let cells = cells.iter().map(|rounds| match rounds.is_empty() {
            true => Cell { refused: Some("no".into()), ..Cell::default() },
            false => Cell { rounds: rounds.iter().map(|us| round(*us)).collect(), ..Cell::default() },
        });
        Row { name: "get".into(), kind, value: 4_096, cells: cells.collect() }
    }

    #[test]
    fn ratios_stand_beside_medians() {
        let names = ["a".to_string(), "b".into(), "c".into()];
        let rows = [row(Kind::Operations, &[&[4.0, 8.0, 4.0], &[2.0, 5.0, 2.0], &[]])];
        let text = text(&names, &rows, &[]);
        let line = text.lines().find(|line| line.starts_with("get")).expect("a row");
        let cells: Vec<&str> = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert!(line.contains("4.00 (4.00-8.00)"), "{cells:?}");
        assert!(line.contains("2.00  0.50x (0.50-0.62)"), "{cells:?}");
        assert!(line.ends_with('-') && text.contains("c has no get: no"), "{text}");
    }

    #[test]
    fn large_values_are_bytes_for_cpu() {
        let names = ["a".to_string()];
        let text = text(&names, &[row(Kind::Bytes, &[&[2.0]])], &[]);
        assert!(text.contains("2048 (2048-2048)"), "{text}");
        assert!(!text.contains("microseconds per operation\n       a\nget  2.00"), "{text}");
    }

    #[test]
    fn memory_has_one_figure() {
        let names = ["a".to_string(), "b".into()];
        let cell = |bytes| Cell { bytes_per_key: bytes, ..Cell::default() };
        let row = Row {
            name: "1000 keys".into(),
            kind: Kind::Bytes,
            value: 32,
            cells: vec![cell(Some(100.0)), cell(Some(80.0))],
        };
        assert!(text(&names, &[], &[row]).contains("1000 keys  100.0  80.0  0.80x"));
    }

    #[test]
    fn a_page_has_bars_and_curves() {
        let names = ["a".to_string(), "b".into()];
        let rows = [row(Kind::Operations, &[&[4.0], &[2.0]]), row(Kind::Open, &[&[4.0], &[2.0]])];
        let mut page = Page::new("x");
        draw(&mut page, &names, &rows, &[]);
        let html = page.finish();
        assert_eq!(html.matches("<svg").count(), 2);
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }
}
