//! A bounded cache of what was checked in the database, believed for a short time.

use domain::time::Timestamp;
use quick_cache::sync::Cache;

/// Values by name. Every value is forgotten some seconds after it was put in, and earlier when there are too many.
pub struct Believed<V> {
    values: Cache<String, (Timestamp, V)>,
    seconds: i64,
}

impl<V: Clone> Believed<V> {
    /// Room for about `values_max`, each good for `seconds`.
    pub fn new(values_max: usize, seconds: i64) -> Self {
        Self { values: Cache::new(values_max), seconds }
    }

    /// A value, if it is there and not too old. A clock that was set back makes a value too young, which is as bad.
    pub fn get(&self, name: &str, now: Timestamp) -> Option<V> {
        let (since, value) = self.values.get(name)?;
        (since <= now && now < since.plus_seconds(self.seconds)).then_some(value)
    }

    /// A value whose time is over, for when it cannot be checked anew, as long as it is not older than `seconds`.
    pub fn get_old(&self, name: &str, now: Timestamp, seconds: i64) -> Option<V> {
        let (since, value) = self.values.get(name)?;
        (since <= now && now < since.plus_seconds(seconds)).then_some(value)
    }

    /// Puts a value in.
    pub fn put(&self, name: &str, value: V, now: Timestamp) {
        self.values.insert(name.to_owned(), (now, value));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.values.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_believed_for_its_time_and_no_longer() {
        let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
        let believed = Believed::new(10, 5);
        believed.put("a", 1, at(100));
        assert_eq!(believed.get("a", at(100)), Some(1));
        assert_eq!(believed.get("a", at(104)), Some(1));
        assert_eq!(believed.get("a", at(105)), None);
        assert_eq!(believed.get("a", at(99)), None, "a clock that was set back");
        assert_eq!(believed.get_old("a", at(105), 10), Some(1));
        assert_eq!(believed.get_old("a", at(110), 10), None);
        assert_eq!(believed.get("b", at(100)), None);
        believed.clear();
        assert_eq!(believed.get("a", at(100)), None);
    }

    #[test]
    fn there_is_room_for_so_many_and_not_more() {
        let believed = Believed::new(100, 5);
        for number in 0..10_000 {
            believed.put(&number.to_string(), number, Timestamp::EPOCH);
        }
        let kept = (0..10_000).filter(|n: &i32| believed.get(&n.to_string(), Timestamp::EPOCH).is_some()).count();
        assert!((1..=200).contains(&kept), "{kept}");
    }
}
