//! The mesh: one bounded ring for one producer and one consumer per ordered pair of cores.
//!
//! Messages of a turn gather here and become visible to their receivers at its end, in one batch per destination. This
//! file does not know what messages say, nor how a sleeping core is woken.

use darter_core::event::CoreId;
use darter_core::limits;
use darter_core::message::Message;
use darter_core::txn::queue::Ticket;
use rtrb::{Consumer, Producer, RingBuffer};

/// One core's ends of all its rings.
pub struct Mesh {
    outgoing: Vec<Lane>,
    incoming: Vec<Option<Consumer<Message>>>,
}

/// The way to one other core.
struct Lane {
    /// Sent in this turn.
    gathered: Vec<Message>,
    /// Something was delivered, and its receiver has not been rung for it.
    rings: bool,
    /// It was nothing but releases.
    may_wait: bool,
    /// `None` leads from a core to itself.
    ring: Option<Producer<Message>>,
}

/// Connects all cores, each with each other. The result is in the order of the cores.
pub fn connect(cores: u16) -> Vec<Mesh> {
    let all = usize::from(cores);
    let new = |_| Mesh { outgoing: Vec::with_capacity(all), incoming: (0..all).map(|_| None).collect() };
    let mut meshes: Vec<Mesh> = (0..all).map(new).collect();
    for from in 0..all {
        for to in 0..all {
            let ring = (from != to).then(|| {
                let (producer, consumer) = RingBuffer::new(limits::ring_len(cores));
                meshes[to].incoming[from] = Some(consumer);
                producer
            });
            meshes[from].outgoing.push(Lane { gathered: Vec::new(), rings: false, may_wait: false, ring });
        }
    }
    meshes
}

impl Mesh {
    /// Adds a message to this turn's batch.
    #[inline]
    pub fn push(&mut self, to: CoreId, message: Message) {
        self.outgoing[to.index()].gathered.push(message);
    }

    /// Makes the turn's messages visible; those that wait for a ticket get theirs, counted from `first`. Returns whether there were any.
    /// Afterwards [`Mesh::ring`] tells who got some.
    pub fn deliver(&mut self, first: Option<Ticket>) -> bool {
        let mut any = false;
        for lane in &mut self.outgoing {
            lane.rings = !lane.gathered.is_empty();
            if !lane.rings {
                continue;
            }
            lane.may_wait = lane.gathered.iter().all(|message| matches!(message, Message::Release { .. }));
            if let Some(first) = first {
                lane.gathered.iter_mut().for_each(|message| message.stamp(first));
            }
            let ring = lane.ring.as_mut().expect("no engine sends to its own core");
            let batch = ring.write_chunk_uninit(lane.gathered.len());
            let batch = batch.expect("whoever sends holds a credit, so the ring has room");
            batch.fill_from_iter(lane.gathered.drain(..));
            any = true;
        }
        any
    }

    /// The cores that got something in the last delivery, and whether that is nothing but what may wait until they are awake anyway.
    pub fn ring(&mut self, mut delivered: impl FnMut(CoreId, bool)) {
        for (to, lane) in self.outgoing.iter_mut().enumerate() {
            if std::mem::take(&mut lane.rings) {
                delivered(CoreId(to as u16), lane.may_wait);
            }
        }
    }

    /// Takes everything that has arrived, per sender in the order of sending. Returns whether there was anything.
    /// Of each batch every message is shown by `foresee` before the first is given to `each`.
    #[inline]
    pub fn receive<C>(
        &mut self,
        context: &mut C,
        foresee: impl Fn(&mut C, &Message),
        mut each: impl FnMut(&mut C, CoreId, Message),
    ) -> bool {
        let mut any = false;
        for (from, ring) in self.incoming.iter_mut().enumerate() {
            let Some(ring) = ring else { continue };
            let ready = ring.slots();
            if ready == 0 {
                continue;
            }
            any = true;
            let batch = ring.read_chunk(ready).expect("what was counted is there");
            if ready > 1 {
                let (first, second) = batch.as_slices();
                first.iter().chain(second).for_each(|message| foresee(context, message));
            }
            for message in batch {
                each(context, CoreId(from as u16), message);
            }
        }
        any
    }

    /// True if a message has arrived.
    #[inline]
    pub fn has_arrivals(&self) -> bool {
        self.incoming.iter().flatten().any(|ring| !ring.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn messages_are_visible_after_delivery_only() {
        let mut meshes = connect(3);
        let mut second = meshes.remove(1);
        let mut first = meshes.remove(0);
        first.push(CoreId(1), Message::Noted);
        assert!(!second.has_arrivals());
        let mut rung = Vec::new();
        assert!(first.deliver(None));
        first.ring(|core, _| rung.push(core));
        first.ring(|_, _| panic!("each is rung once"));
        assert_eq!(rung, [CoreId(1)]);
        assert!(second.has_arrivals());
        let mut got = Vec::new();
        assert!(second.receive(&mut got, |_, _| {}, |got, from, message| got.push((from, message))));
        assert_eq!(got, [(CoreId(0), Message::Noted)]);
        assert!(!second.receive(&mut (), |_, _| {}, |_, _, _| panic!("nothing is left")));
    }

    /// A million messages in batches as large as the credits allow; the ring is never asked for more than its room.
    #[test]
    fn a_million_messages_arrive() {
        const MESSAGES: usize = 1_000_000;
        let mut meshes = connect(2);
        let mut receiver = meshes.remove(1);
        let mut sender = meshes.remove(0);
        let sending = thread::spawn(move || {
            let mut left = MESSAGES;
            while left > 0 {
                let room = sender.outgoing[1].ring.as_ref().unwrap().slots();
                let batch = room.min(left).min(1 + left % 37);
                (0..batch).for_each(|_| sender.push(CoreId(1), Message::Noted));
                sender.deliver(None);
                left -= batch;
                if batch == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut got = 0;
        while got < MESSAGES {
            if !receiver.receive(&mut got, |_, _| {}, |got, _, _| *got += 1) {
                thread::yield_now();
            }
        }
        sending.join().unwrap();
        assert_eq!(got, MESSAGES);
        assert!(!receiver.has_arrivals());
    }
}
