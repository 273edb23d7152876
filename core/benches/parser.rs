#![allow(missing_docs)] // The macro makes a function without.
//! How long it takes to understand requests: `cargo bench -p darter-core --bench parser`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use darter_core::protocol::request::{Parsed, RequestLimits, RequestParser};

const LIMITS: RequestLimits = RequestLimits { bulk_max: 512 << 20, authenticated: true };

/// Understands every request of an input; how many arguments there were.
fn parse_all(parser: &mut RequestParser, input: &[u8]) -> usize {
    let (mut at, mut arguments) = (0, 0);
    while let Parsed::Request { len } = parser.parse(&input[at..], &LIMITS) {
        arguments += parser.args(&input[at..]).len();
        parser.reset();
        at += len;
    }
    arguments
}

fn requests(c: &mut Criterion) {
    let words = |words: &[&str]| {
        let mut text = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| text += &format!("${}\r\n{word}\r\n", word.len()));
        text.into_bytes()
    };
    let value = "v".repeat(64);
    let many: Vec<String> = (0..100).map(|n| format!("key:{n}")).collect();
    let many: Vec<&str> = std::iter::once("MGET").chain(many.iter().map(String::as_str)).collect();
    let mut group = c.benchmark_group("parse");
    for (name, request) in [
        ("GET", words(&["GET", "key:000000012345"])),
        ("SET of 64 bytes", words(&["SET", "key:000000012345", &value])),
        ("MGET of 100 keys", words(&many)),
        ("inline GET", b"GET key:000000012345\r\n".to_vec()),
    ] {
        let input = request.repeat(100);
        group.throughput(Throughput::Elements(100));
        let mut parser = RequestParser::default();
        group.bench_function(name, |b| b.iter(|| parse_all(&mut parser, black_box(&input))));
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
