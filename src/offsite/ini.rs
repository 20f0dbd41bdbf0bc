//! The shared files of credentials and settings that Amazon's tools use: sections of `key = value`.

use std::collections::BTreeMap;

/// The keys of one section; `None` where there is none of that name. Of keys that are there twice the last counts.
pub(super) fn section(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut is_ours = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(header) = header(trimmed) {
            is_ours = header == name;
            if is_ours {
                found.get_or_insert_default();
            }
            continue;
        }
        // What is indented belongs to the key above it: settings within a setting, of no interest here.
        let is_nested = line.starts_with([' ', '\t']);
        if !is_ours || is_nested || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some((key, value)) = trimmed.split_once('=') {
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.split(" ;").next().unwrap_or_default();
            found
                .get_or_insert_default()
                .insert(key.trim().to_lowercase(), value.trim().into());
        }
    }
    found
}

/// `[default]`, `[profile name]`
fn header(line: &str) -> Option<String> {
    let inner = line.strip_prefix('[')?.split(']').next()?;
    let words: Vec<&str> = inner.split_whitespace().collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# comment\n[default]\naws_access_key_id=one\n; comment\nregion = eu-central-1 # where\n\n\
        [profile  other]\nAWS_ACCESS_KEY_ID = two\ns3 =\n  region = nested\nregion=us-west-2\n[empty]\nnonsense\n";

    #[test]
    fn a_section_is_its_keys() {
        let get =
            |name: &str, key: &str| section(TEXT, name).and_then(|keys| keys.get(key).cloned());
        assert_eq!(get("default", "aws_access_key_id").as_deref(), Some("one"));
        assert_eq!(get("default", "region").as_deref(), Some("eu-central-1"));
        assert_eq!(
            get("profile other", "aws_access_key_id").as_deref(),
            Some("two")
        );
        assert_eq!(get("profile other", "region").as_deref(), Some("us-west-2"));
    }

    #[test]
    fn a_section_without_keys_is_not_one_that_is_missing() {
        assert!(section(TEXT, "empty").is_some_and(|keys| keys.is_empty()));
        assert!(section(TEXT, "missing").is_none());
    }
}
