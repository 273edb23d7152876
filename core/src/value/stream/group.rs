//! A consumer group: how far it has read, who reads for it, and which entries they have not acknowledged.
//!
//! What is pending is ordered by id, for the group and for each consumer. It does not know the entries.

use super::super::block::block_size;
use super::id::StreamId;
use super::idle::Oldest;
use super::tree::Tree;

/// A consumer's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    /// To whom.
    pub consumer: ConsumerId,
    /// When, Unix milliseconds.
    pub delivered: u64,
    /// How often.
    pub times: u64,
}

/// Who reads for a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it has tried to read the last time, Unix milliseconds.
    pub seen: u64,
    /// When it has got something the last time, Unix milliseconds.
    pub active: Option<u64>,
    pending: Tree<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Ids of what it has not acknowledged.
    pub fn pending(&self) -> &Tree<()> {
        &self.pending
    }

    fn bytes(&self) -> usize {
        block_size(size_of::<Consumer>()) + block_size(self.name.len()) + self.pending.bytes()
    }
}

/// A group.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Group {
    name: Box<[u8]>,
    /// Up to here everything was delivered.
    pub last_id: StreamId,
    /// How many entries of all that ever were it has read; `None`: nobody knows.
    pub entries_read: Option<u64>,
    pending: Tree<Pending>,
    pub(super) oldest: Oldest,
    // Boxed, since many places may be free, and neighbours stay where they are.
    #[allow(clippy::vec_box)]
    consumers: Vec<Option<Box<Consumer>>>,
    /// Places that are taken, by name.
    order: Vec<u32>,
    /// Places that are free.
    free: Vec<u32>,
    /// Of all consumers.
    consumer_bytes: usize,
}

impl Clone for Group {
    /// In blocks of the same sizes, so that a clone owns as many bytes.
    fn clone(&self) -> Group {
        fn same_size<T: Clone>(from: &Vec<T>) -> Vec<T> {
            let mut copy = Vec::with_capacity(from.capacity());
            copy.extend_from_slice(from);
            copy
        }
        Group {
            name: self.name.clone(),
            pending: self.pending.clone(),
            consumers: same_size(&self.consumers),
            order: same_size(&self.order),
            free: same_size(&self.free),
            ..*self
        }
    }
}

impl Group {
    /// A group that has read up to an id.
    pub fn new(name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            name: name.into(),
            last_id,
            entries_read,
            pending: Tree::default(),
            oldest: Oldest::NOTHING,
            consumers: Vec::new(),
            order: Vec::new(),
            free: Vec::new(),
            consumer_bytes: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What was not acknowledged.
    pub fn pending(&self) -> &Tree<Pending> {
        &self.pending
    }

    /// Bytes of memory, its own block included.
    pub fn bytes(&self) -> usize {
        let places = block_size(self.consumers.capacity() * size_of::<Option<Box<Consumer>>>())
            + block_size(self.order.capacity() * size_of::<u32>())
            + block_size(self.free.capacity() * size_of::<u32>());
        block_size(size_of::<Group>())
            + block_size(self.name.len())
            + self.pending.bytes()
            + places
            + self.consumer_bytes
    }

    /// Its consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.order.iter().map(|place| (ConsumerId(*place), self.consumer(ConsumerId(*place))))
    }

    /// The consumer at this place in the order of names.
    pub fn consumer_at(&self, at: usize) -> Option<&Consumer> {
        self.order.get(at).map(|place| self.consumer(ConsumerId(*place)))
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.order.binary_search_by(|place| self.consumer(ConsumerId(*place)).name().cmp(name))
    }

    /// The consumer of this name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.place(name).ok().map(|at| ConsumerId(self.order[at]))
    }

    /// A consumer.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_deref().expect("a consumer that is named is there")
    }

    fn change<R>(&mut self, id: ConsumerId, change: impl FnOnce(&mut Consumer) -> R) -> R {
        let consumer = self.consumers[id.0 as usize].as_deref_mut();
        let consumer = consumer.expect("a consumer that is named is there");
        let before = consumer.bytes();
        let result = change(consumer);
        self.consumer_bytes = self.consumer_bytes + consumer.bytes() - before;
        result
    }

    /// The consumer of this name, made if it is not there, which is seen now; true if it was made.
    pub fn see(&mut self, name: &[u8], now: u64) -> (ConsumerId, bool) {
        let at = match self.place(name) {
            Ok(at) => {
                let id = ConsumerId(self.order[at]);
                self.change(id, |consumer| consumer.seen = now);
                return (id, false);
            }
            Err(at) => at,
        };
        let consumer = Consumer { name: name.into(), seen: now, active: None, pending: Tree::default() };
        self.consumer_bytes += consumer.bytes();
        let place = self.free.pop().unwrap_or_else(|| {
            self.consumers.push(None);
            self.consumers.len() as u32 - 1
        });
        self.consumers[place as usize] = Some(Box::new(consumer));
        self.order.insert(at, place);
        (ConsumerId(place), true)
    }

    /// A consumer has got something.
    pub fn note_active(&mut self, id: ConsumerId, now: u64) {
        self.change(id, |consumer| consumer.active = Some(now));
    }

    /// Removes a consumer with all that it has not acknowledged; how much that was. `None` if there is none of this name.
    pub fn remove(&mut self, name: &[u8]) -> Option<usize> {
        let at = self.place(name).ok()?;
        let place = self.order.remove(at);
        let consumer = self.consumers[place as usize].take()?;
        self.consumer_bytes -= consumer.bytes();
        match self.order.is_empty() {
            true => (self.consumers, self.free, self.order) = Default::default(),
            false => self.free.push(place),
        }
        for (id, ()) in consumer.pending.from(StreamId::MIN) {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// An entry is pending with a consumer from now on, and with no other.
    pub fn give(&mut self, id: StreamId, pending: Pending) {
        self.oldest.delivered(pending.delivered);
        if let Some(old) = self.pending.get_mut(id) {
            let before = std::mem::replace(old, pending).consumer;
            if before == pending.consumer {
                return;
            }
            self.change(before, |consumer| consumer.pending.remove(id));
        } else {
            self.pending.insert(id, pending);
        }
        self.change(pending.consumer, |consumer| consumer.pending.insert(id, ()));
    }

    /// An entry is pending no more; true if it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.change(pending.consumer, |consumer| consumer.pending.remove(id));
        true
    }

    /// What is known of a pending entry, to change it; it stays with its consumer.
    pub fn redeliver(&mut self, id: StreamId, now: u64) {
        if let Some(pending) = self.pending.get_mut(id) {
            self.oldest.delivered(now);
            pending.delivered = now;
            pending.times = pending.times.saturating_add(1);
        }
    }

    /// True if an entry is not delivered yet, or not acknowledged.
    pub fn refers_to(&self, id: StreamId) -> bool {
        self.last_id < id || self.pending.get(id).is_some()
    }

    /// Frees about `steps` blocks of what is pending and of consumers; how many steps that took, at least one. After that it is only freed.
    pub fn free_some(&mut self, steps: usize) -> usize {
        let mut freed = 0;
        while freed < steps && !self.pending.is_empty() {
            self.pending.take_last();
            freed += 1;
        }
        while freed < steps
            && let Some(place) = self.order.last()
        {
            let id = ConsumerId(*place);
            freed += 1;
            if self.change(id, |consumer| consumer.pending.take_last().is_empty()) {
                self.consumer_bytes -= self.consumer(id).bytes();
                self.consumers[id.0 as usize] = None;
                self.order.pop();
            }
        }
        freed.max(1)
    }

    /// True without consumers and without anything pending.
    pub fn is_freed(&self) -> bool {
        self.pending.is_empty() && self.order.is_empty()
    }

    /// Blocks that it takes steps to free.
    pub fn blocks(&self) -> usize {
        self.order.len() + self.pending.len() / 32
    }
}

#[cfg(test)]
impl Group {
    /// Bytes counted anew.
    pub(super) fn recount(&self) -> usize {
        let consumers: usize = self.consumers().map(|(_, consumer)| consumer.bytes()).sum();
        self.bytes() - self.consumer_bytes + consumers
    }
}
