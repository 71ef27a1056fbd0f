//! What a client says and hears, beyond `support`: other methods, raw bytes, and checks of answers.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{Answer, Server};

impl Server {
    pub async fn put(&self, path: &str, credential: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path, credential).json(&body)).await
    }

    pub async fn patch(&self, path: &str, credential: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path, credential).json(&body)).await
    }

    pub async fn delete(&self, path: &str, credential: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, credential)).await
    }

    /// Sends bytes as they are.
    pub async fn post_bytes(&self, path: &str, credential: &str, media_type: &str, bytes: Vec<u8>) -> Answer {
        let request = self.request(Method::POST, path, credential).header("content-type", media_type);
        self.send(request.body(bytes)).await
    }

    /// Says something on a connection of its own and answers the server's first words.
    pub async fn raw(&self, said: &[u8]) -> String {
        let address = self.url.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        stream.write_all(said).await.expect("it is sent");
        let mut heard = vec![0; 64 * 1024];
        let length = stream.read(&mut heard).await.expect("an answer");
        String::from_utf8_lossy(heard.get(..length).unwrap_or_default()).into_owned()
    }

    /// Status and media type of an answer that may not end.
    pub async fn request_head(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let answer = request.send().await.expect("an answer");
        let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        (answer.status().as_u16(), media_type.unwrap_or_default().to_owned())
    }

    /// Makes an API key of a demo tenant and answers its id and its secret.
    pub async fn key_of(&self, tenant: &str, scopes: &[&str]) -> (String, String) {
        let token = self.sign_in(&format!("admin@{tenant}.example")).await;
        let made = self.post("/api/admin/keys", &token, json!({ "name": "test", "scopes": scopes })).await;
        made.assert_ok(201);
        (made.text_at("/id"), made.text_at("/key"))
    }

    /// Uses one feature of a customer that a key names.
    pub async fn use_of(&self, key: &str, customer: &str, feature: &str, amount: i64) -> Answer {
        let body = json!({ "customer": customer, "items": [{ "feature": feature, "amount": amount }] });
        self.post("/api/usage/consume", key, body).await
    }

    /// The quota of a feature, as its own user reads it.
    pub async fn quota(&self, token: &str, feature: &str) -> Value {
        let answer = self.get("/api/usage", token).await;
        answer.assert_ok(200);
        answer.body[feature].clone()
    }

    /// The quota of a feature, as a key reads it.
    pub async fn quota_of(&self, key: &str, customer: &str, feature: &str) -> Value {
        let answer = self.get(&format!("/api/usage?customer={customer}"), key).await;
        answer.assert_ok(200);
        answer.body[feature].clone()
    }
}

impl Answer {
    #[track_caller]
    pub fn assert_ok(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
    }

    /// Checks that this is a 422 that points at a field.
    #[track_caller]
    pub fn assert_field(&self, pointer: &str) {
        self.assert_problem(422, "invalid-input");
        let pointers: Vec<_> = self.body["errors"].as_array().into_iter().flatten().map(|e| &e["pointer"]).collect();
        assert!(pointers.contains(&&json!(pointer)), "{pointer} is not among {pointers:?}: {self:?}");
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A text of the body.
    #[track_caller]
    pub fn text_at(&self, pointer: &str) -> String {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no text at {pointer}: {self:?}")).to_owned()
    }

    /// A number of the body.
    #[track_caller]
    pub fn number_at(&self, pointer: &str) -> i64 {
        let number = self.body.pointer(pointer).and_then(Value::as_i64);
        number.unwrap_or_else(|| panic!("no number at {pointer}: {self:?}"))
    }

    /// The kinds of the actions that a refusal offers, in order.
    pub fn actions(&self) -> Vec<&str> {
        self.body["actions"].as_array().into_iter().flatten().filter_map(|action| action["type"].as_str()).collect()
    }

    pub fn is_replay(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }
}
