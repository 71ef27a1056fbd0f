//! The life of a subscription as tables: every command in every state, and the amounts of typical lives.

use super::*;
use crate::proration::Allowance;

pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time in a test")
}

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

/// A plan at a price; plan 0 is the free one.
pub(super) fn terms(plan: u128, interval: Interval, minor: i64) -> Terms {
    let price = (minor > 0).then(|| PriceId::from_bits(plan));
    Terms { plan: PlanId::from_bits(plan), price, interval, amount: usd(minor) }
}

fn starter() -> Terms {
    terms(1, Interval::Month, 30_000)
}

fn professional() -> Terms {
    terms(2, Interval::Month, 90_000)
}

fn free() -> Terms {
    terms(0, Interval::Month, 0)
}

fn rules() -> Rules {
    Rules::of(Zone::UTC)
}

pub(super) fn plainly(terms: Terms) -> Start {
    Start { terms, trial_days: 0, approval_until: None, discount: None, payable: true }
}

/// 30 days of June, so that a day is a round part of the price.
const BEGAN: &str = "2027-06-01T00:00:00Z";

fn day(number: i64) -> Timestamp {
    at(BEGAN).plus_days(number - 1, &Zone::UTC).expect("in range")
}

fn run(state: &State, command: Command, now: Timestamp) -> Decision {
    decide(state, &command, &rules(), now).expect("it may happen")
}

fn change_to(to: Terms) -> Command {
    Command::Change { to, when: When::Usual, allowances: Vec::new() }
}

fn cancel(when: When) -> Command {
    Command::Cancel { when, refund: false, allowances: Vec::new() }
}

/// An active Starter whose first payment came.
fn active() -> State {
    let state = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    paid(&state, day(1))
}

/// The state once everything open is paid.
fn paid(state: &State, now: Timestamp) -> State {
    state.open.iter().fold(state.clone(), |state, open| run(&state, Command::Paid { slot: open.slot }, now).next)
}

fn trialing(payable: bool) -> State {
    let new = Start { trial_days: 10, payable, ..plainly(starter()) };
    start(&new, &rules(), day(1)).expect("it begins").next
}

fn past_due() -> State {
    let state = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    run(&state, Command::PaymentFailed { slot: state.open[0].slot }, day(2)).next
}

fn in_each_state() -> Vec<State> {
    let pending = Start { approval_until: Some(day(2)), ..plainly(starter()) };
    vec![
        start(&pending, &rules(), day(1)).expect("it begins").next,
        trialing(true),
        active(),
        past_due(),
        run(&active(), Command::Pause { when: When::Now, until: None }, day(2)).next,
        run(&active(), cancel(When::Usual), day(2)).next,
        run(&active(), cancel(When::Now), day(2)).next,
    ]
}

/// What a command comes to, in a word or two.
fn outcome(state: &State, command: &Command) -> String {
    // Before the approval lapses on day 2, or the first retry falls due on day 3.
    let now = day(2).plus_micros(-1);
    match decide(state, command, &rules(), now) {
        Ok(Decision { next, cause, .. }) => format!("{:?} {}", next.status, cause.name()),
        Err(refusal) => format!("{refusal:?}").split(['(', ' ', '{']).next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn every_command_in_every_state() {
    let slot = Slot { at: day(1), kind: SlotKind::Start };
    let pause = |when| Command::Pause { when, until: None };
    #[rustfmt::skip]
    let table = [
        // pending, trialing, active, past_due, paused, canceled, expired
        (Command::Approve { trial_days: 0 }, ["Active checkout", "AlreadySo", "AlreadySo", "AlreadySo", "AlreadySo", "AlreadySo", "Over"]),
        (Command::Approve { trial_days: 3 }, ["Trialing checkout", "AlreadySo", "AlreadySo", "AlreadySo", "AlreadySo", "AlreadySo", "Over"]),
        (change_to(professional()), ["Pending", "Trialing upgraded", "Active upgraded", "PaymentOpen", "Paused", "Canceled", "Over"]),
        (change_to(free()), ["Pending", "Active downgraded", "Active change_scheduled", "PaymentOpen", "Paused", "Canceled", "Over"]),
        (change_to(starter()), ["Pending", "AlreadySo", "AlreadySo", "PaymentOpen", "Paused", "Canceled", "Over"]),
        (Command::DropScheduled, ["NothingScheduled"; 7]),
        (cancel(When::Usual), ["Expired canceled", "Canceled canceled", "Canceled canceled", "Canceled canceled", "Expired canceled", "AlreadySo", "Over"]),
        (cancel(When::Now), ["Expired canceled", "Expired canceled", "Expired canceled", "Expired canceled", "Expired canceled", "Expired canceled", "Over"]),
        (Command::UndoCancel, ["Nothing", "Nothing", "Nothing", "Nothing", "Nothing", "Active cancel_undone", "Over"]),
        (pause(When::Now), ["Pending", "Trialing", "Paused paused", "PaymentOpen", "AlreadySo", "Canceled", "Over"]),
        (pause(When::PeriodEnd), ["Pending", "Trialing", "Active pause_scheduled", "PaymentOpen", "AlreadySo", "Canceled", "Over"]),
        (Command::Resume, ["Nothing", "Nothing", "Nothing", "Nothing", "Active resumed", "Canceled", "Over"]),
        (Command::Paid { slot }, ["AlreadySo", "AlreadySo", "AlreadySo", "Active payment_received", "AlreadySo", "AlreadySo", "Over"]),
        (Command::PaymentFailed { slot }, ["AlreadySo"; 7]),
        (Command::Step(Step::Renewal), ["NotDue"; 7]),
        (Command::Step(Step::Expiry), ["NotDue"; 7]),
    ];
    for (command, expected) in table {
        let found: Vec<_> = in_each_state().iter().map(|state| outcome(state, &command)).collect();
        assert_eq!(found, expected, "{command:?}");
    }
}

#[test]
fn a_preview_tells_when_and_what_comes_next() {
    type Told = (Timestamp, i64, Option<(Timestamp, i64)>);
    let told = |preview: Preview| -> Told {
        let next = preview.next_charge.map(|next| (next.at, next.charge.amount.minor));
        (preview.effective_at, preview.due_now.minor, next)
    };
    let of = |state: &State, command| told(preview(state, &command, &rules(), day(11)).expect("it may happen"));
    let dearer = State { terms: professional(), paid: Paid { amount: usd(90_000), from: day(1) }, ..active() };
    assert_eq!(of(&active(), change_to(professional())), (day(11), 40_000, Some((day(31), 90_000))));
    assert_eq!(of(&dearer, change_to(starter())), (day(31), 0, Some((day(31), 30_000))));
    assert_eq!(of(&active(), change_to(free())), (day(31), 0, None));
    assert_eq!(of(&active(), cancel(When::Usual)), (day(31), 0, None));
    assert_eq!(of(&active(), cancel(When::Now)), (day(11), 0, None));
    let rest = Command::Pause { when: When::Now, until: Some(day(40)) };
    assert_eq!(of(&active(), rest), (day(11), 0, Some((day(40), 30_000))));
    let begun =
        |new: &Start| told(Preview::of(start(new, &rules(), day(1)).expect("it begins"), &rules()).expect("it fits"));
    assert_eq!(begun(&plainly(starter())), (day(1), 30_000, Some((day(31), 30_000))));
    let trial = Start { trial_days: 10, ..plainly(starter()) };
    assert_eq!(begun(&trial), (day(1), 0, Some((day(11), 30_000))));
}

#[test]
fn a_price_that_is_raised_is_no_upgrade() {
    let dearer = terms(1, Interval::Month, 34_900);
    let decision =
        run(&active(), Command::Change { to: dearer, when: When::PeriodEnd, allowances: Vec::new() }, day(5));
    let renewal = run(&decision.next, Command::Step(Step::Renewal), day(31));
    assert_eq!((renewal.cause, renewal.due_now()), (Cause::PlanChanged, Ok(usd(34_900))));
    assert_eq!(renewal.next.plan_since, day(1), "it is the same plan");
}

#[test]
fn a_try_that_failed_after_the_cancellation_is_known_when_it_is_taken_back() {
    let tried = run(&past_due(), Command::Step(Step::Retry(1)), day(3)).next;
    let canceled = run(&tried, cancel(When::Usual), day(3)).next;
    assert_eq!(canceled.access_until, Some(day(9)), "the grace is not lengthened to the end of a period nobody paid");
    let failed = run(&canceled, Command::PaymentFailed { slot: tried.open[0].slot }, day(4)).next;
    let undone = run(&failed, Command::UndoCancel, day(4)).next;
    assert_eq!((undone.status, undone.access_until), (SubscriptionStatus::PastDue, tried.access_until));
    assert_eq!(next_due_at(&undone, &rules()), Ok(Some(day(5))), "and tried again");
}

#[test]
fn a_refusal_says_what_to_do() {
    for refusal in [Refusal::Paused, Refusal::PaymentOpen, Refusal::DueFirst(Step::Renewal), Refusal::OtherCurrency] {
        assert!(refusal.to_string().contains("; "), "{refusal}");
    }
}

#[test]
fn an_upgrade_is_charged_to_the_minor_unit() {
    // Day 11 of 30: two thirds are left of both.
    let decision = run(&active(), change_to(professional()), day(11));
    let Effect::Charge(charge) = &decision.effects[0] else { panic!("{decision:?}") };
    let lines: Vec<_> = charge.lines.iter().map(|line| (line.kind, line.amount.minor)).collect();
    assert_eq!(lines, [(LineKind::Unused, -20_000), (LineKind::Plan, 60_000)]);
    assert_eq!((charge.amount, decision.due_now()), (usd(40_000), Ok(usd(40_000))));
    assert_eq!(charge.slot.to_string(), format!("change:{}", day(11).as_micros()));
    let next = &decision.next;
    assert_eq!((next.period, next.plan_since, next.anchor), (active().period, day(11), day(1)), "the period goes on");
    // The next period is charged in full.
    let renewal = run(next, Command::Step(Step::Renewal), day(31));
    assert_eq!(renewal.due_now(), Ok(usd(90_000)));
}

#[test]
fn a_cheaper_plan_begins_with_the_next_period() {
    let state = State { terms: professional(), paid: Paid { amount: usd(90_000), from: day(1) }, ..active() };
    let planned = run(&state, change_to(starter()), day(11));
    assert_eq!((planned.cause, planned.due_now()), (Cause::ChangeScheduled, Ok(usd(0))));
    assert_eq!(planned.next.terms, professional());
    assert_eq!(run(&planned.next, Command::DropScheduled, day(12)).next, state);
    let renewal = run(&planned.next, Command::Step(Step::Renewal), day(31));
    assert_eq!((renewal.cause, renewal.due_now()), (Cause::Downgraded, Ok(usd(30_000))));
    assert_eq!((renewal.next.terms.clone(), renewal.next.plan_since), (starter(), day(31)));
    // At once, what was used and counts nowhere else is not given back: 800 of 1,000 units.
    let used = Allowance { limit: 1_000, used: 900, next_limit: Some(100), period: state.period };
    let now = Command::Change { to: starter(), when: When::Now, allowances: vec![used] };
    let decision = run(&state, now, day(11));
    assert_eq!(decision.due_now(), Ok(usd(20_000 - 18_000)), "a fifth of 900.00 against two thirds of 300.00");
    let fair = Command::Change { to: starter(), when: When::Now, allowances: Vec::new() };
    let decision = run(&state, fair, day(11));
    assert!(matches!(&decision.effects[0], Effect::Refund(refund) if refund.amount == usd(40_000)));
}

#[test]
fn monthly_becomes_yearly_at_once_and_yearly_monthly_at_its_end() {
    let yearly = terms(1, Interval::Year, 300_000);
    let decision = run(&active(), change_to(yearly.clone()), day(11));
    assert_eq!((decision.cause, decision.due_now()), (Cause::IntervalChanged, Ok(usd(280_000))));
    assert_eq!(decision.next.period, Period { start: day(11), end: Some(at("2028-06-11T00:00:00Z")) });
    assert_eq!(decision.next.anchor, day(11));
    let state = paid(&decision.next, day(11));
    let planned = run(&state, change_to(starter()), day(50)).next;
    assert_eq!(planned.terms, yearly);
    let renewal = run(&planned, Command::Step(Step::Renewal), at("2028-06-11T00:00:00Z"));
    assert_eq!((renewal.due_now(), renewal.cause), (Ok(usd(30_000)), Cause::IntervalChanged));
    assert_eq!(renewal.next.period.end, Some(at("2028-07-11T00:00:00Z")));
}

#[test]
fn what_was_free_begins_anew_when_it_is_paid() {
    let state = start(&plainly(free()), &rules(), day(1)).expect("it begins");
    assert_eq!((state.next.status, state.effects), (SubscriptionStatus::Active, Vec::new()));
    assert_eq!(next_due_at(&state.next, &rules()), Ok(None), "nothing is ever due");
    // Nobody noted the periods in between.
    let decision = run(&state.next, change_to(starter()), day(75));
    assert_eq!((decision.cause, decision.due_now()), (Cause::Upgraded, Ok(usd(30_000))));
    assert_eq!((decision.next.period.start, decision.next.anchor), (day(75), day(75)));
    let canceled = run(&state.next, cancel(When::Usual), day(75)).next;
    assert_eq!(canceled.access_until, Some(at("2027-09-01T00:00:00Z")), "the end of the month that runs");
}

#[test]
fn a_trial_is_announced_and_ends() {
    let state = trialing(true);
    assert_eq!((state.open.len(), next_due_at(&state, &rules())), (0, Ok(Some(day(8)))));
    let warned = run(&state, Command::Step(Step::TrialEnding), day(8));
    assert_eq!(warned.effects, [Effect::Notify(Notice::TrialEnding)]);
    let renewed = run(&warned.next, Command::Step(Step::TrialEnd), day(11));
    assert_eq!((renewed.cause, renewed.due_now()), (Cause::TrialConverted, Ok(usd(30_000))));
    assert_eq!(renewed.next.period, Period { start: day(11), end: Some(at("2027-07-11T00:00:00Z")) });
    // Late, the announcement is left out.
    let late: Vec<_> = due(&state, &rules(), day(12)).expect("in range").iter().map(|due| due.step).collect();
    assert_eq!(late, [Step::TrialEnd]);
    // Without a payment method it ends, or falls back.
    let state = trialing(false);
    let ended = run(&state, Command::Step(Step::TrialEnd), day(11));
    assert_eq!((ended.next.status, ended.cause), (SubscriptionStatus::Expired, Cause::TrialEnded));
    let with_fallback = Rules { fallback: Some(free()), ..rules() };
    let fallen = decide(&state, &Command::Step(Step::TrialEnd), &with_fallback, day(20)).expect("it may happen");
    assert_eq!((fallen.next.status, fallen.next.terms.clone()), (SubscriptionStatus::Active, free()));
    assert_eq!((fallen.at, fallen.next.plan_since), (day(11), day(11)), "when it fell due, however late");
    let costly = Rules { fallback: Some(professional()), ..rules() };
    let ended = decide(&state, &Command::Step(Step::TrialEnd), &costly, day(11)).expect("it may happen");
    assert_eq!(ended.next.status, SubscriptionStatus::Expired, "nobody is put on a plan that costs something");
    // Another plan within the trial costs nothing yet.
    let other = run(&trialing(true), change_to(professional()), day(5));
    assert_eq!((other.due_now(), other.next.trial), (Ok(usd(0)), trialing(true).trial));
    let undone = run(&run(&trialing(true), cancel(When::Usual), day(5)).next, Command::UndoCancel, day(6)).next;
    assert_eq!(undone, trialing(true));
}

#[test]
fn a_purchase_waits_for_its_approval() {
    let pending = in_each_state().swap_remove(0);
    let lapsed = run(&pending, Command::Step(Step::CheckoutExpiry), day(2));
    assert_eq!((lapsed.next.status, lapsed.cause), (SubscriptionStatus::Expired, Cause::CheckoutExpired));
    let approval = run(&lapsed.next, Command::Approve { trial_days: 0 }, day(3));
    let collected = |effect: &Effect| matches!(effect, Effect::Collected(charge) if charge.amount == usd(30_000));
    assert!(approval.effects.iter().all(collected) && approval.due_now() == Ok(usd(0)), "the provider took it");
    let approved = approval.next;
    assert_eq!(
        (approved.status, approved.period.start),
        (SubscriptionStatus::Active, day(3)),
        "who approves late has paid"
    );
    assert!(approved.open.is_empty() && approved.paid.amount == usd(30_000));
    let past = Start { approval_until: Some(day(1)), ..plainly(starter()) };
    assert_eq!(start(&past, &rules(), day(1)), Err(Refusal::Past));
    let nothing_to_approve = Start { approval_until: Some(day(2)), ..plainly(free()) };
    assert_eq!(start(&nothing_to_approve, &rules(), day(1)).map(|d| d.next.status), Ok(SubscriptionStatus::Active));
}

#[test]
fn a_failed_payment_is_tried_again_until_the_grace_is_over() {
    let mut state = past_due();
    let slot = state.open[0].slot;
    assert_eq!((state.access_until, state.dunning.map(|d| d.until)), (Some(day(9)), Some(day(9))));
    for (number, on) in [(1, 3), (2, 5), (3, 7)] {
        let tried = run(&state, Command::Step(Step::Retry(number)), day(on));
        assert_eq!(tried.effects, [Effect::Retry(number)]);
        assert_eq!(due(&tried.next, &rules(), day(30)), Ok(Vec::new()), "its outcome is unknown");
        let failed = run(&tried.next, Command::PaymentFailed { slot }, day(on));
        assert_eq!(failed.next.access_until, Some(day(9)), "the grace is not lengthened");
        state = failed.next;
    }
    let ended = run(&state, Command::Step(Step::Exhausted), day(9));
    assert_eq!((ended.next.status, ended.cause), (SubscriptionStatus::Expired, Cause::DunningExhausted));
    assert_eq!(ended.effects, [Effect::Void(slot), Effect::Notify(Notice::Ended)]);
    let with_fallback = Rules { fallback: Some(free()), ..rules() };
    let fallen = decide(&state, &Command::Step(Step::Exhausted), &with_fallback, day(9)).expect("it may happen").next;
    assert_eq!((fallen.status, fallen.terms, fallen.open.len()), (SubscriptionStatus::Active, free(), 0));
    let recovered = run(&state, Command::Paid { slot }, day(20)).next;
    assert_eq!((recovered.status, recovered.access_until, recovered.dunning), (SubscriptionStatus::Active, None, None));
}

#[test]
fn after_a_silence_only_the_last_try_is_made() {
    let late: Vec<_> = due(&past_due(), &rules(), day(8)).expect("in range").iter().map(Due::slot).collect();
    assert_eq!(late, [format!("retry:3:{}", day(7).as_micros())]);
    let later: Vec<_> = due(&past_due(), &rules(), day(40)).expect("in range").iter().map(|due| due.step).collect();
    assert_eq!(later, [Step::Retry(3), Step::Exhausted]);
    let short = Rules { grace_days: 2, ..rules() };
    let first = start(&plainly(starter()), &short, day(1)).expect("it begins").next;
    let slot = first.open[0].slot;
    let state = decide(&first, &Command::PaymentFailed { slot }, &short, day(2)).expect("it may happen").next;
    let within: Vec<_> = due(&state, &short, day(40)).expect("in range").iter().map(|due| due.step).collect();
    assert_eq!(within, [Step::Retry(1), Step::Exhausted], "tries end with the grace");
}

#[test]
fn what_fell_due_comes_first_except_for_payments() {
    let state = active();
    let late = decide(&state, &change_to(professional()), &rules(), day(31));
    assert_eq!(late, Err(Refusal::DueFirst(Step::Renewal)));
    let state = past_due();
    let slot = state.open[0].slot;
    assert_eq!(decide(&state, &cancel(When::Now), &rules(), day(60)), Err(Refusal::DueFirst(Step::Retry(3))));
    assert_eq!(run(&state, Command::Paid { slot }, day(60)).next.status, SubscriptionStatus::Active);
}

#[test]
fn a_pause_keeps_the_billing_dates() {
    let pause = |until| Command::Pause { when: When::Now, until };
    let paused = run(&active(), pause(Some(day(20))), day(10)).next;
    assert_eq!(next_due_at(&paused, &rules()), Ok(Some(day(20))));
    let resumed = run(&paused, Command::Step(Step::Resumption), day(20));
    assert_eq!((resumed.due_now(), resumed.next), (Ok(usd(0)), active()), "the paid period runs on");
    let long = run(&run(&active(), pause(None), day(10)).next, Command::Resume, day(45));
    assert_eq!((long.due_now(), long.next.period.start), (Ok(usd(30_000)), day(45)), "a new one after it");
    assert_eq!(decide(&active(), &pause(Some(day(10))), &rules(), day(10)), Err(Refusal::Past));
    let planned = Command::Pause { when: When::PeriodEnd, until: Some(day(40)) };
    let planned = run(&active(), planned, day(10)).next;
    assert_eq!(planned.status, SubscriptionStatus::Active);
    let resting = run(&planned, Command::Step(Step::Renewal), day(31));
    assert_eq!((resting.cause, resting.due_now()), (Cause::Paused, Ok(usd(0))));
    assert_eq!(run(&resting.next, Command::Step(Step::Resumption), day(40)).due_now(), Ok(usd(30_000)));
}

#[test]
fn a_payment_that_failed_at_rest_gets_its_grace_afterwards() {
    let unpaid = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    let paused = run(&unpaid, Command::Pause { when: When::Now, until: None }, day(2)).next;
    let failed = run(&paused, Command::PaymentFailed { slot: unpaid.open[0].slot }, day(3)).next;
    assert_eq!((failed.status, next_due_at(&failed, &rules())), (SubscriptionStatus::Paused, Ok(None)));
    let resumed = run(&failed, Command::Resume, day(10)).next;
    assert_eq!((resumed.status, resumed.access_until), (SubscriptionStatus::PastDue, Some(day(17))));
}

#[test]
fn a_cancellation_may_be_used_to_its_end_and_taken_back() {
    let canceled = run(&active(), cancel(When::Usual), day(10));
    assert_eq!(canceled.next.access_until, Some(day(31)));
    assert_eq!(run(&canceled.next, Command::UndoCancel, day(20)).next, active());
    let ended = run(&canceled.next, Command::Step(Step::Expiry), day(31));
    assert_eq!((ended.next.status, ended.effects), (SubscriptionStatus::Expired, vec![Effect::Notify(Notice::Ended)]));
    let used = Allowance { limit: 100, used: 80, next_limit: None, period: active().period };
    let refund = |allowances| Command::Cancel { when: When::Now, refund: true, allowances };
    assert_eq!(run(&active(), refund(Vec::new()), day(11)).due_now(), Ok(usd(-20_000)));
    assert_eq!(run(&active(), refund(vec![used]), day(11)).due_now(), Ok(usd(-6_000)), "a fifth was not used");
    let unpaid = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    let ended = run(&unpaid, refund(Vec::new()), day(2));
    assert_eq!(ended.effects[0], Effect::Void(unpaid.open[0].slot), "nothing is given back that did not come");
    // What was not paid may be used for the grace alone, also by one that ends anyway.
    let canceled = run(&unpaid, cancel(When::Usual), day(2)).next;
    let failed = run(&canceled, Command::PaymentFailed { slot: unpaid.open[0].slot }, day(3)).next;
    assert_eq!((failed.status, failed.access_until), (SubscriptionStatus::Canceled, Some(day(10))));
    let came = run(&failed, Command::Paid { slot: unpaid.open[0].slot }, day(4)).next;
    assert_eq!(came.access_until, Some(day(31)));
}

#[test]
fn a_coupon_takes_off_what_it_covers() {
    let discount = |duration, months| Discount { off: Off::Percent(20), duration, months, from: day(1) };
    let begun = |duration, months| {
        let new = Start { discount: Some(discount(duration, months)), trial_days: 40, ..plainly(starter()) };
        let mut state = start(&new, &rules(), day(1)).expect("it begins").next;
        let mut charges = Vec::new();
        for _ in 0..4 {
            let next = due(&state, &rules(), at("2028-01-01T00:00:00Z")).expect("in range")[0];
            let decision = run(&state, Command::Step(next.step), next.at);
            charges.push(decision.due_now().expect("one currency").minor);
            state = decision.next;
        }
        charges
    };
    assert_eq!(begun(Duration::Once, None), [24_000, 30_000, 30_000, 30_000], "of the first payment, after the trial");
    assert_eq!(begun(Duration::Repeating, Some(2)), [24_000, 24_000, 30_000, 30_000]);
    assert_eq!(begun(Duration::Forever, None), [24_000; 4]);
    let state = State { discount: Some(discount(Duration::Forever, None)), ..active() };
    assert_eq!(state.worth(0, day(2), &Zone::UTC), Ok(288_000));
    let once = State { discount: Some(discount(Duration::Once, None)), ..active() };
    assert_eq!(once.worth(0, day(2), &Zone::UTC), Ok(360_000), "what does not recur is no part of it");
    assert_eq!(trialing(true).worth(0, day(2), &Zone::UTC), Ok(0));
}

#[test]
fn another_currency_begins_with_the_next_period() {
    let euro = Currency::parse("EUR").expect("a currency");
    let to = Terms { amount: Money::new(90_000, euro), ..professional() };
    let now = Command::Change { to: to.clone(), when: When::Now, allowances: Vec::new() };
    assert_eq!(decide(&active(), &now, &rules(), day(11)), Err(Refusal::OtherCurrency));
    let planned = run(&active(), change_to(to), day(11)).next;
    let renewal = run(&planned, Command::Step(Step::Renewal), day(31));
    assert_eq!(renewal.due_now(), Ok(Money::new(90_000, euro)));
}

/// Issue 4, "done when": subscribed on the 31st of January, through a leap year.
#[test]
fn a_subscription_from_the_31st_returns_to_it() {
    let began = at("2027-12-31T09:30:00Z");
    let mut state = start(&plainly(starter()), &rules(), began).expect("it begins").next;
    let mut starts = Vec::new();
    for _ in 0..5 {
        let end = state.period.end.expect("it ends");
        starts.push(end.date_in(&Zone::UTC).expect("in range").to_string());
        state = run(&state, Command::Step(Step::Renewal), end).next;
    }
    assert_eq!(starts, ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]);
    assert_eq!(state.open.len(), 6, "each period is asked for once, though nobody knows of any payment");
    // Begun in the second of the hours that come twice, the first period is not begun before.
    let berlin = Rules::of(Zone::parse("Europe/Berlin").expect("a zone"));
    let twice = at("2027-10-31T01:30:00Z");
    let in_autumn = start(&plainly(starter()), &berlin, twice).expect("it begins").next;
    assert_eq!(in_autumn.period, Period { start: twice, end: Some(at("2027-11-30T01:30:00Z")) });
    // A tenant that moves its zone in summer: no hour is billed as a month.
    let summer = at("2027-06-15T09:00:00Z");
    let mut state = start(&plainly(starter()), &berlin, at("2027-01-15T10:00:00Z")).expect("it begins").next;
    while let Some(end) = state.period.end.filter(|end| *end < summer) {
        state = decide(&state, &Command::Step(Step::Renewal), &berlin, end).expect("it may happen").next;
    }
    assert_eq!(state.period.end, Some(summer));
    let moved = run(&state, Command::Step(Step::Renewal), summer).next;
    assert_eq!(moved.period, Period { start: summer, end: Some(at("2027-07-15T09:00:00Z")) });
}

#[test]
fn slots_survive_their_row() {
    for kind in SlotKind::ALL {
        let slot = Slot { at: Timestamp::from_micros(-7), kind };
        assert_eq!(Slot::parse(&slot.to_string()), Some(slot));
    }
    for bad in ["", "start", "start:", "start:x", "other:1", ":1"] {
        assert_eq!(Slot::parse(bad), None, "{bad}");
    }
}
