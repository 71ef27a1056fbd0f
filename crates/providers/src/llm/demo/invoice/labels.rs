//! The words by which an invoice names its fields, in English and German.

use super::super::text::fold;

/// What a label announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Title,
    Number,
    IssueDate,
    DueDate,
    Terms,
    Seller,
    Buyer,
    TaxId,
    Currency,
    Subtotal,
    Tax,
    Discount,
    Shipping,
    Total,
    /// Net or total, whichever the invoice does not name otherwise.
    Amount,
    /// A field that must not be taken for another, such as an order date.
    Other,
}

use Label::{
    Amount, Buyer, Currency, Discount, DueDate, IssueDate, Number, Other, Seller, Shipping, Subtotal, Tax, TaxId,
    Terms, Title, Total,
};

const LABELS: &[(Label, &str)] = &[
    (Amount, "amount|betrag"),
    (
        Title,
        "invoice|tax invoice|commercial invoice|rechnung|proforma invoice|credit note|gutschrift|receipt|quittung|rechnungskorrektur",
    ),
    (
        Number,
        "invoice number|invoice no|invoice nr|invoice num|invoice id|invoice #|inv no|inv #|inv number|bill number|bill no|credit note number|credit note no|receipt number|receipt no|receipt #|rechnungsnummer|rechnungs-nr|rechnungsnr|rechnung nr|rechnung nummer|rechnung no|re-nr|re.-nr|belegnummer|beleg-nr|rechnung #|number",
    ),
    (
        IssueDate,
        "invoice date|date of invoice|date of issue|issue date|issued on|issued|billing date|bill date|rechnungsdatum|ausstellungsdatum|belegdatum|dated|date|datum|invoiced on",
    ),
    (
        DueDate,
        "due date|date due|payment due date|payment due by|payment due|due by|due on|due|pay by|payable by|fälligkeitsdatum|fällig am|fällig bis|fälligkeit|fällig|zahlbar bis zum|zahlbar bis|zahlungsziel bis|bis zum",
    ),
    (
        Terms,
        "payment terms|terms of payment|terms|zahlungsbedingungen|zahlungsziel|zahlbar innerhalb von|zahlbar innerhalb|zahlbar binnen|net",
    ),
    (
        Seller,
        "from|seller|vendor|vendor name|supplier|supplier name|issued by|billed by|sold by|sender|verkäufer|lieferant|rechnungssteller|absender|von:|leistungserbringer|company|merchant",
    ),
    (
        Buyer,
        "bill to|billed to|billing to|invoice to|invoiced to|sold to|customer|customer name|client|client name|buyer|recipient|attention|rechnungsempfänger|rechnungsadresse|rechnung an|kunde|empfänger|auftraggeber|an:|käufer|billing address|to",
    ),
    (
        TaxId,
        "vat id|vat number|vat no|vat reg no|vat registration number|vat|tax id|tax number|ein|gstin|abn|ust-idnr|ust-id-nr|ust-id|ustid|ust.-idnr|umsatzsteuer-id|umsatzsteuer-identifikationsnummer|steuernummer|steuer-nr|st.-nr|uid|uid-nr",
    ),
    (Currency, "currency|währung"),
    (
        Subtotal,
        "subtotal|sub-total|sub total|net total|total net|net amount|net sum|amount excl. vat|total excl. vat|total excluding vat|total excl. tax|total before tax|amount before tax|zwischensumme|nettobetrag|netto-betrag|summe netto|nettosumme|gesamt netto|netto gesamt|gesamtbetrag netto|netto|rechnungsbetrag netto|warenwert",
    ),
    (
        Tax,
        "vat|vat amount|total vat|sales tax|total tax|tax amount|tax|gst|hst|pst|mwst|mwst.|zzgl. mwst|zzgl. mwst.|zzgl. ust|zzgl. ust.|zzgl. umsatzsteuer|umsatzsteuer|mehrwertsteuer|ust|ust.|plus vat|value added tax|zuzüglich umsatzsteuer|zuzüglich mehrwertsteuer|enthaltene mwst|inkl. mwst|incl. vat|including vat",
    ),
    (Discount, "discount|less discount|rabatt|abzüglich rabatt|nachlass|rebate|voucher|gutscheinrabatt"),
    (
        Shipping,
        "shipping|shipping & handling|shipping and handling|shipping cost|freight|postage|delivery charge|delivery fee|versand|versandkosten|porto|fracht|lieferkosten|versandkostenpauschale",
    ),
    (
        Total,
        "total|grand total|total due|total amount due|total amount|amount due|balance due|invoice total|total to pay|amount payable|total payable|total incl. vat|total including vat|total incl. tax|total gross|gross total|gross amount|gross|gesamtbetrag|gesamtsumme|rechnungsbetrag|rechnungssumme|endbetrag|endsumme|bruttobetrag|summe brutto|brutto|gesamt brutto|gesamtbetrag brutto|zu zahlen|zu zahlender betrag|zahlbetrag|zahlungsbetrag|gesamt|summe|rechnungsbetrag brutto",
    ),
    (
        Other,
        "order number|order no|order date|purchase order|po number|po no|po #|customer number|customer no|customer id|delivery date|service date|ship date|shipping date|ship to|shipping address|period|billing period|quote number|phone|tel|fax|e-mail|email|website|www|account number|account no|account name|bank|iban|bic|swift|sort code|routing number|bestellnummer|bestelldatum|auftragsnummer|kundennummer|kunden-nr|kundennr|lieferdatum|leistungsdatum|leistungszeitraum|lieferscheinnummer|telefon|bankverbindung|konto|kontoinhaber|tax rate|vat rate|steuersatz|project|projekt|subject|betreff|notes|note|reference|ref|ihr zeichen|unser zeichen|amount paid|paid|payments|already paid|anzahlung|contact|ansprechpartner|payment method|zahlungsart|order|bestellung|skonto|lieferadresse|lieferanschrift|tax point|items|positionen|line items|date paid",
    ),
];

/// A label in a line: what it is, and its byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) label: Label,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// All labels, longest first, so that `order date` is not taken for `date`.
pub(super) struct Table(Vec<(&'static str, Label)>);

impl Table {
    pub(super) fn new() -> Self {
        let each = |&(label, phrases): &(Label, &'static str)| phrases.split('|').map(move |phrase| (phrase, label));
        let mut table: Vec<(&'static str, Label)> = LABELS.iter().flat_map(each).collect();
        table.sort_by_key(|(phrase, _)| std::cmp::Reverse(phrase.len()));
        Self(table)
    }

    /// The labels of a line from left to right, not overlapping.
    pub(super) fn find(&self, line: &str) -> Vec<Found> {
        let folded = fold(line);
        let mut found = Vec::new();
        let mut free = 0;
        let mut before: Option<char> = None;
        for (start, c) in folded.char_indices() {
            let begins = c.is_alphanumeric()
                && !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '-' | '@' | '.'));
            before = Some(c);
            if !begins || start < free {
                continue;
            }
            let rest = folded.get(start..).unwrap_or_default();
            if let Some((phrase, label)) = self.0.iter().find(|(phrase, _)| begins_with(rest, phrase)) {
                free = start.saturating_add(phrase.len());
                found.push(Found { label: *label, start, end: free });
            }
        }
        found
    }
}

fn begins_with(rest: &str, phrase: &str) -> bool {
    rest.strip_prefix(phrase).is_some_and(|after| {
        let next = after.chars().next();
        phrase.ends_with(['#', ':']) || !next.is_some_and(|c| c.is_alphanumeric() || c == '@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(line: &str) -> Vec<Label> {
        Table::new().find(line).into_iter().map(|found| found.label).collect()
    }

    #[test]
    fn the_longest_label_wins() {
        assert_eq!(labels("Order date: 1 May"), [Other]);
        assert_eq!(labels("Invoice date: 1 May   Due date: 2 May"), [IssueDate, DueDate]);
        assert_eq!(labels("Total due: 100"), [Total]);
        assert_eq!(labels("Gesamtbetrag netto 5,00"), [Subtotal]);
        assert_eq!(labels("zzgl. MwSt. 19%"), [Tax]);
    }

    #[test]
    fn labels_are_whole_words() {
        assert_eq!(labels("Totally updated network"), []);
        assert_eq!(labels("from@vendor.example"), []);
    }
}
