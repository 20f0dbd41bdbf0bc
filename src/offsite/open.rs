//! From a place to a store that can be asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as S3, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::credentials::Profile;
use super::failure::Act;
use super::place::{Place, Scheme};
use super::service::{Dialect, Service, Trouble};
use crate::error::{OffsiteCause, Result};
use crate::storage::{self, PathKind};

const DEFAULT_REGION: &str = "us-east-1";
/// Each is long enough to sign a request for, and all of them short enough for whoever waits.
const RETRIES: usize = 6;
const RETRY_TIME: Duration = Duration::from_secs(120);
const BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(200),
    max_backoff: Duration::from_secs(10),
    base: 2.,
};

/// An opened store.
#[derive(Debug)]
pub(super) struct Store {
    objects: Box<dyn ObjectStore>,
    /// What is written into a folder is written by ourselves.
    files: Option<LocalFileSystem>,
    /// S3 can be asked for uploads that nobody has finished.
    pub(super) s3: Option<AmazonS3>,
    pub(super) service: Option<Service>,
}

impl Store {
    pub(super) fn open(place: &Place) -> Result<Self> {
        let act = Act {
            place: place.with_endpoint(),
            doing: "open".into(),
            trouble: Trouble::default(),
        };
        let refuse = |(cause, words): (OffsiteCause, String)| act.failed(cause, words);
        match place.scheme {
            Scheme::File => open_folder(place, &act),
            Scheme::S3 => open_s3(place).map_err(refuse),
            Scheme::Google => open_google(place).map_err(refuse),
            Scheme::Azure => open_azure(place).map_err(refuse),
        }
    }

    pub(super) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    /// Where an object is a file; `None` in other stores.
    pub(super) fn file_of(&self, key: &Key) -> Option<PathBuf> {
        self.files.as_ref()?.path_to_filesystem(key).ok()
    }

    pub(super) fn trouble(&self) -> Trouble {
        let service = self.service.as_ref();
        service.map_or_else(Trouble::default, |service| Arc::clone(&service.trouble))
    }

    /// Whether the store is asked to write only what is not there.
    pub(super) fn conditional(&self) -> Arc<AtomicBool> {
        let service = self.service.as_ref();
        service.map_or_else(Arc::default, |service| Arc::clone(&service.conditional))
    }

    fn of(objects: impl ObjectStore, service: Service) -> Self {
        Self {
            objects: Box::new(objects),
            files: None,
            s3: None,
            service: Some(service),
        }
    }
}

/// Of a folder, the place is the root of the store.
pub(super) fn key_of(place: &Place) -> Key {
    match place.scheme {
        Scheme::File => Key::default(),
        _ => place
            .prefix
            .split('/')
            .filter(|part| !part.is_empty())
            .collect(),
    }
}

/// A share that is not mounted is not made: the copies would lie on this very machine.
fn open_folder(place: &Place, act: &Act) -> Result<Store> {
    let path = PathBuf::from(format!("/{}", place.prefix));
    if storage::kind(&path)? != PathKind::Folder {
        return Err(act.failed(OffsiteCause::NoBucket, "there is no such folder".into()));
    }
    let files = LocalFileSystem::new_with_prefix(&path).map_err(|error| act.explain(&error))?;
    Ok(Store {
        objects: Box::new(files.clone()),
        files: Some(files),
        s3: None,
        service: None,
    })
}

type Opened = std::result::Result<Store, (OffsiteCause, String)>;

fn refused(words: impl Into<String>) -> (OffsiteCause, String) {
    (OffsiteCause::Refused, words.into())
}

fn service(dialect: Dialect) -> std::result::Result<Service, (OffsiteCause, String)> {
    Service::new(dialect).map_err(refused)
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BACKOFF,
        max_retries: RETRIES,
        retry_timeout: RETRY_TIME,
    }
}

fn open_s3(place: &Place) -> Opened {
    let service = service(Dialect::S3)?;
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_http_connector(service.clone())
        .with_retry(retries())
        .with_checksum_algorithm(Checksum::SHA256)
        .with_disable_bulk_delete(true);
    let profile =
        Profile::read(&place.access).map_err(|words| (OffsiteCause::NoCredentials, words))?;
    let builder = at(builder, place, profile.region.as_deref());
    let builder = identified(builder, place, profile)?;
    let s3 = builder
        .build()
        .map_err(|error| refused(error.to_string()))?;
    Ok(Store {
        s3: Some(s3.clone()),
        ..Store::of(s3, service)
    })
}

/// Endpoint, region and style.
fn at(builder: AmazonS3Builder, place: &Place, of_profile: Option<&str>) -> AmazonS3Builder {
    let access = &place.access;
    let region = access
        .region
        .as_deref()
        .or_else(|| access.first(&["AWS_REGION", "AWS_DEFAULT_REGION", "S3_REGION"]))
        .or(of_profile)
        .unwrap_or(DEFAULT_REGION);
    let builder = builder.with_region(region);
    let Some(endpoint) = place.endpoint() else {
        let hosted = !place.has_path_style(false);
        return builder.with_virtual_hosted_style_request(hosted);
    };
    let hosted = !place.has_path_style(true);
    let endpoint = match endpoint.split_once("://") {
        Some((scheme, host)) if hosted => format!("{scheme}://{}.{host}", place.bucket),
        _ => endpoint.to_owned(),
    };
    builder
        .with_endpoint(endpoint)
        .with_virtual_hosted_style_request(hosted)
}

/// The first of: environment, web identity, shared files, container, machine.
fn identified(
    builder: AmazonS3Builder,
    place: &Place,
    profile: Profile,
) -> std::result::Result<AmazonS3Builder, (OffsiteCause, String)> {
    let access = &place.access;
    let of_environment =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| access.variable(name));
    let mut builder = builder;
    let mut set = |key: S3, value: Option<&str>| {
        if let Some(value) = value {
            builder = std::mem::take(&mut builder).with_config(key, value);
        }
    };
    match of_environment {
        [Some(key), Some(secret)] => {
            set(S3::AccessKeyId, Some(key));
            set(S3::SecretAccessKey, Some(secret));
            set(S3::Token, access.variable("AWS_SESSION_TOKEN"));
            return Ok(builder);
        }
        [None, None] => {}
        _ => {
            let words = "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set";
            return Err((OffsiteCause::NoCredentials, words.into()));
        }
    }
    let token_file = access
        .variable("AWS_WEB_IDENTITY_TOKEN_FILE")
        .or(profile.web_identity_token_file.as_deref());
    let role = access.variable("AWS_ROLE_ARN").or(profile.role.as_deref());
    if token_file.is_some() && role.is_some() {
        set(S3::WebIdentityTokenFile, token_file);
        set(S3::RoleArn, role);
        set(
            S3::RoleSessionName,
            access.variable("AWS_ROLE_SESSION_NAME"),
        );
        set(S3::StsEndpoint, access.variable("AWS_ENDPOINT_URL_STS"));
        return Ok(builder);
    }
    if let (Some(key), Some(secret)) = (&profile.key, &profile.secret) {
        set(S3::AccessKeyId, Some(key));
        set(S3::SecretAccessKey, Some(secret));
        set(S3::Token, profile.token.as_deref());
        return Ok(builder);
    }
    for (key, name) in [
        (
            S3::ContainerCredentialsRelativeUri,
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        ),
        (
            S3::ContainerCredentialsFullUri,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
        (
            S3::ContainerAuthorizationTokenFile,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ),
        (S3::MetadataEndpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    ] {
        set(key, access.variable(name));
    }
    let in_container = access.first(&[
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ]);
    let without_machine = access
        .variable("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if in_container.is_none() && without_machine {
        return Err((
            OffsiteCause::NoCredentials,
            "neither environment nor files hold any".into(),
        ));
    }
    Ok(builder)
}

fn open_google(place: &Place) -> Opened {
    let service = service(Dialect::Google)?;
    let access = &place.access;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&place.bucket)
        .with_http_connector(service.clone())
        .with_retry(retries());
    for (key, name) in [
        (
            GoogleConfigKey::ApplicationCredentials,
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (GoogleConfigKey::ServiceAccount, "GOOGLE_SERVICE_ACCOUNT"),
        (
            GoogleConfigKey::ServiceAccountKey,
            "GOOGLE_SERVICE_ACCOUNT_KEY",
        ),
    ] {
        if let Some(value) = access.variable(name) {
            builder = builder.with_config(key, value);
        }
    }
    // An emulator has no credentials to give.
    if let Some(endpoint) = place.endpoint() {
        builder = builder.with_base_url(endpoint).with_skip_signature(true);
    }
    let store = builder
        .build()
        .map_err(|error| refused(error.to_string()))?;
    Ok(Store::of(store, service))
}

fn open_azure(place: &Place) -> Opened {
    let service = service(Dialect::Azure)?;
    let access = &place.access;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(&place.bucket)
        .with_http_connector(service.clone())
        .with_retry(retries());
    let settings: [(AzureConfigKey, &[&str]); 9] = [
        (
            AzureConfigKey::AccountName,
            &["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"],
        ),
        (
            AzureConfigKey::AccessKey,
            &[
                "AZURE_STORAGE_ACCOUNT_KEY",
                "AZURE_STORAGE_ACCESS_KEY",
                "AZURE_STORAGE_KEY",
            ],
        ),
        (
            AzureConfigKey::SasKey,
            &["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"],
        ),
        (AzureConfigKey::Token, &["AZURE_STORAGE_TOKEN"]),
        (AzureConfigKey::ClientId, &["AZURE_CLIENT_ID"]),
        (AzureConfigKey::ClientSecret, &["AZURE_CLIENT_SECRET"]),
        (AzureConfigKey::AuthorityId, &["AZURE_TENANT_ID"]),
        (
            AzureConfigKey::FederatedTokenFile,
            &["AZURE_FEDERATED_TOKEN_FILE"],
        ),
        (AzureConfigKey::MsiEndpoint, &["IDENTITY_ENDPOINT"]),
    ];
    for (key, names) in settings {
        if let Some(value) = access.first(names) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(host) = access.variable("AZURE_AUTHORITY_HOST") {
        builder = builder.with_authority_host(host);
    }
    if let Some(endpoint) = place.endpoint() {
        let is_plain = endpoint.starts_with("http://");
        builder = builder
            .with_endpoint(endpoint.into())
            .with_allow_http(is_plain);
    }
    let store = builder
        .build()
        .map_err(|error| refused(error.to_string()))?;
    Ok(Store::of(store, service))
}
