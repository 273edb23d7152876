//! `lru_crawler`: dumps of all items, a piece of each shard at a time.
//!
//! There is no crawler and no list by age; what walks is the order of scans, so that an item that is there from the beginning to the end is told
//! exactly once unless tables shrink meanwhile, then at least once. A shard gives some buckets and others have their turn; the next piece is asked
//! for when the client has taken most of the last. So neither a shard nor a client's buffer sees how much there is.

use super::base64;
use super::item::{DATABASE, KEY_MAX};
use super::rows;
use super::watch::written;
use crate::args::{Args, OwnedArgs};
use crate::dispatch::Verdict;
use crate::engine::Engine;
use crate::event::Effects;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply};
use crate::session::{Hold, Session};
use crate::table::Cursor;
use crate::time::{Now, UnixMillis};
use crate::value::access::idle_seconds;
use crate::value::record::Record;

/// Buckets of one shard that a piece takes at the most.
const BUCKETS: usize = 256;
/// Bytes of lines above which a piece ends with its bucket.
const PIECE_BYTES: usize = 16 << 10;
/// Classes of slabs that may be named. All items are of the first.
const CLASSES: std::ops::Range<u32> = 1..64;

/// What a dump says of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// What is known of it.
    Facts,
    /// The request that asks for it.
    Request,
}

/// A dump that is being answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Crawl {
    form: Form,
    /// Where each shard goes on, unless it has given everything.
    at: Vec<Option<u64>>,
}

/// True if these are classes, with commas between them, or words for all items.
pub(super) fn are_classes(word: &[u8]) -> bool {
    matches!(word, b"all" | b"hash") || classes(word).is_some()
}

fn classes(word: &[u8]) -> Option<Vec<u32>> {
    let one = |class| super::number::unsigned_32(class).filter(|class| CLASSES.contains(class));
    word.split(|byte| *byte == b',').map(one).collect()
}

/// `lru_crawler crawl|metadump|mgdump <classes>`
pub(super) fn begin(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !local.node.shard.ledger.crawls {
        reply.raw(b"CLIENT_ERROR lru crawler disabled\r\n");
        return Ok(());
    }
    let form = match args.at(1) {
        b"metadump" => Form::Facts,
        b"mgdump" => Form::Request,
        // What has ended is found without being looked for.
        _ => {
            reply.raw(b"OK\r\n");
            return Ok(());
        }
    };
    // As memcached does: what was said before has been answered, and the answer has left.
    if form == Form::Facts && (!reply.tail().is_empty() || local.session.in_flight() > 0) {
        reply.raw(b"ERROR cannot pipeline other commands before metadump\r\n");
        return Ok(());
    }
    let has_items = classes(args.at(2)).is_none_or(|classes| classes.contains(&CLASSES.start));
    let at = vec![has_items.then_some(0); usize::from(local.node.cores)];
    match has_items {
        true => local.session.crawl = Some(Box::new(Crawl { form, at })),
        false => reply.raw(form.end()),
    }
    Ok(())
}

/// `lru_crawler enable|disable`, on one core.
pub(super) fn switch(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let on = args.at(1) == b"enable";
    let before = std::mem::replace(&mut asked.node.shard.ledger.crawls, on);
    Part::Count(u64::from(before))
}

/// All have heard; who enables what is enabled is told what memcached tells.
pub(super) fn switched(
    _: &mut Local<'_>,
    args: Args<'_>,
    parts: Vec<Part>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let was_on = Part::total(&parts) == parts.len() as i64;
    reply.raw(match args.at(1) == b"enable" && was_on {
        true => b"ERROR failed to start lru crawler thread\r\n",
        false => b"OK\r\n",
    });
    Ok(())
}

/// One shard's piece; the words behind the form say where each shard goes on.
pub(super) fn part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let node = &*asked.node;
    let place = args.get(2 + node.core.index()).and_then(crate::protocol::request::parse_integer);
    let Some(place) = place.and_then(|place| u64::try_from(place).ok()) else {
        return Part::Crawled { lines: Vec::new(), next: None };
    };
    let form = if args.at(1) == b"metadump" { Form::Facts } else { Form::Request };
    let counts_uses = node.settings.maxmemory_policy.counts_uses();
    let now = asked.now.unix();
    let (mut lines, mut cursor) = (Vec::new(), Cursor(place));
    for _ in 0..BUCKETS {
        cursor = node.shard.databases()[usize::from(DATABASE)].scan(cursor, &mut |record| {
            if !record.is_due(now) && record.container().is_none() {
                match form {
                    Form::Facts => push_facts(&mut lines, record, now, counts_uses),
                    Form::Request => push_request(&mut lines, record.key()),
                }
            }
        });
        if cursor == Cursor::START {
            return Part::Crawled { lines, next: None };
        }
        if lines.len() > PIECE_BYTES {
            break;
        }
    }
    Part::Crawled { lines, next: Some(cursor.0) }
}

/// The pieces of all shards leave, and what is left is remembered.
pub(super) fn merge(local: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let Some(crawl) = &mut local.session.crawl else { return Ok(()) };
    for (part, at) in parts.into_iter().zip(&mut crawl.at) {
        let Part::Crawled { lines, next } = part else { continue };
        reply.raw(&lines);
        *at = next;
    }
    if crawl.at.iter().all(Option::is_none) {
        reply.raw(crawl.form.end());
        local.session.crawl = None;
    }
    Ok(())
}

impl Form {
    fn end(self) -> &'static [u8] {
        match self {
            Form::Facts => b"END\r\n",
            Form::Request => b"EN\r\n",
        }
    }
}

impl Crawl {
    /// The request for the next piece.
    fn request(&self) -> OwnedArgs {
        let form = if self.form == Form::Facts { "metadump" } else { "mgdump" };
        let places = self.at.iter().map(|at| at.map_or("-".to_string(), |at| at.to_string()));
        let words: Vec<String> = ["crawl".to_string(), form.to_string()].into_iter().chain(places).collect();
        OwnedArgs::new(&words)
    }
}

fn push_facts(lines: &mut Vec<u8>, record: &Record, now: UnixMillis, counts_uses: bool) {
    let seconds = now.0 / 1_000;
    let ends = record.deadline().map_or(-1, |at| at.0.div_ceil(1_000) as i64);
    let idle = if counts_uses { 0 } else { idle_seconds(record.access(), seconds) };
    let stamp = record.note().stamp.unwrap_or(0);
    let fetched = if record.is_fetched() { "yes" } else { "no" };
    let (key, used, size) = (written(record.key()), seconds.saturating_sub(idle), record.owned_bytes());
    let line = format!("key={key} exp={ends} la={used} cas={stamp} fetch={fetched} cls=1 size={size}\n");
    lines.extend_from_slice(line.as_bytes());
}

/// A key that a line cannot hold stands there in Base64; one that no request can hold is left out.
fn push_request(lines: &mut Vec<u8>, key: &[u8]) {
    let is_plain = key.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    let (mut word, flag): (Vec<u8>, &[u8]) = (Vec::new(), if is_plain { b"" } else { b" b" });
    match is_plain {
        true => word.extend_from_slice(key),
        false => base64::encode(key, &mut word),
    }
    if !word.is_empty() && word.len() <= KEY_MAX {
        lines.extend_from_slice(b"mg ");
        lines.extend_from_slice(&word);
        lines.extend_from_slice(flag);
        lines.extend_from_slice(b"\r\n");
    }
}

impl Engine {
    /// Asks for the next piece of a client's dump. It is held until the answer has come and most of it has left.
    pub(super) fn crawl_on(
        &mut self,
        mut session: Box<Session>,
        now: Now,
        out: &mut Effects,
    ) -> (Box<Session>, Verdict) {
        let request = session.crawl.as_ref().map(|crawl| crawl.request());
        let Some(request) = request else { return (session, Verdict::Done) };
        session.hold = Some(Hold::Crawl);
        self.known_hash = None;
        self.dispatch_row(session, rows::CRAWL_ON, request.view(), now, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbers_below_sixty_four() {
        for (word, expected) in [
            ("all", true),
            ("hash", true),
            ("1,2,63", true),
            ("0", false),
            ("64", false),
            ("1,x", false),
            ("", false),
        ] {
            assert_eq!(are_classes(word.as_bytes()), expected, "{word}");
        }
    }

    #[test]
    fn keys_that_a_line_cannot_hold_are_written_in_base64() {
        let mut lines = Vec::new();
        for key in [&b"plain"[..], b"a b", &[b'x'; 251], &[b' '; 200]] {
            push_request(&mut lines, key);
        }
        assert_eq!(lines, b"mg plain\r\nmg YSBi b\r\n");
    }
}
