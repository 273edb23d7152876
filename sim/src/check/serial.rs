//! Strict serializability: is there one order of all requests that explains what the shards did and what clients saw?
//!
//! Fed while a world runs: a request is taken, shards run parts of it, its reply is seen. From that follow edges: on each key, who
//! wrote before whom and who read before or after which write; and in real time, who was answered before whom was taken. If the edges
//! have no cycle, every order that follows them explains the world, and [`Serial::next_in_order`] gives one of them, as soon as nothing can come before: run it
//! on a reference of one piece, and every reply must be the one that was seen. If they have one, [`Serial::cycle`] tells the shortest.
//!
//! Beside that, promises to one connection that overtake nothing from the above, since requests of a pipeline are concurrent: per
//! key, no two of its requests that conflict run in another order than they were said, and what it reads never goes back in time.
//!
//! It knows keys, requests and moments. It does not know commands, engines, or messages.
//!
//! | file | holds |
//! |---|---|
//! | `graph` | requests that have no place in the order yet, and what they wait for |
//! | `accesses` | who touched what last: the edges of keys, and the promises to a connection |
//! | `cycle` | the shortest cycle, in words |

mod accesses;
mod cycle;
mod graph;
#[cfg(test)]
mod random;

use std::collections::{BTreeMap, BTreeSet};

use accesses::Accesses;
pub use cycle::Cycle;
use graph::Graph;

/// A request that was taken, numbered in the order of taking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Op(u64);

/// What a part of a request does with what it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its reply may depend on it.
    Reads,
    /// It may change it; its reply may depend on it, too.
    Writes,
}

/// Why one request stands before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was answered before the other was taken.
    RealTime,
    /// It stands before the other because the other builds on it.
    BuiltUpon,
    /// A shard ran it first.
    Ran {
        /// The shard.
        shard: u16,
        /// The database.
        database: usize,
        /// The key; `None`: one of both touched all of them.
        key: Option<std::sync::Arc<[u8]>>,
        /// What the first does.
        first: Access,
        /// What the other does.
        then: Access,
    },
}

/// Which request of which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The connection.
    pub connection: u64,
    /// The request's number on it, growing.
    pub number: u64,
}

/// The checker.
#[derive(Debug, Default)]
pub struct Serial {
    graph: Graph,
    accesses: Accesses,
    said: BTreeMap<Op, Said>,
    /// Of each connection, the requests of which parts may still run.
    open: BTreeMap<u64, BTreeSet<u64>>,
}

impl Serial {
    /// A request was taken by its core, after every reply that was reported as seen until now.
    pub fn begin(&mut self, said: Said, moment: u64) -> Op {
        let op = self.graph.begin(moment);
        self.said.insert(op, said);
        let fresh = self.open.entry(said.connection).or_default().insert(said.number);
        assert!(fresh, "{said:?} is taken twice");
        op
    }

    /// A shard ran a part of a request that touches keys of one database: in the shard's order of running. A part that touches several
    /// databases is several calls. What waits (BLPOP before it is served) has not run yet.
    ///
    /// # Errors
    /// When a promise to the connection is broken, or nothing of the request may run any more.
    pub fn applied<K: AsRef<[u8]>>(
        &mut self,
        op: Op,
        shard: u16,
        database: usize,
        reads: &[K],
        writes: &[K],
    ) -> Result<(), String> {
        let said = self.running(op)?;
        let reads = reads.iter().map(|key| (key.as_ref(), Access::Reads));
        let writes = writes.iter().map(|key| (key.as_ref(), Access::Writes));
        // Writes first: they say all that a read of the same key would.
        for (key, access) in writes.chain(reads) {
            let touch = accesses::Touch { op, said, shard, database, access, open: &self.open };
            self.accesses.key(&mut self.graph, touch, key)?;
        }
        self.accesses.sweep(&self.graph, &self.open);
        Ok(())
    }

    /// A shard ran a part of a request that touches all its keys of one database, those that are not there included.
    ///
    /// # Errors
    /// As [`Serial::applied`].
    pub fn applied_to_all(
        &mut self,
        op: Op,
        shard: u16,
        database: usize,
        access: Access,
    ) -> Result<(), String> {
        let said = self.running(op)?;
        let touch = accesses::Touch { op, said, shard, database, access, open: &self.open };
        self.accesses.all(&mut self.graph, touch)?;
        self.accesses.sweep(&self.graph, &self.open);
        Ok(())
    }

    /// A request builds on an earlier one whatever they touch, as EXEC does on WATCH.
    pub fn builds_on(&mut self, op: Op, earlier: Op) {
        self.graph.edge(earlier, op, Why::BuiltUpon);
    }

    /// No part of a request will run any more, and perhaps nobody will see its reply: its client is gone, or it never ran.
    pub fn sealed(&mut self, op: Op) {
        if let Some(said) = self.said.remove(&op) {
            let open =
                self.open.get_mut(&said.connection).expect("a request that is open has its connection");
            open.remove(&said.number);
            if open.is_empty() {
                self.open.remove(&said.connection);
            }
            self.graph.close(op);
        }
    }

    /// The client has seen the reply.
    pub fn end(&mut self, op: Op, moment: u64) {
        self.graph.end(op, moment);
        self.sealed(op);
    }

    /// The next request of the order, if it is known. Where the edges leave a choice, who was taken first comes first.
    pub fn next_in_order(&mut self) -> Option<Op> {
        self.graph.next_in_order()
    }

    /// Requests that have no place in the order yet.
    pub fn waiting(&self) -> usize {
        self.graph.waiting()
    }

    /// The shortest cycle of edges that is there already. Costs as much as there are requests waiting: to be called now and then.
    pub fn cycle(&self) -> Option<Cycle> {
        cycle::shortest(&self.graph)
    }

    /// Nothing will be said or run any more. After this every request has its place, or there is a cycle.
    pub fn finish(&mut self) {
        let open: Vec<Op> = self.said.keys().copied().collect();
        open.into_iter().for_each(|op| self.sealed(op));
    }

    fn running(&self, op: Op) -> Result<Said, String> {
        self.said.get(&op).copied().ok_or_else(|| {
            format!("a part of request {} runs after its reply was seen or when nothing of it may run", op.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a story of words such as `a+`, taken; `a-`, answered; `a0rx`, shard 0 runs a part of `a` that reads x; `w` writes, `R` and `W`
    /// all keys. Requests are of connections of their own, or of that which the digit before the letter names: `1a+`. Returns the order, or what is wrong.
    fn order(story: &str) -> Result<String, String> {
        let mut serial = Serial::default();
        let mut ops: BTreeMap<char, Op> = BTreeMap::new();
        let mut names: BTreeMap<Op, char> = BTreeMap::new();
        for (moment, word) in (0..).zip(story.split_whitespace()) {
            let digits = word.chars().take_while(char::is_ascii_digit).count();
            let mut letters = word[digits..].chars();
            let name = letters.next().expect("a word has a name");
            match letters.next().expect("a word says what happens") {
                '+' => {
                    let connection = word[..digits].parse().unwrap_or(100 + u64::from(name));
                    let op = serial.begin(Said { connection, number: moment }, moment);
                    ops.insert(name, op);
                    names.insert(op, name);
                }
                '-' => serial.end(ops[&name], moment),
                shard => {
                    let shard = shard.to_digit(10).expect("a shard") as u16;
                    let op = ops[&name];
                    let access = letters.next().expect("an access");
                    let key = [letters.as_str()];
                    match access {
                        'r' => serial.applied(op, shard, 0, &key, &[])?,
                        'w' => serial.applied(op, shard, 0, &[], &key)?,
                        'R' => serial.applied_to_all(op, shard, 0, Access::Reads)?,
                        _ => serial.applied_to_all(op, shard, 0, Access::Writes)?,
                    }
                }
            }
        }
        serial.finish();
        let order: String = std::iter::from_fn(|| serial.next_in_order()).map(|op| names[&op]).collect();
        match serial.cycle() {
            Some(cycle) => Err(cycle.in_words(|op| names[&op].to_string())),
            None => {
                assert_eq!(serial.waiting(), 0, "without a cycle everything has its place");
                Ok(order)
            }
        }
    }

    #[track_caller]
    fn fits(story: &str, expected: &str) {
        assert_eq!(order(story), Ok(expected.to_string()), "{story}");
    }

    #[track_caller]
    fn fails(story: &str, words: &[&str]) {
        let told = order(story).expect_err("there is no order");
        words.iter().for_each(|word| assert!(told.contains(word), "{told}"));
    }

    #[test]
    fn what_one_order_explains_passes() {
        fits("", "");
        fits("a+ b+ a0wx b0wx a1wy b1wy a- b-", "ab");
        fits("a+ b+ b0wx a0wx b1wy a1wy a- b-", "ba");
        fits("a+ b+ b0rx a0wx a- b-", "ba");
        fits("a+ b+ c+ c0wx a0rx b1wy c1ry c- a- b-", "bca");
        fits("a+ a0wx a- b+ b0wy b- c+ c0rx c-", "abc");
    }

    #[test]
    fn writes_in_opposite_orders_are_found() {
        fails(
            "a+ b+ a0wx b0wx b1wy a1wy a- b-",
            &["a before b: shard 0", "b before a: shard 1", "writes x", "writes y"],
        );
    }

    #[test]
    fn a_read_of_half_a_write_is_found() {
        fails(
            "a+ b+ a0wx b0rx b1ry a1wy a- b-",
            &["a before b: shard 0", "then the other reads x", "b before a: shard 1"],
        );
        // The same by two reads, one after the other.
        fails("a+ a0wx b+ b0rx b- c+ c1ry c- a1wy a-", &["b before c: it was answered before"]);
    }

    #[test]
    fn real_time_counts() {
        // a reads x before b writes it, b is answered before c is taken, c writes y before a reads it.
        let story = "a+ a0rx b+ b0wx b- c+ c1wy c- a1ry a-";
        fails(story, &["a before b: shard 0", "b before c: it was answered before", "c before a: shard 1"]);
        // The same while b and c overlap: then c may stand before b.
        fits("a+ a0rx b+ c+ b0wx b- c1wy c- a1ry a-", "cab");
    }

    #[test]
    fn three_that_go_round_are_found() {
        let story = "a+ b+ c+ a0wx b0wx b1wy c1wy c2wz a2wz a- b- c-";
        fails(story, &["a before b: shard 0", "b before c: shard 1", "c before a: shard 2"]);
        let skew = "a+ b+ a0rx a1ry b0rx b1ry a0wx b1wy a- b-";
        fails(skew, &["a before b: shard 1", "b before a: shard 0", "reads x", "reads y"]);
        fails("a+ b+ a0rx b0wx a0wx a- b-", &["a before b: shard 0", "b before a: shard 0"]);
    }

    #[test]
    fn the_shortest_cycle_is_told() {
        let story = "a+ b+ c+ d+ a0wx b0wx b1wy c1wy c2wz a2wz a0wv d0wv d1wu a1wu a- b- c- d-";
        let told = order(story).expect_err("there is no order");
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(told.contains("a before d") && told.contains("d before a"), "{told}");
    }

    #[test]
    fn whole_shards_conflict_with_every_key() {
        fails("f+ a+ f0W a0wx a1wy f1W f- a-", &["f before a", "all keys", "a before f"]);
        fails("d+ a+ d0R a0wx a1wy d1R d- a-", &["d before a", "a before d"]);
        fails("f+ d+ d0R f0W f1W d1R f- d-", &["d before f", "f before d"]);
        fits("d+ a+ a0rx d0R d1R a1ry d- a-", "da");
        fits("f+ a+ a0wx f0W a1wy f1W f- a-", "af");
        fits("f+ f0W f- a+ a0rx a- b+ b0wx b-", "fab");
    }

    #[test]
    fn what_was_answered_runs_no_more() {
        assert!(order("a+ a- a0rx").is_err());
    }

    #[test]
    fn a_connection_keeps_its_order_on_each_key() {
        fails("1a+ 1b+ b0wx a0rx", &["runs after a later request"]);
        fails("1a+ 1b+ b0rx a0wx", &["runs after a later request"]);
        fits("1a+ 1b+ b0rx a0rx a- b-", "ab");
        fits("1a+ 1b+ b0wy a0wx a- b-", "ab");
        fails("1a+ 1b+ c+ b0rx c0wx a0rx", &["goes back in time"]);
        fits("1a+ 1b+ c+ a0rx c0wx b0rx a- b- c-", "acb");
        fits("1a+ 2b+ c+ b0rx c0wx a0rx a- b- c-", "bca");
        fails("1a+ 1f+ f0W a0rx", &["runs after a later request"]);
        fails("1f+ 1a+ a0wx f0R", &["runs after a later request"]);
        fails("1a+ 1d+ c+ d0R c0wx a0rx", &["goes back in time"]);
        fits("1a+ 1d+ c+ d0R c0wy a0rx a- d- c-", "adc");
        fails("1d+ 1a+ c+ a0rx c0wx d0R", &["goes back in time"]);
    }
}
