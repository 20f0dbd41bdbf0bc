//! How a store is reached and opened, as far as settings and environment say.

use std::collections::BTreeMap;
use std::fmt;

use super::variables::VARIABLES;

/// How a store is reached, whichever it is: what is set, and what of the environment counts. Holds credentials, and shows nothing.
#[derive(Clone, Default)]
pub struct Access {
    /// `[offsite] endpoint`
    pub endpoint: Option<String>,
    /// `[offsite] region`
    pub region: Option<String>,
    /// `[offsite] path_style`
    pub path_style: Option<bool>,
    variables: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// What the environment says; `env` looks up a variable that is not empty.
    #[must_use]
    pub fn of(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let known = VARIABLES
            .iter()
            .filter_map(|name| env(name).map(|value| (*name, value)));
        Self {
            variables: known.collect(),
            ..Self::default()
        }
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The first of them that is set.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.variable(name))
    }
}
