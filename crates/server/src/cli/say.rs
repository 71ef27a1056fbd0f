//! Output for people and pipes. Who reads may go away before the end, as `head` does; that is no failure of ours. What
//! cannot be written for another reason, as on a full disk, is one: half of an export must not pass for the whole.

use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write as _};

/// Prints a line.
pub fn line(words: Arguments<'_>) {
    written(writeln!(std::io::stdout().lock(), "{words}"));
}

/// Prints a text as it is.
pub fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

fn written(done: Result<()>) {
    if let Err(error) = done
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("tollgate: the output could not be written ({error}); send it elsewhere and run this again");
        std::process::exit(1);
    }
}

/// Prints a line, as `println!` does.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::say::line(format_args!($($words)*))
    };
}
pub(crate) use say;
