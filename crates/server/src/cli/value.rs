//! Values of flags and variables, as people write them.

use crate::start;

/// A flag's variable: what is neither yes nor no is a slip, and not a yes.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "" | "false" | "0" => Ok(false),
        _ => Err("use true, false, 1 or 0; the flag itself needs no value".to_owned()),
    }
}

/// A level, or parts such as `tollgate=debug`. A lone word that is no level would be taken for the name of a module.
pub fn log_filter(text: &str) -> Result<String, String> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let text = if text.trim().is_empty() { "info" } else { text };
    let is_part = |part: &str| part.contains(['=', '[']) || levels.contains(&part.trim().to_ascii_lowercase().as_str());
    if text.split(',').all(is_part) && start::is_filter(text) {
        return Ok(text.to_owned());
    }
    Err(format!("use one of {}, or a filter such as tollgate=debug", levels.join(", ")))
}
