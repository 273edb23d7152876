//! MONITOR: see every request of every client of every core, until RESET or the end.

use super::row::{Command, Flags, Run};
use crate::args::Args;
use crate::feed::Topics;
use crate::node::Local;
use crate::protocol::reply::{Outcome, Reply};

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "monitor",
    arity: 1,
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    summary: "Listens for all requests received by the server in real-time.",
    complexity: "O(1), and every request of others costs a line",
    run: Run::Local(monitor),
    ..Command::DEFAULT
}];

fn monitor(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if local.session.listens.is_empty() {
        local.session.listens = Topics::REQUESTS;
        local.node.listen(Topics::REQUESTS);
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::event::Origin;
    use crate::testing::World;

    #[test]
    fn a_monitor_sees_the_clients_of_all_cores() {
        let mut world = World::new(3);
        let (monitor, near, far) = (world.connect(0), world.connect(0), world.connect_from(2, Origin::Unix));
        assert_eq!(world.call(monitor, "MONITOR"), "+OK\r\n");
        world.call(near, "SET a 'x \"y\"\r\n'");
        assert_eq!(
            world.receive(monitor),
            "+1700000000.000000 [0 127.0.0.1:50002] \"SET\" \"a\" \"x \\\"y\\\"\\r\\n\"\r\n"
        );
        world.call(far, "SELECT 3");
        world.call(far, "DBSIZE");
        assert_eq!(
            world.receive(monitor),
            "+1700000000.000000 [0 unix:127.0.0.1:50003] \"SELECT\" \"3\"\r\n\
             +1700000000.000000 [3 unix:127.0.0.1:50003] \"DBSIZE\"\r\n"
        );
        for secret in ["AUTH default x", "CONFIG GET hz", "HELLO 3", "SLOWLOG LEN", "NOSUCH", "GET"] {
            world.call(near, secret);
        }
        assert_eq!(world.receive(monitor), "", "secrets and errors are not shown");
        assert!(world.say(near, "CLIENT LIST").contains("flags=O"));
    }

    #[test]
    fn reset_ends_it_and_so_does_hanging_up() {
        let mut world = World::new(2);
        let (first, second, client) = (world.connect(0), world.connect(1), world.connect(0));
        world.call(first, "MONITOR");
        world.call(second, "MONITOR");
        assert!(world.call(first, "RESET").contains("+RESET\r\n"));
        world.call(client, "PING");
        assert_eq!(world.receive(first), "");
        assert!(world.receive(second).ends_with("\"PING\"\r\n"));
        world.hang_up(second);
        world.call(client, "PING");
        assert!(world.engines.iter().all(|engine| !engine.node().feed.is_monitored()));
        assert_eq!(world.unfinished(), [""; 0]);
    }
}
