//! Chance that can be repeated: every random choice comes from one seed, which is printed.

use std::time::Duration;

fn variable(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the command line says how long and with which seed")]
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a whole number")))
}

/// How many rounds the repeated tests run.
pub(crate) fn rounds(short: u64) -> u64 {
    variable("TORTURE_ROUNDS").unwrap_or(short).max(1)
}

/// A generator of numbers (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The generator of a test; prints the seed that repeats its choices.
    pub(crate) fn of(test: &str) -> Self {
        let drawn = || u64::try_from(uuid::Uuid::now_v7().as_u128() & 0xffff_ffff).unwrap_or(1);
        let seed = variable("TORTURE_SEED").unwrap_or_else(drawn);
        println!("{test}: TORTURE_SEED={seed}");
        Self(seed)
    }

    pub(crate) const fn from_number(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        let at = usize::try_from(self.next() % u64::try_from(among.len()).expect("small")).expect("small");
        among.get(at).expect("there is one")
    }

    /// A pause that moves a fault to another phase of what goes on; nothing waits for it to be long enough.
    pub(crate) fn phase(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.between(0, u64::try_from(most.as_micros()).expect("short")))
    }
}
