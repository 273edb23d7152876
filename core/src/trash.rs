//! What has been removed but not freed yet: flushed databases and containers of many blocks. It is freed in steps.
//!
//! Its bytes count as used until they are free. It knows neither keys nor commands.

use crate::database::Database;
use crate::value::container::Container;
use crate::value::record::Record;

/// Things to be freed.
#[derive(Clone, Default)]
pub struct Trash {
    databases: Vec<Database>,
    // Boxed as they come: to move one out of its box would copy it for nothing.
    #[allow(clippy::vec_box)]
    containers: Vec<Box<Container>>,
    /// What the containers still own.
    container_bytes: usize,
}

impl Trash {
    /// Takes a flushed database.
    pub fn add_database(&mut self, database: Database) {
        if !database.is_empty() {
            self.databases.push(database);
        }
    }

    /// Frees a record that was removed; a heavy container of it later.
    #[inline]
    pub fn add_record(&mut self, mut record: Record) {
        if record.container().is_some_and(Container::is_heavy)
            && let Some(container) = record.take_container()
        {
            self.add_container(container);
        }
    }

    /// Frees a container, later if it is heavy.
    pub fn add_container(&mut self, container: Box<Container>) {
        if container.is_heavy() {
            self.container_bytes += container.owned_bytes();
            self.containers.push(container);
        }
    }

    /// Frees about `steps` blocks or keys; how many steps are left.
    pub fn free_some(&mut self, mut steps: usize) -> usize {
        while steps > 0 {
            if let Some(container) = self.containers.last_mut() {
                let before = container.owned_bytes();
                steps -= container.free_some(steps).clamp(1, steps);
                self.container_bytes = self.container_bytes + container.owned_bytes() - before;
                if container.is_empty()
                    && let Some(container) = self.containers.pop()
                {
                    self.container_bytes -= container.owned_bytes();
                }
            } else if let Some(mut database) = self.databases.pop() {
                steps -= database.free_some(steps, &mut |record| self.add_record(record)).clamp(1, steps);
                self.add_database(database);
            } else {
                break;
            }
        }
        steps
    }

    /// True if everything is free.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Databases and containers.
    pub fn len(&self) -> usize {
        self.databases.len() + self.containers.len()
    }

    /// Keys and containers that wait, as INFO counts pending objects.
    pub fn objects(&self) -> usize {
        self.databases.iter().map(Database::len).sum::<usize>() + self.containers.len()
    }

    /// Bytes that are not free yet.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        self.databases.iter().map(Database::used_bytes).sum::<usize>() + self.container_bytes
    }

    /// Counts the containers' bytes anew and compares; for the simulator and tests.
    pub fn recount(&self) -> Result<(), String> {
        let found: usize = self.containers.iter().map(|container| container.owned_bytes()).sum();
        if found == self.container_bytes {
            return Ok(());
        }
        Err(format!("containers to be freed own {found} bytes, accounted {}", self.container_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Key;
    use crate::hash::KeyHasher;
    use crate::value::list::{Fill, List};
    use crate::value::pack::Side;
    use crate::value::record::{Access, Value};

    fn list(packs: usize) -> Value<'static> {
        let mut list = List::default();
        while list.packs() < packs {
            list.push(Side::Right, &[b'x'; 1_000], Fill(-1));
        }
        Value::Container(Box::new(Container::List(list)))
    }

    #[test]
    fn light_things_are_freed_at_once_and_heavy_ones_in_steps() {
        let mut trash = Trash::default();
        trash.add_record(Record::new(b"text", Value::Bytes(b"x"), None, Access(0)));
        trash.add_record(Record::new(b"light", list(10), None, Access(0)));
        assert!(trash.is_empty());
        for _ in 0..3 {
            trash.add_record(Record::new(b"heavy", list(1_000), None, Access(0)));
        }
        assert_eq!(trash.len(), 3);
        let mut last = trash.used_bytes();
        assert!(last > 3 * 4_000_000, "{last}");
        for _ in 0..20 {
            assert_eq!(trash.free_some(100), 0);
            assert!(trash.used_bytes() < last && trash.used_bytes() > 0);
            last = trash.used_bytes();
            assert_eq!(trash.recount(), Ok(()));
        }
        assert!(trash.free_some(10_000) > 0);
        assert_eq!((trash.len(), trash.used_bytes()), (0, 0));
    }

    #[test]
    fn a_flushed_database_hands_its_heavy_containers_on() {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let (mut database, mut trash) = (Database::new(hasher.clone()), Trash::default());
        for n in 0..20 {
            let name = format!("key:{n}");
            let key = Key { bytes: name.as_bytes(), hash: hasher.hash(name.as_bytes()) };
            database.insert(key.hash, Record::new(key.bytes, list(100), None, Access(0)));
        }
        trash.add_database(database);
        let mut calls = 0;
        while !trash.is_empty() {
            trash.free_some(10);
            assert_eq!(trash.recount(), Ok(()));
            calls += 1;
        }
        assert!(calls >= 200, "2,000 packs were freed in {calls} calls of ten steps");
        assert_eq!(trash.used_bytes(), 0);
    }
}
