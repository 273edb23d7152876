//! What the cores of a process share besides the mesh: doorbells, ring descriptors, parcels between drivers, counts.
//!
//! Nothing here is touched by a turn in which nobody connects, leaves or sleeps, except the doorbells of the receivers of
//! messages and one flag per core for parcels. This file does not know rings, sockets or engines.

use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};

use darter_core::doorbell::Doorbell;
use darter_core::event::{CoreId, Door};
use darter_core::txn::stability::Tickets;

/// What one driver sends to another; engines know nothing of it.
#[derive(Debug)]
pub enum Parcel {
    /// A client that has been accepted and belongs to the receiver now.
    Socket(OwnedFd, Door),
    /// The process is to stop.
    Stop,
}

/// Keeps what one core writes often off the cache lines of others.
#[repr(align(128))]
#[derive(Default)]
struct Place {
    doorbell: Doorbell,
    /// The core's network ring, for waking it.
    ring: AtomicI32,
    /// Clients of this core.
    clients: AtomicU32,
    has_parcels: AtomicBool,
    parcels: Mutex<Vec<Parcel>>,
}

/// Shared by all drivers of a process.
pub struct Commons {
    places: Vec<Place>,
    clients: AtomicUsize,
    exited: AtomicUsize,
    tickets: Tickets,
    /// Why the process cannot go on.
    failure: Mutex<Option<String>>,
}

impl Commons {
    /// For so many cores.
    pub fn new(cores: u16) -> Commons {
        let places = (0..cores).map(|_| Place::default()).collect();
        Commons {
            places,
            clients: AtomicUsize::new(0),
            exited: AtomicUsize::new(0),
            tickets: Tickets::new(cores),
            failure: Mutex::new(None),
        }
    }

    /// The process cannot go on.
    pub fn fail(&self, why: String) {
        self.failure.lock().expect("no thread panics here").get_or_insert(why);
    }

    /// Why it cannot go on, if it cannot.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().expect("no thread panics here").take()
    }

    /// How many cores there are.
    pub fn cores(&self) -> u16 {
        self.places.len() as u16
    }

    /// The order of transactions.
    #[inline]
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// The doorbell of a core.
    #[inline]
    pub fn doorbell(&self, core: CoreId) -> &Doorbell {
        &self.places[core.index()].doorbell
    }

    /// Says which ring wakes `core`.
    pub fn publish_ring(&self, core: CoreId, ring: i32) {
        self.places[core.index()].ring.store(ring, Ordering::Release);
    }

    /// The ring that wakes `core`.
    #[inline]
    pub fn ring(&self, core: CoreId) -> i32 {
        self.places[core.index()].ring.load(Ordering::Relaxed)
    }

    /// Hands a parcel to another core. The sender rings afterwards, as after a message.
    pub fn post(&self, to: CoreId, parcel: Parcel) {
        let place = &self.places[to.index()];
        place.parcels.lock().expect("no thread panics here").push(parcel);
        place.has_parcels.store(true, Ordering::Release);
    }

    /// True if parcels wait for `core`.
    #[inline]
    pub fn has_parcels(&self, core: CoreId) -> bool {
        self.places[core.index()].has_parcels.load(Ordering::Acquire)
    }

    /// All parcels that wait for `core`, oldest first.
    pub fn take_parcels(&self, core: CoreId) -> Vec<Parcel> {
        let place = &self.places[core.index()];
        let mut parcels = place.parcels.lock().expect("no thread panics here");
        place.has_parcels.store(false, Ordering::Release);
        std::mem::take(&mut parcels)
    }

    /// Chooses the core with the fewest clients for a new one, counts it there, and returns the core.
    pub fn admit(&self) -> CoreId {
        self.clients.fetch_add(1, Ordering::Relaxed);
        let fewest =
            (0..self.places.len()).min_by_key(|&core| self.places[core].clients.load(Ordering::Relaxed));
        let core = fewest.expect("there is at least one core");
        self.places[core].clients.fetch_add(1, Ordering::Relaxed);
        CoreId(core as u16)
    }

    /// A client of `core` has gone.
    pub fn dismiss(&self, core: CoreId) {
        let before = self.places[core.index()].clients.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "only an admitted client leaves");
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// All clients of the process.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// One more core has nothing left to do. Returns true if it was the last.
    pub fn core_exits(&self) -> bool {
        self.exited.fetch_add(1, Ordering::AcqRel) + 1 == self.places.len()
    }

    /// True if no core has anything left to do.
    pub fn all_exited(&self) -> bool {
        self.exited.load(Ordering::Acquire) == self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_dealt_to_the_core_with_the_fewest() {
        let commons = Commons::new(3);
        let cores: Vec<u16> = (0..6).map(|_| commons.admit().0).collect();
        assert_eq!(cores, [0, 1, 2, 0, 1, 2]);
        commons.dismiss(CoreId(1));
        assert_eq!(commons.admit(), CoreId(1));
        assert_eq!(commons.clients(), 6);
    }

    #[test]
    fn parcels_keep_their_order_and_the_last_core_to_exit_is_told() {
        let commons = Commons::new(2);
        assert!(!commons.has_parcels(CoreId(1)));
        commons.post(CoreId(1), Parcel::Stop);
        assert!(commons.has_parcels(CoreId(1)) && !commons.has_parcels(CoreId(0)));
        assert!(matches!(commons.take_parcels(CoreId(1))[..], [Parcel::Stop]));
        assert!(!commons.has_parcels(CoreId(1)));
        assert!(!commons.core_exits() && !commons.all_exited());
        assert!(commons.core_exits() && commons.all_exited());
    }
}
