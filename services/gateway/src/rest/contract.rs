//! What can be called: every RPC of identity that has a `google.api.http`, as the contracts have it.

use anyhow::{Context, bail, ensure};
use http::Method;
use http::uri::PathAndQuery;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, Value,
};

use super::template::{Template, Values};

/// The package whose services are served.
const PACKAGE: &str = "claviger.identity.v1";

/// Every RPC that is served, one for each of its routes.
#[derive(Clone, Debug)]
pub(crate) struct Contract {
    pub(crate) rpcs: Vec<Rpc>,
}

/// One RPC at one route.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    pub(crate) method: MethodDescriptor,
    /// Where it is called, such as `/claviger.identity.v1.UserService/LockUser`.
    pub(crate) grpc_path: PathAndQuery,
    pub(crate) verb: Method,
    pub(crate) template: Template,
    pub(crate) body: Body,
    pub(crate) request: MessageDescriptor,
    pub(crate) response: MessageDescriptor,
}

/// What a request's body is.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// There is none.
    Nothing,
    /// Everything that the path does not say.
    Everything,
    /// This field, which is a message. The query says the rest.
    Field(FieldDescriptor, MessageDescriptor),
}

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// This, of which the path says so much.
    Rpc(&'a Rpc, Values),
    /// Something that is asked for by these methods.
    ByOtherMethods(Vec<Method>),
    Nothing,
}

impl Contract {
    /// Reads the contracts that this was built with.
    ///
    /// # Errors
    /// If an annotation asks for what is not served: that would be a mistake of ours.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let pool = DescriptorPool::decode(api::FILE_DESCRIPTOR_SET)?;
        let http = pool.get_extension_by_name("google.api.http").context("there is no http")?;
        let mut rpcs = vec![];
        for service in pool.services().filter(|service| service.package_name() == PACKAGE) {
            for method in service.methods() {
                let routes = routes(&method, &http);
                rpcs.extend(routes.with_context(|| method.full_name().to_owned())?);
            }
        }
        Ok(Self { rpcs })
    }

    /// What is at a path, as it was sent. A HEAD is a GET whose answer is not sent.
    pub(crate) fn find(&self, verb: &Method, path: &str) -> Found<'_> {
        let mut others = vec![];
        for rpc in &self.rpcs {
            let Some(values) = rpc.template.read(path) else { continue };
            let verbs = rpc.verbs();
            if verbs.contains(verb) {
                return Found::Rpc(rpc, values);
            }
            others.extend(verbs);
        }
        if others.is_empty() { Found::Nothing } else { Found::ByOtherMethods(others) }
    }
}

impl Rpc {
    fn of(method: &MethodDescriptor, rule: &DynamicMessage) -> anyhow::Result<Self> {
        let text = |name: &str| rule.get_field_by_name(name)?.as_str().map(str::to_owned);
        let patterns = [
            ("get", Method::GET),
            ("put", Method::PUT),
            ("post", Method::POST),
            ("delete", Method::DELETE),
            ("patch", Method::PATCH),
        ];
        let pattern = patterns.into_iter().find(|(name, _)| rule.has_field_by_name(name));
        let (name, verb) = pattern.context("it has no method of HTTP")?;
        let template = Template::parse(&text(name).unwrap_or_default())?;
        let response_body = text("response_body").unwrap_or_default();
        ensure!(response_body.is_empty() && !method.is_client_streaming(), "it is not served");
        let request = method.input();
        for path in template.fields() {
            field_at(&request, path).context("its path names no field")?;
        }
        let body = match text("body").unwrap_or_default().as_str() {
            "" => Body::Nothing,
            "*" => Body::Everything,
            name => {
                let field = request.get_field_by_name(name).context("its body is no field")?;
                let Kind::Message(message) = field.kind() else { bail!("its body is no message") };
                ensure!(!field.is_list() && !field.is_map(), "its body is many messages");
                Body::Field(field, message)
            }
        };
        let grpc_path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let (method, response) = (method.clone(), method.output());
        let grpc_path = PathAndQuery::try_from(grpc_path)?;
        Ok(Self { method, grpc_path, verb, template, body, request, response })
    }

    /// Whether it answers message by message.
    pub(crate) fn streams(&self) -> bool {
        self.method.is_server_streaming()
    }

    /// Whether it may change anything.
    pub(crate) fn writes(&self) -> bool {
        self.verb != Method::GET
    }

    fn verbs(&self) -> Vec<Method> {
        let head = (self.verb == Method::GET && !self.streams()).then_some(Method::HEAD);
        [self.verb.clone()].into_iter().chain(head).collect()
    }

    /// Where the request has an etag that must be true: of itself, or of the resource that is its body.
    pub(crate) fn etag(&self) -> Option<String> {
        if self.request.get_field_by_name("etag").is_some() {
            return Some("etag".to_owned());
        }
        match &self.body {
            // What is made has none yet.
            Body::Field(field, message) if self.verb == Method::PATCH => message
                .get_field_by_name("etag")
                .map(|etag| format!("{}.{}", field.name(), etag.name())),
            Body::Nothing | Body::Everything | Body::Field(..) => None,
        }
    }

    /// Whether the request may have an id by which it can be sent again.
    pub(crate) fn has_request_id(&self) -> bool {
        self.request.get_field_by_name("request_id").is_some()
    }
}

fn routes(method: &MethodDescriptor, http: &ExtensionDescriptor) -> anyhow::Result<Vec<Rpc>> {
    let options = method.options();
    if !options.has_extension(http) {
        return Ok(vec![]);
    }
    let rule = options.get_extension(http);
    let rule = rule.as_message().context("http is no message")?;
    let mut rpcs = vec![Rpc::of(method, rule)?];
    let more = rule.get_field_by_name("additional_bindings");
    for rule in more.as_deref().and_then(Value::as_list).unwrap_or_default() {
        rpcs.push(Rpc::of(method, rule.as_message().context("a rule is no message")?)?);
    }
    Ok(rpcs)
}

/// Whether a field is a secret, which is never logged, nor a parameter of a query, which others log.
pub(crate) fn is_secret(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

/// The field at a path such as `user.name`, by the names of the contracts.
pub(crate) fn field_at(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = message.get_field_by_name(name)?;
    match rest {
        None => Some(field),
        Some(rest) => field_at(field.kind().as_message()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_of_the_management_services_is_served() {
        let contract = Contract::load().expect("ours");
        let pool = DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).expect("ours");
        for service in [
            "AccountService",
            "UserService",
            "AccessKeyService",
            "EventService",
            "AdminTokenService",
            "KeystoreService",
        ] {
            let service = pool.get_service_by_name(&format!("{PACKAGE}.{service}")).expect("there");
            for method in service.methods() {
                let name = method.full_name();
                let served = contract.rpcs.iter().any(|rpc| rpc.method.full_name() == name);
                assert!(served, "{name} has no route");
            }
        }
    }

    #[test]
    fn no_route_hides_another() {
        let contract = Contract::load().expect("ours");
        for rpc in &contract.rpcs {
            let path = super::super::openapi::path_of(&rpc.template);
            let path = path.replace(['{', '}'], "x");
            let Found::Rpc(found, _) = contract.find(&rpc.verb, &path) else {
                panic!("{path} is no route")
            };
            assert_eq!(found.grpc_path, rpc.grpc_path, "{path}");
        }
    }

    fn check(verb: Method, path: &str, expected: &str) {
        let contract = Contract::load().expect("ours");
        let found = match contract.find(&verb, path) {
            Found::Rpc(rpc, _) => rpc.method.name().to_owned(),
            Found::ByOtherMethods(methods) => format!("{methods:?}"),
            Found::Nothing => String::new(),
        };
        assert_eq!(found, expected, "{verb} {path}");
    }

    #[test]
    fn a_path_by_another_method_says_by_which() {
        check(Method::GET, "/v1/accounts/1", "GetAccount");
        check(Method::HEAD, "/v1/accounts/1", "GetAccount");
        check(Method::POST, "/v1/accounts/1", "[GET, HEAD, PATCH, DELETE]");
        check(Method::GET, "/v1/accounts/1/users/a:lock", "[POST]");
        check(Method::HEAD, "/v1/events:watch", "[GET]");
        check(Method::GET, "/v1/accounts/1/users/a:what", "");
        check(Method::GET, "/v1", "");
    }
}
