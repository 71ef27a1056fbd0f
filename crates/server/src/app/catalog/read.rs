//! Reads a catalog document: YAML, or JSON, which is YAML. What is wrong is told all at once, each with its place and line.
//!
//! Anchors and aliases are refused, so that a small file cannot be a large one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error as YamlError, Spanned};

use super::document::{Document, FORMAT};
use super::entry::Entry;
use crate::app::component::refuse;
use crate::app::patch::Patch;
use crate::error::{Error, FieldError, Result};
use crate::words::{self, Fault, below};

/// Problems that are told about one document.
const PROBLEMS_MAX: usize = 100;
/// How deep lists and objects may stand in each other; schemas are the deepest.
const DEPTH_MAX: usize = 64;
/// Bytes of stack to read with: each level takes some tens of thousands of them.
const STACK_BYTES: usize = 16 * 1024 * 1024;
/// Values of a document.
const NODES_MAX: usize = 250_000;
/// Members of a document besides its sections.
const MEMBERS: [&str; 3] = ["format", "currency", "defaultPlan"];

/// What is wrong with a document so far, and on which line each of its places is.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<FieldError>,
    lines: BTreeMap<String, u64>,
    /// The places of those entries in their sections that could be read, where one could not.
    numbers: BTreeMap<&'static str, Vec<usize>>,
}

impl Problems {
    /// Notes that something is wrong at a place, unless that is told of it, or of what it is in, already.
    pub fn add(&mut self, pointer: &str, detail: impl fmt::Display) {
        let around = |known: &FieldError| {
            pointer.strip_prefix(&known.pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let known = self.found.iter().any(|known| !known.pointer.is_empty() && around(known));
        if known || self.found.len() >= PROBLEMS_MAX {
            return;
        }
        let detail = match self.line(pointer) {
            Some(line) => format!("line {line}: {detail}"),
            None => detail.to_string(),
        };
        self.found.push(FieldError { pointer: pointer.to_owned(), detail });
    }

    /// Notes the problems of an error, whose places are below `pointer`. An error that is about no field is handed on.
    pub fn take<T>(&mut self, pointer: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.more.fields.is_empty() => Err(error),
            Err(error) => {
                for field in error.more.fields {
                    self.add(&format!("{pointer}{}", field.pointer), field.detail);
                }
                Ok(None)
            }
        }
    }

    /// The place of the entry that was read as this one of its section.
    pub fn place<E: Entry>(&self, number: usize) -> String {
        let written = self.numbers.get(E::SECTION).and_then(|numbers| numbers.get(number)).copied();
        format!("/{}/{}", E::SECTION, written.unwrap_or(number))
    }

    /// The line of a place, or of the nearest one around it.
    fn line(&self, pointer: &str) -> Option<u64> {
        let mut place = pointer;
        loop {
            match self.lines.get(place) {
                Some(line) => return Some(*line),
                None => place = place.rsplit_once('/')?.0,
            }
        }
    }

    /// Refuses the document, if anything is wrong with it.
    pub fn refuse(self) -> Result<()> {
        let count = self.found.len();
        refuse(self.found).map_err(|error| {
            let detail =
                if count > 1 { format!("{count} problems; the first: {}", error.detail) } else { error.detail };
            Error { detail, ..error }
        })
    }
}

/// A value with the lines of what is in it.
enum Tree {
    Leaf(Value),
    List(Vec<Spanned<Tree>>),
    Object(Vec<(String, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Node)
    }
}

struct Node;

impl<'de> Visitor<'de> for Node {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    #[expect(clippy::disallowed_types, reason = "numbers of a schema or a sample; no amount is read from one")]
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Tree::Object(object))
    }
}

/// The value without its lines, which are noted by their places.
fn plain(tree: Spanned<Tree>, pointer: &str, lines: &mut BTreeMap<String, u64>) -> Value {
    lines.insert(pointer.to_owned(), tree.referenced.line());
    match tree.value {
        Tree::Leaf(value) => value,
        Tree::List(items) => {
            let item = |(item, number): (_, usize)| plain(item, &format!("{pointer}/{number}"), lines);
            Value::Array(items.into_iter().zip(0..).map(item).collect())
        }
        Tree::Object(members) => {
            let member = |(name, value): (String, _)| {
                let value = plain(value, &below(pointer, &name), lines);
                (name, value)
            };
            Value::Object(members.into_iter().map(member).collect())
        }
    }
}

/// Reads a document as far as it can be read, with what is wrong so far.
pub fn read(text: &[u8]) -> Result<(Document, Problems)> {
    let text = std::str::from_utf8(text).map_err(|_| Error::field("", "write the document as UTF-8"))?;
    let mut problems = Problems::default();
    let mut members = match parse(text)? {
        Some(tree) => match plain(tree, "", &mut problems.lines) {
            Value::Object(members) => members,
            Value::Null => Map::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => return Err(no_sections()),
        },
        None => Map::new(),
    };
    // Most likely a file that was not written yet; to answer that all of it is so already would hide that.
    if members.is_empty() {
        return Err(no_sections());
    }
    let document = Document {
        currency: member(&mut members, "currency", &mut problems).of(None),
        default_plan: member(&mut members, "defaultPlan", &mut problems),
        features: section(&mut members, &mut problems),
        plans: section(&mut members, &mut problems),
        upstreams: section(&mut members, &mut problems),
        components: section(&mut members, &mut problems),
        model_prices: section(&mut members, &mut problems),
        packs: section(&mut members, &mut problems),
        coupons: section(&mut members, &mut problems),
    };
    match member::<i64>(&mut members, "format", &mut problems) {
        Patch::Keep | Patch::Set(FORMAT) => {}
        Patch::Clear | Patch::Set(_) => problems.add("/format", format!("this version reads format {FORMAT}")),
    }
    for name in members.keys() {
        let sections = "features, plans, upstreams, components, modelPrices, packs, coupons";
        problems.add(&below("", name), format!("leave it out; known here: {}, {sections}", MEMBERS.join(", ")));
    }
    Ok((document, problems))
}

fn no_sections() -> Error {
    Error::field("", "write an object with the sections of the catalog, such as plans")
}

/// Parses YAML; nothing of an empty text.
fn parse(text: &str) -> Result<Option<Spanned<Tree>>> {
    let parsed = std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || tree(text));
        reader.map_err(Error::internal)?.join().map_err(|_| Error::internal("the reader of a document panicked"))
    });
    parsed?.map_err(|detail| Error::field("", detail))
}

fn tree(text: &str) -> Result<Option<Spanned<Tree>>, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_anchors: 0, max_aliases: 0, max_documents: 1, max_depth: DEPTH_MAX, max_nodes: NODES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options) {
        Ok(tree) => Ok(Some(tree)),
        Err(YamlError::Eof { .. }) => Ok(None),
        Err(error) => Err(explained(&error)),
    }
}

/// What the parser says, in one line with its place.
fn explained(error: &YamlError) -> String {
    let place = error.location().map_or_else(String::new, |at| format!("line {}, column {}: ", at.line(), at.column()));
    let inner = error.without_snippet();
    let breach = if let YamlError::Budget { breach, .. } = inner { Some(breach) } else { None };
    let why = if let Some(BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. }) = breach {
        "write it out: anchors (&) and aliases (*) are not read here".to_owned()
    } else if let Some(BudgetBreach::Depth { .. }) = breach {
        format!("nest at most {DEPTH_MAX} deep")
    } else if let Some(BudgetBreach::Nodes { .. }) = breach {
        format!("write at most {NODES_MAX} values")
    } else if let YamlError::MergeKeyNotAllowed { .. } = inner {
        "write it out: merge keys (<<) are not read here".to_owned()
    } else {
        let said = inner.to_string();
        said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    format!("{place}{why}")
}

/// A member beside the sections.
fn member<T: DeserializeOwned>(members: &mut Map<String, Value>, name: &str, problems: &mut Problems) -> Patch<T> {
    let value = members.shift_remove(name).map(|value| entry::<Option<T>>(value, &below("", name), problems));
    value.flatten().map_or(Patch::Keep, Option::into)
}

/// The entries of a section; what cannot be read of one is left out of it.
fn section<E: Entry>(members: &mut Map<String, Value>, problems: &mut Problems) -> Option<Vec<E>> {
    let pointer = below("", E::SECTION);
    match members.shift_remove(E::SECTION)? {
        Value::Array(items) => {
            let read =
                |(value, number): (_, usize)| Some((number, entry(value, &format!("{pointer}/{number}"), problems)?));
            let (numbers, entries): (Vec<_>, Vec<_>) = items.into_iter().zip(0..).filter_map(read).unzip();
            problems.numbers.insert(E::SECTION, numbers);
            Some(entries)
        }
        // A name with nothing behind it is likelier to be a slip than to mean that nothing is sold.
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            problems.add(&pointer, "write a list");
            None
        }
    }
}

/// Reads an entry. Whatever is wrong in it is noted and taken out, until the rest can be read.
fn entry<T: DeserializeOwned>(mut value: Value, pointer: &str, problems: &mut Problems) -> Option<T> {
    let mut taken = Vec::new();
    loop {
        if let Ok(read) = T::deserialize(&value) {
            return Some(read);
        }
        let Fault { pointer: inner, detail } = words::fault::<T, _>(value.clone());
        // What is missing may be what was wrong and has been told.
        let told = taken.iter().any(|(parent, missing)| *parent == inner && *missing == detail);
        if !told {
            problems.add(&format!("{pointer}{inner}"), &detail);
        }
        let (parent, name) = inner.rsplit_once('/')?;
        let name = name.replace("~1", "/").replace("~0", "~");
        value.pointer_mut(parent)?.as_object_mut()?.shift_remove(&name)?;
        taken.push((parent.to_owned(), format!("add `{name}`")));
    }
}
