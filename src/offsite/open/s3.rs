//! Amazon's S3, and whatever speaks like it.

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3, Checksum};

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
