//! Commands on their way to a shard, one behind the other in one block: the body of a transaction, or what a client has queued since
//! MULTI.

use smallvec::SmallVec;

use crate::args::{Args, Span, pack, read_packed};
use crate::command::CommandId;
use crate::command::row::Flags;

/// What a shard does with a call, and what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Runs it: one reply.
    Whole,
    /// Runs it for some of its keys: one reply for each of them, to stand in an array with those of other shards.
    Elements,
    /// Runs it for some of its keys: one reply, to be merged with those of other shards.
    Share,
    /// Gives this core's part of an answer that every core gives.
    Part,
}

/// One command without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// Which row of the table.
    pub command: CommandId,
    /// In which database.
    pub database: u16,
    /// See [`Shape`].
    pub shape: Shape,
    /// Where its arguments end in the block.
    end: u32,
}

/// Commands in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Calls {
    calls: SmallVec<[Call; 2]>,
    bytes: Vec<u8>,
}

impl Calls {
    /// Adds a command with these arguments, its name first.
    pub fn push<'a>(
        &mut self,
        command: CommandId,
        database: u16,
        shape: Shape,
        args: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        // Lengths take a byte or five.
        self.bytes.reserve(args.clone().map(|argument| argument.len() + 5).sum());
        args.for_each(|argument| pack(argument, &mut self.bytes));
        self.calls.push(Call { command, database, shape, end: self.bytes.len() as u32 });
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// True if any of the commands may need more memory.
    pub fn grows(&self) -> bool {
        self.calls.iter().any(|call| call.command.row().flags.has(Flags::DENYOOM))
    }

    /// Bytes of memory.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.calls.len() * size_of::<Call>()
    }

    /// The n-th command; `spans` is a room that can be used again and again.
    pub fn at<'a>(&'a self, n: usize, spans: &'a mut Vec<Span>) -> (Call, Args<'a>) {
        let call = self.calls[n];
        let start = if n == 0 { 0 } else { self.calls[n - 1].end as usize };
        (call, read_packed(&self.bytes[start..call.end as usize], spans))
    }

    /// The n-th command without its arguments, to be changed.
    pub fn call_mut(&mut self, n: usize) -> &mut Call {
        &mut self.calls[n]
    }

    /// All without their arguments.
    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;
    use crate::command::table::{Found, find};

    #[test]
    fn calls_come_out_as_they_went_in() {
        let mut calls = Calls::default();
        let long = "x".repeat(300);
        let lines = [vec!["SET", "a", ""], vec!["GET", long.as_str()], vec!["PING"]];
        for (n, line) in lines.iter().enumerate() {
            let args = OwnedArgs::new(line);
            let Found::Command(id) = find(args.view()) else { panic!("these commands exist") };
            calls.push(id, n as u16, Shape::Whole, args.view().iter());
        }
        let mut spans = Vec::new();
        for (n, line) in lines.iter().enumerate() {
            let (call, args) = calls.at(n, &mut spans);
            assert_eq!(call.database, n as u16);
            assert!(args.iter().eq(line.iter().map(|word| word.as_bytes())));
        }
        assert_eq!(calls.len(), 3);
    }
}
