//! The place of the cache, the address of the hub, and how long to wait for it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::HubError;

/// The public hub.
const ENDPOINT: &str = "https://huggingface.co";

/// Settings, by default those that Python's `huggingface_hub` takes from the environment.
#[derive(Clone)]
pub struct Settings {
    /// The folder of the cache: `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    pub cache: PathBuf,
    /// The address of the hub: `HF_ENDPOINT`.
    pub endpoint: String,
    /// Whether nothing is requested from the hub: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// The token that identifies the user: `HF_TOKEN`, or the content of [`token_file`](Self::token_file).
    pub token: Option<String>,
    /// The file of the token: `HF_TOKEN_PATH`, or `token` in `HF_HOME`.
    pub token_file: PathBuf,
    /// Maximum time for an answer about a file: `HF_HUB_ETAG_TIMEOUT`.
    pub answer_timeout: Duration,
    /// Maximum time without a byte of a download: `HF_HUB_DOWNLOAD_TIMEOUT`.
    pub download_timeout: Duration,
    /// Number of attempts in sequence that bring no byte, after which a download fails.
    pub attempts: u32,
    /// Pause between attempts, unless the hub asks for another one.
    pub pause: Duration,
    /// Whether the proxies of the environment are used: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    pub proxies: bool,
    /// Certificates to trust instead of Mozilla's, in PEM form: `SSL_CERT_FILE`.
    pub certificates: Option<PathBuf>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("offline", &self.offline)
            // Never the token itself: a log would disclose it.
            .field("token", &self.token.as_ref().map(|_| "..."))
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// [`HubError::Setting`] if a variable has no valid value, or there is no home directory and no variable that names
    /// another place.
    pub fn from_environment() -> Result<Self, HubError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads variables through a function.
    ///
    /// # Errors
    ///
    /// As [`Self::from_environment`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
        let is_true = |name: &str| {
            let value = variable(name).unwrap_or_default().to_ascii_uppercase();
            ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
        };
        let place = |names: &[&str]| first(names).map(|text| expand(&text, &variable));
        let home = match (place(&["HF_HOME"]), place(&["XDG_CACHE_HOME"])) {
            (Some(home), _) => Ok(home),
            (None, Some(caches)) => Ok(caches.join("huggingface")),
            (None, None) => user_home(&variable)
                .map(|home| home.join(".cache/huggingface"))
                .ok_or_else(|| HubError::Setting {
                    name: "HF_HOME",
                    value: String::new(),
                    reason: "it is not set, and there is no home directory to keep files in",
                }),
        }?;
        let seconds = |name: &'static str| match variable(name) {
            None => Ok(Duration::from_secs(10)),
            Some(value) => match value.trim().parse::<u32>() {
                Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
                _ => Err(HubError::Setting {
                    name,
                    value,
                    reason: "it must be a whole number of seconds, at least 1",
                }),
            },
        };
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_string());
        if !["https://", "http://"]
            .iter()
            .any(|scheme| endpoint.starts_with(scheme))
        {
            return Err(HubError::Setting {
                name: "HF_ENDPOINT",
                value: endpoint,
                reason: "it must be an address, such as https://huggingface.co",
            });
        }
        let token_file = place(&["HF_TOKEN_PATH"]).unwrap_or_else(|| home.join("token"));
        let token = match is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            true => None,
            false => first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
                .or_else(|| std::fs::read_to_string(&token_file).ok()),
        };
        let token = token.map(|token| token.trim().to_string());
        Ok(Self {
            cache: place(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
                .unwrap_or_else(|| home.join("hub")),
            endpoint: endpoint.trim_end_matches('/').to_string(),
            offline: is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
            token: token.filter(|token| !token.is_empty()),
            token_file,
            answer_timeout: seconds("HF_HUB_ETAG_TIMEOUT")?,
            download_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT")?,
            attempts: 5,
            pause: Duration::from_secs(1),
            proxies: true,
            certificates: place(&["SSL_CERT_FILE"]),
        })
    }
}

/// The home directory of the user.
fn user_home(variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    home.or_else(std::env::home_dir)
        .filter(|home| !home.as_os_str().is_empty())
}

/// A path whose leading `~` and whose variables are replaced, as Python's `expanduser` and `expandvars` do.
fn expand(text: &str, variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let mut path = PathBuf::new();
    for (index, part) in Path::new(text).components().enumerate() {
        let part = part.as_os_str();
        let name = part.to_str().and_then(|part| part.strip_prefix('$'));
        let name = name.map(|name| {
            let inner = name
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'));
            inner.unwrap_or(name)
        });
        match (name.and_then(variable), user_home(variable)) {
            (Some(value), _) => path.push(value),
            (None, Some(home)) if index == 0 && part == "~" => path.push(home),
            _ => path.push(part),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        Settings::from_variables(|name| variables.get(name).map(ToString::to_string))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[("HOME", "/u")], "/u/.cache/huggingface/hub"),
            (
                &[("HOME", "/u"), ("XDG_CACHE_HOME", "/c")],
                "/c/huggingface/hub",
            ),
            (
                &[("HOME", "/u"), ("XDG_CACHE_HOME", "/c"), ("HF_HOME", "/h")],
                "/h/hub",
            ),
            (&[("HOME", "/u"), ("HF_HOME", "~/models")], "/u/models/hub"),
            (
                &[("DISK", "/d"), ("HF_HOME", "${DISK}/models")],
                "/d/models/hub",
            ),
            (
                &[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old")],
                "/old",
            ),
            (
                &[
                    ("HF_HOME", "/h"),
                    ("HUGGINGFACE_HUB_CACHE", "/old"),
                    ("HF_HUB_CACHE", "/new"),
                ],
                "/new",
            ),
        ];
        for (variables, expected) in cases {
            let settings = of(variables).expect("settings");
            assert_eq!(settings.cache, Path::new(expected), "{variables:?}");
        }
        let empty = of(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "")]).expect("settings");
        assert_eq!(empty.cache, Path::new("/h/hub"));
    }

    #[test]
    fn a_token_is_taken_from_the_variable_before_the_file() {
        let home = tempfile::tempdir().expect("a folder");
        let place = home.path().to_str().expect("UTF-8");
        let none = of(&[("HF_HOME", place)]).expect("settings");
        assert_eq!(none.token, None);
        std::fs::write(home.path().join("token"), "hf_file\n").expect("a file");
        let from_file = of(&[("HF_HOME", place)]).expect("settings");
        assert_eq!(from_file.token.as_deref(), Some("hf_file"));
        assert!(!format!("{from_file:?}").contains("hf_file"));
        let from_variable =
            of(&[("HF_HOME", place), ("HF_TOKEN", " hf_variable ")]).expect("settings");
        assert_eq!(from_variable.token.as_deref(), Some("hf_variable"));
        let without =
            of(&[("HF_HOME", place), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).expect("settings");
        assert_eq!(without.token, None);
    }

    #[test]
    fn variables_without_a_valid_value_are_refused() {
        for value in ["0", "-1", "soon", "1.5"] {
            let error =
                of(&[("HF_HOME", "/h"), ("HF_HUB_DOWNLOAD_TIMEOUT", value)]).expect_err(value);
            let expected = format!(
                "HF_HUB_DOWNLOAD_TIMEOUT = \"{value}\": it must be a whole number of seconds"
            );
            assert!(error.to_string().contains(&expected), "{error}");
        }
        let error = of(&[("HF_HOME", "/h"), ("HF_ENDPOINT", "mirror")]).expect_err("an address");
        assert!(
            error.to_string().contains("HF_ENDPOINT = \"mirror\""),
            "{error}"
        );
        let mirror = of(&[("HF_HOME", "/h"), ("HF_ENDPOINT", "http://mirror/")]).expect("settings");
        assert_eq!(mirror.endpoint, "http://mirror");
    }

    #[test]
    fn offline_is_what_python_takes_for_true() {
        for value in ["1", "true", "YES", "on"] {
            assert!(
                of(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", value)])
                    .expect("settings")
                    .offline
            );
        }
        for value in ["0", "false", "2"] {
            assert!(
                !of(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", value)])
                    .expect("settings")
                    .offline
            );
        }
        assert!(
            of(&[("HF_HOME", "/h"), ("TRANSFORMERS_OFFLINE", "1")])
                .expect("settings")
                .offline
        );
    }
}
