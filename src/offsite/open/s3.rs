//! Amazon's S3, and whatever speaks like it.

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3, Checksum};

use super::super::access::Access;
use super::super::credentials::Profile;
use super::super::place::Place;
use super::super::service::Dialect;
use super::{Opened, Store, refused, retries, service};
use crate::error::OffsiteCause;

const DEFAULT_REGION: &str = "us-east-1";

pub(super) fn open(place: &Place) -> Opened {
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
    let builder = identified(builder, &place.access, &profile)?;
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

type Identified = std::result::Result<AmazonS3Builder, (OffsiteCause, String)>;

fn set(builder: AmazonS3Builder, key: S3, value: Option<&str>) -> AmazonS3Builder {
    match value {
        Some(value) => builder.with_config(key, value),
        None => builder,
    }
}

/// The first of: environment, web identity, shared files, container, machine.
fn identified(builder: AmazonS3Builder, access: &Access, profile: &Profile) -> Identified {
    let key = access.variable("AWS_ACCESS_KEY_ID");
    let secret = access.variable("AWS_SECRET_ACCESS_KEY");
    if key.is_some() != secret.is_some() {
        let words = "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set";
        return Err((OffsiteCause::NoCredentials, words.into()));
    }
    if key.is_some() {
        let token = access.variable("AWS_SESSION_TOKEN");
        return Ok(with_key(builder, key, secret, token));
    }
    let token_file = access
        .variable("AWS_WEB_IDENTITY_TOKEN_FILE")
        .or(profile.web_identity_token_file.as_deref());
    let role = access.variable("AWS_ROLE_ARN").or(profile.role.as_deref());
    if token_file.is_some() && role.is_some() {
        let session = access.variable("AWS_ROLE_SESSION_NAME");
        let builder = set(builder, S3::WebIdentityTokenFile, token_file);
        let builder = set(builder, S3::RoleArn, role);
        let builder = set(builder, S3::RoleSessionName, session);
        let service = access.variable("AWS_ENDPOINT_URL_STS");
        return Ok(set(builder, S3::StsEndpoint, service));
    }
    if profile.key.is_some() && profile.secret.is_some() {
        let (key, secret) = (profile.key.as_deref(), profile.secret.as_deref());
        return Ok(with_key(builder, key, secret, profile.token.as_deref()));
    }
    of_surroundings(builder, access)
}

fn with_key(
    builder: AmazonS3Builder,
    key: Option<&str>,
    secret: Option<&str>,
    token: Option<&str>,
) -> AmazonS3Builder {
    let builder = set(builder, S3::AccessKeyId, key);
    let builder = set(builder, S3::SecretAccessKey, secret);
    set(builder, S3::Token, token)
}

/// What the container or the machine gives; `object_store` asks there.
fn of_surroundings(builder: AmazonS3Builder, access: &Access) -> Identified {
    const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let is_container = access.first(&[RELATIVE, FULL]).is_some();
    let disabled = access.variable("AWS_EC2_METADATA_DISABLED");
    if !is_container && disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let words = "neither environment nor files hold any";
        return Err((OffsiteCause::NoCredentials, words.into()));
    }
    let sources = [
        (S3::ContainerCredentialsRelativeUri, RELATIVE),
        (S3::ContainerCredentialsFullUri, FULL),
        (
            S3::ContainerAuthorizationTokenFile,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ),
        (S3::MetadataEndpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    ];
    Ok(sources.into_iter().fold(builder, |builder, (key, name)| {
        set(builder, key, access.variable(name))
    }))
}
