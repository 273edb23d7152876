//! The simulator's reference answers as redis-server does: random programs of two clients, with transactions, on both.
//!
//! What the simulator finds is worth as much as what it compares with. This needs redis-server in the path.

use std::collections::VecDeque;
use std::io::Read;
use std::process::Command;

use darter_sim::decoder::{Decoder, Reply};
use darter_sim::dialogue::spoken;
use darter_sim::dice::{Concern, Dice};
use darter_sim::reference::session::Session;
use darter_sim::reference::store::Store;
use darter_sim::workload::wide::{self, Request};
use darter_sim::workload::{bits, sorting};
use darter_tests::{Client, Server, free_port};

const PROGRAMS: u64 = 400;
const REQUESTS: usize = 60;

fn redis() -> Server {
    let port = free_port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no", "--databases", "3"]);
    let mut server = Server::spawn(command, port);
    assert!(server.wait_for("Ready to accept connections"), "redis-server starts");
    server
}

/// A client of both.
struct Both {
    client: Client,
    decoder: Decoder,
    session: Session,
    /// Of a transaction that has begun.
    begun: VecDeque<Request>,
}

impl Both {
    fn new(server: &Server) -> Both {
        Both {
            client: server.client(),
            decoder: Decoder::default(),
            session: Session::default(),
            begun: VecDeque::new(),
        }
    }

    fn heard(&mut self, words: &Request) -> Reply {
        self.client.send_words(words);
        let mut bytes = [0; 4_096];
        loop {
            if let Some(decoded) = self.decoder.next_reply().expect("redis-server replies well") {
                return decoded.reply;
            }
            let count = self.client.socket().read(&mut bytes).expect("redis-server replies");
            assert!(count > 0, "redis-server stays");
            self.decoder.push(&bytes[..count]);
        }
    }
}

/// A request of any family, if redis-server 7.0 knows it and answers it in one way only.
fn single(dice: &mut Dice, keys: &mut wide::Keys<'_>) -> Request {
    let request = match dice.below(12) {
        0 | 1 => bits::bits(dice, keys),
        2 | 3 => bits::sketches(dice, keys),
        4 | 5 => sorting::sorting(dice, keys),
        _ => wide::any(dice, keys),
    };
    let has = |word: &str| request.iter().any(|other| other.eq_ignore_ascii_case(word.as_bytes()));
    let is_later = ["diff", "diff1", "andor", "one"].iter().any(|word| has(word));
    // 7.0 looks at the key first, and at what is wrong with the rest only if there is one; 7.2 and Darter refuse it anyway.
    let is_refused_later =
        (has("bitcount") || has("bitpos")) && (has("x") || request.get(2).is_some_and(|bit| bit == b"2"));
    // Elements of equal weight come out of a set in the order of its table.
    if is_later || is_refused_later || has("by") && has("alpha") { vec![b"PING".to_vec()] } else { request }
}

#[test]
fn the_reference_answers_as_redis_does() {
    let server = redis();
    let mut counts = [0; 4];
    for seed in 0..PROGRAMS {
        let mut dice = Dice::new(seed, Concern::Workload);
        let mut store = Store::of_one_shard(3);
        store.judge_by(0, 1);
        let mut clients = [Both::new(&server), Both::new(&server)];
        clients[0].heard(&vec![b"FLUSHALL".to_vec()]);
        let count = 3 + dice.below(5);
        let mut keys = |dice: &mut Dice| format!("k{}", dice.below(count));
        let mut said = Vec::new();
        for _ in 0..REQUESTS {
            let who = dice.below(2) as usize;
            let both = &mut clients[who];
            if both.begun.is_empty() {
                both.begun = match dice.chance(250) {
                    true => wide::transaction(&mut dice, &mut keys).into(),
                    false => [single(&mut dice, &mut keys)].into(),
                };
            }
            let words = both.begun.pop_front().expect("there is something to say");
            let reply = both.heard(&words);
            let answer = both.session.run(&mut store, &words).expect("the reference knows it");
            said.push(format!("{who}: {} -> {reply:?}", spoken(&words)));
            assert!(answer.fits(&reply), "seed {seed}: must be {answer:?}\n{}", said.join("\n"));
            let is_exec = words[0].eq_ignore_ascii_case(b"exec");
            counts[0] += usize::from(is_exec && reply == Reply::Null);
            counts[1] += usize::from(is_exec && matches!(reply, Reply::Array(_)));
            counts[2] += usize::from(matches!(&reply, Reply::Error(line) if line.starts_with("WRONGTYPE")));
            counts[3] += usize::from(matches!(&reply, Reply::Error(line) if line.starts_with("EXECABORT")));
        }
    }
    println!("{counts:?} EXEC refused, EXEC run, wrong type, EXEC aborted");
    assert!(counts.iter().all(|count| *count > 20), "everything was met: {counts:?}");
}
