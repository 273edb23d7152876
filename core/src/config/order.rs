//! Changes of settings that reach cores in different orders, and end the same everywhere.
//!
//! Every core gets every change, each with its stamp. Per setting the highest stamp holds, so the order of arrival does not matter
//! (a last-writer-wins register for each; Shapiro et al. 2011, "Conflict-free replicated data types"). It knows
//! names and stamps. It does not know what settings do.

use std::collections::BTreeMap;

use super::Settings;
use super::parameter::{self, Form};
use crate::message::Stamp;

/// The stamp that holds of each setting that was ever changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeOrder {
    latest: BTreeMap<String, Stamp>,
}

impl ChangeOrder {
    /// Applies the pairs of one CONFIG SET that its own core has found to be right, except where a later one has been
    /// applied already. The names of the parameters whose value has changed.
    pub fn apply(
        &mut self,
        settings: &mut Settings,
        pairs: &[(&[u8], &[u8])],
        stamp: Stamp,
    ) -> Vec<&'static str> {
        let mut changed = Vec::new();
        for (name, value) in pairs {
            for (setting, value) in registers(name, value) {
                let latest = self.latest.entry(setting).or_insert(stamp);
                if stamp < *latest {
                    continue;
                }
                *latest = stamp;
                // It was right where it was made, and what cannot change at run time is the same on all cores.
                changed.extend(settings.config_set(&[(name, &value)]).unwrap_or_default());
            }
        }
        changed
    }
}

/// What one pair sets: the parameter, under its own name and not an older one; or, where a value has a part for each class of
/// clients and need not name them all, one for each that it names.
fn registers(name: &[u8], value: &[u8]) -> Vec<(String, Vec<u8>)> {
    let name = String::from_utf8_lossy(name);
    let Some(parameter) = parameter::find(&name) else { return Vec::new() };
    if parameter.form != Form::Classes {
        return vec![(parameter.name.to_string(), value.to_vec())];
    }
    let words: Vec<&[u8]> = value.split(|&byte| byte == b' ').collect();
    let one = |four: &[&[u8]]| {
        let class = match four[0].eq_ignore_ascii_case(b"slave") {
            true => "replica".to_string(),
            false => String::from_utf8_lossy(four[0]).to_lowercase(),
        };
        (format!("{} {class}", parameter.name), four.join(&b' '))
    };
    words.chunks_exact(4).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::CoreId;

    /// Applies changes in both orders; all settings must end the same, with these values.
    fn check(changes: [(&[(&str, &str)], u64); 2], expected: &[(&str, &str)]) {
        for order in [[0, 1], [1, 0]] {
            let (mut settings, mut applied) = (Settings::default(), ChangeOrder::default());
            for which in order {
                let (pairs, clock) = changes[which];
                let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
                applied.apply(&mut settings, &pairs, Stamp { clock, core: CoreId(which as u16) });
            }
            for (name, value) in expected {
                assert_eq!(settings.get(name).as_deref(), Some(*value), "{name}, order {order:?}");
            }
        }
    }

    #[test]
    fn the_later_change_holds_in_whatever_order_they_come() {
        check(
            [(&[("timeout", "1"), ("hz", "20")], 4), (&[("timeout", "2")], 5)],
            &[("timeout", "2"), ("hz", "20")],
        );
        check([(&[("timeout", "1")], 5), (&[("timeout", "2")], 5)], &[("timeout", "2")]);
        check([(&[("timeout", "1")], 6), (&[("TIMEOUT", "2")], 5)], &[("timeout", "1")]);
    }

    #[test]
    fn classes_of_clients_are_settings_of_their_own() {
        check(
            [
                (&[("client-output-buffer-limit", "normal 1 2 3 slave 4 5 6")], 1),
                (&[("client-output-buffer-limit", "replica 7 8 9 pubsub 0 0 0")], 2),
            ],
            &[("client-output-buffer-limit", "normal 1 2 3 slave 7 8 9 pubsub 0 0 0")],
        );
    }

    #[test]
    fn an_older_name_is_the_same_setting() {
        check(
            [(&[("lua-time-limit", "1")], 2), (&[("busy-reply-threshold", "3")], 1)],
            &[("lua-time-limit", "1")],
        );
    }
}
