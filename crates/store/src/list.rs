//! Which rows of a list are asked for: an order, a place in it, and a text to look for.

/// What a list is asked for. `http/list.rs` makes it of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The field that the rows are sorted by, as it is called in JSON; rows that are equal in it are in the order of
    /// their ids.
    pub sort: &'static str,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// The last row of the page before; none on the first.
    pub after: Option<Place>,
    /// What the caller looks for; empty for everything.
    pub search: String,
    /// Rows to read: one more than a page shows, which tells whether there is another.
    pub rows: i64,
}

/// Where a row stands in the order of its list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The value that it is sorted by, as text.
    pub value: String,
    /// Its id.
    pub id: String,
}

/// Greater than every id, in every collation: ids begin with three letters of their kind.
const AFTER_ALL: &str = "zzzz";

impl Wanted {
    /// Where reading begins: after the last row of the page before, or else before the first row of an order by id or by
    /// a whole number. A place that is always there lets an index find it.
    pub fn start(&self) -> Place {
        let first = if self.descending { (i64::MAX, AFTER_ALL) } else { (i64::MIN, "") };
        self.after.clone().unwrap_or_else(|| Place { value: first.0.to_string(), id: first.1.to_owned() })
    }

    /// The pattern for `LOWER(…) LIKE … ESCAPE '!'`. Letters beyond ASCII are told apart by their case on SQLite.
    pub fn pattern(&self) -> String {
        let mut pattern = String::from("%");
        for letter in self.search.to_lowercase().chars() {
            if matches!(letter, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(letter);
        }
        if pattern.len() > 1 {
            pattern.push('%');
        }
        pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_text_and_no_pattern() {
        let pattern = |search: &str| {
            let wanted = Wanted { sort: "name", descending: false, after: None, search: search.to_owned(), rows: 2 };
            wanted.pattern()
        };
        assert_eq!(pattern(""), "%");
        assert_eq!(pattern("Till"), "%till%");
        assert_eq!(pattern("100%_!"), "%100!%!_!!%");
    }
}
