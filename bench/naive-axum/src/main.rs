//! The briefs' own design in axum, as a baseline: one look-up, one SUM, one INSERT.
//!   DATABASE_URL=postgres://… naive-axum PORT
#![forbid(unsafe_code)]

use std::error::Error;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

const POOL_CONNECTIONS: usize = 20;

#[derive(Deserialize)]
struct Consume {
    customer: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    feature: String,
    amount: i64,
}

type Answer = (StatusCode, Json<Value>);
type Failure = Box<dyn Error + Send + Sync>;

async fn consume(State(pool): State<Pool>, Json(body): Json<Consume>) -> Answer {
    match record(&pool, &body).await {
        Ok(answer) => answer,
        Err(failure) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "code": failure.to_string() }))),
    }
}

async fn record(pool: &Pool, body: &Consume) -> Result<Answer, Failure> {
    let Some(Item { feature, amount }) = body.items.first() else {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "code": "invalid" }))));
    };
    let client = pool.get().await?;
    let plan = client
        .prepare_cached(
            "SELECT f.limit_value FROM subscription s JOIN plan_feature f ON f.plan_id = s.plan_id
             WHERE s.user_id = $1 AND s.status = 'active' AND f.feature = $2 AND f.enabled",
        )
        .await?;
    let Some(row) = client.query_opt(&plan, &[&body.customer, feature]).await? else {
        return Ok((StatusCode::FORBIDDEN, Json(json!({ "code": "feature-not-in-plan" }))));
    };
    let limit: i64 = row.get(0);
    let usage = client
        .prepare_cached(
            "SELECT COALESCE(SUM(value), 0)::BIGINT FROM usage_tracking
             WHERE user_id = $1 AND feature = $2 AND created_at >= date_trunc('month', now())",
        )
        .await?;
    let used = client.query_one(&usage, &[&body.customer, feature]).await?.get::<_, i64>(0) + amount;
    if used > limit {
        return Ok((StatusCode::TOO_MANY_REQUESTS, Json(json!({ "code": "quota-exceeded" }))));
    }
    let insert =
        client.prepare_cached("INSERT INTO usage_tracking (user_id, feature, value) VALUES ($1, $2, $3)").await?;
    client.execute(&insert, &[&body.customer, feature, amount]).await?;
    let quota = json!({ "feature": feature, "used": used, "reserved": 0, "limit": limit, "remaining": limit - used,
                        "percentage": used * 100 / limit, "status": "ok" });
    let answer = json!({ "id": uuid::Uuid::new_v4().to_string(), "allowed": true, "quotas": { feature: quota } });
    Ok((StatusCode::OK, Json(answer)))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let config = std::env::var("DATABASE_URL")?.parse()?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let pool = Pool::builder(Manager::from_config(config, NoTls, recycling)).max_size(POOL_CONNECTIONS).build()?;
    let app = Router::new()
        .route("/api/usage/consume", post(consume))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("ready http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
