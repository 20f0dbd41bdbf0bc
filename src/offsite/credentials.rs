//! The usual chain of credentials for S3, as far as `object_store` does not know it: the shared files of Amazon's tools.
//! What holds them is never shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::access::Access;
use super::ini;
use crate::error::Result;
use crate::storage::{self, PathKind};

const LIMIT_BYTES: u64 = 1024 * 1024;
const KEY: &str = "AWS_ACCESS_KEY_ID";
const DEFAULT_PROFILE: &str = "default";

/// What one profile says.
pub(super) struct Profile {
    pub(super) key: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) token: Option<String>,
    pub(super) region: Option<String>,
    pub(super) role: Option<String>,
    pub(super) web_identity_token_file: Option<String>,
}

impl Profile {
    /// Reads the profile that is asked for. One that was named has to be there.
    ///
    /// # Errors
    /// In words without anything of what is in the files.
    pub(super) fn read(access: &Access) -> std::result::Result<Self, String> {
        let named = access.variable("AWS_PROFILE");
        let name = named.unwrap_or(DEFAULT_PROFILE);
        let of_config = if name == DEFAULT_PROFILE {
            name.to_owned()
        } else {
            format!("profile {name}")
        };
        let files = [
            ("AWS_CONFIG_FILE", ".aws/config", of_config.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", name),
        ];
        let mut keys: Option<BTreeMap<String, String>> = None;
        for (variable, usual, section) in files {
            let text = text_of(access, variable, usual).map_err(|error| error.to_string())?;
            if let Some(found) = text.and_then(|text| ini::section(&text, section)) {
                keys.get_or_insert_default().extend(found);
            }
        }
        if let (Some(named), None) = (named, &keys) {
            return Err(format!(
                "AWS_PROFILE is {named:?}, which neither the shared credentials file nor the config file has"
            ));
        }
        Self::of(name, keys.unwrap_or_default())
    }

    fn of(name: &str, mut keys: BTreeMap<String, String>) -> std::result::Result<Self, String> {
        let mut take = |key: &str| keys.remove(key).filter(|value| !value.is_empty());
        let profile = Self {
            key: take("aws_access_key_id"),
            secret: take("aws_secret_access_key"),
            token: take("aws_session_token"),
            region: take("region"),
            role: take("role_arn"),
            web_identity_token_file: take("web_identity_token_file"),
        };
        let foreign = [
            "sso_session",
            "sso_start_url",
            "credential_process",
            "source_profile",
            "credential_source",
        ];
        let needs_more = foreign.iter().find(|key| keys.contains_key(**key));
        match needs_more {
            Some(key) if profile.key.is_none() => Err(format!(
                "the profile {name:?} gets its credentials by {key}, which is not understood here; \
                 `aws configure export-credentials --format env` makes variables of them"
            )),
            _ => Ok(profile),
        }
    }
}

/// A file that was named has to be there, unless the environment has the keys; one at the usual place may be.
fn text_of(access: &Access, variable: &str, usual: &str) -> Result<Option<String>> {
    let path = match (access.variable(variable), access.variable("HOME")) {
        (Some(named), _) => PathBuf::from(named),
        (None, Some(home)) => Path::new(home).join(usual),
        (None, None) => return Ok(None),
    };
    // Who names /dev/null wants none to be read.
    let is_wanted = access.variable(variable).is_some() && access.variable(KEY).is_none();
    match storage::kind(&path)? {
        PathKind::Missing if !is_wanted => return Ok(None),
        PathKind::Special => return Ok(None),
        _ => {}
    }
    let bytes = storage::read_bounded(&path, LIMIT_BYTES)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
