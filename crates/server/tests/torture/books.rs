//! What must be true of the answers alone: an independent, plain model of every use that was accepted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::load::{End, Order, Record, Reply};
use crate::support::Server;

/// A customer's feature.
type Name = (Arc<str>, &'static str);

/// What the answers add up to, and what in them cannot be.
#[derive(Default)]
pub(crate) struct Books {
    /// The steps of each counter: the level after an accepted use, and its amount.
    steps: BTreeMap<Name, Vec<(i64, i64)>>,
    held: BTreeMap<Name, i64>,
    /// Everything that contradicts a promise, each with the promise in front.
    pub(crate) faults: Vec<String>,
    /// Accepted writes that stand in the books.
    pub(crate) accepted: u64,
    /// Accepted writes whose own answer never came: the retry found them recorded.
    pub(crate) unanswered: u64,
}

impl Books {
    /// Enters orders that have come to an end: each has been answered since the last fault.
    pub(crate) fn enter<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            let Some(first) = self.judge(&record.order, "consume or reserve", &record.first) else { continue };
            self.accepted += 1;
            match record.order.end {
                End::None => self.step(&record.order, &record.order.items, &first),
                End::Leave => {
                    for (feature, amount) in &record.order.items {
                        *self.held.entry((record.order.customer.clone(), *feature)).or_default() += amount;
                    }
                }
                End::Settle(_) | End::Release => self.enter_end(record),
            }
        }
    }

    fn enter_end(&mut self, record: &Record) {
        let what = if matches!(record.order.end, End::Release) { "release" } else { "settle" };
        let Some(answer) = self.judge(&record.order, what, &record.end) else {
            self.faults.push(format!("lost: the hold of {} did not end: {:?}", record.order.key, record.end));
            return;
        };
        self.accepted += 1;
        if let End::Settle(used) = &record.order.end {
            self.step(&record.order, used, &answer);
        }
    }

    /// The one answer of all that were given to an order, if it was accepted.
    fn judge(&mut self, order: &Order, what: &str, replies: &[Reply]) -> Option<Value> {
        let mut accepted: Option<&Value> = None;
        let mut anew = 0;
        for reply in replies {
            match reply {
                Reply::Accepted { body, replayed } => {
                    anew += u64::from(!replayed);
                    // A second release answers that there is nothing left to give back.
                    let same = what == "release" || accepted.is_none_or(|first| first == body);
                    if !same {
                        let fault = format!("doubled: {what} {} has two answers: {accepted:?} and {body}", order.key);
                        self.faults.push(fault);
                    }
                    accepted = Some(body);
                    self.check_limits(body);
                }
                Reply::Refused | Reply::Away(_) | Reply::Lost => {}
                Reply::Wrong(why) => self.faults.push(format!("wrong answer: {what} {}: {why}", order.key)),
            }
        }
        if anew > 1 {
            self.faults.push(format!("doubled: {what} {} was done {anew} times", order.key));
        }
        let lost = replies.iter().any(|reply| matches!(reply, Reply::Lost));
        self.unanswered += u64::from(accepted.is_some() && anew == 0 && lost);
        accepted.cloned()
    }

    fn check_limits(&mut self, body: &Value) {
        for (feature, quota) in body["quotas"].as_object().into_iter().flatten() {
            let level = quota["used"].as_i64().unwrap_or(0) + quota["reserved"].as_i64().unwrap_or(0);
            if quota["limit"].as_i64().is_some_and(|limit| level > limit) {
                self.faults.push(format!("over the limit: {feature}: {quota}"));
            }
        }
    }

    fn step(&mut self, order: &Order, used: &[(&'static str, i64)], answer: &Value) {
        for (feature, amount) in used {
            let after = answer["quotas"][*feature]["used"].as_i64().unwrap_or(-1);
            self.steps.entry((order.customer.clone(), *feature)).or_default().push((after, *amount));
        }
    }

    /// Compares what the server says of every customer with what its answers add up to.
    pub(crate) async fn compare(&mut self, server: &Server, key: &str, customers: &[Arc<str>]) {
        for customer in customers {
            let answer = server.get(&format!("/api/usage?customer={customer}"), key).await;
            if answer.status != 200 {
                self.faults.push(format!("wrong answer: {customer} cannot be read: {answer:?}"));
            }
            for (feature, quota) in answer.body.as_object().into_iter().flatten() {
                let Some(feature) = crate::load::FEATURES.iter().find(|known| *known == feature) else { continue };
                self.compare_one((customer.clone(), feature), quota);
            }
        }
    }

    fn compare_one(&mut self, name: Name, quota: &Value) {
        let steps = self.steps.entry(name.clone()).or_default();
        steps.sort_unstable();
        let mut level = 0;
        for (after, amount) in steps.iter() {
            level += amount;
            if *after != level {
                self.faults.push(format!("lost or doubled: {name:?}: a use of {amount} led to {after}, not {level}"));
                break;
            }
        }
        let used: i64 = steps.iter().map(|(_, amount)| amount).sum();
        let held = self.held.get(&name).copied().unwrap_or_default();
        let told = (quota["used"].as_i64(), quota["reserved"].as_i64());
        if told != (Some(used), Some(held)) {
            let fault =
                format!("lost or doubled: {name:?}: answers say {used} used and {held} held, the server {told:?}");
            self.faults.push(fault);
        }
        if quota["limit"].as_i64().is_some_and(|limit| used + held > limit) {
            self.faults.push(format!("over the limit: {name:?}: {quota}"));
        }
    }

    /// Fails with the first faults, if there are any.
    #[track_caller]
    pub(crate) fn assert_right(&self) {
        let some: Vec<_> =
            self.faults.iter().take(5).map(|fault| fault.chars().take(600).collect::<String>()).collect();
        assert!(self.faults.is_empty(), "{} faults, among them:\n{}", self.faults.len(), some.join("\n"));
    }
}
