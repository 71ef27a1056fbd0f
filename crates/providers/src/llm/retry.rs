//! When to try again, and how long to wait before.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use reqwest::header::HeaderMap;

/// A wait that an upstream asks for is obeyed up to here; beyond it the call fails and the caller passes the wait on.
const ASKED_WAIT_MAX: Duration = Duration::from_mins(1);

/// How often and how fast a call is tried again, before the first piece of an answer has been sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Further attempts after the first.
    pub retries_max: u32,
    /// The wait before the first retry; it doubles each time.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
}

impl Default for Retry {
    /// Two retries, 0.5 s doubling up to 8 s: what the official SDKs do.
    fn default() -> Self {
        Self { retries_max: 2, base: Duration::from_millis(500), cap: Duration::from_secs(8) }
    }
}

impl Retry {
    /// The wait before retry number `retry` (0 is the first): what the upstream asked for, else the back-off less
    /// up to a quarter by chance. `None` when the retries are used up or the upstream asks for too long a wait.
    pub(super) fn wait(&self, retry: u32, asked: Option<Duration>) -> Option<Duration> {
        if retry >= self.retries_max {
            return None;
        }
        if let Some(asked) = asked {
            return (asked <= ASKED_WAIT_MAX).then_some(asked);
        }
        let full = self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.cap);
        Some(full.saturating_sub(quarter_by_chance(full)))
    }
}

fn quarter_by_chance(full: Duration) -> Duration {
    let chance = u32::try_from(RandomState::new().hash_one(0_u8) % 256).unwrap_or_default();
    full.saturating_mul(chance) / 1024
}

/// What an upstream says about trying again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hint {
    /// From `x-should-retry`, which overrules the status.
    pub(super) should_retry: Option<bool>,
    /// From `retry-after-ms` or `retry-after` in seconds. A date is ignored: our clock is not theirs.
    pub(super) after: Option<Duration>,
}

impl Hint {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let number = |name: &str| {
            let whole = text(name)?.split('.').next().unwrap_or_default();
            whole.parse::<u64>().ok()
        };
        Self {
            should_retry: match text("x-should-retry") {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            },
            after: number("retry-after-ms")
                .map(Duration::from_millis)
                .or_else(|| number("retry-after").map(Duration::from_secs)),
        }
    }
}

/// Whether a status is worth another attempt when the upstream gives no hint.
pub(super) fn status_is_retryable(status: u16) -> bool {
    matches!(status, 408 | 409 | 429 | 500..)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn hint(pairs: &[(&'static str, &'static str)]) -> Hint {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Hint::read(&pairs.collect())
    }

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_loses_at_most_a_quarter() {
        let retry = Retry { retries_max: 9, ..Retry::default() };
        for (number, full_ms) in [(0, 500), (1, 1000), (2, 2000), (3, 4000), (4, 8000), (5, 8000), (8, 8000)] {
            let full = Duration::from_millis(full_ms);
            for _ in 0..50 {
                let wait = retry.wait(number, None).expect("retries are left");
                assert!(wait <= full && wait >= full * 3 / 4, "{number}: {wait:?}");
            }
        }
    }

    #[test]
    fn the_upstream_decides_the_wait_within_reason() {
        let retry = Retry::default();
        assert_eq!(retry.wait(0, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(retry.wait(0, Some(Duration::ZERO)), Some(Duration::ZERO));
        assert_eq!(retry.wait(0, Some(Duration::from_secs(61))), None);
        assert_eq!(retry.wait(2, None), None);
    }

    #[test]
    fn hints_are_read_from_the_headers() {
        assert_eq!(hint(&[]), Hint::default());
        let both = hint(&[("retry-after", "3"), ("retry-after-ms", "250"), ("x-should-retry", "false")]);
        assert_eq!(both, Hint { should_retry: Some(false), after: Some(Duration::from_millis(250)) });
        assert_eq!(hint(&[("retry-after", "1.7")]).after, Some(Duration::from_secs(1)));
        assert_eq!(hint(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]).after, None);
        assert_eq!(hint(&[("retry-after", "-1")]).after, None);
        assert_eq!(hint(&[("x-should-retry", "maybe")]).should_retry, None);
    }

    #[test]
    fn the_statuses_worth_another_attempt() {
        let worth: Vec<u16> = (400..600).filter(|status| status_is_retryable(*status)).take(5).collect();
        assert_eq!(worth, [408, 409, 429, 500, 501]);
        assert!(status_is_retryable(529) && !status_is_retryable(302));
    }
}
