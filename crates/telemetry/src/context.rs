//! The W3C trace context of a request: read from headers, kept while it is worked on, written to headers.

use std::sync::LazyLock;

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, ContextGuard};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// The span of a call, and the caller's context if no span of ours stands in for it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) span: Span,
    /// Handed on as it came when this process traces nothing itself, so that a mesh sees one trace.
    passed_on: Option<Context>,
}

impl Trace {
    /// The trace of an incoming call: `span` becomes a child of what `headers` name.
    pub(crate) fn incoming(span: Span, headers: &HeaderMap) -> Trace {
        let passed_on = extract(headers).filter(|parent| span.set_parent(parent.clone()).is_err());
        Trace { span, passed_on }
    }

    /// The trace of an outgoing call: `headers` get to name `span`, or else the context that is current.
    pub(crate) fn outgoing(span: Span, headers: &mut HeaderMap) -> Trace {
        let own = if span.is_disabled() { Context::new() } else { span.context() };
        let is_traced = own.span().span_context().is_valid();
        let context = if is_traced { own } else { Context::current() };
        if context.span().span_context().is_valid() {
            PROPAGATOR.inject_context(&context, &mut HeaderInjector(headers));
        }
        Trace { span, passed_on: None }
    }

    /// Names the span anew, once more is known; worth a call only if the span is enabled.
    pub(crate) fn rename(&self, name: String) {
        self.span.context().span().update_name(name);
    }

    /// Makes this the current trace until the guard is dropped; not to be held across an await.
    pub(crate) fn enter(&self) -> (tracing::span::Entered<'_>, Option<ContextGuard>) {
        (self.span.enter(), self.passed_on.clone().map(Context::attach))
    }
}

/// Whether what is being done is part of a trace that somebody will look at.
pub fn is_sampled() -> bool {
    let is_sampled = |context: &Context| context.span().span_context().is_sampled();
    let span = Span::current();
    !span.is_disabled() && is_sampled(&span.context()) || is_sampled(&Context::current())
}

fn extract(headers: &HeaderMap) -> Option<Context> {
    if !headers.contains_key("traceparent") {
        return None;
    }
    let context = PROPAGATOR.extract_with_context(&Context::new(), &HeaderExtractor(headers));
    context.span().span_context().is_valid().then_some(context)
}
