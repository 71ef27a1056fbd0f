//! Lists: how much of one is asked for, in which order, and where its next page begins (SPEC §13).
//!
//! `key::list` shows how it goes together: the handler takes a [`List`] with the filters that are its own, names the
//! fields that it sorts by, and hands what the store read to [`Page::of`]. A cursor is the place of a page's last row,
//! so that rows which come or go meanwhile neither repeat nor hide another.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::list::{Place, Wanted};
use utoipa::IntoParams;

use super::params;
use super::problem::Failed;
use crate::error::Error;
use crate::limits::TEXT_CHARS_MAX;

/// Rows of a page, when nobody says how many.
const LIMIT_DEFAULT: i64 = 50;
/// Rows of a page at most.
const LIMIT_MAX: i64 = 200;
/// The parameters that every list has.
const PARAMETERS: [&str; 4] = ["limit", "cursor", "sort", "q"];

/// What every list can be asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Rows of the page: 1 to 200, 50 by default.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200, example = 50)]
    limit: Option<String>,
    /// The `nextCursor` of the page before; the first page without it. It is good for the same `sort` alone.
    #[param(example = "WyItY3JlYXRlZEF0IiwiIiwia2V5XzAxIl0")]
    cursor: Option<String>,
    /// The field to sort by, with `-` before it for the greatest first.
    #[param(example = "-createdAt")]
    sort: Option<String>,
    /// A text to look for, in upper or lower case.
    #[param(example = "server")]
    q: Option<String>,
}

/// The query of a list: what every list has, and filters of its own, one parameter each.
#[derive(Debug)]
pub struct List<F>(pub ListQuery, pub F);

/// For a list without filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

impl<F: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for List<F> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let (own, filters): (Vec<&str>, Vec<&str>) =
            pairs.partition(|pair| PARAMETERS.contains(&pair.split('=').next().unwrap_or_default()));
        let filters =
            params::read(&filters.join("&")).map_err(|Failed(error, quotas)| Failed(told_all(error), quotas))?;
        Ok(Self(params::read(&own.join("&"))?, filters))
    }
}

/// A parameter that is not known is told with all that are: those of the list, and those that every list has.
fn told_all(mut error: Error) -> Error {
    let every = PARAMETERS.join(", ");
    for detail in error.more.fields.iter_mut().map(|field| &mut field.detail).chain([&mut error.detail]) {
        if detail.contains("leave it out; known here: ") {
            *detail = format!("{detail}, {every}");
        } else if detail.ends_with("leave it out") {
            *detail = format!("{detail}; known here: {every}");
        }
    }
    error
}

impl ListQuery {
    /// What the store is to read. `sorts` names the fields to sort by; the first, with its sign, is the order of a list
    /// that is asked for none.
    pub fn wanted(&self, sorts: &[&'static str]) -> Result<Wanted, Error> {
        let limit = self.limit.as_deref().map_or(Some(LIMIT_DEFAULT), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let limit =
            limit.ok_or_else(|| Error::parameter("limit", format!("use a whole number from 1 to {LIMIT_MAX}")))?;
        let asked = self.sort.as_deref().or_else(|| sorts.first().copied()).unwrap_or_default();
        let (descending, name) = asked.strip_prefix('-').map_or((false, asked), |name| (true, name));
        let mut known = sorts.iter().map(|sort| sort.trim_start_matches('-'));
        let sort = known.clone().find(|known| *known == name).ok_or_else(|| {
            let known = known.by_ref().collect::<Vec<_>>().join(", ");
            Error::parameter("sort", format!("use one of {known}, with `-` before it for the greatest first"))
        })?;
        let search = self.q.as_deref().unwrap_or_default().trim();
        if search.chars().count() > TEXT_CHARS_MAX || search.chars().any(char::is_control) {
            let detail = format!("use at most {TEXT_CHARS_MAX} characters without line breaks");
            return Err(Error::parameter("q", detail));
        }
        let after = self.cursor.as_deref().map(|cursor| place(cursor, (sort, descending))).transpose()?;
        Ok(Wanted { sort, descending, after, search: search.to_owned(), rows: limit + 1 })
    }
}

/// The order that a cursor is good for.
fn order((sort, descending): (&str, bool)) -> String {
    if descending { format!("-{sort}") } else { sort.to_owned() }
}

fn place(cursor: &str, sorted: (&str, bool)) -> Result<Place, Error> {
    let detail = "take the `nextCursor` of the page before, with the same `sort`, or leave it out for the first page";
    let wrong = || Error::parameter("cursor", detail);
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    let (sort, value, id): (String, String, String) = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    // PostgreSQL has no text with a zero byte.
    let good = sort == order(sorted) && !value.contains('\0') && !id.contains('\0');
    if good { Ok(Place { value, id }) } else { Err(wrong()) }
}

/// A part of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its rows.
    pub data: Vec<T>,
    /// Where the next page begins; none on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of the rows that were read. `place` says where a row stands: the value that it is sorted by, and its id.
    pub fn of(mut rows: Vec<T>, wanted: &Wanted, place: impl Fn(&T) -> (String, String)) -> Self {
        let limit = usize::try_from(wanted.rows).unwrap_or_default().saturating_sub(1);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = |row: &T| {
            let (value, id) = place(row);
            let text = serde_json::json!([order((wanted.sort, wanted.descending)), value, id]).to_string();
            URL_SAFE_NO_PAD.encode(text)
        };
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self { data: rows, next_cursor }
    }
}

/// The page of a list that is short enough to be sorted here.
pub fn cut<T>(mut rows: Vec<T>, wanted: &Wanted, place: impl Fn(&T) -> (String, String)) -> Page<T> {
    rows.sort_by_cached_key(&place);
    if wanted.descending {
        rows.reverse();
    }
    if let Some(Place { value, id }) = &wanted.after {
        let beyond = |row: &T| {
            let order = place(row).cmp(&(value.clone(), id.clone()));
            if wanted.descending { order.is_lt() } else { order.is_gt() }
        };
        rows.retain(beyond);
    }
    Page::of(rows, wanted, place)
}

/// A whole number as a text that sorts as it does.
pub fn sortable(number: i64) -> String {
    format!("{:020}", number.abs_diff(i64::MIN))
}

impl<T> Page<T> {
    /// The page of a list that is in memory as a whole: few rows, such as a tenant's components. `place` is as for
    /// [`Page::of`], `text` what is searched.
    pub fn within(
        mut rows: Vec<T>,
        wanted: &Wanted,
        place: impl Fn(&T) -> (String, String),
        text: impl Fn(&T) -> String,
    ) -> Self {
        let search = wanted.search.to_lowercase();
        rows.retain(|row| text(row).to_lowercase().contains(&search));
        cut(rows, wanted, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SORTS: [&str; 2] = ["-createdAt", "name"];

    fn query(limit: &str, cursor: &str, sort: &str, q: &str) -> ListQuery {
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ListQuery { limit: said(limit), cursor: said(cursor), sort: said(sort), q: said(q) }
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let wanted = ListQuery::default().wanted(&SORTS).expect("it is right");
        let search = String::new();
        assert_eq!(wanted, Wanted { sort: "createdAt", descending: true, after: None, search, rows: 51 });
        let wanted = query("200", "", "name", " till ").wanted(&SORTS).expect("it is right");
        assert_eq!((wanted.sort, wanted.descending, wanted.rows), ("name", false, 201));
        assert_eq!(wanted.search, "till");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_parameter() {
        let zero = URL_SAFE_NO_PAD.encode(r#"["-createdAt","\u0000","x"]"#);
        for (query, pointer) in [
            (query("0", "", "", ""), "/limit"),
            (query("201", "", "", ""), "/limit"),
            (query("many", "", "", ""), "/limit"),
            (query("99999999999999999999", "", "", ""), "/limit"),
            (query("", "nonsense", "", ""), "/cursor"),
            (query("", "bm9uc2Vuc2U", "", ""), "/cursor"),
            (query("", &zero, "", ""), "/cursor"),
            (query("", "", "hint", ""), "/sort"),
            (query("", "", "--name", ""), "/sort"),
            (query("", "", "", &"x".repeat(201)), "/q"),
            (query("", "", "", "a\u{0}b"), "/q"),
        ] {
            let error = query.wanted(&SORTS).expect_err(pointer);
            let pointers: Vec<_> = error.more.fields.iter().map(|field| field.pointer.as_str()).collect();
            assert_eq!(pointers, [pointer], "{query:?}");
            let named = format!("`{}`: ", pointer.trim_start_matches('/'));
            assert!(error.detail.contains(&named), "{}", error.detail);
        }
    }

    #[test]
    fn a_page_says_where_the_next_begins_and_only_in_its_own_order() {
        let wanted = query("2", "", "-name", "").wanted(&SORTS).expect("it is right");
        let place = |row: &u8| (format!("n{row}"), row.to_string());
        assert_eq!(Page::of(vec![3, 2], &wanted, place), Page { data: vec![3, 2], next_cursor: None });
        let page = Page::of(vec![3, 2, 1], &wanted, place);
        assert_eq!(page.data, [3, 2]);
        let cursor = page.next_cursor.expect("there is more");
        let next = query("2", &cursor, "-name", "").wanted(&SORTS).expect("it is right");
        assert_eq!(next.after, Some(Place { value: "n2".to_owned(), id: "2".to_owned() }));
        for other in ["name", "-createdAt", ""] {
            assert!(query("2", &cursor, other, "").wanted(&SORTS).is_err(), "{other}");
        }
    }

    #[test]
    fn numbers_sort_as_texts() {
        let numbers = [i64::MIN, -10, -9, 0, 9, 10, i64::MAX];
        assert!(numbers.map(sortable).windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_list_in_memory_comes_in_the_same_pages() {
        let rows = vec![("b", "2"), ("a", "1"), ("a", "3"), ("x", "4")];
        let place = |row: &(&str, &str)| (row.0.to_owned(), row.1.to_owned());
        for (sort, whole) in [("name", ["1", "3", "2", "4"]), ("-name", ["4", "2", "3", "1"])] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            for _ in 0..4 {
                let wanted = query("1", &cursor, sort, "").wanted(&SORTS).expect("it is right");
                let page = Page::within(rows.clone(), &wanted, place, |row| row.0.to_owned());
                seen.extend(page.data.iter().map(|row| row.1));
                cursor = page.next_cursor.unwrap_or_default();
            }
            assert_eq!((seen.as_slice(), cursor.as_str()), (&whole[..], ""));
        }
        let wanted = query("", "", "name", "A").wanted(&SORTS).expect("it is right");
        assert_eq!(Page::within(rows, &wanted, place, |row| row.0.to_owned()).data, [("a", "1"), ("a", "3")]);
    }
}
