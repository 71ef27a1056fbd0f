//! Files: where one stands, what it may be called, and what it is by its content (RELIABILITY S34).

/// The gauge that a customer's files fill.
pub const FEATURE: &str = "storage";
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 200;
/// Bytes of one file.
pub const SIZE_BYTES_MAX: i64 = 10_000_000_000;
/// Bytes at the beginning of a file that tell its type.
pub const HEAD_BYTES: usize = 1_024;
/// What is said of bytes that are of no known type: something to save, and nothing to open.
pub const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its bytes come in.
    Receiving,
    /// All are there, and its size is not settled yet.
    Received,
    /// It is the customer's.
    Kept,
    /// It was deleted, and its bytes are on their way out.
    Leaving,
}

impl State {
    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Received => "received",
            Self::Kept => "kept",
            Self::Leaving => "leaving",
        }
    }

    /// The state of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Receiving, Self::Received, Self::Kept, Self::Leaving].into_iter().find(|state| state.name() == name)
    }
}

/// What a file is called, made of what somebody called it: the last part of a path, without what no file system or
/// header can carry, and never empty. It is shown and offered when saving; nothing is stored under it.
pub fn name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown = |letter: &char| !letter.is_control() && !is_direction(*letter) && *letter != '"';
    let clean: String = last.chars().filter(shown).take(NAME_CHARS_MAX).collect();
    let clean = clean.trim().trim_start_matches('.').trim_end_matches('.').trim();
    if clean.is_empty() { "file".to_owned() } else { clean.to_owned() }
}

/// Letters that turn the direction of writing, with which `exe.pdf` can be made of `fdp.exe`.
const fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// What a file is, by the bytes at its beginning; whatever its sender called it. What browsers would run, such as HTML
/// and SVG, is plain text here.
pub fn media_type(head: &[u8]) -> &'static str {
    let marks: [(&[u8], &str); 9] = [
        (b"%PDF-", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b", "application/gzip"),
        (b"ID3", "audio/mpeg"),
        (b"OggS", "application/ogg"),
        (b"\x1a\x45\xdf\xa3", "video/webm"),
    ];
    if let Some((_, known)) = marks.into_iter().find(|(mark, _)| head.starts_with(mark)) {
        return known;
    }
    let riff = head.starts_with(b"RIFF");
    match head.get(4..8).zip(head.get(8..12)) {
        Some((_, b"WEBP")) if riff => return "image/webp",
        Some((_, b"WAVE")) if riff => return "audio/wav",
        Some((b"ftyp", _)) => return "video/mp4",
        _ => {}
    }
    if is_text(head) { "text/plain" } else { UNKNOWN_TYPE }
}

/// Whether bytes are the beginning of a text: UTF-8, of which the last letter may be cut, without control characters.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            head.get(..error.valid_up_to()).and_then(|whole| std::str::from_utf8(whole).ok()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
}

/// The header that makes a browser save a file under its name instead of showing it (RFC 6266, RFC 8187).
pub fn disposition(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '\\' | '%') { c } else { '_' }).collect();
    let kept = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(byte);
    let coded: String = name
        .bytes()
        .map(|byte| if kept(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{coded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_only_shown_and_harms_nobody() {
        let table = [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ann\\Bill 1.xlsx", "Bill 1.xlsx"),
            ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
            ("\u{202e}fdp.exe", "fdp.exe"),
            ("..", "file"),
            ("", "file"),
            ("\"quoted\".txt", "quoted.txt"),
            (".bashrc", "bashrc"),
            ("Rechnung März.pdf", "Rechnung März.pdf"),
        ];
        for (given, expected) in table {
            assert_eq!(name(given), expected, "{given:?}");
        }
        assert_eq!(name(&"x".repeat(500)).len(), NAME_CHARS_MAX);
    }

    #[test]
    fn the_content_says_what_a_file_is() {
        let table: [(&[u8], &str); 12] = [
            (b"%PDF-1.7 ...", "application/pdf"),
            (b"\x89PNG\r\n\x1a\nrest", "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"RIFF\x04\0\0\0WEBPVP8 ", "image/webp"),
            (b"\0\0\0\x18ftypmp42", "video/mp4"),
            (b"PK\x03\x04rest", "application/zip"),
            (b"<!doctype html><script>", "text/plain"),
            (b"<svg onload='x()'/>", "text/plain"),
            ("Größe\t1\r\n".as_bytes(), "text/plain"),
            (b"cut in a letter \xc3", "text/plain"),
            (b"MZ\x90\0", UNKNOWN_TYPE),
            (b"", UNKNOWN_TYPE),
        ];
        for (head, expected) in table {
            assert_eq!(media_type(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_download_is_saved_under_its_name() {
        assert_eq!(disposition("a b.pdf"), "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf");
        assert_eq!(disposition("März%.txt"), "attachment; filename=\"M_rz_.txt\"; filename*=UTF-8''M%C3%A4rz%25.txt");
        assert!(!disposition("x\"; filename=evil").contains("x\";"));
    }

    #[test]
    fn states_lead_back_from_their_names() {
        for state in [State::Receiving, State::Received, State::Kept, State::Leaving] {
            assert_eq!(State::parse(state.name()), Some(state));
        }
    }
}
