//! Does the invoice add up? Exactly, to the last digit of its currency.

use super::super::decimal::Decimal;
use super::{Invoice, items};

/// The outcome of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Mismatch,
    NotChecked,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Mismatch => "mismatch",
            Self::NotChecked => "not_checked",
        }
    }
}

/// All checks.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) lines: Outcome,
    pub(super) subtotal: Outcome,
    pub(super) total: Outcome,
}

impl Checks {
    pub(super) fn confidence(&self, invoice: &Invoice) -> &'static str {
        let outcomes = [self.lines, self.subtotal, self.total];
        let key = [invoice.number.is_some(), invoice.total.is_some(), invoice.seller.name.is_some()];
        if key.contains(&false) {
            "low"
        } else if outcomes.contains(&Outcome::Mismatch)
            || self.total == Outcome::NotChecked
            || invoice.issue_date.is_none()
            || invoice.currency.is_none()
        {
            "medium"
        } else {
            "high"
        }
    }
}

/// Checks the sums and adds a warning for each that does not hold, and for each main field that is missing.
pub(super) fn run(invoice: &mut Invoice) -> Checks {
    let checks = Checks { lines: lines(invoice), subtotal: subtotal(invoice), total: total(invoice) };
    if invoice.kind != "other" {
        let missing = [
            ("invoice number", invoice.number.is_none()),
            ("total", invoice.total.is_none()),
            ("issue date", invoice.issue_date.is_none()),
            ("seller", invoice.seller.name.is_none()),
            ("currency", invoice.currency.is_none()),
        ];
        for (name, _) in missing.iter().filter(|(_, missing)| *missing) {
            invoice.warnings.push(format!("No {name} was found."));
        }
    }
    checks
}

fn lines(invoice: &mut Invoice) -> Outcome {
    let digits = invoice.digits();
    let mut outcome = Outcome::NotChecked;
    let mut warnings = Vec::new();
    for (number, item) in (1..).zip(&invoice.items) {
        let number: u32 = number;
        let (Some(quantity), Some(price), Some(amount)) = (item.quantity, item.unit_price, item.amount) else {
            continue;
        };
        let exact = quantity.times(price).rounded(digits.max(amount.scale()));
        if exact == amount {
            outcome = if outcome == Outcome::NotChecked { Outcome::Ok } else { outcome };
        } else {
            outcome = Outcome::Mismatch;
            let (quantity, price) = (quantity.text(0), price.text(digits));
            let (exact, amount) = (exact.text(digits), amount.text(digits));
            warnings.push(format!("Line {number}: {quantity} × {price} is {exact}, but the invoice says {amount}."));
        }
    }
    // A hundred broken lines say no more than twenty.
    warnings.truncate(20);
    invoice.warnings.extend(warnings);
    outcome
}

fn subtotal(invoice: &mut Invoice) -> Outcome {
    let digits = invoice.digits();
    let (Some(sum), Some(subtotal)) = (items::sum(&invoice.items), invoice.subtotal) else {
        return Outcome::NotChecked;
    };
    let discounted = invoice.discount.map(|discount| sum.minus(discount));
    let gross = invoice.tax().map(|tax| sum.minus(tax));
    if sum == subtotal || discounted == Some(subtotal) || gross == Some(subtotal) {
        return Outcome::Ok;
    }
    let (sum, said) = (sum.text(digits), subtotal.text(digits));
    invoice.warnings.push(format!("The line items add up to {sum}, but the subtotal says {said}."));
    Outcome::Mismatch
}

fn total(invoice: &mut Invoice) -> Outcome {
    let digits = invoice.digits();
    let base = invoice.subtotal.or_else(|| items::sum(&invoice.items));
    let (Some(base), Some(total)) = (base, invoice.total) else { return Outcome::NotChecked };
    let tax = invoice.tax().unwrap_or(Decimal::ZERO);
    let shipping = invoice.shipping.unwrap_or(Decimal::ZERO);
    let discount = invoice.discount.unwrap_or(Decimal::ZERO);
    let full = base.plus(shipping).minus(discount).plus(tax);
    // Prices may already hold the tax, and a subtotal the discount or the shipping.
    let also = [full.minus(tax), full.plus(discount), full.minus(shipping), full.plus(discount).minus(shipping)];
    if full == total
        || also.contains(&total) && (invoice.subtotal.is_none() || invoice.subtotal != Some(total) || tax.is_zero())
    {
        return Outcome::Ok;
    }
    if invoice.subtotal == Some(total) && !tax.is_zero() && items::sum(&invoice.items) == Some(total) {
        return Outcome::Ok;
    }
    let mut parts = vec![base.text(digits)];
    let mut add = |sign: &str, amount: Decimal| {
        if !amount.is_zero() {
            parts.push(format!("{sign} {}", amount.text(digits)));
        }
    };
    add("− discount", discount);
    add("+ shipping", shipping);
    add("+ tax", tax);
    let (sum, full, said) = (parts.join(" "), full.text(digits), total.text(digits));
    let sentence = if parts.len() == 1 {
        format!("The amounts add up to {full}, but the total says {said}.")
    } else {
        format!("{sum} is {full}, but the total says {said}.")
    };
    invoice.warnings.push(sentence);
    Outcome::Mismatch
}
