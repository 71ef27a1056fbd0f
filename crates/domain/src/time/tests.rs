//! Periods as tables and properties: they tile time, in every zone and from every anchor.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time in a test")
}

fn period(reset: Reset, anchor: &str, zone: &str, now: &str) -> (String, String) {
    let zone = Zone::parse(zone).expect("a zone in a test");
    let found = period_at(reset, at(anchor), &zone, at(now)).expect("inside the calendar");
    (found.start.to_string(), found.end.expect("it ends").to_string())
}

#[test]
fn a_date_alone_is_its_midnight_in_the_zone() {
    let berlin = Zone::parse("Europe/Berlin").expect("a zone in a test");
    let read = |text: &str, zone: &Zone| Timestamp::parse_in(text, zone).map(|at| at.to_string());
    assert_eq!(read("2026-11-01", &Zone::UTC).as_deref(), Ok("2026-11-01T00:00:00Z"));
    assert_eq!(read("2026-11-01", &berlin).as_deref(), Ok("2026-10-31T23:00:00Z"));
    assert_eq!(read("2026-11-01T05:00:00+01:00", &berlin).as_deref(), Ok("2026-11-01T04:00:00Z"));
    for bad in ["", "2026-11", "2026-13-01", "20261101", "2026-11-01T05:00", "yesterday", "2026-11-01 "] {
        assert_eq!(read(bad, &berlin), Err(TimeError::Format), "{bad}");
    }
    for far in ["9999-12-31", "9999-12-31T23:59:59Z"] {
        assert_eq!(read(far, &Zone::UTC), Err(TimeError::Range), "{far}");
    }
}

#[test]
fn an_anchor_on_the_31st_is_clamped_and_returns() {
    let table = [
        ("2027-01-31T12:00:00Z", "2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z"),
        ("2027-02-28T09:59:59Z", "2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z"),
        ("2027-02-28T10:00:00Z", "2027-02-28T10:00:00Z", "2027-03-31T10:00:00Z"),
        ("2027-03-31T10:00:00Z", "2027-03-31T10:00:00Z", "2027-04-30T10:00:00Z"),
        ("2028-02-29T10:00:00Z", "2028-02-29T10:00:00Z", "2028-03-31T10:00:00Z"),
        ("2026-12-31T09:00:00Z", "2026-11-30T10:00:00Z", "2026-12-31T10:00:00Z"),
    ];
    for (now, start, end) in table {
        let found = period(Reset::BillingMonth, "2027-01-31T10:00:00Z", "UTC", now);
        assert_eq!(found, (start.to_owned(), end.to_owned()), "at {now}");
    }
}

#[test]
fn calendar_months_days_and_weeks_start_at_local_midnight() {
    let berlin = "Europe/Berlin";
    let anchor = "2020-01-01T00:00:00Z";
    assert_eq!(
        period(Reset::CalendarMonth, anchor, berlin, "2026-03-31T22:30:00Z"),
        ("2026-03-31T22:00:00Z".into(), "2026-04-30T22:00:00Z".into())
    );
    // The day on which the clocks go forward has 23 hours.
    assert_eq!(
        period(Reset::Day, anchor, berlin, "2026-03-29T12:00:00Z"),
        ("2026-03-28T23:00:00Z".into(), "2026-03-29T22:00:00Z".into())
    );
    assert_eq!(
        period(Reset::Week, anchor, berlin, "2026-11-22T22:59:59Z"),
        ("2026-11-15T23:00:00Z".into(), "2026-11-22T23:00:00Z".into())
    );
    assert_eq!(
        period(Reset::Minute, anchor, berlin, "1969-12-31T23:59:59Z"),
        ("1969-12-31T23:59:00Z".into(), "1970-01-01T00:00:00Z".into())
    );
}

#[test]
fn a_leap_day_anchor_keeps_its_year() {
    let found = period(Reset::Year, "2028-02-29T00:00:00Z", "UTC", "2029-03-01T00:00:00Z");
    assert_eq!(found, ("2029-02-28T00:00:00Z".into(), "2030-02-28T00:00:00Z".into()));
    let later = period(Reset::Year, "2028-02-29T00:00:00Z", "UTC", "2032-02-29T00:00:00Z");
    assert_eq!(later.0, "2032-02-29T00:00:00Z");
}

#[test]
fn seconds_until_round_up_and_never_go_below_nothing() {
    let now = Timestamp::from_micros(1);
    assert_eq!(now.seconds_until(Timestamp::from_micros(2)), 1);
    assert_eq!(now.seconds_until(Timestamp::from_micros(1)), 0);
    assert_eq!(now.seconds_until(Timestamp::from_micros(-5)), 0);
}

#[test]
fn a_month_before_the_31st_is_the_last_of_a_shorter_one() {
    let back = |text: &str, zone: &str| {
        let zone = Zone::parse(zone).expect("a zone in a test");
        at(text).plus_months(-1, &zone).map(|found| found.to_string())
    };
    assert_eq!(back("2027-03-31T10:00:00Z", "UTC").as_deref(), Ok("2027-02-28T10:00:00Z"));
    assert_eq!(back("2027-04-15T10:00:00Z", "Europe/Berlin").as_deref(), Ok("2027-03-15T11:00:00Z"));
}

/// Zones of every kind: whole, half and quarter hours from Greenwich, gaps of half an hour, gaps at midnight, a changed
/// date line, no clock changes at all, and both hemispheres.
pub(crate) const ZONES: [&str; 30] = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/Istanbul",
    "Europe/Moscow",
    "Atlantic/Azores",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Nairobi",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Havana",
    "America/Caracas",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Beirut",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
];
const RESETS: [Reset; 7] =
    [Reset::Minute, Reset::Hour, Reset::Day, Reset::Week, Reset::BillingMonth, Reset::CalendarMonth, Reset::Year];

proptest! {
    #[test]
    fn periods_tile_time(
        anchor in 0_i64..4_000_000_000, now in 0_i64..4_000_000_000, zone in 0..ZONES.len(), reset in 0_usize..7,
    ) {
        let zone = Zone::parse(ZONES[zone]).expect("known");
        let anchor = Timestamp::EPOCH.plus_seconds(anchor);
        let now = Timestamp::EPOCH.plus_seconds(now);
        let this = period_at(RESETS[reset], anchor, &zone, now).expect("in range");
        prop_assert!(this.contains(now));
        let end = this.end.expect("it ends");
        let next = period_at(RESETS[reset], anchor, &zone, end).expect("in range");
        prop_assert_eq!(next.start, end, "no gap, no overlap");
        let again = period_at(RESETS[reset], anchor, &zone, this.start).expect("in range");
        prop_assert_eq!(again, this, "the start belongs to its own period");
    }
}

/// Boundaries of the months of an anchor over some years, each computed on its own.
fn walk(months: i64, anchor: Timestamp, zone: &Zone, years: i64) -> Vec<Period> {
    let mut periods = Vec::new();
    let mut at = anchor;
    while i64::try_from(periods.len()).expect("few") < years * 12 / months {
        let period = months_at(months, (anchor, anchor), zone, at).expect("in range");
        at = period.end.expect("it ends");
        periods.push(period);
    }
    periods
}

/// RELIABILITY I16 and P12: ten years of periods (of days that every month has, two), from an anchor on each day of a
/// month and on those of February and April that are not clamped there, in every zone: no gap, no overlap, and the day of the anchor or the month's last.
#[test]
fn ten_years_of_periods_tile_time_from_every_anchor_in_every_zone() {
    for name in ZONES {
        let zone = Zone::parse(name).expect("a zone");
        let anchors = (1..=31).map(|day| (2024, 1, day)).chain([(2024, 2, 29), (2025, 2, 28), (2024, 4, 30)]);
        for (year, month, day) in anchors {
            let local = jiff::civil::date(year, month, day).at(1, 30, 0, 0);
            let anchor = zone.instant(local).expect("in range");
            // A day that every month has is clamped nowhere.
            let periods = walk(1, anchor, &zone, if day < 28 { 2 } else { 10 });
            assert_eq!(periods[0].start, anchor, "{name} {local}");
            for (period, next) in periods.iter().zip(periods.iter().skip(1)) {
                assert_eq!(period.end, Some(next.start), "{name} {local}");
                let begins = next.start.civil(&zone).expect("in range");
                assert_eq!(begins.day(), day.min(begins.days_in_month()), "{name} {local}: {begins}");
            }
        }
    }
}

#[test]
fn a_year_that_begins_in_another_month_keeps_the_anchors_day() {
    let anchor = at("2027-01-31T10:00:00Z");
    let since = at("2027-02-28T10:00:00Z");
    let year = |now| {
        let found = months_at(12, (anchor, since), &Zone::UTC, at(now)).expect("in range");
        (found.start.to_string(), found.end.expect("it ends").to_string())
    };
    assert_eq!(year("2027-02-28T10:00:00Z"), ("2027-02-28T10:00:00Z".into(), "2028-02-29T10:00:00Z".into()));
    assert_eq!(year("2028-02-29T10:00:00Z"), ("2028-02-29T10:00:00Z".into(), "2029-02-28T10:00:00Z".into()));
    assert_eq!(year("2031-01-01T00:00:00Z"), ("2030-02-28T10:00:00Z".into(), "2031-02-28T10:00:00Z".into()));
    let months = months_at(1, (anchor, since), &Zone::UTC, at("2028-03-01T00:00:00Z")).expect("in range");
    assert_eq!(months.end, Some(at("2028-03-31T10:00:00Z")), "and a month after it returns to the 31st");
}

#[test]
fn days_keep_the_time_of_day_over_clock_changes() {
    let berlin = Zone::parse("Europe/Berlin").expect("a zone in a test");
    let later = |text: &str, days| at(text).plus_days(days, &berlin).map(|found| found.to_string());
    assert_eq!(later("2027-03-27T11:00:00Z", 1).as_deref(), Ok("2027-03-28T10:00:00Z"));
    assert_eq!(later("2027-11-02T11:00:00Z", -7).as_deref(), Ok("2027-10-26T10:00:00Z"));
}

#[test]
fn months_are_counted_as_they_are_billed() {
    let since = |from: &str, to: &str| at(to).months_since(at(from), &Zone::UTC);
    assert_eq!(since("2027-01-31T10:00:00Z", "2027-02-28T09:59:59Z"), Ok(0));
    assert_eq!(since("2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z"), Ok(1));
    assert_eq!(since("2027-01-31T10:00:00Z", "2028-01-31T10:00:00Z"), Ok(12));
    assert_eq!(since("2027-01-31T10:00:00Z", "2027-01-31T09:00:00Z"), Ok(-1));
}

#[test]
fn wall_times_come_to_instants_in_their_order() {
    for name in ZONES {
        let zone = Zone::parse(name).expect("a zone");
        // Seasons of clock changes, and the weeks in which date lines were crossed.
        for (start, days) in [("2026-03-01", 60), ("2026-09-01", 65), ("1994-12-25", 10), ("2011-12-25", 10)] {
            let mut local: DateTime = format!("{start}T00:00:00").parse().expect("a time in a test");
            let mut last = zone.first_instant(local).expect("in range");
            for _ in 0..(days * 48) {
                local += 30.minutes();
                let next = zone.first_instant(local).expect("in range");
                assert!(last <= next, "{name} {local}");
                last = next;
            }
        }
    }
}

proptest! {
    #[test]
    fn billing_periods_tile_time_over_changes_of_their_length(
        anchor in 0_i64..4_000_000_000, zone in 0..ZONES.len(), years in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let zone = Zone::parse(ZONES[zone]).expect("known");
        let anchor = Timestamp::EPOCH.plus_seconds(anchor);
        // An anchor in the hour that comes twice counts as the first of the two.
        let mut at = months_at(1, (anchor, anchor), &zone, anchor).expect("in range").start;
        for year in years {
            let months = if year { 12 } else { 1 };
            let period = months_at(months, (anchor, at), &zone, at).expect("in range");
            prop_assert_eq!(period.start, at, "no gap, no overlap");
            let end = period.end.expect("it ends");
            prop_assert_eq!(months_at(months, (anchor, at), &zone, end.plus_micros(-1)).expect("in range"), period);
            prop_assert_eq!(end.months_since(anchor, &zone), Ok(at.months_since(anchor, &zone).expect("in range") + months));
            at = end;
        }
    }
}

#[test]
fn a_period_that_runs_while_the_zone_changes_goes_on() {
    let change = |reset, from: &str, to: &str, until: &str, now: &str| {
        let earlier = [EarlierZone { zone: Zone::parse(from).expect("a zone"), until: at(until) }];
        let zones = (&Zone::parse(to).expect("a zone"), &earlier[..]);
        let found = period_through(reset, at("2025-10-03T00:00:00Z"), zones, at(now)).expect("inside the calendar");
        (found.start.to_string(), found.end.expect("it ends").to_string())
    };
    let pair = |start: &str, end: &str| (start.to_owned(), end.to_owned());
    let east = |now| change(Reset::BillingMonth, "UTC", "Asia/Tokyo", "2025-11-20T00:00:00Z", now);
    assert_eq!(east("2025-11-19T00:00:00Z"), pair("2025-11-03T00:00:00Z", "2025-12-03T00:00:00Z"), "before");
    assert_eq!(east("2025-11-20T00:00:00Z"), pair("2025-11-03T00:00:00Z", "2025-12-03T00:00:00Z"), "at the change");
    assert_eq!(east("2025-12-03T00:00:00Z"), pair("2025-12-03T00:00:00Z", "2026-01-03T00:00:00Z"), "the next");
    let west = |now| change(Reset::CalendarMonth, "UTC", "America/New_York", "2025-11-20T00:00:00Z", now);
    assert_eq!(west("2025-11-30T23:59:59Z"), pair("2025-11-01T00:00:00Z", "2025-12-01T05:00:00Z"), "a little longer");
    assert_eq!(west("2025-12-01T05:00:00Z"), pair("2025-12-01T05:00:00Z", "2026-01-01T05:00:00Z"), "the next");
    let late = |now| change(Reset::CalendarMonth, "UTC", "Asia/Tokyo", "2025-11-30T23:30:00Z", now);
    assert_eq!(
        late("2025-11-30T23:45:00Z"),
        pair("2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z"),
        "not a second month"
    );
    assert_eq!(late("2025-12-01T00:00:00Z"), pair("2025-12-01T00:00:00Z", "2025-12-31T15:00:00Z"), "in the new zone");
}

proptest! {
    #[test]
    fn periods_tile_time_through_changes_of_the_zone(
        reset in prop::sample::select(vec![Reset::Hour, Reset::Day, Reset::Week, Reset::BillingMonth, Reset::CalendarMonth, Reset::Year]),
        anchor in 1_600_000_000_i64..1_700_000_000,
        zones in prop::collection::vec((prop::sample::select(vec!["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Europe/Berlin"]), 1_i64..40_000_000), 1..4),
        last in prop::sample::select(vec!["UTC", "Asia/Kolkata", "Pacific/Niue", "Australia/Lord_Howe"]),
        ahead in 0_i64..80_000_000,
    ) {
        let second = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let mut until = 1_700_000_000;
        let earlier: Vec<_> = zones.into_iter().map(|(zone, lasts)| {
            until += lasts;
            EarlierZone { zone: Zone::parse(zone).expect("a zone"), until: second(until) }
        }).collect();
        let zone = Zone::parse(last).expect("a zone");
        let period = |now| period_through(reset, second(anchor), (&zone, &earlier), now).expect("inside the calendar");
        // Before the last change nobody knew of it; periods tile time from then on.
        let now = second(until + ahead);
        let found = period(now);
        prop_assert!(found.contains(now), "{found:?} at {now}");
        let end = found.end.expect("it ends");
        prop_assert_eq!(period(found.start).start, found.start, "one key from its beginning on");
        prop_assert_eq!(period(end).start, end, "the next begins where it ends");
        for change in &earlier {
            let (just_before, at_once) = (period(change.until.plus_micros(-1)), period(change.until));
            prop_assert!(at_once.start == just_before.start || just_before.end == Some(change.until), "what was used is kept");
        }
    }
}

#[test]
fn a_zone_is_named_as_the_database_spells_it() {
    for (written, name) in [("europe/BERLIN", "Europe/Berlin"), ("utc", "UTC"), ("UTC", "UTC"), ("Etc/UTC", "Etc/UTC")]
    {
        assert_eq!(Zone::parse(written).expect("a zone").name(), name);
    }
}
