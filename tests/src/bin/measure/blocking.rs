//! One waits in BRPOP, the other pushes.

use darter_tests::Server;
use darter_tests::reply::encode;

use super::load::Turn;
use super::table::{Workload, head, row};

/// Pairs of clients, each with a list of its own. The next push leaves when both have had their replies and the one waits again.
pub fn measure(servers: &[Server; 3]) {
    head("LPUSH to a client that waits in BRPOP; an operation is both");
    for (title, pairs, operations) in [("1 pair", 1, 15_000), ("25 pairs at once", 25, 40_000)] {
        // Other keys and other connections in each round: they lie on other cores.
        let turns = |round: u64| {
            let (mut waits, mut pushes, mut reads) = (Vec::new(), Vec::new(), Vec::new());
            for pair in 0..pairs {
                let name = format!("pair:{:04}", round as usize * pairs + pair);
                let (mut wait, mut push) = (Vec::new(), Vec::new());
                encode(&mut wait, &["BRPOP", &name, "0"]);
                encode(&mut push, &["LPUSH", &name, "element"]);
                waits.push((2 * pair, wait));
                pushes.push((2 * pair + 1, push));
                reads.push((2 * pair + 1, b":1\r\n".to_vec()));
                let popped = format!("*2\r\n$9\r\n{name}\r\n$7\r\nelement\r\n");
                reads.push((2 * pair, popped.into_bytes()));
            }
            waits.extend(pushes);
            vec![Turn { writes: waits, reads, operations: pairs as u64 }]
        };
        row(servers, &Workload { title, connections: 2 * pairs, operations, turns: &turns });
    }
}
