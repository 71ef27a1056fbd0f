//! Passwords: Argon2id, a few hashes at once so that sign-ins cannot starve everything else.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Code, Error, Result};

/// The shortest password. Source: ASVS 5.0, 6.2.1.
pub const CHARS_MIN: usize = 8;
/// The longest, which bounds the work of one hash.
pub const CHARS_MAX: usize = 128;
/// Memory of one hash in KiB and passes over it: 19 MiB twice, the OWASP floor of equal strength to 46 MiB once, which
/// keeps the idle process small (RELIABILITY S8).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes at once; others wait. More than one would let as many guesses be looked at before they are counted.
const AT_ONCE: usize = 1;
/// Callers that may wait for their hash; more are refused.
const WAITING_MAX: usize = 64;

/// Passwords that everybody tries first.
const COMMON: &str = include_str!("common_passwords.txt");

/// Hashes and checks passwords.
pub struct Passwords {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// A hash of nothing, so that an unknown address costs as much as a wrong password.
    dummy: String,
}

/// A caller's turn to hash; it ends when this is dropped.
pub struct Turn(#[expect(dead_code, reason = "kept for its end")] OwnedSemaphorePermit);

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Passwords {
    /// Makes the one of a process.
    pub fn new() -> Result<Self> {
        let dummy = hash_now(&super::seal::random_text()?)?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), queue: Arc::new(Semaphore::new(WAITING_MAX)), dummy })
    }

    /// Hashes a new password, after checking that it may be one.
    pub async fn hash(&self, password: &str) -> Result<String> {
        check(password)?;
        let password = password.to_owned();
        in_turn(self.turn().await?, move || hash_now(&password)).await?.1
    }

    /// Waits until it is the caller's turn to hash. Whoever counts failures does so within it: then no burst of attempts
    /// has all its guesses looked at before the first is counted.
    pub async fn turn(&self) -> Result<Turn> {
        let busy = || Error::new(Code::Busy, "Too many sign-ins at once; try again shortly.").retry_after(2);
        let _place = self.queue.try_acquire().map_err(|_| busy())?;
        self.turns.clone().acquire_owned().await.map(Turn).map_err(|_| busy())
    }

    /// Whether a password fits a stored hash, for callers who are not guessing.
    pub async fn fits(&self, password: &str, stored: &str) -> Result<bool> {
        Ok(self.verify(self.turn().await?, password, Some(stored)).await?.1)
    }

    /// Whether a password fits a stored hash; without one the same work is done for nothing. Answers the turn, too, for
    /// what has to come before the next.
    pub async fn verify(&self, turn: Turn, password: &str, stored: Option<&str>) -> Result<(Turn, bool)> {
        if password.len() > CHARS_MAX * 4 {
            return Ok((turn, false));
        }
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.dummy).to_owned();
        let password = password.to_owned();
        let (turn, fits) = in_turn(turn, move || verify_now(&password, &stored)).await?;
        Ok((turn, fits && known))
    }
}

/// Works on a thread of its own. The turn goes with it, so that it is not over before the work is when the caller goes.
async fn in_turn<T: Send + 'static>(turn: Turn, work: impl FnOnce() -> T + Send + 'static) -> Result<(Turn, T)> {
    tokio::task::spawn_blocking(move || (turn, work())).await.map_err(Error::internal)
}

fn hash_now(password: &str) -> Result<String> {
    argon2().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(Error::internal)
}

fn verify_now(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

fn check(password: &str) -> Result<()> {
    let chars = password.chars().count();
    if !(CHARS_MIN..=CHARS_MAX).contains(&chars) {
        return Err(Error::field("/password", format!("use {CHARS_MIN} to {CHARS_MAX} characters")));
    }
    let mut seen = password.chars().filter(|c| !c.is_whitespace());
    let first = seen.next();
    if seen.all(|c| Some(c) == first) {
        return Err(Error::field("/password", "use more than one character, and not only blanks"));
    }
    if COMMON.lines().any(|common| common.eq_ignore_ascii_case(password)) {
        return Err(Error::field("/password", "this password is among the first that attackers try; choose another"));
    }
    Ok(())
}
