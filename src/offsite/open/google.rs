//! Google's Cloud Storage.

use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

use super::super::place::Place;
use super::super::service::Dialect;
use super::{Opened, Store, refused, retries, service};

pub(super) fn open(place: &Place) -> Opened {
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
