//! The clients of one core, each at the place that its driver gave it.
//!
//! It knows connections. It does not know what a client is.

use crate::aof::adopt::READER;
use crate::event::ConnId;
use crate::mutant::planted;
use crate::session::Session;

/// The clients of one core.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    places: Vec<Option<Box<Session>>>,
    len: usize,
    /// In whose name the commands of a file run: it counts for nobody, and no driver knows it.
    pub(crate) reader: Option<Box<Session>>,
}

impl Sessions {
    /// How many there are, one that is taken out included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without clients.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a client at its place.
    pub fn add(&mut self, session: Session) {
        let index = session.conn.index as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        assert!(self.places[index].is_none(), "a driver uses an index again only after Closed");
        self.places[index] = Some(Box::new(session));
        self.len += 1;
    }

    /// The client of a connection.
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        if conn == READER {
            return self.reader.as_deref_mut();
        }
        let session = self.places.get_mut(conn.index as usize)?.as_deref_mut();
        session.filter(|s| s.conn == conn || planted("a late answer reaches a connection that came later"))
    }

    /// Takes a client out, to work on it beside everything else.
    #[inline]
    pub fn take(&mut self, conn: ConnId) -> Option<Box<Session>> {
        if conn == READER {
            return self.reader.take();
        }
        let place = self.places.get_mut(conn.index as usize)?;
        if place.as_ref()?.conn != conn {
            return None;
        }
        place.take()
    }

    /// Puts it back.
    #[inline]
    pub fn put_back(&mut self, session: Box<Session>) {
        if session.conn == READER {
            self.reader = Some(session);
            return;
        }
        let index = session.conn.index as usize;
        self.places[index] = Some(session);
    }

    /// Ends a client that was taken out.
    pub fn end(&mut self, session: Box<Session>) {
        drop(session);
        self.len -= 1;
    }

    /// All clients that are not taken out.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.places.iter_mut().filter_map(|place| place.as_deref_mut())
    }

    /// The same, to read.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.places.iter().filter_map(|place| place.as_deref())
    }
}
