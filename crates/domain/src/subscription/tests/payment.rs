//! Payments that fail, are tried again, come after all, or never do.

use super::*;

#[test]
fn nothing_is_given_back_as_long_as_a_payment_is_open() {
    let unpaid = start(&plainly(professional()), &rules(), day(1)).expect("it begins").next;
    let now = |to| Command::Change { to, when: When::Now, allowances: Vec::new() };
    assert_eq!(decide(&unpaid, &now(free()), &rules(), day(2)), Err(Refusal::PaymentOpen));
    assert_eq!(decide(&unpaid, &now(starter()), &rules(), day(11)), Err(Refusal::PaymentOpen));
    let came = paid(&unpaid, day(11));
    assert_eq!(run(&came, now(starter()), day(11)).due_now(), Ok(usd(-40_000)));
    // What asks for more is asked for beside it, and the end of the period gives nothing back.
    let dearer = run(&unpaid, now(terms(3, Interval::Month, 120_000)), day(11));
    assert_eq!((dearer.due_now(), dearer.next.open.len()), (Ok(usd(20_000)), 2));
    assert_eq!(decide(&dearer.next, &now(professional()), &rules(), day(12)), Err(Refusal::PaymentOpen));
    assert_eq!(run(&unpaid, change_to(free()), day(11)).cause, Cause::ChangeScheduled);
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

/// The first period's payment failed, and an upgrade's is on its way.
fn past_due_beside_an_upgrade() -> (State, Slot, Slot) {
    let unpaid = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    let dearer = run(&unpaid, change_to(professional()), day(2)).next;
    let [first, second] = [dearer.open[0].slot, dearer.open[1].slot];
    (run(&dearer, Command::PaymentFailed { slot: first }, day(2)).next, first, second)
}

#[test]
fn a_try_is_on_its_way_until_its_own_outcome_is_known() {
    let (state, first, second) = past_due_beside_an_upgrade();
    let tried = run(&state, Command::Step(Step::Retry(1)), day(3)).next;
    assert_eq!(tried.open[1].attempt, Attempt::First, "what is on its way is not tried again");
    for outcome in [Command::Paid { slot: second }, Command::PaymentFailed { slot: second }] {
        let other = run(&tried, outcome.clone(), day(3)).next;
        assert_eq!(due(&other, &rules(), day(60)), Ok(Vec::new()), "{outcome:?} says nothing of the first");
        let known = run(&other, Command::PaymentFailed { slot: first }, day(4)).next;
        assert_eq!(next_due_at(&known, &rules()), Ok(Some(day(5))));
        let again = decide(&known, &Command::PaymentFailed { slot: first }, &rules(), day(4));
        assert_eq!(again, Err(Refusal::AlreadySo));
    }
    // Both are tried together, and each has its outcome.
    let both = run(&state, Command::PaymentFailed { slot: second }, day(2)).next;
    let tried = run(&both, Command::Step(Step::Retry(1)), day(3)).next;
    let one = run(&tried, Command::PaymentFailed { slot: first }, day(3)).next;
    assert_eq!(next_due_at(&one, &rules()), Ok(None));
    let none = run(&one, Command::Paid { slot: second }, day(3)).next;
    assert_eq!((none.status, next_due_at(&none, &rules())), (SubscriptionStatus::PastDue, Ok(Some(day(5)))));
}

#[test]
fn what_is_free_stays_when_an_old_payment_never_comes() {
    let unpaid = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    let planned = run(&unpaid, change_to(free()), day(2)).next;
    let down = run(&planned, Command::Step(Step::Renewal), day(31)).next;
    let slot = unpaid.open[0].slot;
    let failed = run(&down, Command::PaymentFailed { slot }, day(32)).next;
    assert_eq!((failed.status, failed.terms.clone()), (SubscriptionStatus::PastDue, free()));
    let replanned = State { scheduled: Some(Scheduled::Change(starter())), ..failed.clone() };
    for state in [failed, replanned] {
        for fallback in [None, Some(free())] {
            let rules = Rules { fallback, retry_days: Vec::new(), ..rules() };
            let stays = decide(&state, &Command::Step(Step::Exhausted), &rules, day(39)).expect("it may happen");
            assert_eq!(stays.effects, [Effect::Void(slot), Effect::Notify(Notice::Resumed)]);
            assert_eq!(stays.next, State { open: Vec::new(), ..down.clone() });
        }
    }
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
fn a_payment_that_failed_at_rest_gets_its_grace_afterwards() {
    let unpaid = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    let paused = run(&unpaid, Command::Pause { when: When::Now, until: None }, day(2)).next;
    let failed = run(&paused, Command::PaymentFailed { slot: unpaid.open[0].slot }, day(3)).next;
    assert_eq!((failed.status, next_due_at(&failed, &rules())), (SubscriptionStatus::Paused, Ok(None)));
    let resumed = run(&failed, Command::Resume, day(10)).next;
    assert_eq!((resumed.status, resumed.access_until), (SubscriptionStatus::PastDue, Some(day(17))));
}

#[test]
fn what_was_used_beyond_a_limit_is_asked_for_once_and_dunned_as_any_payment() {
    let began = start(&plainly(starter()), &rules(), day(1)).expect("it begins").next;
    let paid = run(&began, Command::Paid { slot: began.open[0].slot }, day(1)).next;
    let feature = crate::id::FeatureKey::parse("prompts").expect("a key in a test");
    let line = Line {
        kind: LineKind::Overage,
        plan: paid.terms.plan.clone(),
        amount: usd(120),
        from: day(1),
        to: day(20),
        used: Some(Used { feature, units: 12 }),
    };
    let owe = Command::Owe { at: day(20), lines: vec![line] };
    let asked = run(&paid, owe.clone(), day(20));
    assert_eq!((asked.cause, asked.due_now()), (Cause::OverageCharged, Ok(usd(120))));
    let slot = Slot { at: day(20), kind: SlotKind::Overage };
    assert_eq!(Slot::parse(&slot.to_string()), Some(slot));
    assert_eq!(asked.next.open, [Open { slot, attempt: Attempt::First }]);
    assert_eq!(decide(&asked.next, &owe, &rules(), day(20)), Err(Refusal::AlreadySo));
    let failed = run(&asked.next, Command::PaymentFailed { slot }, day(21)).next;
    assert_eq!(failed.status, SubscriptionStatus::PastDue);
    let cancel = Command::Cancel { when: When::Now, refund: false, allowances: Vec::new() };
    let over = run(&failed, cancel, day(21)).next;
    assert_eq!(decide(&over, &owe, &rules(), day(22)), Err(Refusal::Over));
}
