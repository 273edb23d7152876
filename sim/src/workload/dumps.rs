//! Values that come and go as bytes: DUMP, RESTORE.

use super::wide::{Keys, Request};
use crate::dice::Dice;
use crate::reference::Value;
use crate::reference::dumps::payload;
use crate::reference::sorted_sets::Score;

/// DUMP, or RESTORE of a value of some type.
pub fn values_as_bytes(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let key = keys(dice).into_bytes();
    if dice.chance(400) {
        return vec![b"DUMP".to_vec(), key];
    }
    let mut text = || match dice.chance(500) {
        true => dice.below(4).to_string().into_bytes(),
        false => format!("v{}", dice.below(6)).into_bytes(),
    };
    let texts = [text(), text(), text()].into_iter();
    let value = match dice.below(5) {
        0 => Value::Bytes(texts.last().expect("there are three")),
        1 => Value::List(texts.collect()),
        2 => Value::Set(texts.collect()),
        3 => Value::Hash(texts.map(|name| (name, (b"held".to_vec(), None))).collect()),
        _ => Value::SortedSet(texts.map(|member| (member, Score(2.5))).collect()),
    };
    let ttl = if dice.chance(300) { dice.between(1, 60) } else { 0 };
    let mut request = vec![b"RESTORE".to_vec(), key, ttl.to_string().into_bytes(), payload(&value)];
    if dice.chance(600) {
        request.push(b"REPLACE".to_vec());
    }
    request
}
