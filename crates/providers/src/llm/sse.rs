//! Splits a byte stream into server-sent events, within a bound.

/// How long one event may be, in bytes; a real one has a few hundred.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// One event: its name (empty when the upstream sends none) and its data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// An event grew beyond the bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The splitter: bytes in, whole events out, at most one event's worth of memory.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    line: Vec<u8>,
    event: Event,
    after_cr: bool,
}

impl Splitter {
    /// Takes the next bytes and appends the events that they complete to `events`.
    pub(super) fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        for &byte in bytes {
            let line_feed_of_crlf = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            if line_feed_of_crlf {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.end_line(events);
            } else {
                self.line.push(byte);
            }
            if self.line.len().saturating_add(self.event.data.len()) > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if !event.data.is_empty() {
                events.push(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, &mut events).expect("short");
        }
        events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn events_are_found_wherever_the_bytes_are_cut() {
        let whole =
            "event: a\r\ndata: {\"t\":\"ü\"}\r\n\r\n: comment\ndata:x\ndata: y\n\nevent: only-a-name\n\n".as_bytes();
        let expected = vec![pair("a", "{\"t\":\"ü\"}"), pair("", "x\ny")];
        for at in 0..whole.len() {
            let (left, right) = whole.split_at(at);
            assert_eq!(split(&[left, right]), expected, "cut at {at}");
        }
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(split(&single), expected);
    }

    #[test]
    fn an_unfinished_event_is_not_an_event() {
        assert_eq!(split(&[b"data: half"]), vec![]);
        assert_eq!(split(&[b"data: half\n"]), vec![]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        let chunk = vec![b'x'; 64 * 1024];
        let refused = (0..100).any(|_| splitter.push(&chunk, &mut events).is_err());
        assert!(refused && events.is_empty());
    }

    #[test]
    fn endless_data_lines_are_refused_too() {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        let refused = (0..2_000_000).any(|_| splitter.push(b"data: x\n", &mut events).is_err());
        assert!(refused);
    }
}
