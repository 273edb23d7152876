//! The arguments of one request: a view of bytes that lie elsewhere, and an owned form that travels between cores.
//!
//! One of them may be large: then it lies in a buffer of its own, which whoever keeps it shares instead of copying. This file does not know
//! what the arguments mean.

use std::sync::Arc;

/// Where one argument lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of its first byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

impl Span {
    /// The argument that lies in a buffer of its own begins nowhere among the bytes.
    const LARGE: u32 = u32::MAX;
}

/// A request's arguments, the command's name first, borrowed from where they were received.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    large: Option<&'a Arc<Vec<u8>>>,
}

impl<'a> Args<'a> {
    /// Every span must lie within `bytes`.
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { bytes, spans, large: None }
    }

    /// How many, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True without even a name.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `n`. Panics beyond the end: the table has checked the arity before.
    #[inline]
    pub fn at(&self, n: usize) -> &'a [u8] {
        let span = self.spans[n];
        if span.start == Span::LARGE {
            return self.large.map_or(&[], |large| large.as_slice());
        }
        &self.bytes[span.start as usize..span.start as usize + span.len as usize]
    }

    /// The buffer that argument `n` lies in alone, if it does.
    #[inline]
    pub fn large(&self, n: usize) -> Option<&'a Arc<Vec<u8>>> {
        self.large.filter(|_| self.spans[n].start == Span::LARGE)
    }

    /// The buffer that one of the arguments lies in alone, if there is one.
    #[inline]
    pub fn large_argument(&self) -> Option<&'a Arc<Vec<u8>>> {
        self.large
    }

    /// Bytes from the beginning of the first argument to the end of the last, a large one left out: about what copying them takes.
    #[inline]
    pub fn extent(&self) -> usize {
        let mut spans = self.spans.iter().filter(|span| span.start != Span::LARGE);
        let Some(first) = spans.next() else { return 0 };
        let last = spans.next_back().unwrap_or(first);
        (last.start + last.len).saturating_sub(first.start) as usize
    }

    /// The bytes from the first argument to the last and where they begin, if there is little else in them.
    #[inline]
    fn stretch(&self) -> Option<(u32, &'a [u8])> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        let (start, end) = (first.start, last.start.checked_add(last.len)?);
        let mut most = 0u32;
        for span in self.spans {
            if span.start < start || span.start.checked_add(span.len)? > end {
                return None;
            }
            most = most.saturating_add(span.len).saturating_add(BETWEEN_MAX);
        }
        let stretch = self.bytes.get(start as usize..end as usize)?;
        (stretch.len() <= most as usize).then_some((start, stretch))
    }

    /// Argument `n`, if there is one.
    #[inline]
    pub fn get(&self, n: usize) -> Option<&'a [u8]> {
        (n < self.spans.len()).then(|| self.at(n))
    }

    /// True if argument `n` exists and is this word, whatever the case.
    #[inline]
    pub fn is(&self, n: usize, word: &str) -> bool {
        self.get(n).is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// All but the first `n`.
    pub fn skip(&self, n: usize) -> Args<'a> {
        Args { bytes: self.bytes, spans: &self.spans[n.min(self.spans.len())..], large: self.large }
    }

    /// Only the first `n`.
    pub fn first(&self, n: usize) -> Args<'a> {
        Args { bytes: self.bytes, spans: &self.spans[..n.min(self.spans.len())], large: self.large }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let args = *self;
        (0..args.len()).map(move |n| args.at(n))
    }
}

/// More bytes than this between two arguments are not copied with them: what a protocol puts there is less.
const BETWEEN_MAX: u32 = 32;

/// Arguments of several requests, one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Joined {
    /// Without any; what was allocated is used again, unless it is more than `kept` bytes.
    pub fn clear(&mut self, kept: usize) {
        self.bytes.clear();
        self.spans.clear();
        if self.bytes.capacity() > kept {
            self.bytes = Vec::new();
        }
    }

    /// Bytes of all of them.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Copies the arguments of one more, none of which may lie in a buffer of its own; how many there are now of all.
    #[inline]
    pub fn push(&mut self, args: Args<'_>) -> usize {
        debug_assert!(args.large.is_none(), "what lies in a buffer of its own is not copied");
        match args.stretch() {
            // What lies close together is copied at once, with what stands in between.
            Some((start, stretch)) => {
                let base = self.bytes.len() as u32;
                self.bytes.extend_from_slice(stretch);
                let moved = args.spans.iter().map(|span| Span { start: span.start - start + base, ..*span });
                self.spans.extend(moved);
            }
            None => {
                for argument in args.iter() {
                    self.spans.push(Span { start: self.bytes.len() as u32, len: argument.len() as u32 });
                    self.bytes.extend_from_slice(argument);
                }
            }
        }
        self.spans.len()
    }

    /// Arguments from one of all to another: those of a request.
    #[inline]
    pub fn between(&self, from: usize, to: usize) -> Args<'_> {
        Args::new(&self.bytes, &self.spans[from..to])
    }
}

/// Bytes that fit into a message without a block of their own.
const INLINE_MAX: usize = 62;

/// Bytes owned by a message: short ones inline, longer ones in one block.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Body {
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Block(Box<[u8]>),
}

/// Arguments that travel: each with its length before it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Packed {
    body: Body,
    large: Option<Arc<Vec<u8>>>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut spans = Vec::new();
        let args = self.unpack(&mut spans);
        f.debug_list().entries(args.iter().map(String::from_utf8_lossy)).finish()
    }
}

impl Packed {
    /// Copies the arguments.
    pub fn new(args: Args<'_>) -> Packed {
        let size = |n| match args.large(n) {
            Some(_) => LARGE_PREFIX,
            None => prefix_len(args.at(n).len()) + args.at(n).len(),
        };
        let len: usize = (0..args.len()).map(size).sum();
        let large = args.large.cloned();
        if len <= INLINE_MAX {
            let mut bytes = [0; INLINE_MAX];
            write_all(args, &mut bytes);
            Packed { body: Body::Inline { len: len as u8, bytes }, large }
        } else {
            let mut bytes = vec![0; len];
            write_all(args, &mut bytes);
            Packed { body: Body::Block(bytes.into_boxed_slice()), large }
        }
    }

    /// True if one of the arguments lies in a buffer of its own.
    pub fn has_large(&self) -> bool {
        self.large.is_some()
    }

    /// Bytes of the block and of a large argument, 0 if all are inline.
    pub fn block_bytes(&self) -> usize {
        let block = match &self.body {
            Body::Inline { .. } => 0,
            Body::Block(bytes) => bytes.len(),
        };
        block + self.large.as_ref().map_or(0, |large| large.len())
    }

    /// The arguments again; `spans` is a room that can be used again and again.
    pub fn unpack<'a>(&'a self, spans: &'a mut Vec<Span>) -> Args<'a> {
        let bytes: &[u8] = match &self.body {
            Body::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Body::Block(bytes) => bytes,
        };
        Args { large: self.large.as_ref(), ..read_packed(bytes, spans) }
    }
}

/// Adds one argument to a block of packed ones.
pub fn pack(argument: &[u8], block: &mut Vec<u8>) {
    let len = argument.len();
    if len < 255 {
        block.push(len as u8);
    } else {
        block.push(255);
        block.extend_from_slice(&(len as u32).to_le_bytes());
    }
    block.extend_from_slice(argument);
}

/// The arguments in a block of packed ones; `spans` is a room that can be used again and again.
pub fn read_packed<'a>(bytes: &'a [u8], spans: &'a mut Vec<Span>) -> Args<'a> {
    spans.clear();
    let mut at = 0;
    while at < bytes.len() {
        let (len, prefix) = read_prefix(&bytes[at..]);
        if len == Span::LARGE as usize {
            spans.push(Span { start: Span::LARGE, len: 0 });
            at += prefix;
            continue;
        }
        spans.push(Span { start: (at + prefix) as u32, len: len as u32 });
        at += prefix + len;
    }
    assert_eq!(at, bytes.len(), "packed arguments end where their block ends");
    Args::new(bytes, spans)
}

/// Lengths below 255 take one byte, others five.
fn prefix_len(len: usize) -> usize {
    if len < 255 { 1 } else { 5 }
}

/// Stands for the argument that lies in a buffer of its own: no argument is that long.
const LARGE_PREFIX: usize = 5;

fn write_all(args: Args<'_>, bytes: &mut [u8]) {
    let mut at = 0;
    for (n, argument) in args.iter().enumerate() {
        if args.large(n).is_some() {
            bytes[at..at + LARGE_PREFIX].fill(255);
            at += LARGE_PREFIX;
            continue;
        }
        let len = argument.len();
        if len < 255 {
            bytes[at] = len as u8;
        } else {
            bytes[at] = 255;
            bytes[at + 1..at + 5].copy_from_slice(&(len as u32).to_le_bytes());
        }
        at += prefix_len(len);
        bytes[at..at + len].copy_from_slice(argument);
        at += len;
    }
}

fn read_prefix(bytes: &[u8]) -> (usize, usize) {
    if bytes[0] < 255 {
        return (usize::from(bytes[0]), 1);
    }
    (u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize, 5)
}

/// Arguments for tests and for requests that the engine makes up itself.
#[derive(Clone, Debug, Default, Hash)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    large: Option<Arc<Vec<u8>>>,
}

impl OwnedArgs {
    /// Copies the words.
    pub fn new<W: AsRef<[u8]>>(words: &[W]) -> OwnedArgs {
        let mut owned = OwnedArgs::default();
        for word in words {
            owned.push(word.as_ref());
        }
        owned
    }

    /// Adds one word.
    pub fn push(&mut self, word: &[u8]) {
        self.spans.push(Span { start: self.bytes.len() as u32, len: word.len() as u32 });
        self.bytes.extend_from_slice(word);
    }

    /// Adds one word that lies in a buffer of its own; a second one is copied.
    pub fn push_large(&mut self, word: Arc<Vec<u8>>) {
        if self.large.is_some() {
            return self.push(&word);
        }
        self.spans.push(Span { start: Span::LARGE, len: 0 });
        self.large = Some(word);
    }

    /// Bytes of all words.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.large.as_ref().map_or(0, |large| large.len())
    }

    /// True without a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the words, keeps the room.
    pub fn clear(&mut self) {
        self.large = None;
        self.bytes.clear();
        self.spans.clear();
    }

    /// The view that commands take.
    pub fn view(&self) -> Args<'_> {
        Args { large: self.large.as_ref(), ..Args::new(&self.bytes, &self.spans) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_every_argument() {
        let long = vec![b'x'; 300];
        let cases: [&[&[u8]]; 5] = [
            &[],
            &[b""],
            &[b"get", b"key"],
            &[b"set", b"key", &long],
            &[&long, b"", &long[..254], &long[..255]],
        ];
        for words in cases {
            let owned = OwnedArgs::new(words);
            let packed = Packed::new(owned.view());
            let mut spans = Vec::new();
            let back: Vec<&[u8]> = packed.unpack(&mut spans).iter().collect();
            assert_eq!(back, words);
        }
    }

    #[test]
    fn a_large_argument_is_shared_and_a_second_one_copied() {
        let mut owned = OwnedArgs::new(&["set"]);
        let large = Arc::new(vec![b'v'; 70_000]);
        owned.push_large(Arc::clone(&large));
        owned.push(b"ex");
        owned.push_large(Arc::new(b"second".to_vec()));
        let packed = Packed::new(owned.view());
        assert_eq!(packed.block_bytes(), 70_000);
        let mut spans = Vec::new();
        for args in [owned.view(), packed.unpack(&mut spans), packed.unpack(&mut Vec::new()).skip(0)] {
            assert_eq!(args.iter().map(<[u8]>::len).collect::<Vec<_>>(), [3, 70_000, 2, 6]);
            assert!(args.large(1).is_some_and(|shared| Arc::ptr_eq(shared, &large)));
            assert!(args.large(0).is_none() && args.large(3).is_none());
            assert_eq!(args.skip(3).at(0), b"second");
        }
    }

    #[test]
    fn short_requests_need_no_block() {
        let owned = OwnedArgs::new(&["get", "key:000000012345"]);
        assert_eq!(Packed::new(owned.view()).block_bytes(), 0);
    }
}
