//! Lines and blocks of known length in a stream that may be cut anywhere. It does not know what they mean.

/// A line may have this many bytes: names of keys and errors are shorter.
const LINE_MAX: usize = 65_536;

/// The next thing in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A line without its end.
    Line(&'a [u8]),
    /// Bytes of a block, and whether the block has come to its end, which is `\r\n`.
    Block {
        /// Where in the block they stand.
        at: usize,
        /// The bytes.
        bytes: &'a [u8],
        /// Whether nothing follows.
        last: bool,
    },
    /// The stream is not made of lines and blocks.
    Broken,
}

/// Where in the stream one is. The bytes of a block are never kept.
#[derive(Debug, Default)]
pub struct Frames {
    /// A line that has begun.
    line: Vec<u8>,
    /// Whether `line` was given out and is to be forgotten.
    given: bool,
    /// Bytes of a block that are still to come, without its end.
    block: Option<(usize, usize)>,
    /// Bytes of a block's end that have come.
    tail: usize,
}

const END: &[u8; 2] = b"\r\n";

impl Frames {
    /// A block of so many bytes comes next.
    pub fn expect_block(&mut self, len: usize) {
        assert!(self.block.is_none(), "a block is read to its end");
        self.block = Some((0, len));
        self.tail = 0;
    }

    /// Takes the next frame from the front of `input`; none if more bytes are needed, all of which were taken then.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Frame<'a>> {
        match self.block {
            Some((at, len)) => self.next_of_block(at, len, input),
            None => self.next_line(input),
        }
    }

    fn next_line<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Frame<'a>> {
        if std::mem::take(&mut self.given) {
            self.line.clear();
        }
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(input);
            *input = &[];
            return (self.line.len() > LINE_MAX).then_some(Frame::Broken);
        };
        let (line, rest) = input.split_at(end + 1);
        *input = rest;
        let line = match self.line.is_empty() {
            true => line,
            false => {
                self.line.extend_from_slice(line);
                self.given = true;
                &self.line
            }
        };
        Some(line.strip_suffix(END).map_or(Frame::Broken, Frame::Line))
    }

    fn next_of_block<'a>(&mut self, at: usize, len: usize, input: &mut &'a [u8]) -> Option<Frame<'a>> {
        let (bytes, rest) = input.split_at(input.len().min(len - at));
        let to = at + bytes.len();
        self.block = Some((to, len));
        let tail = rest.len().min(if to == len { END.len() - self.tail } else { 0 });
        if rest[..tail] != END[self.tail..self.tail + tail] {
            return Some(Frame::Broken);
        }
        *input = &rest[tail..];
        self.tail += tail;
        let last = to == len && self.tail == END.len();
        if last {
            self.block = None;
        }
        (last || !bytes.is_empty()).then_some(Frame::Block { at, bytes, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came, with the pieces of each block put together.
    fn read(chunks: &[&[u8]], blocks: &[usize]) -> Vec<String> {
        let mut frames = Frames::default();
        let mut blocks = blocks.iter();
        let (mut seen, mut block) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(frame) = frames.next(&mut input) {
                match frame {
                    Frame::Line(line) => {
                        seen.push(String::from_utf8_lossy(line).into_owned());
                        if line.starts_with(b"$") {
                            frames.expect_block(*blocks.next().expect("as many blocks"));
                        }
                    }
                    Frame::Block { at, bytes, last } => {
                        assert_eq!(at, block.len());
                        block.extend_from_slice(bytes);
                        if last {
                            seen.push(format!("[{}]", block.escape_ascii()));
                            block.clear();
                        }
                    }
                    Frame::Broken => {
                        seen.push("broken".into());
                        return seen;
                    }
                }
            }
            assert!(input.is_empty(), "all was taken");
        }
        seen
    }

    #[test]
    fn it_goes_on_at_every_byte() {
        let stream = b"+OK\r\n$5\r\nab\r\nc\r\n$0\r\n\r\n\r\n:12\r\n";
        let whole = read(&[stream], &[5, 0]);
        assert_eq!(whole, ["+OK", "$5", "[ab\\r\\nc]", "$0", "[]", "", ":12"]);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let chunks = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(read(&chunks, &[5, 0]), whole, "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes, &[5, 0]), whole);
    }

    #[test]
    fn a_broken_stream_is_noticed() {
        assert_eq!(read(&[b"+OK\n"], &[]), ["broken"]);
        assert_eq!(read(&[b"$2\r\nabc\r\n"], &[2]), ["$2", "broken"]);
        assert_eq!(read(&[b"$2\r\nab\r", b"x"], &[2]), ["$2", "broken"]);
        assert_eq!(read(&[&vec![b'x'; LINE_MAX + 1]], &[]), ["broken"]);
    }
}
