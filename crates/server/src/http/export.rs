//! Exports: a whole list as CSV (RFC 4180) or JSON, streamed page by page, so that its length costs no memory.
//!
//! A handler reads the format from its query, has the use case read page after page, and names the columns, which are
//! the JSON names of the rows' fields. An export that fails half-way breaks off its connection, so that nobody takes
//! the half for the whole.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::Error;

/// In which form a list goes out whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ExportFormat)]
pub enum Format {
    /// Comma-separated, the first line with the names of the columns.
    Csv,
    /// The same object as the list, with all rows on one page.
    #[default]
    Json,
}

impl Format {
    const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
        }
    }
}

/// Answers an export. `name` is the file's name without its ending, `columns` are fields of the rows as JSON has them.
pub fn answer<T: Serialize + 'static>(
    format: Format,
    name: &str,
    columns: &'static [&'static str],
    pages: impl Stream<Item = Result<Vec<T>, Error>> + Send + 'static,
) -> Response {
    let (head, tail) = match format {
        Format::Csv => (line(columns.iter().copied()), String::new()),
        Format::Json => (String::from("{\"data\":["), String::from("\n],\"nextCursor\":null}\n")),
    };
    let mut first = true;
    let rows = pages.map(move |page| {
        let mut text = String::new();
        for row in page? {
            let json = serde_json::to_string(&row).map_err(Error::internal)?;
            match format {
                Format::Csv => text.push_str(&csv(&json, columns)?),
                Format::Json => text.extend([if first { "\n" } else { ",\n" }, json.as_str()]),
            }
            first = false;
        }
        Ok::<_, Error>(Bytes::from(text))
    });
    let whole = |text: String| stream::once(std::future::ready(Ok::<_, Error>(Bytes::from(text))));
    let mut response = Body::from_stream(whole(head).chain(rows).chain(whole(tail))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    let disposition = format!("attachment; filename=\"{name}.{}\"", format.extension());
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// One line of a row that is written as JSON. Numbers keep their digits; lists and objects stay JSON.
fn csv(json: &str, columns: &[&str]) -> Result<String, Error> {
    let fields: HashMap<String, Box<RawValue>> = serde_json::from_str(json).map_err(Error::internal)?;
    let cell = |column: &&str| match fields.get(*column).map(|value| value.get()) {
        None | Some("null") => Ok(String::new()),
        Some(text) if text.starts_with('"') => {
            serde_json::from_str::<String>(text).map(harmless).map_err(Error::internal)
        }
        Some(other) => Ok(other.to_owned()),
    };
    let cells = columns.iter().map(cell).collect::<Result<Vec<_>, Error>>()?;
    Ok(line(cells.iter().map(String::as_str)))
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

/// A line of cells as RFC 4180 has it.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted = |cell: &str| {
        let plain = !cell.contains([',', '"', '\r', '\n']) && cell.trim() == cell;
        if plain { cell.to_owned() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    let cells: Vec<_> = cells.map(quoted).collect();
    cells.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;

    const COLUMNS: [&str; 3] = ["name", "amount", "more"];

    async fn exported(format: Format, pages: Vec<Result<Vec<Value>, Error>>) -> Option<String> {
        let response = answer(format, "users", &COLUMNS, stream::iter(pages));
        assert!(response.headers()[header::CONTENT_DISPOSITION].to_str().is_ok_and(|name| name.contains("users.")));
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some(String::from_utf8(body.to_vec()).unwrap())
    }

    fn row(name: &str, amount: &str, more: &Value) -> Value {
        let amount: Value = serde_json::from_str(amount).unwrap();
        json!({ "hidden": 1, "more": more, "amount": amount, "name": name })
    }

    #[tokio::test]
    async fn csv_is_quoted_where_it_must_be_and_holds_no_formula() {
        let rows = vec![
            row("plain", "-5", &json!(null)),
            row("a, \"b\"\r\nc", "12", &json!({ "x": ["y"] })),
            row("=1+1", "0", &json!(true)),
        ];
        let rest: Vec<_> = ["+1", "-1", "@x", "\tx", "\rx", " x"].map(|name| row(name, "1", &json!("é"))).into();
        let text = exported(Format::Csv, vec![Ok(rows), Ok(Vec::new()), Ok(rest)]).await.unwrap();
        let wanted = "name,amount,more\r\nplain,-5,\r\n\"a, \"\"b\"\"\r\nc\",12,\"{\"\"x\"\":[\"\"y\"\"]}\"\r\n'=1+1,0,true\r\n\
                      '+1,1,é\r\n'-1,1,é\r\n'@x,1,é\r\n'\tx,1,é\r\n\"'\rx\",1,é\r\n\" x\",1,é\r\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(csv(r#"{"name":null,"amount":349.00}"#, &COLUMNS).unwrap(), ",349.00,\r\n");
    }

    #[tokio::test]
    async fn json_is_the_list_on_one_page() {
        for pages in [vec![], vec![Ok(vec![])], vec![Ok(vec![json!({ "a": 1 })]), Ok(vec![json!(2), json!(3)])]] {
            let rows: Vec<Value> = pages.iter().flat_map(|page| page.clone().unwrap()).collect();
            let text = exported(Format::Json, pages).await.unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read, json!({ "data": rows, "nextCursor": null }));
        }
    }

    #[tokio::test]
    async fn a_failure_on_the_way_breaks_off() {
        let pages = vec![Ok(vec![json!({ "name": "a" })]), Err(Error::internal("gone"))];
        assert_eq!(exported(Format::Csv, pages).await, None);
    }
}
