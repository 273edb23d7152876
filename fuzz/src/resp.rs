//! Requests: however the bytes are cut, the parser finds the same requests and the same error, and it never panics.

use darter_core::protocol::request::{Parsed, RequestLimits, RequestParser};

/// What a parser has found in a stream: requests as words, and the error that ended it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<String>,
}

/// The first byte decides the limits, the next few where the rest is cut.
pub fn check(bytes: &[u8]) {
    let Some((&limits, rest)) = bytes.split_first() else { return };
    let (cuts, stream) = rest.split_at(rest.len().min(6));
    let limits = RequestLimits { bulk_max: 1 << 20, authenticated: limits & 1 == 0 };
    let whole = parse(stream, &[], &limits);
    assert_eq!(whole, parse(stream, cuts, &limits), "cut at {cuts:?}");
    assert_eq!(whole, parse(stream, &[1], &limits), "byte by byte");
}

/// Presents the stream in pieces of these lengths by turns, always from the first byte that is not consumed, as a driver does.
fn parse(stream: &[u8], pieces: &[u8], limits: &RequestLimits) -> Found {
    let (mut parser, mut found) = (RequestParser::default(), Found::default());
    let (mut consumed, mut there) = (0, 0);
    let mut pieces = pieces.iter().cycle();
    while there < stream.len() && found.error.is_none() {
        there = match pieces.next() {
            None => stream.len(),
            Some(&len) => (there + usize::from(len).max(1)).min(stream.len()),
        };
        loop {
            match parser.parse(&stream[consumed..there], limits) {
                Parsed::Incomplete => break,
                Parsed::Taken { len } => {
                    consumed += len;
                    break;
                }
                Parsed::Error(error) => {
                    found.error = Some(error.text());
                    break;
                }
                Parsed::Request { len } => {
                    let args = parser.args(&stream[consumed..there]);
                    found.requests.push(args.iter().map(<[u8]>::to_vec).collect());
                    assert!(len > 0 && consumed + len <= there, "a request lies within what was presented");
                    consumed += len;
                    parser.reset();
                }
            }
        }
    }
    found
}
