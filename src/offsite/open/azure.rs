//! Azure's Blob Storage.

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::super::place::Place;
use super::super::service::Dialect;
use super::{Opened, Store, refused, retries, service};

pub(super) fn open(place: &Place) -> Opened {
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
