//! Where the bytes of files are: in a local folder, or in a store that speaks S3.
//!
//! Owns the way there and how long it may take.
//! Must not choose names or decide what is kept: whoever calls has written down a key before anything is put under it.

use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{ClientOptions, HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};

use crate::http::{Http, Reach, Secret};

/// How long the store may take over one call, all tries included.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// An account at a store that speaks S3.
#[derive(Debug, Clone)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// What every key begins with; empty for nothing.
    pub prefix: String,
    /// Where the store is, when it is not Amazon's: `https://…`, and `http://` for one of the own network.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` where the store does not care.
    pub region: String,
    /// Who calls.
    pub access_key: String,
    /// What proves it.
    pub secret: Secret,
}

/// Why bytes could not be put, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store cannot be set up. Nothing has been tried.
    #[error("the store of files cannot be set up: {0}")]
    Setup(String),
    /// There is nothing under the key.
    #[error("the store of files has nothing under the key")]
    Missing,
    /// There is no room.
    #[error("the store of files is full")]
    Full,
    /// The store did not do it.
    #[error("the store of files failed: {0}")]
    Failed(String),
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        if matches!(error, object_store::Error::NotFound { .. }) {
            return Self::Missing;
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            let full = inner.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(full, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return Self::Full;
            }
            cause = inner.source();
        }
        Self::Failed(error.to_string())
    }
}

/// A store of bytes under keys.
#[derive(Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    folder: Option<PathBuf>,
}

impl Objects {
    /// A folder of this machine, made when it is missing. What was put is on the disk.
    pub fn local(folder: &FilePath) -> Result<Self, ObjectError> {
        let setup = |error: &dyn std::error::Error| ObjectError::Setup(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| setup(&error))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| setup(&error))?;
        Ok(Self { store: Arc::new(store.with_fsync(true)), prefix: String::new(), folder: Some(folder.to_owned()) })
    }

    /// A bucket.
    pub fn s3(account: &S3) -> Result<Self, ObjectError> {
        let setup = |error: &dyn std::error::Error| ObjectError::Setup(error.to_string());
        let http = Http::new(Reach::Any).map_err(|error| setup(&error))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&account.bucket)
            .with_region(&account.region)
            .with_access_key_id(&account.access_key)
            .with_secret_access_key(account.secret.expose())
            .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true")
            .with_http_connector(Own(http))
            .with_retry(RetryConfig { retry_timeout: CALL_TIMEOUT, ..RetryConfig::default() });
        if let Some(endpoint) = &account.endpoint {
            let plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(plain);
        }
        let store = builder.build().map_err(|error| setup(&error))?;
        let prefix = account.prefix.trim_matches('/').to_owned();
        Ok(Self { store: Arc::new(store), prefix, folder: None })
    }

    fn path(&self, key: &str) -> Path {
        if self.prefix.is_empty() { Path::from(key) } else { Path::from(format!("{}/{key}", self.prefix)) }
    }

    /// Puts bytes under a key, all of them or none.
    pub async fn put(&self, key: &str, pieces: Vec<Bytes>) -> Result<(), ObjectError> {
        self.store.put(&self.path(key), PutPayload::from_iter(pieces)).await?;
        Ok(())
    }

    /// What is under a key, as it comes.
    pub async fn get(&self, key: &str) -> Result<BoxStream<'static, io::Result<Bytes>>, ObjectError> {
        Ok(self.store.get(&self.path(key)).await?.into_stream().map_err(io::Error::other).boxed())
    }

    /// Removes what is under some keys of a folder, and whatever a crash left beside it. What is not there is no error.
    pub async fn remove(&self, folder: &str, names: &[String]) -> Result<(), ObjectError> {
        for name in names {
            match self.store.delete(&self.path(&format!("{folder}/{name}"))).await.map_err(ObjectError::from) {
                Ok(()) | Err(ObjectError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(root) = &self.folder else { return Ok(()) };
        // A crash in the middle of a put leaves a piece under a name of the file system's own.
        match tokio::fs::remove_dir_all(root.join(folder)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ObjectError::Failed(error.to_string())),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The HTTP client of this crate.
#[derive(Debug)]
struct Own(Http);

impl HttpConnector for Own {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.client().clone()))
    }
}
