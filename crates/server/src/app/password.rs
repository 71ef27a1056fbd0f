//! Passwords: Argon2id, a few hashes at once so that sign-ins cannot starve everything else.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Code, Error, Result};

/// The shortest password. Source: ASVS 5.0, 6.2.1.
pub const CHARS_MIN: usize = 8;
/// The longest, which bounds the work of one hash.
pub const CHARS_MAX: usize = 128;
/// Memory of one hash in KiB and passes over it: 19 MiB twice, the OWASP floor of equal strength to 46 MiB once, which
/// keeps the idle process small (RELIABILITY S8).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes at once; others wait.
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
        self.in_turn(move || hash_now(&password)).await?
    }

    /// Whether a password fits a stored hash; without one the same work is done for nothing.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool> {
        if password.len() > CHARS_MAX * 4 {
            return Ok(false);
        }
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.dummy).to_owned();
        let password = password.to_owned();
        let fits = self.in_turn(move || verify_now(&password, &stored)).await?;
        Ok(fits && known)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::new(Code::Busy, "Too many sign-ins at once; try again shortly.").retry_after(2);
        let _place = self.queue.try_acquire().map_err(|_| busy())?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| busy())?;
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        work.await.map_err(Error::internal)
    }
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
