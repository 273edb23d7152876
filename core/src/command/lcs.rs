//! The longest common subsequence of two strings.

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::txn::work::Finding;

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "lcs",
    arity: -3,
    flags: Flags::READONLY,
    keys: Keys::TWO,
    group: Group::String,
    since: "7.0.0",
    summary: "Finds the longest common substring.",
    complexity: "O(N*M) where N and M are the lengths of the strings",
    syntax: "key1:key key2:key [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
    examples: &[
        Example { call: "MSET {k}1 ohmytext {k}2 mynewtext", reply: "OK" },
        Example { call: "LCS {k}1 {k}2", reply: "mytext" },
        Example { call: "LCS {k}1 {k}2 LEN", reply: "6" },
        Example {
            call: "LCS {k}1 {k}2 IDX MINMATCHLEN 4 WITHMATCHLEN",
            reply: "matches\n4\n7\n5\n8\n4\nlen\n6",
        },
    ],
    run: Run::Plan(&LCS),
    ..Command::DEFAULT
}];

/// Cells of the table of lengths, four bytes each, that one call may fill: a quarter of a gigabyte. Redis allows what memory
/// allows and is busy for as long.
const CELLS_MAX: usize = 64 << 20;

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut n = 3;
        while n < args.len() {
            if args.is(n, "len") {
                options.len = true;
            } else if args.is(n, "idx") {
                options.idx = true;
            } else if args.is(n, "withmatchlen") {
                options.with_match_len = true;
            } else if args.is(n, "minmatchlen") && n + 1 < args.len() {
                n += 1;
                options.min_match_len = integer(args.at(n))?.max(0) as usize;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        if options.len && options.idx {
            return Err(Failure::new("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

/// A run that both strings have: where it ends in each, and its length.
struct Match {
    end_a: usize,
    end_b: usize,
    len: usize,
}

/// Lengths of the longest common subsequences of all beginnings, row after row.
struct Lengths {
    cells: Vec<u32>,
    width: usize,
}

impl Lengths {
    fn new(a: &[u8], b: &[u8]) -> Lengths {
        let width = b.len() + 1;
        let mut cells = vec![0u32; (a.len() + 1) * width];
        for i in 1..=a.len() {
            for j in 1..width {
                cells[i * width + j] = if a[i - 1] == b[j - 1] {
                    cells[(i - 1) * width + j - 1] + 1
                } else {
                    cells[(i - 1) * width + j].max(cells[i * width + j - 1])
                };
            }
        }
        Lengths { cells, width }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// The subsequence, and its runs from the last to the first.
    fn walk(&self, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
        let (mut i, mut j) = (a.len(), b.len());
        let (mut text, mut runs) = (Vec::new(), Vec::<Match>::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                text.push(a[i - 1]);
                match runs.last_mut() {
                    Some(run) if run.end_a - run.len == i && run.end_b - run.len == j => {
                        // Both strings go on to the left without a gap.
                        run.len += 1;
                    }
                    _ => runs.push(Match { end_a: i, end_b: j, len: 1 }),
                }
                i -= 1;
                j -= 1;
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        text.reverse();
        (text, runs)
    }
}

/// Each shard gives the strings that it has of both.
const LCS: Plan = Plan {
    check: |_, _| Ok(()),
    reads: |_| true,
    act: |cx, args, _| {
        let mut texts = Vec::new();
        for n in 0..cx.keys.len() {
            let place = cx.keys[n].place;
            match cx.read_string(cx.key(args, n)) {
                Ok(view) => {
                    let text = view.map(|view| view.to_vec()).unwrap_or_default();
                    texts.push((place, Finding::Bytes(text)));
                }
                Err(_) => return Finding::Failed(NO_STRING),
            }
        }
        Finding::Keys(texts)
    },
    next: |args, _, findings, reply| {
        let mut texts = [Vec::new(), Vec::new()];
        for finding in findings {
            match finding {
                Finding::Failed(failure) => return Next::Failed(failure),
                Finding::Keys(found) => {
                    for (place, text) in found {
                        if let Finding::Bytes(text) = text {
                            texts[usize::from(place == 2)] = text;
                        }
                    }
                }
                _ => {}
            }
        }
        let [a, b] = texts;
        match lcs(&a, &b, args, reply) {
            Ok(()) => Next::Done,
            Err(failure) => Next::Failed(failure),
        }
    },
};

const NO_STRING: Failure = Failure::new("ERR The specified keys must contain string values");

fn lcs(a: &[u8], b: &[u8], args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(args)?;
    if (a.len() + 1).saturating_mul(b.len() + 1) > CELLS_MAX {
        return Err(Failure::new("ERR Insufficient memory, transient memory for LCS exceeds the limit"));
    }
    let lengths = Lengths::new(a, b);
    let total = lengths.at(a.len(), b.len());
    if options.len {
        reply.integer(total.into());
        return Ok(());
    }
    let (text, mut runs) = lengths.walk(a, b);
    if !options.idx {
        reply.bulk(&text);
        return Ok(());
    }
    runs.retain(|run| run.len >= options.min_match_len);
    reply.map(2);
    reply.text("matches");
    reply.array(runs.len());
    for run in &runs {
        reply.array(2 + usize::from(options.with_match_len));
        for end in [run.end_a, run.end_b] {
            reply.array(2);
            reply.count(end - run.len);
            reply.count(end - 1);
        }
        if options.with_match_len {
            reply.count(run.len);
        }
    }
    reply.text("len");
    reply.integer(total.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_may_lie_on_different_shards() {
        let mut world = crate::testing::World::new(3);
        let client = world.connect(0);
        for n in 0..9 {
            world.say(client, &format!("SET one:{n} ohmytext"));
            world.say(client, &format!("SET other:{n} mynewtext"));
            assert_eq!(world.say(client, &format!("LCS one:{n} other:{n}")), "mytext");
            assert_eq!(world.say(client, &format!("LCS other:{n} nosuch LEN")), "0");
            assert_eq!(
                world.say(client, &format!("LCS one:{n} other:{n} LEN IDX")).split(' ').next(),
                Some("ERR")
            );
            world.say(client, &format!("RPUSH list:{n} a"));
            let refused = "ERR The specified keys must contain string values";
            assert_eq!(world.say(client, &format!("LCS one:{n} list:{n}")), refused);
        }
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn runs_are_found_from_the_end() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        let (text, runs) = Lengths::new(a, b).walk(a, b);
        assert_eq!(text, b"mytext");
        let found: Vec<(usize, usize, usize)> = runs.iter().map(|r| (r.end_a, r.end_b, r.len)).collect();
        assert_eq!(found, [(8, 9, 4), (4, 2, 2)]);
    }
}
