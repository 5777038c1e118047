//! XML documents, as S3 and IAM answer them.

use std::borrow::Cow;

use bytes::Bytes;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// A document as it grows.
pub(crate) struct Document {
    writer: Writer<Vec<u8>>,
    /// Elements that are open, the innermost last.
    open: Vec<String>,
}

impl Document {
    pub(crate) fn new() -> Self {
        let mut document = Self { writer: Writer::new(Vec::with_capacity(512)), open: vec![] };
        document.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        document.write(Event::Text(BytesText::from_escaped("\n")));
        document
    }

    /// Begins an element that has others.
    pub(crate) fn open(&mut self, name: &str) {
        self.write(Event::Start(BytesStart::new(name)));
        self.open.push(name.to_owned());
    }

    /// Begins an element in a namespace.
    pub(crate) fn open_in(&mut self, name: &str, namespace: &str) {
        let start = BytesStart::new(name).with_attributes([("xmlns", namespace)]);
        self.write(Event::Start(start));
        self.open.push(name.to_owned());
    }

    /// Ends the element that was begun last.
    pub(crate) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.write(Event::End(BytesEnd::new(name)));
        }
    }

    /// Adds an element with this text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.write(Event::Start(BytesStart::new(name)));
        self.write(Event::Text(BytesText::from_escaped(escape(text))));
        self.write(Event::End(BytesEnd::new(name)));
    }

    /// The document, whose elements have all ended.
    pub(crate) fn finish(mut self) -> Bytes {
        while !self.open.is_empty() {
            self.close();
        }
        self.writer.into_inner().into()
    }

    fn write(&mut self, event: Event<'_>) {
        // Into memory, where nothing fails.
        let _ = self.writer.write_event(event);
    }
}

/// Makes text safe to stand in a document.
///
/// quick-xml leaves characters as they are that XML 1.0 does not have at all, and a carriage
/// return, which a parser would turn into a line feed; both can stand in what a client sends.
fn escape(text: &str) -> Cow<'_, str> {
    let special = |c: char| {
        matches!(c, '&' | '<' | '>' | '"' | '\'' | '\u{FFFE}' | '\u{FFFF}')
            || (c.is_ascii_control() && !matches!(c, '\t' | '\n'))
    };
    if !text.contains(special) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\r' => escaped.push_str("&#13;"),
            _ if special(c) => escaped.push(char::REPLACEMENT_CHARACTER),
            _ => escaped.push(c),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text), expected, "{text:?}");
        check("", "");
        check("plain é 🔑\t\n", "plain é 🔑\t\n");
        check("<a b=\"c\">&'", "&lt;a b=&quot;c&quot;&gt;&amp;&apos;");
        check("a\r\nb", "a&#13;\nb");
        check(
            "\0\u{1}\u{b}\u{1f}\u{7f}\u{ffff}",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        );
        check("]]>", "]]&gt;");
    }

    #[test]
    fn elements_end_in_order() {
        let mut document = Document::new();
        document.open_in("A", "urn:x");
        document.open("B");
        document.text("C", "<");
        document.close();
        document.text("D", "");
        assert_eq!(
            document.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<A xmlns=\"urn:x\"><B><C>&lt;</C></B><D></D></A>"
        );
    }
}
