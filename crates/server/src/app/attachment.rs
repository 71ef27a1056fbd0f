//! Files in an AI call's input: each must be what it says, since a call that cannot be read would be charged for nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::FieldError;

/// A PDF's mark may stand behind some bytes of something else (ISO 32000-1, implementation note 13).
const PDF_MARK_WITHIN: usize = 1_024;

/// What is wrong with the members of `files`: not base64, or not of the media type that it names.
pub fn unreadable(input: &Value) -> Vec<FieldError> {
    let files = input.get("files").and_then(Value::as_array).into_iter().flatten();
    files.zip(0_usize..).filter_map(|(file, number)| fault(file, number)).collect()
}

fn fault(file: &Value, number: usize) -> Option<FieldError> {
    let text = |name: &str| file.get(name).and_then(Value::as_str);
    let at = |detail: String| FieldError { pointer: format!("/files/{number}/data"), detail };
    let Ok(bytes) = STANDARD.decode(text("data")?) else { return Some(at("write the file as base64".to_owned())) };
    let media_type = text("mediaType")?;
    if is(media_type, &bytes) { None } else { Some(at(format!("this is not {media_type}; send the file as it is"))) }
}

/// Whether bytes begin as files of a media type do; true of types that have no such mark.
fn is(media_type: &str, bytes: &[u8]) -> bool {
    match media_type {
        "application/pdf" => bytes.windows(5).take(PDF_MARK_WITHIN).any(|window| window == b"%PDF-"),
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => bytes.starts_with(b"\xff\xd8\xff"),
        "image/gif" => bytes.starts_with(b"GIF8"),
        "image/webp" => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_must_be_what_it_says() {
        let file = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "data": STANDARD.encode(bytes) });
        let good = [
            file("application/pdf", b"\n%PDF-1.7 ..."),
            file("image/png", b"\x89PNG\r\n\x1a\n"),
            file("image/jpeg", b"\xff\xd8\xff\xe0"),
            file("image/gif", b"GIF89a"),
            file("image/webp", b"RIFF\x04\0\0\0WEBPVP8 "),
            file("text/plain", b"anything"),
        ];
        assert!(unreadable(&json!({ "files": good })).is_empty());
        let bad = json!({ "files": [
            { "mediaType": "application/pdf", "data": "!!!!" },
            file("application/pdf", b"garbage"),
            file("image/png", b"%PDF-1.7"),
            file("image/webp", b"RIFF"),
        ] });
        let pointers: Vec<_> = unreadable(&bad).into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/files/0/data", "/files/1/data", "/files/2/data", "/files/3/data"]);
        assert!(unreadable(&json!({ "text": "no files" })).is_empty());
    }
}
