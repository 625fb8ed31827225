//! Addresses of MM7 (TS 23.140 clause 8.7, addressType): what kind, and the many ways peers write them.

use crate::emit::{Out, Value};
use crate::words::AddressCoding;
use crate::write::WriteError;
use crate::xml::Element;

/// Which element an address stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// `RFC2822Address`: a mail address, at some peers `number@domain`.
    Rfc2822,
    /// `Number`: E.164, with or without `+`.
    Number,
    /// `ShortCode`: the short number of a service.
    ShortCode,
}

impl AddressKind {
    /// Element name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rfc2822 => "RFC2822Address",
            Self::Number => "Number",
            Self::ShortCode => "ShortCode",
        }
    }
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The element it stands in.
    pub kind: AddressKind,
    /// The address. Read without `/TYPE=…`; written as it is.
    pub value: String,
    /// `displayOnly`: shown to recipients, but not delivered to (since REL-5, default false).
    pub display_only: bool,
    /// `addressCoding`: the value is not the plain address (REL-6).
    pub coding: Option<AddressCoding>,
    /// `id` (xs:ID, REL-6): a name, unique within the message; the caller sees to that.
    pub id: Option<String>,
}

impl Address {
    /// A plain address of a kind.
    pub fn new(kind: AddressKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into(), display_only: false, coding: None, id: None }
    }

    /// A plain phone number.
    pub fn number(value: impl Into<String>) -> Self {
        Self::new(AddressKind::Number, value)
    }

    /// A plain short code.
    pub fn short_code(value: impl Into<String>) -> Self {
        Self::new(AddressKind::ShortCode, value)
    }

    /// An address given as bare text, its kind guessed: `@` makes a mail address, `+` or more than six
    /// digits a number, anything else a short code. `/TYPE=…` is cut; none if nothing is left.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.contains('@') {
            return Some(Self::new(AddressKind::Rfc2822, text));
        }
        let value = without_type(text);
        let is_number =
            value.starts_with('+') || (value.len() > 6 && value.bytes().all(|b| b.is_ascii_digit()));
        let kind = if is_number { AddressKind::Number } else { AddressKind::ShortCode };
        (!value.is_empty()).then(|| Self::new(kind, value))
    }

    /// Reads the address inside `holder` (Sender, Recipient, UserAgent …), also bare text.
    pub(crate) fn inside(holder: Element<'_>) -> Option<Self> {
        holder.mm7_children().find_map(Self::read).or_else(|| Self::from_text(holder.text()))
    }

    /// Reads every address inside `holder` (To, Cc, Bcc), also bare text.
    pub(crate) fn all_inside(holder: Element<'_>) -> Vec<Self> {
        let listed: Vec<_> = holder.mm7_children().filter_map(Self::read).collect();
        if listed.is_empty() { Self::from_text(holder.text()).into_iter().collect() } else { listed }
    }

    /// Reads a Number, ShortCode or RFC2822Address element; none for other elements and empty ones.
    pub(crate) fn read(element: Element<'_>) -> Option<Self> {
        let kinds = [AddressKind::Rfc2822, AddressKind::Number, AddressKind::ShortCode];
        let kind = kinds.into_iter().find(|kind| element.is(&[kind.name()]))?;
        let value = match kind {
            AddressKind::Rfc2822 => element.text(),
            AddressKind::Number | AddressKind::ShortCode => without_type(element.text()),
        };
        (!value.is_empty()).then(|| Self {
            kind,
            value: value.to_owned(),
            display_only: element.value("displayOnly").unwrap_or(false),
            coding: element.value("addressCoding"),
            id: element.value("id"),
        })
    }

    /// Writes the element of this address.
    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        let name = self.kind.name();
        out.begin(name);
        out.attribute("displayOnly", self.display_only.then_some(&true))?;
        if out.is_rel6() {
            out.attribute("addressCoding", self.coding.as_ref())?;
            out.attribute("id", self.id.as_ref().map(checked_id).transpose()?)?;
        }
        out.raw(">");
        out.escaped(name, &self.value, false)?;
        out.close(name);
        Ok(())
    }

    /// Writes the address inside the element `holder`.
    pub(crate) fn write_in(&self, holder: &'static str, out: &mut Out) -> Result<(), WriteError> {
        out.open(holder);
        self.write(out)?;
        out.close(holder);
        Ok(())
    }

    /// As [`Address::write_in`], as bare text where the peer wants sender addresses so.
    pub(crate) fn write_sender(&self, holder: &'static str, out: &mut Out) -> Result<(), WriteError> {
        if out.bare_addresses() { out.text(holder, &self.value) } else { self.write_in(holder, out) }
    }
}

/// xs:ID is a name without colon.
fn checked_id(id: &String) -> Result<&String, WriteError> {
    let first = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if first && rest { Ok(id) } else { Err(WriteError::NotAName { field: "id" }) }
}

/// Cuts `/TYPE=PLMN` and its like.
fn without_type(text: &str) -> &str {
    let cut = text.bytes().enumerate().find(|&(at, b)| {
        b == b'/' && text.as_bytes()[at..].get(..6).is_some_and(|t| t.eq_ignore_ascii_case(b"/TYPE="))
    });
    text[..cut.map_or(text.len(), |(at, _)| at)].trim_end()
}

/// Recipients (TS 23.140 clause 8.7): To, Cc and Bcc, at least one address in all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipients {
    /// `To`.
    pub to: Vec<Address>,
    /// `Cc`.
    pub cc: Vec<Address>,
    /// `Bcc`.
    pub bcc: Vec<Address>,
}

impl Recipients {
    /// One recipient in `To`.
    pub fn to(address: Address) -> Self {
        Self { to: vec![address], ..Self::default() }
    }

    /// All addresses in order: To, Cc, Bcc.
    pub fn all(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    /// The addresses to deliver to: all that are not `displayOnly`.
    pub fn deliverable(&self) -> impl Iterator<Item = &Address> {
        self.all().filter(|address| !address.display_only)
    }

    /// Whether there is no address at all.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Reads a Recipients element; `Recipient` and addresses without To around them count as To.
    pub(crate) fn read(element: Element<'_>) -> Self {
        let mut read = Self::default();
        for list in element.mm7_children() {
            if list.is(&["Cc"]) {
                read.cc.extend(Address::all_inside(list));
            } else if list.is(&["Bcc"]) {
                read.bcc.extend(Address::all_inside(list));
            } else if list.is(&["To", "Recipient"]) {
                read.to.extend(Address::all_inside(list));
            } else {
                read.to.extend(Address::read(list));
            }
        }
        read
    }

    /// Writes To, Cc, Bcc once each.
    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        if self.is_empty() {
            return Err(WriteError::Missing { field: "Recipients" });
        }
        out.open("Recipients");
        for (name, list) in [("To", &self.to), ("Cc", &self.cc), ("Bcc", &self.bcc)] {
            if !list.is_empty() {
                out.open(name);
                list.iter().try_for_each(|address| address.write(out))?;
                out.close(name);
            }
        }
        out.close("Recipients");
        Ok(())
    }
}

impl<'a> Element<'a> {
    /// Whether the element is MM7's: in one of its namespaces or in none.
    pub(crate) fn is_mm7(self) -> bool {
        self.namespace().is_none_or(|uri| uri.is_empty() || crate::version::Namespace::is_ours(uri))
    }

    /// Children that are MM7's.
    pub(crate) fn mm7_children(self) -> impl Iterator<Item = Self> {
        self.children().filter(|child| child.is_mm7())
    }

    /// First MM7 child of one of these names.
    pub(crate) fn child(self, names: &[&str]) -> Option<Self> {
        self.mm7_children().find(|child| child.is(names))
    }

    /// Value of the first child of one of these names; none if it is empty or makes no sense.
    pub(crate) fn maybe<T: Value>(self, names: &[&str]) -> Option<T> {
        Some(self.child(names)?.text()).filter(|text| !text.is_empty()).and_then(T::of_text)
    }

    /// Value of an attribute; none if it is empty or makes no sense.
    pub(crate) fn value<T: Value>(self, attribute: &str) -> Option<T> {
        self.attribute(attribute).filter(|text| !text.is_empty()).and_then(T::of_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_text_is_sorted_by_its_look() {
        for (text, kind, value) in [
            ("+8613800000001", AddressKind::Number, "+8613800000001"),
            ("13800000001/type=PLMN", AddressKind::Number, "13800000001"),
            ("10085", AddressKind::ShortCode, "10085"),
            ("NEWS", AddressKind::ShortCode, "NEWS"),
            (" ann@example.com ", AddressKind::Rfc2822, "ann@example.com"),
        ] {
            assert_eq!(Address::from_text(text), Some(Address::new(kind, value)), "{text}");
        }
        assert_eq!(Address::from_text("  "), None);
        assert_eq!(Address::from_text("/TYPE=PLMN"), None);
    }

    #[test]
    fn a_type_is_cut_and_other_slashes_stay() {
        assert_eq!(without_type("23355/TYPE=PLMN"), "23355");
        assert_eq!(without_type("a/b"), "a/b");
        assert_eq!(without_type("\u{e9}/TyPe=x"), "\u{e9}");
    }

    #[test]
    fn those_for_show_are_not_delivered_to() {
        let shown = Address { display_only: true, ..Address::number("2") };
        let recipients = Recipients { to: vec![Address::number("1"), shown], ..Recipients::default() };
        assert_eq!(recipients.deliverable().count(), 1);
        assert_eq!(recipients.all().count(), 2);
    }
}
