//! Output for people and pipes. Who reads may go away before the end, as `head` does; that is no failure of ours.

use std::fmt::Arguments;
use std::io::Write as _;

/// Prints a line.
pub fn line(words: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _gone = writeln!(out, "{words}");
}

/// Prints a text as it is.
pub fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line, as `println!` does.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::say::line(format_args!($($words)*))
    };
}
pub(crate) use say;
