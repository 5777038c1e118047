//! Whether to push traces and metrics over OTLP: only when OpenTelemetry's own variables say so.
//!
//! Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter". What the SDK
//! and its exporter read themselves (sampler, headers, timeouts, batch sizes) is not repeated here.

/// The signals to push.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Signals {
    pub(crate) traces: bool,
    pub(crate) metrics: bool,
}

/// Reads which signals the environment asks for.
///
/// # Errors
/// An exporter or a protocol is asked for that is not built in: better said at the start than missed later.
pub(crate) fn signals(env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Signals> {
    // The specification counts an empty variable as unset.
    let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    if env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Signals { traces: false, metrics: false });
    }
    let wanted = |signal: &str| {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        let endpoint = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let wanted = match env(&exporter).as_deref() {
            Some("none") => false,
            Some("otlp") => true,
            Some(other) => anyhow::bail!("{exporter} is `{other}`, not `otlp` or `none`"),
            None => env(&endpoint).or_else(|| env("OTEL_EXPORTER_OTLP_ENDPOINT")).is_some(),
        };
        let protocol = env(&format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"))
            .or_else(|| env("OTEL_EXPORTER_OTLP_PROTOCOL"));
        match protocol.as_deref() {
            Some(protocol) if wanted && protocol != "grpc" => {
                anyhow::bail!("the OTLP protocol is `{protocol}`, only `grpc` is built in")
            }
            Some(_) | None => Ok(wanted),
        }
    };
    Ok(Signals { traces: wanted("TRACES")?, metrics: wanted("METRICS")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(env: &[(&str, &str)], expected: Option<(bool, bool)>) {
        let lookup = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let found = signals(lookup).ok().map(|signals| (signals.traces, signals.metrics));
        assert_eq!(found, expected, "{env:?}");
    }

    #[test]
    fn nothing_is_pushed_unless_asked_for() {
        check(&[], Some((false, false)));
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], Some((false, false)));
        check(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], Some((false, false)));
    }

    #[test]
    fn an_endpoint_asks_for_its_signals() {
        const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        check(&[ALL], Some((true, true)));
        check(&[ALL, ("OTEL_METRICS_EXPORTER", "none")], Some((true, false)));
        check(&[ALL, ("OTEL_SDK_DISABLED", "TRUE")], Some((false, false)));
        check(&[ALL, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], Some((true, true)));
        check(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c")], Some((true, false)));
        check(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c")], Some((false, true)));
        check(&[("OTEL_TRACES_EXPORTER", "otlp")], Some((true, false)));
    }

    #[test]
    fn what_is_not_built_in_is_refused() {
        check(&[("OTEL_TRACES_EXPORTER", "zipkin")], None);
        check(
            &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
            None,
        );
    }
}
