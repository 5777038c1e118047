//! What the contracts say in words.

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

pub(crate) fn of_service(service: &ServiceDescriptor) -> String {
    of(&service.parent_file(), service.path())
}

pub(crate) fn of_method(method: &MethodDescriptor) -> String {
    of(&method.parent_service().parent_file(), method.path())
}

pub(crate) fn of_message(message: &MessageDescriptor) -> String {
    of(&message.parent_file(), message.path())
}

pub(crate) fn of_field(field: &FieldDescriptor) -> String {
    of(&field.parent_message().parent_file(), field.path())
}

pub(crate) fn of_enum(kind: &EnumDescriptor) -> String {
    of(&kind.parent_file(), kind.path())
}

pub(crate) fn of_value(value: &EnumValueDescriptor) -> String {
    of(&value.parent_enum().parent_file(), value.path())
}

/// The comment above what is at a path of a file: paragraphs, each in one line.
fn of(file: &FileDescriptor, path: &[i32]) -> String {
    let Some(info) = &file.file_descriptor_proto().source_code_info else { return String::new() };
    let location = info.location.iter().find(|location| location.path == path);
    let comment = location.map_or("", |location| location.leading_comments());
    let mut text = String::new();
    for line in comment.lines().map(str::trim) {
        let separator = match (text.is_empty(), line.is_empty(), text.ends_with('\n')) {
            (true, ..) | (_, false, true) => "",
            (_, true, true) => continue,
            (_, true, false) => "\n\n",
            (_, false, false) => " ",
        };
        text.push_str(separator);
        text.push_str(line);
    }
    text.trim_end().to_owned()
}

/// The first sentence of a text.
pub(crate) fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").or_else(|| text.find(".\n"));
    text[..end.unwrap_or(text.len())].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn what_the_contracts_say_is_found() {
        let pool = DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).expect("ours");
        let service =
            pool.get_service_by_name("claviger.identity.v1.AccessKeyService").expect("there");
        let said = of_service(&service);
        assert!(
            said.starts_with("AccessKeyService manages access keys. An access key has"),
            "{said}"
        );
        assert!(said.contains("with its own access keys.\n\nIn resource names"), "{said}");
        assert_eq!(first_sentence(&said), "AccessKeyService manages access keys");
        for service in pool.services().filter(|it| it.full_name().starts_with("claviger.identity"))
        {
            for method in service.methods() {
                assert!(!of_method(&method).is_empty(), "{}", method.full_name());
                for field in method.input().fields().chain(method.output().fields()) {
                    assert!(!of_field(&field).is_empty(), "{}", field.full_name());
                }
            }
        }
        let reason = pool.get_enum_by_name("claviger.error.v1.Reason").expect("there");
        assert!(of_enum(&reason).starts_with("Reason says why a call failed."));
        let value = reason.get_value_by_name("REASON_NO_SUCH_USER").expect("there");
        assert!(of_value(&value).ends_with("NOT_FOUND."));
        assert_eq!(first_sentence("One"), "One");
    }
}
