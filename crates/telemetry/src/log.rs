//! Log lines on stderr: text for people, JSON for machines.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::{Layer, Registry};

/// Crates that say too much at `info`; `RUST_LOG` may name them to hear more.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,opentelemetry=warn,rustls=warn,s3s=off,sled=warn,tonic=warn,tower=warn";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    Text { colour: bool },
    Json,
}

/// The layer that writes log lines, as the environment asks for.
///
/// # Errors
/// `RUST_LOG` or `CLAVIGER_LOG_FORMAT` has a value that cannot be read.
pub(crate) fn layer() -> anyhow::Result<Box<dyn Layer<Registry> + Send + Sync>> {
    let env = |name: &str| std::env::var(name).ok();
    let filter = filter(env("RUST_LOG").as_deref())?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    Ok(match format(env, std::io::stderr().is_terminal())? {
        Format::Text { colour } => layer.with_ansi(colour).with_filter(filter).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_filter(filter)
            .boxed(),
    })
}

fn filter(rust_log: Option<&str>) -> anyhow::Result<EnvFilter> {
    let asked = rust_log.filter(|value| !value.trim().is_empty()).unwrap_or("info");
    EnvFilter::builder().parse(format!("{QUIET},{asked}")).context("RUST_LOG cannot be read")
}

fn format(env: impl Fn(&str) -> Option<String>, terminal: bool) -> anyhow::Result<Format> {
    let text =
        Format::Text { colour: terminal && env("NO_COLOR").is_none_or(|value| value.is_empty()) };
    match env("CLAVIGER_LOG_FORMAT").as_deref() {
        Some("text") => Ok(text),
        Some("json") => Ok(Format::Json),
        None | Some("") if terminal => Ok(text),
        None | Some("") => Ok(Format::Json),
        Some(other) => anyhow::bail!("CLAVIGER_LOG_FORMAT is `{other}`, not `text` or `json`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(env: &[(&str, &str)], terminal: bool, expected: Option<Format>) {
        let lookup = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(format(lookup, terminal).ok(), expected);
    }

    #[test]
    fn the_format_follows_the_terminal_unless_told() {
        check(&[], true, Some(Format::Text { colour: true }));
        check(&[], false, Some(Format::Json));
        check(&[("CLAVIGER_LOG_FORMAT", "json")], true, Some(Format::Json));
        check(&[("CLAVIGER_LOG_FORMAT", "text")], false, Some(Format::Text { colour: false }));
        check(&[("NO_COLOR", "1")], true, Some(Format::Text { colour: false }));
        check(&[("CLAVIGER_LOG_FORMAT", "xml")], true, None);
    }

    #[test]
    fn rust_log_goes_before_the_list_of_quiet_crates() {
        let shown = |rust_log| filter(rust_log).unwrap().to_string();
        assert!(shown(None).contains("h2=warn") && shown(None).ends_with("info"));
        assert!(shown(Some("debug,h2=trace")).contains("h2=trace"));
        assert!(!shown(Some("debug,h2=trace")).contains("h2=warn"));
        assert!(filter(Some("a=b=c")).is_err());
    }
}
