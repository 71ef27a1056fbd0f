//! A real mail server for tests: aiosmtpd, with or without TLS by an authority of our own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

/// Who may send.
pub const USER: &str = "app@shop.example";
pub const MAIL_PASSWORD: &str = "s3cret: p@ss/word";

/// A running mail server.
pub struct Sink {
    child: Child,
    /// Hears of each mail that is kept.
    heard: Receiver<()>,
    pub port: u16,
    folder: tempfile::TempDir,
    secure: bool,
}

impl Sink {
    /// One that takes everything from anybody.
    pub fn open() -> Self {
        Self::start(false, 0, tempfile::tempdir().expect("a folder"))
    }

    /// One that wants STARTTLS first and then a password.
    pub fn secure() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        certificates(folder.path());
        Self::start(true, 0, folder)
    }

    fn start(secure: bool, port: u16, folder: tempfile::TempDir) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/smtp_sink.py");
        let file = |name: &str| folder.path().join(name).display().to_string();
        let of_secure = |text: String| if secure { text } else { String::new() };
        // Debian's own interpreter is the one that Debian's package is for.
        let debian = PathBuf::from("/usr/bin/python3");
        let mut command = Command::new(if debian.exists() { debian } else { PathBuf::from("python3") });
        command.arg(script).arg(folder.path()).arg(port.to_string());
        command.args([of_secure(file("server.crt")), of_secure(file("server.key"))]);
        command.args([of_secure(USER.to_owned()), of_secure(MAIL_PASSWORD.to_owned())]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("it speaks");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("no mail server: apt-get install python3-aiosmtpd"));
        let (tell, heard) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|_| tell.send(()).ok()));
        Self { child, heard, port, folder, secure }
    }

    /// Stops it; what it took stays.
    pub fn stop(mut self) -> Stopped {
        self.end();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        Stopped { port: self.port, folder, secure: self.secure }
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends");
    }

    /// The address of the account, for `TOLLGATE_SMTP_URL`.
    pub fn url(&self) -> String {
        if self.secure {
            format!("smtp://app%40shop.example:s3cret%3A%20p%40ss%2Fword@localhost:{}", self.port)
        } else {
            format!("smtp://127.0.0.1:{}?tls=none", self.port)
        }
    }

    /// The certificate of its authority.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// What it says to the next mails; nothing takes them.
    pub fn answer(&self, lines: &[&str]) {
        std::fs::write(self.folder.path().join("answers"), lines.join("\n")).expect("it is written");
    }

    /// What it has taken.
    pub fn mails(&self) -> Vec<Taken> {
        mails(self.folder.path())
    }

    /// The mails to an address once there are so many.
    pub fn wait(&self, to: &str, count: usize) -> Vec<Taken> {
        loop {
            let found: Vec<_> = self.mails().into_iter().filter(|mail| mail.0["to"][0] == to).collect();
            if found.len() >= count {
                return found;
            }
            self.heard.recv().expect("it runs");
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end();
    }
}

/// A mail server that is down.
pub struct Stopped {
    port: u16,
    folder: tempfile::TempDir,
    secure: bool,
}

impl Stopped {
    /// Starts it again, where it was.
    pub fn again(self) -> Sink {
        Sink::start(self.secure, self.port, self.folder)
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }
}

fn mails(folder: &Path) -> Vec<Taken> {
    let files = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    files.sort();
    let read = |path: &PathBuf| serde_json::from_str(&std::fs::read_to_string(path).expect("whole")).expect("JSON");
    files.iter().map(|path| Taken(read(path))).collect()
}

/// A mail that the server has taken.
#[derive(Debug)]
pub struct Taken(pub Value);

impl Taken {
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0["headers"].as_array().expect("headers");
        headers.iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str())
    }

    pub fn text(&self) -> &str {
        self.0["text"].as_str().expect("a text")
    }

    pub fn html(&self) -> &str {
        self.0["html"].as_str().expect("HTML")
    }

    /// The address in its text that begins with something.
    pub fn link(&self, path: &str) -> String {
        let mut links = self.text().split_whitespace().filter(|word| word.starts_with("http"));
        let found = links.rfind(|link| link.contains(path));
        found.unwrap_or_else(|| panic!("no {path} in {}", self.text())).to_owned()
    }

    /// The token of the link.
    pub fn token(&self, path: &str) -> String {
        self.link(path).split_once("token=").expect("a token").1.to_owned()
    }
}

/// An authority of our own, and a server's certificate by it.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let ran =
            Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -days 30 -subj /CN=test-authority -keyout ca.key -out ca.crt"));
    openssl(&format!("req {key} -subj /CN=localhost -keyout server.key -out server.csr"));
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").expect("it is written");
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
    );
}
