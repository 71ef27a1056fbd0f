//! Proving an address and choosing a new password: by the API, and as pages that the links in mails lead to.

use axum::Form;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, SignedIn, Visitor};
use super::body::Body;
use super::docs::{escape, whole};
use super::params::Query;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::mail::preference;
use crate::app::{credential, setting};
use crate::cx::Cx;
use crate::error::Error;

/// Whose password was forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgotBody {
    #[schema(example = "ann@example.com")]
    email: String,
}

/// The same whether or not anybody has the address.
#[derive(Serialize, ToSchema)]
pub struct Asked {
    /// Always true.
    asked: bool,
}

/// A new password, by the link in a mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetBody {
    /// The end of the link.
    #[schema(example = "ten_01jz3k5q8e4x9m2v7c1r6t0b5n.4Xk2vQ9mT7c1Zr0bN6pW")]
    token: String,
    /// 8 to 128 characters.
    #[schema(example = "correct horse battery staple")]
    password: String,
}

/// The link that proves an address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBody {
    /// The end of the link.
    #[schema(example = "ten_01jz3k5q8e4x9m2v7c1r6t0b5n.4Xk2vQ9mT7c1Zr0bN6pW")]
    token: String,
}

/// Whether another mail is on its way.
#[derive(Serialize, ToSchema)]
pub struct ProofSent {
    /// False when the address is proven already.
    sent: bool,
}

/// Ask for a new password. A link to choose one is mailed to the address if somebody has it; the answer and the time it
/// takes are the same. After three requests for an address within an hour each further one has to wait.
#[utoipa::path(post, path = "/api/auth/forgot", operation_id = "forgotPassword", security(()), tag = "auth", request_body = ForgotBody,
    responses((status = 202, body = Asked), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn forgot(Visitor(cx): Visitor, Body(body): Body<ForgotBody>) -> Result<Response, Failed> {
    credential::forgot(&cx, &body.email).await?;
    Ok((StatusCode::ACCEPTED, Json(Asked { asked: true })).into_response())
}

/// Choose a new password by the link in a mail, which is good once and for an hour. Every session of the person ends.
#[utoipa::path(post, path = "/api/auth/reset", operation_id = "resetPassword", security(()), tag = "auth", request_body = ResetBody,
    responses((status = 204), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn reset(Visitor(cx): Visitor, Body(body): Body<ResetBody>) -> Result<StatusCode, Failed> {
    credential::reset(&cx, &body.token, &body.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Prove an address by the link in a mail, which is good once and for a day.
#[utoipa::path(post, path = "/api/auth/verify", operation_id = "verifyAddress", security(()), tag = "auth", request_body = VerifyBody,
    responses((status = 204), (status = 403, body = Problem)))]
pub async fn verify(Visitor(cx): Visitor, Body(body): Body<VerifyBody>) -> Result<StatusCode, Failed> {
    credential::verify(&cx, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have the link that proves the own address mailed again, at most five times an hour.
#[utoipa::path(post, path = "/api/auth/verify/again", operation_id = "sendVerificationAgain", tag = "auth",
    responses((status = 202, body = ProofSent), (status = 401, body = Problem), (status = 403, body = Problem), (status = 429, body = Problem)))]
pub async fn prove_again(cx: Authed<SignedIn>) -> Result<Response, Failed> {
    let sent = credential::prove_again(&cx).await?;
    Ok((StatusCode::ACCEPTED, Json(ProofSent { sent })).into_response())
}

/// The end of a link.
#[derive(Debug, Deserialize)]
pub struct Token {
    #[serde(default)]
    token: String,
}

/// The form of the page that asks for a mail.
#[derive(Deserialize)]
pub struct ForgotForm {
    email: String,
}

/// The form of the page on which a new password is chosen.
#[derive(Deserialize)]
pub struct ResetForm {
    token: String,
    password: String,
}

const HOME: &str = "<p><a href=\"/sign-in\">Sign in</a></p>";

/// A page under the tenant's name.
async fn page(cx: &Cx, title: &str, body: &str) -> Result<Response, Failed> {
    let brand = setting::current(cx).await?.tenant.brand();
    Ok(whole(&format!("{title} · {}", brand.name), &format!("<p>{}</p><h1>{title}</h1>{body}", escape(&brand.name))))
}

/// A page that says what came of it: a refusal in its own words, with what the caller may do about it.
async fn answer(cx: &Cx, done: Result<(), Error>, (title, body): (&str, &str)) -> Result<Response, Failed> {
    match done {
        Ok(()) => page(cx, title, body).await,
        Err(error) => {
            let (status, _, name) = error.code.row();
            let again = "<p><a href=\"/forgot\">Ask for a new mail</a></p>";
            let mut response = page(cx, name, &format!("<p>{}</p>{again}{HOME}", escape(&error.detail))).await?;
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(response)
        }
    }
}

/// The page that asks for a mail with a link to a new password.
pub async fn forgot_page(Visitor(cx): Visitor) -> Result<Response, Failed> {
    let form = "<form method=post action=\"/forgot\"><p><label>E-mail address<br>\
                <input name=email type=email autocomplete=username required></label></p><button>Send me a link</button></form>";
    page(&cx, "Choose a new password", form).await
}

/// Takes the form of [`forgot_page`].
pub async fn forgot_form(Visitor(cx): Visitor, Form(form): Form<ForgotForm>) -> Result<Response, Failed> {
    let done = credential::forgot(&cx, &form.email).await;
    let said = "<p>If somebody has this address, a mail with a link is on its way to it.</p>";
    answer(&cx, done, ("Look into your mail", said)).await
}

/// The page behind the link to a new password. Opening it spends nothing: programs open links as well.
pub async fn reset_page(Visitor(cx): Visitor, Query(query): Query<Token>) -> Result<Response, Failed> {
    let form = format!(
        "<form method=post action=\"/reset\"><input type=hidden name=token value=\"{}\"><p><label>New password, 8 to 128 \
         characters<br><input name=password type=password autocomplete=new-password minlength=8 maxlength=128 required>\
         </label></p><button>Set the password</button></form>",
        escape(&query.token)
    );
    page(&cx, "Choose a new password", &form).await
}

/// Takes the form of [`reset_page`].
pub async fn reset_form(Visitor(cx): Visitor, Form(form): Form<ResetForm>) -> Result<Response, Failed> {
    let done = credential::reset(&cx, &form.token, &form.password).await;
    answer(&cx, done, ("Your password is set", &format!("<p>You were signed out everywhere.</p>{HOME}"))).await
}

/// The page behind the link that proves an address.
pub async fn verify_page(Visitor(cx): Visitor, Query(query): Query<Token>) -> Result<Response, Failed> {
    let form = format!(
        "<form method=post action=\"/verify\"><input type=hidden name=token value=\"{}\">\
         <button>Confirm my address</button></form>",
        escape(&query.token)
    );
    page(&cx, "Confirm your e-mail address", &form).await
}

/// Takes the form of [`verify_page`].
pub async fn verify_form(Visitor(cx): Visitor, Form(form): Form<Token>) -> Result<Response, Failed> {
    let done = credential::verify(&cx, &form.token).await;
    answer(&cx, done, ("Your address is confirmed", HOME)).await
}

/// The page behind the link that ends mails of a kind.
pub async fn unsubscribe_page(Visitor(cx): Visitor, Query(query): Query<Token>) -> Result<Response, Failed> {
    let wanted = match preference::read(&cx, &query.token).await {
        Ok(wanted) => wanted,
        Err(error) => return answer(&cx, Err(error), ("", "")).await,
    };
    let form = format!(
        "<p>{} gets no more mails of this kind: {}.</p><form method=post action=\"/unsubscribe?token={}\">\
         <button name=\"List-Unsubscribe\" value=\"One-Click\">Stop these e-mails</button></form>",
        escape(&wanted.address),
        wanted.kind.name().replace('_', " "),
        escape(&query.token)
    );
    page(&wanted.cx, "Stop these e-mails?", &form).await
}

/// One click, of a person or of their mail program (RFC 8058): the link alone says what is meant.
pub async fn unsubscribe(Visitor(cx): Visitor, Query(query): Query<Token>) -> Result<Response, Failed> {
    let done = preference::unsubscribe(&cx, &query.token).await;
    let cx = done.as_ref().map_or_else(|_| cx.clone(), |done| done.cx.clone());
    answer(&cx, done.map(|_| ()), ("You get no more of these e-mails", "<p>Your settings have them again.</p>")).await
}
