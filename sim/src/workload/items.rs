//! What memcached's clients ask for.
//!
//! It knows the words of [`crate::text`]. It does not know what they answer.

use super::author::{Author, words};
use super::families::Saying;
use super::wide::Request;

/// What a client of this protocol says next.
pub fn any(author: &mut Author<'_>) -> Saying {
    if author.dice.chance(250) {
        return Saying::Several(look_and_compare(author));
    }
    Saying::One(one(author))
}

/// A look at an item, perhaps a change of one's own or of others, and a comparison.
fn look_and_compare(author: &mut Author<'_>) -> Vec<Request> {
    let key = &author.key()[..];
    let look = author.word(&["gets", "gets", "gats", "mg"]);
    let mut requests = vec![match look {
        "gats" => words(&["gats", &author.seconds(), key]),
        "mg" => words(&["mg", key, "c", "v"]),
        _ => words(&[look, key]),
    }];
    if author.dice.chance(250) {
        requests.push(one(author));
    }
    let (flags, value) = (author.flags(), author.value());
    let seconds = author.seconds();
    requests.push(match author.dice.below(7) {
        0 => words(&["ms", key, "C@", "c", &format!("F{flags}"), &value]),
        1 => words(&["ms", key, author.word(&["MA", "MP", "MR"]), "C@", &value]),
        2 => words(&["md", key, "C@"]),
        3 => words(&["ma", key, "C@", "v", "c"]),
        _ => words(&["cas", key, &flags, &seconds, "@", &value]),
    });
    requests
}

/// One request.
fn one(author: &mut Author<'_>) -> Request {
    let (key, value) = (&author.key()[..], &author.value()[..]);
    let (flags, seconds) = (&author.flags()[..], &author.seconds()[..]);
    let noreply = author.swarm.room == 0 && author.dice.chance(150);
    let quiet = |mut request: Vec<&str>, value: Option<&str>| {
        let value = value.map(|value| value.as_bytes().to_vec());
        request.extend(noreply.then_some("noreply"));
        words(&request).into_iter().chain(value).collect::<Request>()
    };
    match author.dice.below(40) {
        0..=3 => words(&["get", key]),
        4 | 5 => words(&["get", key, &author.any_key(), &author.any_key()]),
        6..=8 => words(&["gets", key]),
        9 => words(&["gets", key, &author.any_key(), &author.key()]),
        10 => words(&[author.word(&["gat", "gats"]), seconds, key]),
        11..=15 => quiet(vec!["set", key, flags, seconds], Some(value)),
        16 => words(&["add", key, flags, seconds, value]),
        17 => words(&["replace", key, flags, seconds, value]),
        18 => words(&[author.word(&["append", "prepend"]), key, flags, seconds, value]),
        19..=21 => words(&["cas", key, flags, seconds, author.word(&["@", "@", "@-"]), value]),
        22..=24 => {
            let by = author.word(&["1", "7", "100", "18446744073709551615"]);
            words(&[author.word(&["incr", "decr"]), key, by])
        }
        25 => words(&["set", key, flags, "0", author.word(&["0", "9", "99", "007", "18446744073709551610"])]),
        26 => quiet(vec!["touch", key, seconds], None),
        27 => quiet(vec!["delete", key], None),
        28 if author.dice.chance(200) => words(&["flush_all"]),
        28 if author.dice.chance(300) => words(&["set", "big0", flags, "0", &"x".repeat(20_000)]),
        28 => words(&["get", "big0", key]),
        29 => words(&[author.word(&["version", "mn", "nosuch"])]),
        30..=33 => {
            let time = format!("T{seconds}");
            let pool = ["v", "t", "f", "s", "c", "k", "Oabc", &time];
            some(author, &["mg", key], &pool)
        }
        34..=36 => {
            let (time, flags) = (format!("T{seconds}"), format!("F{flags}"));
            let mode = author.word(&["MS", "ME", "MA", "MP", "MR"]);
            let state = author.word(&["C@", "C@-", "Oxyz", "k"]);
            // What is over at once has no stamp.
            let stamp = if seconds == "-1" { "k" } else { "c" };
            let pool = [&time, &flags, mode, state].map(|flag| flag).into_iter().chain(match state {
                "k" => None,
                _ => Some(stamp),
            });
            let pool: Vec<&str> = pool.collect();
            let mut request = some(author, &["ms", key], &pool);
            request.push(value.as_bytes().to_vec());
            request
        }
        37 => some(author, &["md", key], &["C@", "k", "Oq"]),
        _ => {
            let time = format!("T{seconds}");
            let (mode, by) = (author.word(&["MI", "MD"]), author.word(&["D5", "D1000"]));
            some(author, &["ma", key], &["N0", "J13", by, mode, "C@-", "t", "c", "v", "k", &time])
        }
    }
}

/// Some of these flags, in any order.
fn some(author: &mut Author<'_>, first: &[&str], pool: &[&str]) -> Request {
    let mut flags: Vec<&str> = pool.iter().copied().filter(|_| author.dice.chance(400)).collect();
    for n in (1..flags.len()).rev() {
        flags.swap(n, author.dice.below(n as u64 + 1) as usize);
    }
    words(&[first, &flags].concat())
}

impl Author<'_> {
    fn flags(&mut self) -> String {
        self.dice.pick(&["0", "0", "0", "5", "255", "256", "70000", "4294967295"]).to_string()
    }

    /// When an item ends: mostly never.
    fn seconds(&mut self) -> String {
        match self.dice.below(12) {
            0 => "-1",
            1 | 2 if self.keys_end => "1",
            3 if self.keys_end => "2",
            4 if self.keys_end => "100",
            _ => "0",
        }
        .to_string()
    }
}
