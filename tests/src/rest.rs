//! What must be left behind when all clients have gone: nothing. It knows the names of INFO's fields only.

use std::time::{Duration, Instant};

use crate::{Client, Server};

/// Of any server.
const CLIENTS: [&str; 1] = ["blocked_clients"];
/// Of Darter's section Transactions.
const TRANSACTIONS: [&str; 5] = ["tx_locks", "tx_queue", "tx_in_flight", "tx_credits_out", "tx_parked"];
/// How long it may take until the last client's end has been seen and its last locks are released.
const PATIENCE: Duration = Duration::from_secs(20);

/// The value of a field of INFO.
pub fn info(client: &mut Client, field: &str) -> Option<u64> {
    // A reply shows a bulk's line ends as they are escaped, and a verbatim string's as they are.
    let text = client.run("INFO everything").replace("\\r\\n", "\n");
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.trim().parse().ok()
}

/// Asks again and again until a field of INFO has this value.
pub fn wait_for_info(client: &mut Client, field: &str, value: u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = info(client, field).unwrap_or_else(|| panic!("INFO has {field}"));
        if now == value {
            return;
        }
        assert!(Instant::now() < until, "INFO's {field} becomes {value}, and is {now}");
    }
}

/// No lock, no entry of a queue, no transaction, no credit, nobody parked or blocked.
pub fn assert_at_rest(server: &Server) {
    let mut client = server.client();
    let ours: &[&str] = if server.is_darter() { &TRANSACTIONS } else { &[] };
    for field in CLIENTS.iter().chain(ours) {
        wait_for_info(&mut client, field, 0);
    }
}

/// Runs a test on servers of one, two and four shards; nothing may be left behind on any.
pub fn on_shards(test: impl Fn(&Server)) {
    for shards in [1, 2, 4] {
        let server = Server::start(shards);
        test(&server);
        assert_at_rest(&server);
    }
}
