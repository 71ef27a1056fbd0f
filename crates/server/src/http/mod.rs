//! The route table and its limits.

mod ai;
mod analytics;
mod audit;
mod auth;
mod body;
mod catalog;
mod checkout;
mod clock;
mod component;
mod contact;
mod coupon;
mod credential;
mod customer;
mod decimal;
mod decision;
mod directory;
mod docs;
mod dossier;
mod edge;
mod email;
mod email_template;
mod etag;
mod export;
mod feature;
mod file;
mod forecast;
mod grant;
mod health;
mod history;
mod impersonate;
mod import;
mod invoice;
mod key;
mod list;
mod manage;
mod member;
mod model_price;
mod names;
mod notice;
mod operator;
mod pack;
mod page;
mod params;
mod permission;
mod plan;
mod price;
mod problem;
mod provider;
mod realtime;
mod retry;
mod revenue;
mod sandbox;
mod session;
mod setting;
mod subscription;
mod upstream;
mod usage;
mod wire;

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
    // Schemas that only a parameter names are not found by themselves.
    components(schemas(export::Format, catalog::CatalogFormat)),
    modifiers(&Security)
)]
struct Document;

/// What the product itself is used by: signing in, usage, AI, buying, live connections.
fn product() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(session::login))
        .routes(routes!(session::register))
        .routes(routes!(session::refresh))
        .routes(routes!(session::logout))
        .routes(routes!(session::set_up))
        .routes(routes!(credential::forgot))
        .routes(routes!(credential::reset))
        .routes(routes!(credential::verify))
        .routes(routes!(credential::prove_again))
        .routes(routes!(notice::own_preferences, notice::update_preferences))
        .routes(routes!(notice::list))
        .routes(routes!(notice::read_all))
        .routes(routes!(notice::read))
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
        .routes(routes!(subscription::preview))
        .routes(routes!(subscription::change))
        .routes(routes!(subscription::cancel))
        .routes(routes!(subscription::pause))
        .routes(routes!(subscription::resume))
        .routes(routes!(invoice::list))
        .routes(routes!(checkout::begin))
        .routes(routes!(checkout::get))
        .routes(routes!(ai::components))
        .routes(routes!(forecast::read))
        .routes(routes!(file::list))
        .routes(routes!(file::get, file::remove))
        .routes(routes!(file::content))
        .routes(routes!(file::upload::begin))
        .routes(routes!(file::upload::get, file::upload::give_up))
        .routes(routes!(realtime::ticket))
        .routes(routes!(realtime::socket))
        .routes(routes!(realtime::sse))
}

/// What is sold, and who pays for it how.
fn catalog() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(catalog::export, catalog::apply))
        .routes(routes!(sandbox::approve))
        .routes(routes!(sandbox::payments))
        .routes(routes!(provider::list))
        .routes(routes!(provider::of_plan))
        .routes(routes!(provider::retry))
        .routes(routes!(sandbox::plans))
        .routes(routes!(plan::list))
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
        .routes(routes!(plan::admin::list, plan::admin::create))
        .routes(routes!(plan::admin::get, plan::admin::update, plan::admin::archive))
        .routes(routes!(plan::draft::set_feature, plan::draft::remove_feature))
        .routes(routes!(plan::draft::get, plan::draft::save, plan::draft::drop_draft))
        .routes(routes!(plan::draft::impact))
        .routes(routes!(plan::draft::publish))
        .routes(routes!(plan::draft::undo))
        .routes(routes!(plan::draft::versions))
        .routes(routes!(price::list, price::create))
        .routes(routes!(feature::list, feature::create))
        .routes(routes!(feature::get, feature::update, feature::delete))
}

/// Who buys and uses, and what that comes to.
fn customers() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(directory::users))
        .routes(routes!(directory::customers))
        .routes(routes!(directory::near_limit))
        .routes(routes!(impersonate::start))
        .routes(routes!(import::create))
        .routes(routes!(import::get))
        .routes(routes!(dossier::read, manage::edit))
        .routes(routes!(dossier::events))
        .routes(routes!(dossier::decisions))
        .routes(routes!(dossier::timeline))
        .routes(routes!(manage::create_override))
        .routes(routes!(manage::put_override, manage::delete_override))
        .routes(routes!(manage::give_credits))
        .routes(routes!(manage::change_plan, manage::end_subscription))
        .routes(routes!(invoice::of_customer))
        .routes(routes!(invoice::settle))
        .routes(routes!(analytics::read))
        .routes(routes!(revenue::read))
        .routes(routes!(revenue::series))
}

/// Who works here, how it is set up, and who changed what.
fn tenant() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(key::create, key::list))
        .routes(routes!(key::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::get))
        .routes(routes!(member::list, member::create))
        .routes(routes!(member::get, member::update, member::remove))
        .routes(routes!(setting::settings, setting::update_settings))
        .routes(routes!(setting::branding, setting::update_branding))
        .routes(routes!(email::list))
        .routes(routes!(email::get))
        .routes(routes!(email::retry))
        .routes(routes!(email::settings, email::update_settings))
        .routes(routes!(email::test_settings))
        .routes(routes!(email_template::list))
        .routes(routes!(email_template::get, email_template::put, email_template::reset))
        .routes(routes!(email_template::preview))
        .routes(routes!(email_template::test))
        .routes(routes!(contact::create))
        .routes(routes!(contact::list))
        .routes(routes!(contact::get, contact::update))
        .routes(routes!(permission::list))
        .routes(routes!(clock::get, clock::advance))
}

/// Above all tenants.
fn platform() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(operator::list, operator::create))
        .routes(routes!(operator::get, operator::update))
}

/// Every route of the API, with its documentation.
fn api() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .merge(product())
        .merge(catalog())
        .merge(customers())
        .merge(tenant())
        .merge(platform())
        // What they read is as large as the quota allows, and never in memory as a whole.
        .merge(OpenApiRouter::new().routes(routes!(file::create)).layer(DefaultBodyLimit::disable()))
        .merge(OpenApiRouter::new().routes(routes!(file::upload::go_on)).layer(DefaultBodyLimit::disable()))
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
        .route("/sandbox/checkout/{token}", get(sandbox::page).post(sandbox::answer))
        .route("/forgot", get(credential::forgot_page).post(credential::forgot_form))
        .route("/reset", get(credential::reset_page).post(credential::reset_form))
        .route("/verify", get(credential::verify_page).post(credential::verify_form))
        .route("/unsubscribe", get(credential::unsubscribe_page).post(credential::unsubscribe))
        .route("/assets/{*path}", get(page::asset))
        .route("/robots.txt", get(page::robots))
        .method_not_allowed_fallback(|| async {
            Failed::from(Error::new(Code::MethodNotAllowed, "See /api/docs for what can be done here."))
        })
        .fallback(page::page)
        .with_state(app)
}
