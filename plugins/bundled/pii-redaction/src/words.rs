//! Words beside a number that say what it is.

use crate::kind::KINDS;

/// Sets of words, as bits.
pub const PHONE: u8 = 1;
pub const NOT_PHONE: u8 = 2;
pub const SSN: u8 = 4;
pub const BSN: u8 = 8;
pub const PERSONNUMMER: u8 = 16;

const LISTS: &[(u8, &[&str])] = &[
    (
        PHONE,
        &[
            "call",
            "cell",
            "cellphone",
            "cellular",
            "cellulare",
            "celular",
            "dial",
            "fax",
            "fon",
            "gsm",
            "handy",
            "handynummer",
            "hotline",
            "landline",
            "mobiel",
            "mobil",
            "mobile",
            "mobilnummer",
            "móvil",
            "movil",
            "msisdn",
            "phone",
            "phones",
            "portable",
            "ring",
            "rufnummer",
            "sms",
            "tel",
            "telefax",
            "telefon",
            "telefone",
            "telefono",
            "telefonnummer",
            "telefoon",
            "telephone",
            "teléfono",
            "téléphone",
            "tlf",
            "whatsapp",
        ],
    ),
    (
        NOT_PHONE,
        &[
            "account",
            "amount",
            "article",
            "artikel",
            "artikelnummer",
            "asin",
            "auftrag",
            "auftragsnummer",
            "batch",
            "bestellnummer",
            "bestellung",
            "build",
            "case",
            "commande",
            "commit",
            "customer",
            "date",
            "docket",
            "doi",
            "ean",
            "epoch",
            "eur",
            "facture",
            "factura",
            "fattura",
            "gbp",
            "gtin",
            "hash",
            "id",
            "ids",
            "invoice",
            "isbn",
            "issn",
            "item",
            "kundennummer",
            "lot",
            "md5",
            "order",
            "orders",
            "ordine",
            "page",
            "pages",
            "parcel",
            "part",
            "pedido",
            "pid",
            "pmid",
            "port",
            "price",
            "qty",
            "quantity",
            "rechnung",
            "rechnungsnummer",
            "ref",
            "reference",
            "revision",
            "serial",
            "sha",
            "shipment",
            "sku",
            "sum",
            "ticket",
            "time",
            "timestamp",
            "total",
            "tracking",
            "unix",
            "upc",
            "usd",
            "uuid",
            "version",
        ],
    ),
    (SSN, &["social", "socialsecurity", "ssn", "taxpayer"]),
    (BSN, &["bsn", "burgerservicenummer", "sofi", "sofinummer"]),
    (PERSONNUMMER, &["personnr", "personnummer", "pnr", "samordningsnummer"]),
];

/// For each first letter, a bit for each length of a word in the lists.
const SHAPES: [u32; 26] = {
    let mut shapes = [0; 26];
    let mut l = 0;
    while l < LISTS.len() {
        let list = LISTS[l].1;
        let mut i = 0;
        while i < list.len() {
            let word = list[i].as_bytes();
            shapes[(word[0] - b'a') as usize] |= 1 << word.len();
            i += 1;
        }
        l += 1;
    }
    shapes
};

/// What one word says; 0 for nearly all.
fn meaning(word: &str) -> u8 {
    let first = match word.as_bytes().first() {
        Some(c) if c.is_ascii_alphabetic() && word.len() < 32 => c.to_ascii_lowercase(),
        _ => return 0,
    };
    if SHAPES[usize::from(first - b'a')] >> word.len() & 1 == 0 {
        return 0;
    }
    for (sort, list) in LISTS {
        let from = list.partition_point(|w| w.as_bytes()[0] < first);
        let mut same = list[from..].iter().take_while(|w| w.as_bytes()[0] == first);
        if same.any(|w| w.eq_ignore_ascii_case(word)) {
            return *sort;
        }
    }
    0
}

/// What a name says that may be several words: customerPhone, phone_number. The masks
/// in it say nothing.
pub fn meanings(name: &str) -> u8 {
    // Most are one short word.
    if name.len() < 32 && name.bytes().all(|b| b.is_ascii_lowercase()) {
        return meaning(name);
    }
    if name.contains('[') {
        let plain = KINDS.iter().fold(name.to_owned(), |name, (kind, ..)| name.replace(kind.tag(), " "));
        return plain_meanings(&plain);
    }
    plain_meanings(name)
}

fn plain_meanings(name: &str) -> u8 {
    let b = name.as_bytes();
    let mut all = 0;
    let mut from = 0;
    for at in 1..=b.len() {
        let parted = at == b.len()
            || !(b[at].is_ascii_alphanumeric() || b[at] >= 0x80)
            || b[at].is_ascii_uppercase() && b[at - 1].is_ascii_lowercase();
        if parted {
            let word = name.get(from..at).unwrap_or("").trim_start_matches(|c: char| !c.is_alphanumeric());
            all |= meaning(word);
            from = at;
        }
    }
    all
}

/// The last words that were read, and what they say. A line break forgets them, and so
/// do three words that say nothing.
#[derive(Clone, Copy)]
pub struct Near {
    hint: u8,
    said: u8,
    ago: u8,
}

impl Near {
    /// `hint` is what the name of the member says: it holds where no word stands.
    pub fn new(hint: u8) -> Near {
        Near { hint, said: 0, ago: 0 }
    }

    pub fn line(&mut self) {
        self.said = 0;
    }

    pub fn word(&mut self, word: &str) {
        let said = meanings(word);
        if said != 0 {
            self.said = said;
            self.ago = 0;
        } else if self.ago == 3 {
            self.said = 0;
        } else {
            self.ago += 1;
        }
    }

    /// Whether the nearest word that says something says this.
    pub fn says(&self, sort: u8) -> bool {
        let said = if self.said != 0 { self.said } else { self.hint };
        // order_phone is a phone.
        said & sort != 0 && !(sort == NOT_PHONE && said & PHONE != 0)
    }
}
