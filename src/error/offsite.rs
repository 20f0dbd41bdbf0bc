//! What keeps an off-site store from doing what it was asked to.

use std::fmt;

/// What was being done, where, and what came of it. Nothing in here is a secret, nor an address with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsiteFailure {
    /// The folder there, as a URL.
    pub place: String,
    /// In words that follow "could not".
    pub doing: String,
    /// What it was.
    pub cause: OffsiteCause,
    /// What the store said, or the reason why nothing could be heard of it; may be empty.
    pub detail: String,
}

/// The kinds of failure, as far as it makes a difference to whoever has to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsiteCause {
    /// No credentials were found anywhere.
    NoCredentials,
    /// The store does not know the access key.
    Key,
    /// The secret is not that of the key.
    Secret,
    /// The token is not valid any more.
    Expired,
    /// The credentials may not do this.
    Denied,
    /// There is no such bucket, container or folder.
    NoBucket,
    /// The bucket is somewhere else.
    Region,
    /// The certificate of the store is not one to trust, or it does not speak TLS.
    Tls,
    /// It refused for another reason.
    Refused,
    /// The clocks differ too much.
    Skew,
    /// It is overloaded, or has trouble of its own.
    Busy,
    /// It cannot be reached.
    Unreachable,
    /// The connection was cut, again and again.
    Cut,
    /// It was not done in time.
    OutOfTime,
    /// What lies there is not what its label promises.
    Damaged,
    /// Something else has the name already.
    Occupied,
}

impl OffsiteCause {
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::NoCredentials
            | Self::Key
            | Self::Secret
            | Self::Expired
            | Self::Denied
            | Self::NoBucket
            | Self::Region
            | Self::Tls
            | Self::Refused => 2,
            Self::Skew | Self::Busy | Self::Unreachable | Self::Cut | Self::OutOfTime => 75,
            Self::Damaged | Self::Occupied => 7,
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self.exit_code() {
            2 => "offsite_refused",
            75 => "offsite_not_now",
            _ => "offsite_damaged",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NoCredentials => "no credentials were found",
            Self::Key => "the store does not know the access key",
            Self::Secret => "the secret is not that of the access key",
            Self::Expired => "the credentials have expired",
            Self::Denied => "the credentials may not do this",
            Self::NoBucket => "there is no such bucket, container or folder",
            Self::Region => "the bucket is in another region, or at another endpoint",
            Self::Tls => "no trusted connection could be made",
            Self::Refused => "the store refused",
            Self::Skew => "the clock of this machine and that of the store differ too much",
            Self::Busy => "the store has trouble of its own, and is overloaded perhaps",
            Self::Unreachable => "the store cannot be reached",
            Self::Cut => "the connection was cut, again and again",
            Self::OutOfTime => "it was not done in time",
            Self::Damaged => "what lies there is not what its label promises",
            Self::Occupied => "something else has this name there already",
        }
    }

    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "Give credentials in one of the usual ways: variables of the environment, a shared credentials file, a role of the \
                 machine or pod (docs/offsite.md)."
            }
            Self::Key | Self::Secret => {
                "Correct the credentials, in the environment or in the file that they come from. Endpoint and key must be of the \
                 same store."
            }
            Self::Expired => "Get new credentials and run the same command again.",
            Self::Denied => {
                "Allow it to these credentials: docs/offsite.md has the smallest policy that works. Some stores say the same of a \
                 bucket that is not there or not yours."
            }
            Self::NoBucket => {
                "Correct the URL, or make the bucket first; a folder must be there, or most often is not mounted."
            }
            Self::Region => {
                "Set the bucket's region: [offsite] region in safestep.toml, or AWS_REGION. For a store that is not Amazon's, set its \
                 endpoint as well."
            }
            Self::Tls => {
                "Correct the endpoint: http:// for one without TLS. A certificate of one's own authority must be among those that the \
                 system trusts (SSL_CERT_FILE)."
            }
            Self::Refused => {
                "Look at what the store says and at the settings below [offsite]; docs/offsite.md has examples for each kind of store."
            }
            Self::Skew => {
                "Set the clock of this machine right (NTP) and run the same command again."
            }
            Self::Busy => "Run the same command again later.",
            Self::Unreachable => {
                "Check endpoint, name resolution, network and proxy (HTTPS_PROXY, NO_PROXY), then run the same command again."
            }
            Self::Cut => "Check the network, then run the same command again.",
            Self::OutOfTime => {
                "Run the same command again, or give it more time: --offsite-timeout."
            }
            Self::Damaged => {
                "Use another backup: `safestep backups list --remote` shows what there is."
            }
            Self::Occupied => {
                "Nothing was overwritten. Either the archive here has changed since it was uploaded, which `safestep backups verify` \
                 tells; or two machines share a prefix for databases of the same name, which they must not."
            }
        }
    }
}

impl fmt::Display for OffsiteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            doing,
            cause,
            detail,
        } = self;
        write!(f, "could not {doing} {place}: {}", cause.words())?;
        if detail.is_empty() {
            return Ok(());
        }
        write!(f, " ({detail})")
    }
}
