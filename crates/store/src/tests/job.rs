//! Leases of jobs: whoever holds an older one changes nothing.

use domain::id::JobId;
use domain::time::Timestamp;

use super::bench::{START, ten};
use super::fresh::on_both;
use crate::db::{Db, Tx};
use crate::job::{JobRow, due, finish, lease, next_due, push, retry};

async fn begin(db: &Db) -> Tx {
    db.begin().await.expect("it begins")
}

async fn push_one(db: &Db, number: u128, once: &str, due_at: Timestamp) -> bool {
    let mut tx = begin(db).await;
    let id = JobId::from_bits(number);
    let added = push(&mut tx, &ten(1), (&id, "mail", "{}"), (once, due_at)).await.expect("it answers");
    tx.commit().await.expect("it commits");
    added
}

async fn take(db: &Db, job: &JobRow, now: Timestamp) -> bool {
    let mut tx = begin(db).await;
    let taken = lease(&mut tx, job, now, now.plus_seconds(30)).await.expect("it answers");
    tx.commit().await.expect("it commits");
    taken
}

on_both! {
    async fn a_job_is_pushed_once_for_its_key_and_due_at_its_time(location) {
        let db = Db::open(&location).await.expect("it opens");
        assert!(push_one(&db, 1, "a", START.plus_seconds(5)).await);
        assert!(!push_one(&db, 2, "a", START).await, "there is one of that key");
        assert!(push_one(&db, 3, "b", START.plus_seconds(2)).await);
        assert_eq!(next_due(&db).await.expect("it reads"), Some(START.plus_seconds(2)));
        assert!(due(&db, START, 10).await.expect("it reads").is_empty());
        let ids: Vec<_> = due(&db, START.plus_seconds(5), 10).await.expect("it reads").into_iter().map(|job| job.job_id).collect();
        assert_eq!(ids, [JobId::from_bits(3).to_string(), JobId::from_bits(1).to_string()], "oldest first");
    }

    async fn a_stale_fence_changes_nothing(location) {
        let db = Db::open(&location).await.expect("it opens");
        push_one(&db, 1, "a", START).await;
        let job = due(&db, START, 10).await.expect("it reads").remove(0);
        assert!(take(&db, &job, START).await);
        assert!(!take(&db, &job, START).await, "one has it");
        assert!(due(&db, START, 10).await.expect("it reads").is_empty());
        let later = START.plus_seconds(30);
        assert_eq!(next_due(&db).await.expect("it reads"), Some(later));

        // The lease runs out and another worker takes it.
        let again = due(&db, later, 10).await.expect("it reads").remove(0);
        assert_eq!((again.fence, again.attempts), (job.fence + 1, 1));
        assert!(take(&db, &again, later).await);
        let (stale, current) = (job.fence + 1, again.fence + 1);

        let mut tx = begin(&db).await;
        assert!(!finish(&mut tx, &job, stale, None, later).await.expect("it answers"));
        assert!(!finish(&mut tx, &job, stale, Some(later), later).await.expect("it answers"));
        assert!(!retry(&mut tx, &job, stale, ("no", later)).await.expect("it answers"));
        tx.commit().await.expect("it commits");
        assert!(due(&db, later, 10).await.expect("it reads").is_empty(), "the current lease stands");

        let mut tx = begin(&db).await;
        assert!(retry(&mut tx, &job, current, ("later", later.plus_seconds(5))).await.expect("it answers"));
        tx.commit().await.expect("it commits");
        let third = due(&db, later.plus_seconds(5), 10).await.expect("it reads").remove(0);
        assert!(take(&db, &third, later.plus_seconds(5)).await);
        let mut tx = begin(&db).await;
        assert!(finish(&mut tx, &third, third.fence + 1, None, later).await.expect("it answers"));
        assert!(!finish(&mut tx, &third, third.fence + 1, None, later).await.expect("it answers"), "it is done");
        tx.commit().await.expect("it commits");
        assert_eq!(next_due(&db).await.expect("it reads"), None);
    }
}
