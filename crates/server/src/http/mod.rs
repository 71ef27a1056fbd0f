//! The route table and its limits.

mod ai;
mod auth;
mod body;
mod component;
mod coupon;
mod customer;
mod decimal;
mod decision;
mod docs;
mod edge;
mod etag;
mod health;
mod history;
mod key;
mod list;
mod model_price;
mod names;
mod pack;
mod page;
mod params;
mod plan;
mod problem;
mod realtime;
mod retry;
mod session;
mod upstream;
mod usage;
mod wire;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cx::App;
use crate::error::{Code, Error};
use docs::Security;
pub use edge::Edge;
use problem::Failed;

#[derive(OpenApi)]
#[openapi(
    info(title = "Tollgate", description = "Subscriptions, quotas and billing for products that sell AI features.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    security(("bearer" = []), ("cookie" = [])),
    modifiers(&Security)
)]
struct Document;

/// Every route of the API, with its documentation.
fn api() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(session::login))
        .routes(routes!(session::register))
        .routes(routes!(session::refresh))
        .routes(routes!(session::logout))
        .routes(routes!(session::setup))
        .routes(routes!(session::me))
        .routes(routes!(usage::consume))
        .routes(routes!(usage::check))
        .routes(routes!(usage::reserve))
        .routes(routes!(usage::settle))
        .routes(routes!(usage::release))
        .routes(routes!(usage::batch))
        .routes(routes!(usage::set_gauge))
        .routes(routes!(usage::adjust_gauge))
        .routes(routes!(usage::reverse))
        .routes(routes!(usage::read))
        .routes(routes!(history::history))
        .routes(routes!(decision::explain))
        .routes(routes!(customer::create))
        .routes(routes!(customer::get))
        .routes(routes!(customer::mint))
        .routes(routes!(customer::subscription))
        .routes(routes!(plan::list))
        .routes(routes!(ai::components))
        .routes(routes!(component::create, component::list))
        .routes(routes!(component::get, component::change, component::archive))
        .routes(routes!(component::draft::save, component::draft::get, component::draft::discard))
        .routes(routes!(component::draft::publish))
        .routes(routes!(component::draft::versions))
        .routes(routes!(component::draft::undo))
        .routes(routes!(component::trial::test))
        .routes(routes!(upstream::create, upstream::list))
        .routes(routes!(upstream::change, upstream::remove))
        .routes(routes!(upstream::test))
        .routes(routes!(model_price::list, model_price::put, model_price::remove))
        .routes(routes!(pack::create, pack::list))
        .routes(routes!(pack::change, pack::archive))
        .routes(routes!(pack::sold))
        .routes(routes!(coupon::create, coupon::list))
        .routes(routes!(coupon::change))
        .routes(routes!(coupon::quote))
        .routes(routes!(key::create, key::list))
        .routes(routes!(key::revoke))
        .routes(routes!(realtime::ticket))
        .routes(routes!(realtime::socket))
        .routes(routes!(realtime::sse))
        // Its body is read within a limit of its own before the form's parts are looked for.
        .merge(OpenApiRouter::new().routes(routes!(ai::run)).layer(DefaultBodyLimit::disable()));
    let (routes, mut document) = routes.split_for_parts();
    docs::complete(&mut document);
    (routes, document)
}

/// The OpenAPI document as JSON, as it is committed.
pub fn openapi() -> String {
    let mut text = api().1.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Every route.
fn router(app: Arc<App>, figures: PrometheusHandle) -> Router {
    let (routes, document) = api();
    let document: Arc<str> = document.to_json().unwrap_or_default().into();
    let on_metrics = move |State(app): State<Arc<App>>| async move { health::figures(&figures, &app) };
    routes
        .route("/metrics", get(on_metrics))
        .route("/api/openapi.json", get(move || async move { docs::document(&document) }))
        .route("/api/docs", get(docs::page))
        .route("/problems/{code}", get(docs::problem))
        .route("/assets/{*path}", get(page::asset))
        .method_not_allowed_fallback(|| async {
            Failed::from(Error::new(Code::MethodNotAllowed, "See /api/docs for what can be done here."))
        })
        .fallback(page::page)
        .with_state(app)
}
