//! What clients do: connect, say, read, end.

use darter_core::event::ConnId;

use crate::check::scan::Scan;
use crate::client::{Client, Op, encode};
use crate::decoder::Reply;
use crate::dialogue::{Expect, Kind, Request, scan_reply};
use crate::machine::Input;
use crate::text;
use crate::world::{Happening, World};

/// A client that reads nothing is looked at again after so many nanoseconds.
const STALL_NANOS: u64 = 30_000_000;

impl World<'_> {
    /// A client says what it may say and sends what it has said.
    pub(crate) fn client_tick(&mut self, number: usize) {
        self.clients[number].ticking = false;
        let client = &mut self.clients[number];
        let Some((conn, dialogue)) = client.open else {
            if !client.opening && !self.stopping && client.ops.iter().any(|op| !matches!(op, Op::HalfClose)) {
                client.opening = true;
                let (core, delay) = (client.core, self.span(10_000, 100_000));
                self.at(self.now + delay, Happening::Ready(core, Input::Open { client: number }));
            } else if !client.opening {
                client.ops.clear();
            }
            return;
        };
        let name =
            |client: &Client| client.open.map_or(0, |(_, dialogue)| self.witness.dialogues[dialogue].id);
        let names: Vec<u64> = self.clients.iter().map(name).collect();
        let client = &mut self.clients[number];
        while !client.half_closed
            && !self.witness.scans.contains_key(&dialogue)
            && self.witness.dialogues[dialogue].outstanding() < self.swarm.depth
        {
            let Some(op) = client.ops.pop_front() else { break };
            match op {
                Op::Say(words) if client.is_of_items => {
                    // Who names a stamp has heard it before.
                    if text::names_a_stamp(&words) && self.witness.dialogues[dialogue].outstanding() > 0 {
                        client.ops.push_front(Op::Say(words));
                        break;
                    }
                    let words = text::with_stamps(words, &self.stamps);
                    let (bytes, (kind, answer)) = (text::encode(&words), text::kind(&words));
                    let here = &mut self.witness.dialogues[dialogue];
                    let number = here.say(words, kind, bytes.len() as u64);
                    if let Some(answer) = answer {
                        here.requests[number].expect = Expect::Exactly(answer);
                    }
                    client.out.extend(bytes);
                }
                Op::Say(words) => {
                    let words = with_names(words, &names);
                    let inline = self.schedule.chance(100);
                    let bytes = encode(&words, inline);
                    self.witness.dialogues[dialogue].say(words, Kind::Words, bytes.len() as u64);
                    client.out.extend(bytes);
                }
                Op::Send(bytes) => {
                    let nothing = bytes.iter().all(|b| b"\r\n".contains(b)) || bytes == b"*0\r\n";
                    let kind = if nothing { Kind::Nothing } else { Kind::Malformed };
                    self.witness.dialogues[dialogue].say(vec![bytes.clone()], kind, bytes.len() as u64);
                    client.out.extend(bytes);
                }
                Op::Scan(count) => {
                    // What was said before must be answered first: a SELECT may be among it.
                    if self.witness.dialogues[dialogue].outstanding() > 0 {
                        client.ops.push_front(Op::Scan(count));
                        break;
                    }
                    let database = self.witness.dialogues[dialogue].session.database;
                    let engines = self.machines.iter().map(|machine| &machine.engine);
                    self.witness.scans.insert(dialogue, Scan::new(count, database, engines));
                    self.say_scan(number, 0);
                    break;
                }
                Op::HalfClose => {
                    client.half_closed = true;
                    self.witness.dialogues[dialogue].half_closed = true;
                    self.sometimes.met("a client ended its half");
                }
            }
        }
        self.send_input(number, conn);
    }

    /// The next call of a scan.
    fn say_scan(&mut self, number: usize, cursor: u64) {
        let client = &mut self.clients[number];
        let Some((_, dialogue)) = client.open else { return };
        let Some(scan) = self.witness.scans.get_mut(&dialogue) else { return };
        let words = scan.call(cursor);
        let bytes = encode(&words, false);
        scan.awaited = self.witness.dialogues[dialogue].say(words, Kind::Words, bytes.len() as u64);
        client.out.extend(bytes);
    }

    /// Sends a part of what was said, cut anywhere, and the end if that is due.
    fn send_input(&mut self, number: usize, conn: ConnId) {
        let cuts = self.swarm.faults.cut_input && !self.calm;
        let client = &mut self.clients[number];
        let len = client.out.len();
        if len > 0 {
            let most = match self.schedule.below(4) {
                _ if !cuts => len as u64,
                0 => 3,
                1 => 40,
                _ => len as u64,
            };
            let chunk = self.schedule.between(1, most.max(len as u64 / 30).min(len as u64)) as usize;
            let bytes: Vec<u8> = client.out.drain(..if cuts { chunk } else { len }).collect();
            let delay = self.schedule.between(3_000, 60_000);
            let arrival = (self.now + delay).max(client.last_arrival);
            client.last_arrival = arrival;
            let core = client.core;
            self.at(arrival, Happening::Ready(core, Input::Bytes { conn, bytes }));
        }
        let client = &self.clients[number];
        if !client.out.is_empty() {
            let delay = self.span(500, 30_000);
            self.tick(number, delay);
        } else if client.half_closed {
            let (core, arrival) = (client.core, client.last_arrival);
            self.at(arrival, Happening::Ready(core, Input::End { conn }));
        }
    }

    /// A new connection: wild clients choose their own database first.
    pub(crate) fn greet(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if let (true, Some((_, dialogue))) = (client.wild, client.open) {
            let database = self.swarm.wild_database().to_string().into_bytes();
            let words = vec![b"SELECT".to_vec(), database];
            let bytes = encode(&words, false);
            self.witness.dialogues[dialogue].say(words, Kind::Words, bytes.len() as u64);
            client.out.extend(bytes);
        }
        self.tick(number, 0);
    }

    /// A send operation ends: what has left is in the client's hands, unless it reads nothing.
    pub(crate) fn send_ends(&mut self, core: usize, conn: ConnId) {
        let Some(connection) = self.machines[core].connection(conn) else { return };
        let (number, dialogue) = (connection.client, connection.dialogue);
        let Some(flight) = &connection.sending else { return };
        let is_there = self.clients[number].open == Some((conn, dialogue));
        if !is_there || connection.closing {
            self.machines[core].inbox.push_back(Input::Sent { conn, bytes: None });
            return self.wake(core, self.now);
        }
        let stalled_until = self.clients[number].stalled_until;
        if stalled_until > self.now {
            self.sometimes.met("output was held back by a client that does not read");
            // It may begin to read earlier if faults stop.
            let next = stalled_until.min(self.now + STALL_NANOS);
            return self.at(next, Happening::SendEnds(core, conn));
        }
        let bytes = flight.bytes[..flight.leaving].to_vec();
        self.trace.note(self.now, (number, &bytes), || {
            format!("client {number} receives {}", bytes[..bytes.len().min(80)].escape_ascii())
        });
        self.machines[core].inbox.push_back(Input::Sent { conn, bytes: Some(bytes.len()) });
        self.wake(core, self.now);
        match self.witness.hears(dialogue, &bytes, self.now, &mut self.sometimes) {
            Ok(answered) => {
                self.heard_at = self.now;
                answered.into_iter().for_each(|(request, reply)| self.hear(number, request, &reply))
            }
            Err(text) => self.fail(text),
        }
        self.tick(number, 0);
    }

    /// A client hears a reply.
    fn hear(&mut self, number: usize, request: usize, reply: &Reply) {
        if self.clients[number].wild {
            self.sometimes.met("a wild command was answered");
        }
        let Some((_, dialogue)) = self.clients[number].open else { return };
        if self.clients[number].is_of_items {
            self.stamps.hear(&self.witness.dialogues[dialogue].requests[request].words, reply);
        }
        let Some(scan) = self.witness.scans.get_mut(&dialogue) else { return };
        if scan.awaited != request {
            return;
        }
        let Some((cursor, keys)) = scan_reply(reply) else {
            return self.fail(format!("a scan hears {reply:?}"));
        };
        scan.found(keys);
        if cursor > 0 {
            return self.say_scan(number, cursor);
        }
        let checked = scan.check(self.machines.iter().map(|machine| &machine.engine));
        if scan.met_a_change {
            self.sometimes.met("a scan met a change");
        }
        self.sometimes.met("a scan was completed");
        self.witness.scans.remove(&dialogue);
        if let Err(text) = checked {
            self.fail(text);
        }
    }

    /// A client is gone at once: what it had not read is lost, what it had sent may still arrive.
    pub(crate) fn vanish(&mut self, number: usize) {
        let Some((conn, dialogue)) = self.clients[number].open else { return };
        self.sometimes.met("a client vanished");
        let here = &self.witness.dialogues[dialogue];
        let is_exec = |request: &Request| request.words[0].eq_ignore_ascii_case(b"exec");
        if here.requests[here.answered..].iter().any(is_exec) {
            self.sometimes.met("a client vanished while its EXEC was on its way");
        }
        if let Err(text) = self.witness.over(dialogue) {
            self.fail(text);
        }
        let (core, last_arrival) = (self.clients[number].core, self.clients[number].last_arrival);
        let delay = self.span(1_000, 50_000);
        // A reset may overtake nothing on its own connection, but it may well come before the next request.
        self.at((self.now + delay).max(last_arrival), Happening::Ready(core, Input::Reset { conn }));
        self.clients[number].lose();
        let pause = self.span(50_000, 500_000);
        self.tick(number, pause);
    }

    /// The server has ended a connection and the client sees it.
    pub(crate) fn client_ends(&mut self, number: usize, dialogue: usize) {
        let Some((_, open)) = self.clients[number].open else { return };
        if open != dialogue {
            return;
        }
        let limited = self.swarm.output_limit > 0;
        let excused = limited || self.stopping;
        let closed = self.witness.dialogues[dialogue].closed_by_server(excused);
        let here = &self.witness.dialogues[dialogue];
        if here.half_closed && here.gave_up.is_some() {
            self.sometimes.met("a client that ended its half was gone while it waited");
        }
        if let Err(text) = closed.and_then(|()| self.witness.over(dialogue)) {
            self.fail(text);
        }
        self.clients[number].lose();
        self.tick(number, 10_000);
    }
}

/// `CLIENT UNBLOCK @n` is about the connection that client n has now.
fn with_names(mut words: Vec<Vec<u8>>, names: &[u64]) -> Vec<Vec<u8>> {
    if let [client, _, whom, ..] = &mut words[..]
        && client.eq_ignore_ascii_case(b"client")
        && let Some(number) = whom.strip_prefix(b"@")
    {
        let number: usize = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        *whom = names[number % names.len()].to_string().into_bytes();
    }
    words
}
