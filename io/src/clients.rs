//! What happens to the connections of a core: bytes in, output out, and the ways in which a connection ends.
//!
//! It feeds the engine and carries out its wishes for single connections. It does not know what bytes mean, when a turn
//! begins, nor how sockets are accepted.

use std::collections::VecDeque;
use std::net::Shutdown;

use darter_core::Engine;
use darter_core::event::{ConnId, CoreId, Door, Effects, Event, Peer};
use darter_core::time::{Instant, Now};
use socket2::SockRef;

use crate::commons::Commons;
use crate::connection::{Connection, Connections, Stage};
use crate::crowd::Crowd;
use crate::network::{Completion, Network, SLICES, Token};

/// A paused client's bytes up to here are taken in; then reading really stops.
const PAUSED_REST_MAX: usize = 64 << 10;
/// Capacity of an emptied rest above which its memory is given back.
const REST_KEPT: usize = 4 << 10;
/// The rest of a large argument is received to where it belongs if it is at least this long.
const FILL_MIN: usize = 24 << 10;
/// And so much at once, so that it is seen that the client is not idle.
const FILL_MAX: usize = 1 << 20;
/// After a large argument so many receive operations end by themselves, with a few bytes: nothing has to be ended nor copied before the next one.
const SINGLE_AFTER_FILL: u8 = 8;
/// After our last word we wait so long for the peer's: closing with unread input would destroy what it has not read yet.
const LINGER_MILLIS: u64 = 200;
/// And throw away at most so much of what it still sends.
const LINGER_BYTES: usize = 64 << 10;

/// What a step needs from its turn.
pub struct Turn<'a> {
    /// Of this core.
    pub engine: &'a mut Engine,
    /// Of this core.
    pub network: &'a mut Network,
    /// Collects what the engine asks for.
    pub effects: &'a mut Effects,
    /// Counts the clients.
    pub commons: &'a Commons,
    /// This core.
    pub core: CoreId,
    /// Of this turn.
    pub now: Now,
}

/// The connections of a core and what is to be done for them.
#[derive(Default)]
pub struct Clients {
    connections: Connections,
    /// Whom this core hears.
    pub crowd: Crowd,
    /// To be fed their rest.
    again: Vec<u32>,
    /// With output to send.
    outputs: Vec<u32>,
    /// The engine is to be told.
    closed: Vec<u32>,
    /// Names and ends of waiting, soonest first: every wait has the same length.
    lingering: VecDeque<(Instant, ConnId)>,
}

impl Clients {
    /// True if the next turn has something to do here, whatever else happens.
    pub fn is_ready(&self) -> bool {
        !self.again.is_empty() || !self.closed.is_empty()
    }

    /// When [`Clients::expire`] has something to do.
    pub fn deadline(&self) -> Instant {
        self.lingering.front().map_or(Instant::NEVER, |entry| entry.0)
    }

    /// A client has come. `clients` counts it.
    pub fn open(
        &mut self,
        socket: std::os::fd::OwnedFd,
        peer: Peer,
        clients: usize,
        door: Door,
        turn: &mut Turn<'_>,
    ) {
        let conn = self.connections.insert(socket);
        turn.engine.handle(turn.now, Event::Opened { conn, peer, clients, door }, turn.effects);
        self.receive(conn.index, turn);
    }

    /// A receive operation has completed, perhaps to complete again.
    pub fn received(&mut self, index: u32, completion: Completion, turn: &mut Turn<'_>) {
        let (conn, connection) = self.connections.at(index).expect("an operation keeps its connection");
        connection.receiving &= completion.goes_on();
        connection.cancelling &= connection.receiving;
        match completion.result {
            0 => {
                connection.ended = true;
                if connection.stage == Stage::Open {
                    turn.engine.handle(turn.now, Event::Ended { conn }, turn.effects);
                }
            }
            len if len > 0 => {
                self.crowd.heard(&mut connection.heard);
                let id = completion.buffer().expect("received bytes lie in a buffer");
                turn.network.buffers.taken(id);
                self.take_in(index, id, len as usize, turn);
                turn.network.buffers.give_back(id);
            }
            error => match -error {
                libc::ECANCELED => {}
                // All buffers are in use: they are given back in this turn.
                libc::ENOBUFS | libc::EINTR | libc::EAGAIN => {}
                _ => connection.broken = true,
            },
        }
        self.settle(index, turn);
    }

    /// A receive operation to where the engine wants its bytes has completed.
    pub fn filled(&mut self, index: u32, completion: Completion, turn: &mut Turn<'_>) {
        let (conn, connection) = self.connections.at(index).expect("an operation keeps its connection");
        (connection.receiving, connection.filling) = (false, false);
        connection.single = SINGLE_AFTER_FILL;
        if connection.stage == Stage::Closing {
            if !connection.is_in_flight() {
                self.closed.push(index);
            }
            return;
        }
        match usize::try_from(completion.result) {
            Ok(0) => {
                connection.ended = true;
                turn.engine.handle(turn.now, Event::Ended { conn }, turn.effects);
            }
            Ok(bytes) => {
                turn.engine.handle(turn.now, Event::Filled { conn, bytes }, turn.effects);
            }
            Err(_) => connection.broken |= !matches!(-completion.result, libc::EINTR | libc::EAGAIN),
        }
        self.settle(index, turn);
    }

    /// A send operation has completed.
    pub fn sent(&mut self, index: u32, completion: Completion, turn: &mut Turn<'_>) {
        let (conn, connection) = self.connections.at(index).expect("an operation keeps its connection");
        let given = connection.sending.take().expect("what completes was begun");
        if connection.stage == Stage::Closing {
            if !connection.is_in_flight() {
                self.closed.push(index);
            }
            return;
        }
        match usize::try_from(completion.result) {
            Ok(bytes) => {
                assert!(bytes <= given, "no more leaves than was given");
                turn.engine.handle(turn.now, Event::Sent { conn, bytes }, turn.effects);
                if bytes < given || connection.has_output {
                    connection.has_output = true;
                    self.outputs.push(index);
                }
            }
            Err(_) => connection.broken |= !matches!(-completion.result, libc::EINTR | libc::EAGAIN),
        }
        self.settle(index, turn);
    }

    /// The engine has output.
    pub fn take_output(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else { return };
        if !std::mem::replace(&mut connection.has_output, true) && connection.sending.is_none() {
            self.outputs.push(conn.index);
        }
    }

    /// The engine wants no more bytes for now.
    pub fn pause(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get(conn) {
            connection.paused = true;
        }
    }

    /// The engine wants its bytes again.
    pub fn resume(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else { return };
        connection.paused = false;
        if !std::mem::replace(&mut connection.again, true) {
            self.again.push(conn.index);
        }
    }

    /// The engine wants the connection closed.
    pub fn close(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else { return };
        if connection.stage == Stage::Open {
            connection.stage = Stage::Closing;
            if !connection.is_in_flight() {
                self.closed.push(conn.index);
            } else {
                // What the socket has not taken is given up; this ends the operation.
                connection.broken = true;
                shut(connection, Shutdown::Both);
            }
        }
    }

    /// Tells the engine which connections are gone.
    pub fn tell_closed(&mut self, turn: &mut Turn<'_>) {
        let mut closed = std::mem::take(&mut self.closed);
        for index in closed.drain(..) {
            let (conn, connection) = self.connections.at(index).expect("a closing connection stays");
            assert!(connection.stage == Stage::Closing && !connection.is_in_flight(), "nothing is in flight");
            connection.stage = Stage::Lingering;
            connection.rest = Vec::new();
            turn.engine.handle(turn.now, Event::Closed { conn }, turn.effects);
            turn.commons.dismiss(turn.core);
            if !connection.broken && !connection.ended {
                shut(connection, Shutdown::Write);
                self.lingering.push_back((turn.now.mono.after_millis(LINGER_MILLIS), conn));
            } else if connection.receiving {
                shut(connection, Shutdown::Both);
            }
            self.settle(index, turn);
        }
        closed.append(&mut self.closed);
        self.closed = closed;
    }

    /// Feeds the engine the rests of those that were paused.
    pub fn feed_again(&mut self, turn: &mut Turn<'_>) {
        let mut again = std::mem::take(&mut self.again);
        for index in again.drain(..) {
            let Some((_, connection)) = self.connections.at(index) else { continue };
            connection.again = false;
            // While a large argument is filled there is nothing to feed, and what follows it comes.
            if connection.stage == Stage::Open && !connection.paused && !connection.filling {
                self.feed(index, None, turn);
                self.settle(index, turn);
            }
        }
        self.again = again;
    }

    /// Ends the waits whose time has come.
    pub fn expire(&mut self, now: Instant) {
        while let Some(conn) = pop_due(&mut self.lingering, now) {
            if let Some(connection) = self.connections.get(conn) {
                abort(connection);
            }
        }
    }

    /// Begins to send what the engine has, one operation per connection.
    pub fn send_outputs(&mut self, turn: &mut Turn<'_>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for index in outputs.drain(..) {
            let Some((conn, connection)) = self.connections.at(index) else { continue };
            if connection.stage != Stage::Open || connection.sending.is_some() {
                continue;
            }
            connection.has_output = false;
            let slices: Vec<&[u8]> = turn.engine.output(conn).collect();
            let given: usize = slices.iter().map(|slice| slice.len()).sum();
            if given == 0 {
                self.settle(index, turn);
                continue;
            }
            connection.sending = Some(given);
            let slices = &slices[..slices.len().min(SLICES)];
            // SAFETY: the engine keeps what it gave in place until it is told `Sent` or `Closed`, and this file tells it
            // neither while `sending` says that the operation is under way.
            unsafe { turn.network.send(raw(connection), slices, Token::Send(index)) };
        }
        self.outputs = outputs;
    }

    /// Bytes have come: to the engine, to the rest, or to nobody.
    fn take_in(&mut self, index: u32, id: u16, len: usize, turn: &mut Turn<'_>) {
        let (_, connection) = self.connections.at(index).expect("an operation keeps its connection");
        match connection.stage {
            Stage::Open if !connection.paused => self.feed(index, Some((id, len)), turn),
            Stage::Open => {
                connection.rest.extend_from_slice(turn.network.buffers.bytes(id, len));
                if connection.receiving && !connection.cancelling && connection.rest.len() >= PAUSED_REST_MAX
                {
                    connection.cancelling = true;
                    turn.network.cancel(Token::Receive(index));
                }
            }
            Stage::Closing => {}
            Stage::Lingering => {
                connection.drained += len;
                if connection.drained > LINGER_BYTES {
                    abort(connection);
                }
            }
        }
    }

    /// Presents everything unconsumed: straight from the receive buffer if there is no rest.
    fn feed(&mut self, index: u32, new: Option<(u16, usize)>, turn: &mut Turn<'_>) {
        let (conn, connection) = self.connections.at(index).expect("only what is there is fed");
        let fresh = new.map_or(&[][..], |(id, len)| turn.network.buffers.bytes(id, len));
        if connection.rest.is_empty() {
            let event = Event::Bytes { conn, bytes: fresh };
            let consumed = turn.engine.handle(turn.now, event, turn.effects);
            connection.rest.extend_from_slice(&fresh[consumed..]);
        } else {
            connection.rest.extend_from_slice(fresh);
            let event = Event::Bytes { conn, bytes: &connection.rest };
            let consumed = turn.engine.handle(turn.now, event, turn.effects);
            connection.rest.drain(..consumed);
            if connection.rest.is_empty() && connection.rest.capacity() > REST_KEPT {
                connection.rest = Vec::new();
            }
        }
    }

    /// After anything has happened to a connection: what comes next.
    fn settle(&mut self, index: u32, turn: &mut Turn<'_>) {
        let (_, connection) = self.connections.at(index).expect("only what is there settles");
        match connection.stage {
            Stage::Open if connection.broken => {
                connection.stage = Stage::Closing;
                if !connection.is_in_flight() {
                    self.closed.push(index);
                } else {
                    shut(connection, Shutdown::Both);
                }
            }
            // The engine closes it when everything is answered.
            Stage::Open if connection.ended => {}
            Stage::Open => {
                if !connection.paused {
                    self.receive(index, turn);
                }
            }
            // It is in the list of those to be told, or its send operation has still to complete.
            Stage::Closing => {}
            Stage::Lingering => {
                if connection.ended || connection.broken {
                    if !connection.receiving {
                        self.connections.remove(index);
                    }
                } else {
                    self.receive(index, turn);
                }
            }
        }
    }

    /// Begins to receive unless that is under way.
    fn receive(&mut self, index: u32, turn: &mut Turn<'_>) {
        let (conn, connection) = self.connections.at(index).expect("only what is there receives");
        let room = match connection.stage {
            // What it has not consumed comes first.
            Stage::Open if connection.rest.is_empty() && !connection.filling => turn.engine.room(conn),
            _ => &mut [],
        };
        if connection.receiving {
            if room.len() >= FILL_MIN && !connection.cancelling {
                (connection.cancelling, connection.single) = (true, SINGLE_AFTER_FILL);
                turn.network.cancel(Token::Receive(index));
            }
            return;
        }
        connection.receiving = true;
        if room.len() >= FILL_MIN {
            connection.filling = true;
            let len = room.len().min(FILL_MAX);
            // SAFETY: the engine keeps the room in place until it is told `Bytes`, `Filled` or `Closed`, and this file tells it none
            // of these while `filling` says that the operation is under way.
            unsafe { turn.network.fill(raw(connection), &mut room[..len], Token::Fill(index)) };
        } else if connection.single > 0 {
            connection.single -= 1;
            turn.network.receive_once(raw(connection), Token::Receive(index));
        } else {
            turn.network.receive(raw(connection), Token::Receive(index));
        }
    }
}

/// Takes the first name out whose time has come.
fn pop_due(queue: &mut VecDeque<(Instant, ConnId)>, now: Instant) -> Option<ConnId> {
    let due = queue.front()?.0 <= now;
    if due { queue.pop_front().map(|entry| entry.1) } else { None }
}

fn raw(connection: &Connection) -> std::os::fd::RawFd {
    std::os::fd::AsRawFd::as_raw_fd(&connection.socket)
}

/// Ends a connection whose peer goes on sending: it is reset when the socket is closed. Without this a peer that is stuck in a
/// full window would not notice for a minute.
fn abort(connection: &Connection) {
    let _ = SockRef::from(&connection.socket).set_linger(Some(std::time::Duration::ZERO));
    shut(connection, Shutdown::Both);
}

/// Ends one or both directions. A peer that is already gone makes this fail, which changes nothing.
fn shut(connection: &Connection, how: Shutdown) {
    let _ = SockRef::from(&connection.socket).shutdown(how);
}
