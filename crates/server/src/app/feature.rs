//! Features: what plans can grant.

use crate::error::{Error, Result};

/// A short text that people read, without blanks around it.
pub fn face(pointer: &str, text: &str, chars_max: usize) -> Result<String> {
    let text = text.trim();
    let chars = text.chars().count();
    if chars == 0 || chars > chars_max || text.chars().any(char::is_control) {
        return Err(Error::field(pointer, format!("use 1 to {chars_max} characters without line breaks")));
    }
    Ok(text.to_owned())
}

/// A longer text that people read; it may be empty.
pub fn prose(pointer: &str, text: &str, chars_max: usize) -> Result<String> {
    let text = text.trim();
    let odd = |c: char| c.is_control() && c != '\n';
    if text.chars().count() > chars_max || text.chars().any(odd) {
        return Err(Error::field(
            pointer,
            format!("use at most {chars_max} characters; of control characters only line breaks"),
        ));
    }
    Ok(text.to_owned())
}
