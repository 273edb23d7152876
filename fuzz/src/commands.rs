//! Sequences of commands on a small calm world of the simulator, each reply compared with its reference.

use arbitrary::Unstructured;
use darter_sim::canary::Canary;
use darter_sim::plan::{Deed, Plan, Step};
use darter_sim::run::{self, Detail};
use darter_sim::swarm::Swarm;

/// Operations of one input.
const STEPS_MAX: usize = 60;

/// The first byte decides the number of cores, the rest what two clients say.
pub fn check(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let cores = input.int_in_range(1..=3).unwrap_or(1);
    let plan = plan(&mut input);
    let outcome = run::in_world(&plan, Swarm::calm(cores), Canary::None, Detail::Recent);
    if let Some(failure) = outcome.failure {
        panic!("{failure}\n{cores} cores\n{}", plan.to_text(&failure));
    }
}

fn plan(input: &mut Unstructured<'_>) -> Plan {
    let mut steps = Vec::new();
    let mut at = 0;
    while let (false, true, Ok(words)) = (input.is_empty(), steps.len() < STEPS_MAX, words(input)) {
        at += u64::from(input.arbitrary::<u8>().unwrap_or(0)) * 20_000;
        let client = usize::from(input.arbitrary::<bool>().unwrap_or(false));
        steps.push(Step { at, deed: Deed::Say { client, words } });
    }
    Plan { seed: 1, steps }
}

/// What stands for a word: `k` a key, `t` a key of one tag, `v` a value, `n` a number, `o` an option of SET, `e` one of EXPIRE, `u` a
/// unit of time, `m` a span.
const SHAPES: [(&str, &str); 38] = [
    ("GET", "k"),
    ("SET", "kv"),
    ("SET", "kvo"),
    ("SET", "kvum"),
    ("SET", "kvoum"),
    ("SET", "kvoo"),
    ("SETNX", "kv"),
    ("SETEX", "kmv"),
    ("PSETEX", "kmv"),
    ("GETSET", "kv"),
    ("GETDEL", "k"),
    ("GETEX", "k"),
    ("GETEX", "kum"),
    ("APPEND", "kv"),
    ("STRLEN", "k"),
    ("GETRANGE", "knn"),
    ("SETRANGE", "knv"),
    ("INCR", "k"),
    ("DECR", "k"),
    ("INCRBY", "kn"),
    ("DECRBY", "kn"),
    ("DEL", "tt"),
    ("EXISTS", "tt"),
    ("TYPE", "k"),
    ("MGET", "ttt"),
    ("MSET", "tvtv"),
    ("MSETNX", "tvtv"),
    ("RENAME", "tt"),
    ("RENAMENX", "tt"),
    ("COPY", "tt"),
    ("MOVE", "kn"),
    ("PEXPIRE", "km"),
    ("PEXPIRE", "kme"),
    ("EXPIRE", "kn"),
    ("PERSIST", "k"),
    ("PTTL", "k"),
    ("DBSIZE", ""),
    ("FLUSHDB", ""),
];

fn words(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let (name, shape) = *input.choose(&SHAPES)?;
    let mut words = vec![name.as_bytes().to_vec()];
    for kind in shape.chars() {
        words.push(match kind {
            'k' => (*input.choose(&["a", "b", "c"])?).into(),
            't' => (*input.choose(&["{t}1", "{t}2", "{t}3"])?).into(),
            'n' => number(input)?,
            'm' => match input.ratio(3, 4)? {
                true => input.int_in_range(1..=200)?.to_string().into_bytes(),
                false => number(input)?,
            },
            'o' => (*input.choose(&["NX", "XX", "GET", "KEEPTTL", "get", "EX"])?).into(),
            'e' => (*input.choose(&["NX", "XX", "GT", "LT"])?).into(),
            'u' => (*input.choose(&["PX", "EX", "PXAT", "px"])?).into(),
            _ => value(input)?,
        });
    }
    Ok(words)
}

fn number(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let number = match input.int_in_range(0..=9)? {
        0 => i64::MAX,
        1 => i64::MIN,
        2 => return Ok((*input.choose(&["", "x", "+1", "01", "-0", " 1", "1.5"])?).into()),
        _ => input.int_in_range(-20..=20)?,
    };
    Ok(number.to_string().into_bytes())
}

fn value(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    match input.int_in_range(0..=5)? {
        0 => number(input),
        1 => Ok(vec![b'x'; input.int_in_range(0..=20_000)?]),
        _ => {
            let len = input.int_in_range(0..=12)?;
            Ok(input.bytes(len.min(input.len()))?.to_vec())
        }
    }
}
