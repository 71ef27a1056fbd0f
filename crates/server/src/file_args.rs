//! The flags of `serve` about files.

use clap::Args;
use providers::http::Secret;
use providers::object::S3;

use crate::error::{Code, Error, Result};

/// Where the bytes of files are kept: in the data folder, unless a bucket is named. Several nodes need a bucket.
#[derive(Args)]
pub struct FileArgs {
    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`; a folder of the data folder otherwise.
    #[arg(long, env = "TOLLGATE_FILES_URL")]
    files_url: Option<String>,
    /// The store, when it is not Amazon's, such as `https://minio.example.com`.
    #[arg(long, env = "TOLLGATE_S3_ENDPOINT")]
    s3_endpoint: Option<String>,
    /// The region of the bucket.
    #[arg(long, env = "TOLLGATE_S3_REGION", default_value = "us-east-1")]
    s3_region: String,
    /// The id of the account's key.
    #[arg(long, env = "TOLLGATE_S3_ACCESS_KEY_ID")]
    s3_access_key_id: Option<String>,
    /// Its secret.
    #[arg(long, env = "TOLLGATE_S3_SECRET_ACCESS_KEY", hide_env_values = true)]
    s3_secret_access_key: Option<String>,
}

impl FileArgs {
    /// The bucket that they name, if any.
    pub fn bucket(&self) -> Result<Option<S3>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let Some(url) = given(&self.files_url) else { return Ok(None) };
        let wrong = |detail: &str| Error::new(Code::Internal, detail);
        let place = url.strip_prefix("s3://").filter(|place| !place.starts_with('/') && !place.is_empty());
        let place = place.ok_or_else(|| wrong("TOLLGATE_FILES_URL: write it as s3://BUCKET or s3://BUCKET/PREFIX"))?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let missing = || {
            wrong(
                "TOLLGATE_FILES_URL names a bucket: give TOLLGATE_S3_ACCESS_KEY_ID and TOLLGATE_S3_SECRET_ACCESS_KEY, too",
            )
        };
        Ok(Some(S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: given(&self.s3_endpoint),
            region: self.s3_region.clone(),
            access_key: given(&self.s3_access_key_id).ok_or_else(missing)?,
            secret: Secret::new(given(&self.s3_secret_access_key).ok_or_else(missing)?),
        }))
    }
}
