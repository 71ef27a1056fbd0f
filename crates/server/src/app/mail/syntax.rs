//! What a template may hold: variables, conditions and loops over what is there, and nothing that computes.
//!
//! Only what is read here reaches the template engine, whose language is a larger one (`docs/decisions/0016`).

use serde_json::Value;

/// What is open at a place of a template.
enum Block<'a> {
    If { has_else: bool },
    For { name: &'a str, item: &'a Value },
}

/// Reads a template; what is wrong is told with its line. `known` is an example of the data, which must have whatever
/// the template names.
pub fn check(source: &str, known: &Value) -> Result<(), String> {
    let mut reader = Reader { known, blocks: Vec::new() };
    let mut rest = source;
    loop {
        let line = line_of(source, rest);
        let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|mark| rest.find(mark)).min() else { break };
        let (_, tag) = rest.split_at(at);
        let line = line + rest.get(..at).map_or(0, |text| text.matches('\n').count());
        let (inside, after) = inside(tag).map_err(|detail| format!("line {line}: {detail}"))?;
        let read = if tag.starts_with("{{") { reader.variable(inside) } else { reader.tag(inside) };
        read.map_err(|detail| format!("line {line}: {detail}"))?;
        rest = after;
    }
    match reader.blocks.pop() {
        None => Ok(()),
        Some(Block::If { .. }) => Err("a {% if … %} has no {% endif %}".to_owned()),
        Some(Block::For { .. }) => Err("a {% for … %} has no {% endfor %}".to_owned()),
    }
}

fn line_of(source: &str, rest: &str) -> usize {
    let read = source.len().saturating_sub(rest.len());
    source.get(..read).map_or(1, |text| text.matches('\n').count() + 1)
}

/// What stands inside the mark that a text begins with, and what follows it.
fn inside(tag: &str) -> Result<(&str, &str), String> {
    let (mark, end) = match tag.get(..2) {
        Some("{{") => ("{{", "}}"),
        Some("{%") => ("{%", "%}"),
        _ => return Err("leave comments ({# … #}) out".to_owned()),
    };
    let body = tag.strip_prefix(mark).unwrap_or_default();
    body.split_once(end).ok_or_else(|| format!("`{mark}` has no `{end}`"))
}

struct Reader<'a> {
    known: &'a Value,
    blocks: Vec<Block<'a>>,
}

impl<'a> Reader<'a> {
    fn variable(&self, inside: &str) -> Result<(), String> {
        let name = inside.trim();
        match self.find(name)? {
            Value::Array(_) => Err(format!("`{name}` is a list; write {{% for item in {name} %}} … {{% endfor %}}")),
            Value::Object(members) => {
                let members: Vec<_> = members.keys().map(|member| format!("{name}.{member}")).collect();
                Err(format!("`{name}` has parts; use one of {}", members.join(", ")))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn tag(&mut self, inside: &'a str) -> Result<(), String> {
        let words: Vec<&'a str> = inside.split_whitespace().collect();
        match *words.as_slice() {
            ["if", name] | ["if", "not", name] => {
                self.find(name)?;
                self.blocks.push(Block::If { has_else: false });
                Ok(())
            }
            ["else"] => match self.blocks.last_mut() {
                Some(Block::If { has_else }) if !*has_else => {
                    *has_else = true;
                    Ok(())
                }
                _ => Err("{% else %} stands alone; write it once between {% if … %} and {% endif %}".to_owned()),
            },
            ["endif"] => match self.blocks.pop() {
                Some(Block::If { .. }) => Ok(()),
                _ => Err("{% endif %} ends no {% if … %}".to_owned()),
            },
            ["for", name, "in", list] => {
                if !is_name(name) {
                    return Err(format!("`{name}` is no name; use a to z, digits and _"));
                }
                let Value::Array(items) = self.find(list)? else {
                    return Err(format!("`{list}` is no list"));
                };
                let item = items.first().unwrap_or(&Value::Null);
                self.blocks.push(Block::For { name, item });
                Ok(())
            }
            ["endfor"] => match self.blocks.pop() {
                Some(Block::For { .. }) => Ok(()),
                _ => Err("{% endfor %} ends no {% for … %}".to_owned()),
            },
            _ => Err(format!(
                "`{{% {} %}}` is not known; there is {{% if x %}}, {{% if not x %}}, {{% else %}}, {{% endif %}}, \
                 {{% for x in list %}} and {{% endfor %}}",
                inside.trim()
            )),
        }
    }

    fn find(&self, name: &str) -> Result<&'a Value, String> {
        let mut path = name.split('.');
        if !name.split('.').all(is_name) {
            return Err(format!(
                "`{name}` is no variable; write a name such as {{{{ brand.name }}}}, and nothing else"
            ));
        }
        let first = path.next().unwrap_or_default();
        let own = self.blocks.iter().rev().find_map(|block| match block {
            Block::For { name, item } if *name == first => Some(*item),
            Block::For { .. } | Block::If { .. } => None,
        });
        let mut value = own.or_else(|| self.known.get(first));
        for part in path {
            value = value.and_then(|value| value.get(part));
        }
        value.ok_or_else(|| {
            let known = self.known.as_object().into_iter().flatten();
            let names: Vec<_> = known.flat_map(|(name, value)| shown(name, value)).collect();
            format!("`{name}` is not known here; there is {}", names.join(", "))
        })
    }
}

/// The names under which a value's parts can be written.
pub fn shown(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(member, value)| shown(&format!("{name}.{member}"), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => vec![name.to_owned()],
    }
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(source: &str) -> Result<(), String> {
        let known = json!({ "name": "Ann", "brand": { "name": "Shop" }, "lines": [{ "text": "Pro", "parts": ["a"] }] });
        check(source, &known)
    }

    #[test]
    fn variables_conditions_and_loops_are_all_there_is() {
        for good in [
            "",
            "no tags, and } } %} too { %",
            "{{ name }}{{name}} {{ brand.name }}",
            "{% if name %}a{% else %}b{% endif %}{% if not brand.name %}c{% endif %}",
            "{% for line in lines %}{{ line.text }}{% for part in line.parts %}{{ part }}{% endfor %}{% endfor %}",
        ] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
        for (bad, told) in [
            ("{{ nam }}", "line 1: `nam` is not known here; there is name, brand.name, lines"),
            ("a\n\n{{ brand.nam }}", "line 3: `brand.nam` is not known here"),
            ("{{ name|safe }}", "line 1: `name|safe` is no variable"),
            ("{{ name.upper() }}", "is no variable"),
            ("{{ 1 + 1 }}", "is no variable"),
            ("{{ \"}}\" }}", "is no variable"),
            ("{{- name }}", "is no variable"),
            ("{{ }}", "is no variable"),
            ("{{ brand }}", "`brand` has parts; use one of brand.name"),
            ("{{ lines }}", "`lines` is a list"),
            ("{{ loop.index }}", "`loop.index` is not known here"),
            ("{% for line in lines %}{% endfor %}\n{{ line.text }}", "line 2: `line.text` is not known"),
            ("{{ name", "`{{` has no `}}`"),
            ("{# x #}", "leave comments"),
            ("{% if name %}", "has no {% endif %}"),
            ("{% for x in lines %}", "has no {% endfor %}"),
            ("{% for x in name %}{% endfor %}", "`name` is no list"),
            ("{% endif %}", "ends no"),
            ("{% if name %}{% endfor %}", "ends no"),
            ("{% else %}", "stands alone"),
            ("{% if name %}{% else %}{% else %}{% endif %}", "stands alone"),
            ("{% if name == 'x' %}{% endif %}", "is not known; there is"),
            ("{% include 'x' %}", "is not known; there is"),
            ("{% set x = name %}", "is not known; there is"),
            ("{% raw %}{{ x }}{% endraw %}", "`{% raw %}` is not known"),
            ("{%- if name %}{% endif %}", "is not known; there is"),
        ] {
            let error = checked(bad).expect_err(bad);
            assert!(error.contains(told), "{bad}: {error}");
        }
    }
}
