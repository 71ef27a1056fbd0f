//! Colors of a brand, and whether text in them can be read.

/// A color as screens mix it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color([u8; 3]);

/// The contrast that text needs, in hundredths (WCAG 2.2, 1.4.3).
pub const TEXT_CONTRAST: u64 = 450;

/// What a channel is measured in before it is raised to a power: the greatest whose twelfth power fits.
const CHANNEL_MAX: u128 = 1_500;

impl Color {
    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// Reads `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> =
            text.strip_prefix('#')?.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits.filter(|digits| digits.len() == 6)?;
        let mut channels = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum: u8, d| (sum << 4) | d));
        Some(Self([channels.next()?, channels.next()?, channels.next()?]))
    }

    /// The contrast of two colors in hundredths, from 100 to 2,100.
    pub fn contrast(self, other: Self) -> u64 {
        let (one, other) = (self.luminance(), other.luminance());
        let (lighter, darker) = (one.max(other), one.min(other));
        // (L1 + 0.05) / (L2 + 0.05)
        let ground = LUMINANCE_MAX.div_euclid(20);
        let ratio = lighter.saturating_add(ground).saturating_mul(100).checked_div(darker.saturating_add(ground));
        ratio.and_then(|ratio| u64::try_from(ratio).ok()).unwrap_or(100)
    }

    /// The relative luminance, of at most [`LUMINANCE_MAX`].
    fn luminance(self) -> u128 {
        let weighted =
            self.0.into_iter().zip([2_126, 7_152, 722]).map(|(channel, weight)| linear(channel).saturating_mul(weight));
        weighted.sum::<u128>().div_euclid(10_000)
    }
}

const LUMINANCE_MAX: u128 = 100_000_000;

/// Source: WCAG 2.2, "relative luminance": `((c + 0.055) / 1.055) ^ 2.4`, and `c / 12.92` below 0.04045.
fn linear(channel: u8) -> u128 {
    let channel = u128::from(channel);
    if channel <= 10 {
        // 1 / (255 × 12.92) in units of the maximum.
        return LUMINANCE_MAX.saturating_mul(channel).saturating_mul(100).div_euclid(329_460);
    }
    // (c/255 + 0.055) / 1.055 = (1000 c + 14,025) / 269,025.
    let base = channel.saturating_mul(1_000).saturating_add(14_025).saturating_mul(CHANNEL_MAX).div_euclid(269_025);
    // x^2.4 is the fifth root of x^12.
    let whole = fifth_root(CHANNEL_MAX.saturating_pow(12));
    LUMINANCE_MAX.saturating_mul(fifth_root(base.saturating_pow(12))).checked_div(whole).unwrap_or_default()
}

/// The fifth root, rounded down.
fn fifth_root(number: u128) -> u128 {
    let (mut low, mut high) = (0_u128, 50_000_000_u128);
    while low < high {
        let middle = low.saturating_add(high).saturating_add(1) >> 1;
        match middle.checked_pow(5) {
            Some(power) if power <= number => low = middle,
            Some(_) | None => high = middle.saturating_sub(1),
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_digits_are_a_color() {
        assert_eq!(Color::parse("#0F766e"), Some(Color([15, 118, 110])));
        for wrong in ["", "#", "0f766e", "#0f766", "#0f766e0", "#0f766g", "red", "#+f766e", "#ﬀ766e"] {
            assert_eq!(Color::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn contrast_is_what_the_guidelines_examples_say() {
        let contrast = |one: &str, other: &str| Color::parse(one).unwrap().contrast(Color::parse(other).unwrap());
        assert_eq!(contrast("#000000", "#ffffff"), 2_100);
        assert_eq!(contrast("#123456", "#123456"), 100);
        // The two grays on either side of the limit.
        assert!((452..=456).contains(&contrast("#767676", "#ffffff")), "{}", contrast("#767676", "#ffffff"));
        assert!((446..TEXT_CONTRAST).contains(&contrast("#777777", "#ffffff")), "{}", contrast("#777777", "#ffffff"));
        // #ff0000 on white is 4.00, #0000ff 8.59, #ffff00 1.07.
        assert!((398..=401).contains(&contrast("#ffffff", "#ff0000")));
        assert!((856..=861).contains(&contrast("#0000ff", "#ffffff")));
        assert!((106..=108).contains(&contrast("#ffff00", "#ffffff")));
    }
}
