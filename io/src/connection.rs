//! What is known of each connection, and the list of all of a core.
//!
//! States and bookkeeping only: this file makes no system call and does not know the engine.

use std::os::fd::OwnedFd;

use darter_core::event::ConnId;

/// How far a connection's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The engine knows it.
    Open,
    /// The engine is told that it is closed as soon as nothing is being sent.
    Closing,
    /// The engine has been told. What was sent is still on its way, or an operation has still to complete.
    Lingering,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Closed when this is dropped, which waits for all operations on it.
    pub socket: OwnedFd,
    /// See [`Stage`].
    pub stage: Stage,
    /// Bytes that the engine has not consumed.
    pub rest: Vec<u8>,
    /// Bytes that are being sent.
    pub sending: Option<usize>,
    /// A receive operation is under way.
    pub receiving: bool,
    /// It writes to memory of the engine's.
    pub filling: bool,
    /// Receive operations that are to end by themselves, since large arguments come this way.
    pub single: u8,
    /// It has been asked to end.
    pub cancelling: bool,
    /// When it was heard last: see `Crowd`.
    pub heard: u32,
    /// The engine wants no more for now.
    pub paused: bool,
    /// The engine is to see the rest again in the next turn.
    pub again: bool,
    /// The engine has output that nobody has asked for.
    pub has_output: bool,
    /// The peer sends no more.
    pub ended: bool,
    /// Nothing reaches the peer any more.
    pub broken: bool,
    /// Bytes thrown away while lingering.
    pub drained: usize,
}

impl Connection {
    /// True while the kernel may read or write memory of the engine's.
    pub fn is_in_flight(&self) -> bool {
        self.sending.is_some() || self.filling
    }
}

/// A place in the list.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// All connections of a core.
#[derive(Debug, Default)]
pub struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Connections {
    /// Gives a new connection its name.
    pub fn insert(&mut self, socket: OwnedFd) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        assert!(slot.connection.is_none(), "a free place is empty");
        slot.connection = Some(Connection {
            socket,
            stage: Stage::Open,
            heard: 0,
            rest: Vec::new(),
            sending: None,
            receiving: false,
            filling: false,
            single: 0,
            cancelling: false,
            paused: false,
            again: false,
            has_output: false,
            ended: false,
            broken: false,
            drained: 0,
        });
        ConnId { index, generation: slot.generation }
    }

    /// Closes the socket; the index may be used again, with a higher generation.
    pub fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let connection = slot.connection.take().expect("a connection is removed once");
        assert!(connection.sending.is_none() && !connection.receiving, "no operation outlives its socket");
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
    }

    /// The connection with this name, if it still has it.
    #[inline]
    pub fn get(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(conn.index as usize)?;
        if slot.generation == conn.generation { slot.connection.as_mut() } else { None }
    }

    /// The connection that has this index now, with its name.
    #[inline]
    pub fn at(&mut self, index: u32) -> Option<(ConnId, &mut Connection)> {
        let slot = self.slots.get_mut(index as usize)?;
        let conn = ConnId { index, generation: slot.generation };
        slot.connection.as_mut().map(|connection| (conn, connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_index_is_used_again_under_a_new_name() {
        let mut all = Connections::default();
        let insert = |all: &mut Connections| all.insert(UnixStream::pair().unwrap().0.into());
        let first = insert(&mut all);
        let second = insert(&mut all);
        assert_eq!((first.index, second.index), (0, 1));
        all.remove(first.index);
        assert!(all.get(first).is_none());
        let third = insert(&mut all);
        assert_eq!((third.index, third.generation), (0, 1));
        assert!(all.get(first).is_none() && all.get(third).is_some() && all.get(second).is_some());
    }
}
