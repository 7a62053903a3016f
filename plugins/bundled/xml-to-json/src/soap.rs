//! SOAP 1.1 and 1.2: what stands in the body, and faults.

use crate::config::Config;
use crate::map::{self, TooDeep};
use crate::scan::escape_into;
use crate::xml::{Document, XML};

const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// What a document is.
#[derive(Debug, PartialEq, Eq)]
pub enum Envelope {
    /// No envelope.
    Plain,
    /// The elements in the body.
    Body(Vec<usize>),
    Fault(Fault),
    /// An envelope without a body.
    Empty,
}

/// What went wrong, in the words of the service.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub code: String,
    pub subcodes: Vec<String>,
    pub reason: String,
    /// faultactor or Role, Node
    pub role: String,
    pub node: String,
    detail: Option<usize>,
}

pub fn open(doc: &Document) -> Envelope {
    let space = match [SOAP11, SOAP12].iter().find(|s| doc.is(0, s, "Envelope")) {
        Some(space) => *space,
        None => return Envelope::Plain,
    };
    let body = match doc.children(0).find(|&e| doc.is(e, space, "Body")) {
        Some(body) => body,
        None => return Envelope::Empty,
    };
    match doc.children(body).find(|&e| doc.is(e, space, "Fault")) {
        Some(fault) if space == SOAP11 => Envelope::Fault(fault11(doc, fault)),
        Some(fault) => Envelope::Fault(fault12(doc, fault)),
        None => Envelope::Body(doc.children(body).collect()),
    }
}

fn text(doc: &Document, element: usize) -> String {
    doc.texts(element).collect::<String>().trim().to_owned()
}

fn fault11(doc: &Document, fault: usize) -> Fault {
    let mut f = Fault::default();
    for part in doc.children(fault) {
        // They have no namespace, but some services give them that of the envelope.
        match doc.elements[part].name.local {
            "faultcode" => f.code = text(doc, part),
            "faultstring" => f.reason = text(doc, part),
            "faultactor" => f.role = text(doc, part),
            "detail" => f.detail = Some(part),
            _ => {}
        }
    }
    f
}

fn fault12(doc: &Document, fault: usize) -> Fault {
    let child = |of: usize, name: &str| doc.children(of).find(|&e| doc.is(e, SOAP12, name));
    let value = |of: usize| child(of, "Value").map_or(String::new(), |v| text(doc, v));
    let mut f = Fault::default();
    if let Some(code) = child(fault, "Code") {
        f.code = value(code);
        let mut at = child(code, "Subcode");
        while let Some(subcode) = at {
            f.subcodes.push(value(subcode));
            at = child(subcode, "Subcode");
        }
    }
    if let Some(reason) = child(fault, "Reason") {
        let english = |e: &usize| {
            doc.attributes_of(*e).iter().any(|a| {
                a.name.local == "lang" && doc.space(&a.name) == XML && (a.value == "en" || a.value.starts_with("en-"))
            })
        };
        let texts = || doc.children(reason).filter(|&e| doc.is(e, SOAP12, "Text"));
        f.reason = texts().find(english).or_else(|| texts().next()).map_or(String::new(), |e| text(doc, e));
    }
    f.role = child(fault, "Role").map_or(String::new(), |e| text(doc, e));
    f.node = child(fault, "Node").map_or(String::new(), |e| text(doc, e));
    f.detail = child(fault, "Detail");
    f
}

impl Fault {
    /// A sentence for the model, and all of it as JSON.
    pub fn write(&self, config: &Config, doc: &Document) -> Result<(String, String), TooDeep> {
        let mut json = String::from("{\"fault\":{\"code\":\"");
        escape_into(&mut json, &self.code);
        json.push_str("\",\"reason\":\"");
        escape_into(&mut json, &self.reason);
        json.push('"');
        for (i, subcode) in self.subcodes.iter().enumerate() {
            json.push_str(if i == 0 { ",\"subcodes\":[\"" } else { ",\"" });
            escape_into(&mut json, subcode);
            json.push('"');
        }
        json.push_str(if self.subcodes.is_empty() { "" } else { "]" });
        for (name, value) in [("role", &self.role), ("node", &self.node)].iter().filter(|(_, v)| !v.is_empty()) {
            json.push_str(",\"");
            json.push_str(name);
            json.push_str("\":\"");
            escape_into(&mut json, value);
            json.push('"');
        }
        let mut sentence = String::from("SOAP fault");
        for part in std::iter::once(&self.code).chain(&self.subcodes).filter(|p| !p.is_empty()) {
            sentence.push(' ');
            sentence.push_str(part);
        }
        sentence.push_str(": ");
        sentence.push_str(if self.reason.is_empty() { "no reason is given" } else { &self.reason });
        if let Some(detail) = self.detail {
            let parts: Vec<usize> = doc.children(detail).collect();
            let mut value = String::new();
            if parts.is_empty() {
                value.push('"');
                escape_into(&mut value, &text(doc, detail));
                value.push('"');
            } else {
                map::write(config, doc, &parts, &mut value)?;
            }
            if value != "\"\"" {
                json.push_str(",\"detail\":");
                json.push_str(&value);
                sentence.push_str("\nDetail: ");
                sentence.push_str(&value);
            }
        }
        json.push_str("}}");
        Ok((sentence, json))
    }
}
