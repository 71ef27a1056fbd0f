//! The demo really reads invoices.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, dictionary};
use serde_json::{Value, json};

use super::demo::{action, output};

async fn read(invoice: &str) -> Value {
    output("invoice_ocr", json!({ "invoiceData": invoice })).await
}

/// Fails with all fields that differ, the invoice beside them.
fn has(read: &Value, expected: &Value) {
    let wrong: Vec<String> = expected
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(path, value)| read.pointer(&path.replace('.', "/")).unwrap_or(&Value::Null) != *value)
        .map(|(path, value)| format!("{path} should be {value}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{read:#}");
}

fn item(description: &str, quantity: Option<&str>, unit: Option<&str>, price: Option<&str>, amount: &str) -> Value {
    json!({ "description": description, "quantity": quantity, "unit": unit, "unitPrice": price, "amount": amount })
}

#[tokio::test]
async fn the_sample_of_the_catalog() {
    let sample = action("invoice_ocr").get("sample").expect("a sample").clone();
    let read = output("invoice_ocr", sample).await;
    has(
        &read,
        &json!({
            ".documentType": "invoice", ".invoiceNumber": "NW-2025-0142", ".issueDate": "2025-01-15", ".dueDate": "2025-02-14",
            ".currency": "EUR", ".subtotal": "3201.00", ".tax": "608.19", ".total": "3809.19",
            ".seller.name": "Northwind Office Supplies GmbH", ".seller.address": "Hafenstrasse 12, 20457 Hamburg", ".seller.taxId": "DE276543219",
            ".buyer.name": "Bluefin Logistics Ltd", ".buyer.address": "8 Harbour Road, Dublin 2", ".buyer.taxId": null,
            ".taxes": [{ "name": "VAT", "rate": "19", "amount": "608.19" }],
            ".lineItems": [
                item("Standing desk, oak", Some("4"), None, Some("479.00"), "1916.00"),
                item("Monitor arm", Some("10"), None, Some("89.50"), "895.00"),
                item("Delivery and set-up", Some("6"), Some("h"), Some("65.00"), "390.00"),
            ],
            ".checks": { "lines": "ok", "subtotal": "ok", "total": "ok" }, ".confidence": "high", ".warnings": [],
        }),
    );
}

const GERMAN: &str = "\
Tischlerei Brandt GmbH · Werftstraße 4 · 24143 Kiel

Herrn
Jürgen Möller
Lindenallee 17
10115 Berlin

RECHNUNG Nr. 2025/0087                    Rechnungsdatum: 03.02.2025
Kundennummer: 10442                       Leistungsdatum: 28.01.2025
USt-IdNr.: DE812345678

Pos.  Bezeichnung                      Menge   Einheit   Einzelpreis   Gesamtpreis
1     Eichenplatte 200 x 90 cm             2   Stk          489,50 €      979,00 €
2     Montage vor Ort                    3,5   Std           68,00 €      238,00 €
3     Anfahrt                              1   Psch          45,00 €       45,00 €

Zwischensumme                                                           1.262,00 €
zzgl. 19 % MwSt.                                                          239,78 €
Gesamtbetrag                                                            1.501,78 €

Zahlbar innerhalb von 14 Tagen ohne Abzug.
Bankverbindung: IBAN DE02 1203 0000 0000 2020 51
";

#[tokio::test]
async fn a_german_letter() {
    let read = read(GERMAN).await;
    has(
        &read,
        &json!({
            ".invoiceNumber": "2025/0087", ".issueDate": "2025-02-03", ".dueDate": "2025-02-17", ".currency": "EUR",
            ".subtotal": "1262.00", ".tax": "239.78", ".total": "1501.78", ".taxes.0.rate": "19",
            ".seller.name": "Tischlerei Brandt GmbH", ".seller.taxId": "DE812345678",
            ".lineItems": [
                item("Eichenplatte 200 x 90 cm", Some("2"), Some("Stk"), Some("489.50"), "979.00"),
                item("Montage vor Ort", Some("3.5"), Some("Std"), Some("68.00"), "238.00"),
                item("Anfahrt", Some("1"), Some("Psch"), Some("45.00"), "45.00"),
            ],
            ".checks": { "lines": "ok", "subtotal": "ok", "total": "ok" }, ".warnings": [], ".confidence": "high",
        }),
    );
    let buyer = read.pointer("/buyer").expect("a buyer").to_string();
    assert!(buyer.contains("Jürgen Möller") && buyer.contains("10115 Berlin"), "{buyer}");
}

#[tokio::test]
async fn an_american_invoice_with_two_columns_discount_and_shipping() {
    let read = read(
        "\
INVOICE

From:                          Bill To:
Cedar Creek Design LLC         Harbor Coffee Roasters
55 Main Street                 900 Pine Avenue
Portland, OR 97204             Seattle, WA 98101

Invoice #: CC-1093             Date: 03/04/2025
Terms: Net 30

Item                     Qty    Rate        Amount
Logo design                1    $1,200.00   $1,200.00
Packaging mock-ups         3    $350.00     $1,050.00

Subtotal:                                   $2,250.00
Discount (10%):                              -$225.00
Shipping:                                      $18.50
Sales Tax (8.25%):                            $167.06
Total Due:                                  $2,210.56
",
    )
    .await;
    has(
        &read,
        &json!({
            ".invoiceNumber": "CC-1093", ".issueDate": "2025-03-04", ".dueDate": "2025-04-03", ".currency": "USD",
            ".seller.name": "Cedar Creek Design LLC", ".seller.address": "55 Main Street, Portland, OR 97204",
            ".buyer.name": "Harbor Coffee Roasters", ".buyer.address": "900 Pine Avenue, Seattle, WA 98101",
            ".subtotal": "2250.00", ".discount": "225.00", ".shipping": "18.50", ".tax": "167.06", ".total": "2210.56",
            ".taxes.0.rate": "8.25", ".checks.total": "ok", ".checks.subtotal": "ok", ".lineItems.1.amount": "1050.00",
            ".lineItems.1.quantity": "3", ".lineItems.1.unitPrice": "350.00", ".lineItems.0.description": "Logo design",
        }),
    );
}

#[tokio::test]
async fn short_notes_in_one_line() {
    let first = read("Invoice #INV-001 from Acme Corp, total $1,250.00, due 2025-02-15").await;
    has(
        &first,
        &json!({ ".invoiceNumber": "INV-001", ".seller.name": "Acme Corp", ".total": "1250.00", ".currency": "USD", ".dueDate": "2025-02-15" }),
    );
    let second = read("Invoice INV-7\nVendor: Globex Ltd, 4 High Street, London\nDate: 15 January 2025\n2 x Widget @ £10.00 = £20.00\nSetup - £30.00\nTotal: £50.00").await;
    has(
        &second,
        &json!({
            ".invoiceNumber": "INV-7", ".seller.name": "Globex Ltd", ".seller.address": "4 High Street, London", ".issueDate": "2025-01-15",
            ".currency": "GBP", ".total": "50.00", ".checks.total": "ok",
            ".lineItems": [item("Widget", Some("2"), None, Some("10.00"), "20.00"), item("Setup", None, None, None, "30.00")],
        }),
    );
    let third = read("Subtotal: 100.00, Tax: 19.00, Total: 119.00").await;
    has(
        &third,
        &json!({ ".subtotal": "100.00", ".tax": "19.00", ".total": "119.00", ".checks.total": "ok", ".confidence": "low" }),
    );
}

#[tokio::test]
async fn an_item_in_a_sentence_is_called_by_its_own_words() {
    for (sentence, description, quantity, price, amount) in [
        // The README's.
        (
            "Invoice 2025-017 of 3 March 2025, 2 chairs at 120.00 EUR, total 240.00 EUR",
            "chairs",
            "2",
            "120.00",
            "240.00",
        ),
        ("Invoice 2025-017 for 3 oak tables at 400.00 EUR, total 1,200.00 EUR", "oak tables", "3", "400.00", "1200.00"),
        ("Invoice INV-9, 4 May 2025, desk lamp 2 x 35.50 EUR = 71.00 EUR", "desk lamp", "2", "35.50", "71.00"),
        ("Invoice INV-9: 5 x Site visit @ 80.00 = 400.00", "Site visit", "5", "80.00", "400.00"),
        (
            "Rechnung Nr. 2025-4 vom 3. März 2025, 10 Stühle je 59,90 EUR, gesamt 599,00 EUR",
            "Stühle",
            "10",
            "59.90",
            "599.00",
        ),
        ("Rechnung 77 über 2 Fenster zu 310,00 EUR, Summe 620,00 EUR", "Fenster", "2", "310.00", "620.00"),
        // Where the words before the numbers are the item's they stay, commas and all.
        ("Standing desk, oak: 4 at 479.00 EUR, total 1,916.00 EUR", "Standing desk, oak", "4", "479.00", "1916.00"),
        ("Receipt printer, 2 x 100.00 EUR = 200.00 EUR", "Receipt printer", "2", "100.00", "200.00"),
    ] {
        let read = read(sentence).await;
        let found = read.pointer("/lineItems/0").unwrap_or(&Value::Null);
        let expected = item(description, Some(quantity), None, Some(price), amount);
        assert_eq!(*found, expected, "{sentence}\n{read:#}");
    }
}

#[tokio::test]
async fn other_layouts() {
    let fields =
        read("Invoice #1234\nVendor: ACME Corp\nDate: 2025-01-10\nAmount: $1,500.00\nTax: $120.00\nTotal: $1,620.00")
            .await;
    has(
        &fields,
        &json!({ ".invoiceNumber": "1234", ".seller.name": "ACME Corp", ".subtotal": "1500.00", ".lineItems": [], ".checks.total": "ok", ".confidence": "high" }),
    );
    let markdown = read("INVOICE\nAcme Inc.\n123 Business Rd\n\nBill To: John Smith\nInvoice No. 2024-555\nInvoice Date: December 3, 2024\n\n| Item | Quantity | Unit Price | Total |\n|------|------|------|------|\n| Widget A | 10 | $25.00 | $250.00 |\n\nTax (10%): $25.00\nTotal: $275.00").await;
    has(
        &markdown,
        &json!({ ".seller.name": "Acme Inc.", ".seller.address": "123 Business Rd", ".buyer.name": "John Smith", ".lineItems": [item("Widget A", Some("10"), None, Some("25.00"), "250.00")], ".taxes.0.rate": "10", ".checks.total": "ok" }),
    );
    let german = read("Rechnung\n\nRechnungsnummer: 4711\nDatum: 1. März 2025\nVon: Meier IT, Am Markt 3, 50667 Köln\nAn: Schulze AG\n\n10 Std. Beratung à 95,00 EUR = 950,00 EUR\nFahrt Köln to Bonn 49,90 EUR\n\nNetto: 999,90 EUR\nMwSt 19 %: 189,98 EUR\nBrutto: 1.189,88 EUR\nZahlungsziel: 30 Tage").await;
    has(
        &german,
        &json!({ ".seller.name": "Meier IT", ".seller.address": "Am Markt 3, 50667 Köln", ".buyer.name": "Schulze AG", ".dueDate": "2025-03-31", ".total": "1189.88", ".lineItems.0": item("Beratung", Some("10"), Some("Std."), Some("95.00"), "950.00"), ".checks": { "lines": "ok", "subtotal": "ok", "total": "ok" } }),
    );
    let csv = read("Invoice number,INV-9\nItem,Qty,Price,Amount\nPaper,2,5.00,10.00\nTotal,,,10.00").await;
    has(
        &csv,
        &json!({ ".total": "10.00", ".lineItems": [item("Paper", Some("2"), None, Some("5.00"), "10.00")], ".checks.total": "ok" }),
    );
    let sentence = read("Consulting services: 10 hours at $150/hour. Total due $1500. Invoice number 77, payable by 2025-03-01. From: Jane Doe Consulting. To: BigCo.").await;
    has(
        &sentence,
        &json!({ ".invoiceNumber": "77", ".total": "1500.00", ".seller.name": "Jane Doe Consulting", ".buyer.name": "BigCo", ".dueDate": "2025-03-01" }),
    );
    let gross = read("Item   Net   VAT %   VAT   Gross\nHosting   100.00   19%   19.00   119.00\nDomain   10.00   19%   1.90   11.90\nNet total   110.00\nVAT 19%   20.90\nGross total   130.90 EUR").await;
    has(
        &gross,
        &json!({ ".seller.name": null, ".lineItems.0": item("Hosting", None, None, None, "100.00"), ".checks.subtotal": "ok", ".subtotal": "110.00", ".tax": "20.90", ".total": "130.90", ".checks.total": "ok" }),
    );
}

#[tokio::test]
async fn what_does_not_add_up_is_said_with_both_numbers() {
    let read = read(
        "\
Acme Ltd
Invoice number: A-1
Date: 2025-01-15
Description   Qty   Price   Amount
Paper           3    0.10     0.31
Ink             1   20.00    20.00
Subtotal                     20.30
VAT 20%                       4.06
Total EUR                    24.37
",
    )
    .await;
    has(
        &read,
        &json!({
            ".checks": { "lines": "mismatch", "subtotal": "mismatch", "total": "mismatch" }, ".confidence": "medium",
            ".subtotal": "20.30", ".tax": "4.06", ".total": "24.37",
            ".warnings": [
                "Line 1: 3 × 0.10 is 0.30, but the invoice says 0.31.",
                "The line items add up to 20.31, but the subtotal says 20.30.",
                "20.30 + tax 4.06 is 24.36, but the total says 24.37.",
            ],
        }),
    );
}

#[tokio::test]
async fn sums_are_exact_where_floats_are_not() {
    let line = |part: char| format!("Part {part}   1   0.10   0.10");
    let lines = "ABCDEFGHIJ".chars().map(line).collect::<Vec<_>>().join("\n");
    let read = read(&format!(
        "Acme\nInvoice no: 5\nDate: 2025-01-02\nItem   Qty   Price   Amount\n{lines}\nSubtotal   1.00\nTotal   EUR 1.00\n"
    ))
    .await;
    has(
        &read,
        &json!({ ".checks": { "lines": "ok", "subtotal": "ok", "total": "ok" }, ".confidence": "high", ".lineItems.9.description": "Part J" }),
    );
}

#[tokio::test]
async fn json_under_many_names() {
    let invoice = json!({ "invoice": {
        "invoice_number": "J-9", "invoice_date": "2025-01-15", "due_date": "15.02.2025", "currency": "eur",
        "vendor": { "name": "Acme", "address": { "street": "Road 1", "city": "Kiel" }, "vat_id": "DE123456789" },
        "customer": "Bluefin",
        "line_items": [{ "description": "Desk", "qty": 3, "unit_price": 19.99, "total": 59.97 }, { "name": "Lamp", "quantity": "1", "price": "5,50", "amount": "5.50" }],
        "totals": { "subtotal": 65.47, "tax": 12.44, "total": 77.91 }, "tax_rate": 19,
    } });
    let expected = json!({
        ".invoiceNumber": "J-9", ".issueDate": "2025-01-15", ".dueDate": "2025-02-15", ".currency": "EUR", ".seller.name": "Acme",
        ".seller.address": "Road 1, Kiel", ".seller.taxId": "DE123456789", ".buyer.name": "Bluefin",
        ".lineItems": [item("Desk", Some("3"), None, Some("19.99"), "59.97"), item("Lamp", Some("1"), None, Some("5.50"), "5.50")],
        ".subtotal": "65.47", ".tax": "12.44", ".taxes.0.rate": "19", ".total": "77.91",
        ".checks": { "lines": "ok", "subtotal": "ok", "total": "ok" }, ".confidence": "high",
    });
    has(&output("invoice_ocr", json!({ "invoiceData": invoice })).await, &expected);
    has(&read(&invoice.to_string()).await, &expected);
}

#[tokio::test]
async fn dates_that_could_be_two_are_left_out() {
    let read = read("Acme\nInvoice number: 77\nDate: 03/04/2025\nTotal: CAD 10.00").await;
    has(&read, &json!({ ".issueDate": null, ".currency": "CAD", ".total": "10.00" }));
    assert!(read.pointer("/warnings").expect("warnings").to_string().contains("day/month"), "{read}");
}

#[tokio::test]
async fn other_documents_and_currencies_without_cents() {
    let poem = read("The sea is wide.\nThe sky is blue.").await;
    has(&poem, &json!({ ".documentType": "other", ".total": null, ".confidence": "low", ".lineItems": [] }));
    let yen = read("Tokyo Tools\nInvoice number: T-5\nDate: 2025-01-02\nItem   Qty   Price   Amount\nSaw   2   1500   3000\nTotal   JPY 3,000").await;
    has(&yen, &json!({ ".currency": "JPY", ".total": "3000", ".lineItems.0.amount": "3000", ".checks.total": "ok" }));
    let credit = read("Acme\nCredit note no: C-1\nDate: 2025-01-02\nTotal: -50.00 EUR").await;
    has(&credit, &json!({ ".documentType": "credit_note", ".invoiceNumber": "C-1", ".total": "-50.00" }));
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let png = STANDARD.encode(b"not really a picture");
    let image = output("invoice_ocr", json!({ "files": [{ "mediaType": "image/png", "data": png }] })).await;
    has(
        &image,
        &json!({ ".documentType": "other", ".warnings": ["The demo cannot read images; set an Anthropic key to have them read."] }),
    );
    let broken = STANDARD.encode(b"%PDF-1.7 and nothing else");
    let pdf = output("invoice_ocr", json!({ "files": [{ "mediaType": "application/pdf", "data": broken }] })).await;
    has(&pdf, &json!({ ".warnings.0": "A PDF is damaged, encrypted or too large and was left out." }));
    let base64 = output("invoice_ocr", json!({ "files": [{ "mediaType": "text/plain", "data": "????" }] })).await;
    has(&base64, &json!({ ".warnings.0": "A file is not valid base64 and was left out." }));
}

/// A PDF with one page on which each cell of each line stands at its own place.
fn pdf(lines: &[&[(i64, &str)]], compressed: bool) -> String {
    let mut document = Document::with_version("1.5");
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let mut operations = vec![Operation::new("BT", vec![]), Operation::new("Tf", vec!["F1".into(), 10.into()])];
    // The columns are written one after the other, so that the order in the file is not the reading order.
    for column in 0..6 {
        for (y, line) in (0_i64..).zip(lines) {
            let Some((x, text)) = line.get(column) else { continue };
            let matrix = [1, 0, 0, 1, *x, 800 - y * 14].map(Object::from).to_vec();
            let bytes: Vec<u8> = text
                .chars()
                .map(|c| if c == '€' { 0x80 } else { u8::try_from(u32::from(c)).expect("Latin 1") })
                .collect();
            operations.push(Operation::new("Tm", matrix));
            operations.push(Operation::new("Tj", vec![Object::string_literal(bytes)]));
        }
    }
    operations.push(Operation::new("ET", vec![]));
    let content = Content { operations }.encode().expect("plain operators");
    let content = document.add_object(Stream::new(dictionary! {}, content));
    let pages = document.new_object_id();
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages, "Contents" => content, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    });
    document.objects.insert(
        pages,
        Object::Dictionary(dictionary! { "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1 }),
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    if compressed {
        document.compress();
    }
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).expect("memory takes it");
    STANDARD.encode(bytes)
}

#[tokio::test]
async fn a_pdf_is_read_in_reading_order() {
    let lines: &[&[(i64, &str)]] = &[
        &[(50, "Müller & Söhne KG"), (400, "RECHNUNG")],
        &[(50, "Hauptstraße 9")],
        &[(50, "20095 Hamburg")],
        &[],
        &[],
        &[(50, "Rechnungsnummer:"), (160, "RE-2025-31")],
        &[(50, "Rechnungsdatum:"), (160, "12.03.2025")],
        &[(50, "Fällig am:"), (160, "26.03.2025")],
        &[],
        &[],
        &[(50, "Beschreibung"), (280, "Menge"), (350, "Einzelpreis"), (450, "Betrag")],
        &[(50, "Beratung"), (280, "12"), (350, "110,00 €"), (450, "1.320,00 €")],
        &[(50, "Reisekosten"), (280, "1"), (350, "84,20 €"), (450, "84,20 €")],
        &[(50, "Nettobetrag"), (450, "1.404,20 €")],
        &[(50, "MwSt. 19%"), (450, "266,80 €")],
        &[(50, "Rechnungsbetrag"), (450, "1.671,00 €")],
    ];
    for compressed in [false, true] {
        let file = json!({ "mediaType": "application/pdf", "data": pdf(lines, compressed), "name": "re.pdf" });
        let read = output("invoice_ocr", json!({ "files": [file] })).await;
        has(
            &read,
            &json!({
                ".invoiceNumber": "RE-2025-31", ".issueDate": "2025-03-12", ".dueDate": "2025-03-26", ".currency": "EUR",
                ".seller.name": "Müller & Söhne KG", ".seller.address": "Hauptstraße 9, 20095 Hamburg",
                ".lineItems": [
                    item("Beratung", Some("12"), None, Some("110.00"), "1320.00"),
                    item("Reisekosten", Some("1"), None, Some("84.20"), "84.20"),
                ],
                ".subtotal": "1404.20", ".tax": "266.80", ".total": "1671.00",
                ".checks": { "lines": "ok", "subtotal": "ok", "total": "ok" }, ".warnings": [], ".confidence": "high",
            }),
        );
    }
}

#[tokio::test]
async fn hostile_text_is_survived() {
    for text in [
        "0".repeat(5_000),
        "(((((-€€€,,,...:::".repeat(500),
        "Total: 99999999999999999999999999.99".to_owned(),
        "1 x 1 = 1;".repeat(2_000),
        "Invoice\n".repeat(3_000),
        "İ€ß—·|;\u{a0}1\u{a0}000,5".to_owned(),
    ] {
        read(&text).await;
    }
}
