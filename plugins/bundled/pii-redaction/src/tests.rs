use crate::config::Config;
use crate::kind::KINDS;
use crate::scan;
use crate::walk::{redact, Payload};
use sallyport::json;

fn config(text: &str) -> Config {
    Config::read(&json::parse(text.as_bytes()).unwrap()).unwrap()
}

fn all() -> &'static str {
    r#"{"kinds":{"ipv4":true,"ipv6":true}}"#
}

/// The text of one block after the plugin.
fn mask(config: &Config, text: &str) -> String {
    let mut payload = String::from(r#"{"content":[{"type":"text","text":""#);
    scan::escape_into(&mut payload, text);
    payload.push_str("\"}]}");
    match redact(config, &payload, Payload::Result).unwrap() {
        None => text.to_owned(),
        Some((out, _)) => {
            let out = json::parse(&out).unwrap();
            out.get("content").unwrap().at(0).unwrap().get("text").unwrap().as_str().unwrap().to_owned()
        }
    }
}

#[track_caller]
fn masks(kind: &str, values: &[&str]) {
    let config = config(all());
    for value in values {
        let tag = format!("[{}]", kind);
        assert_eq!(mask(&config, value), tag, "{} alone", value);
        assert_eq!(mask(&config, &format!("so {}, and", value)), format!("so {}, and", tag), "{} in a text", value);
        assert_eq!(
            mask(&config, &format!("({}) „{}“", value, value)),
            format!("({}) „{}“", tag, tag),
            "{} in brackets",
            value
        );
        assert_eq!(
            mask(&config, &format!("a,b,{},c\n{}.", value, value)),
            format!("a,b,{},c\n{}.", tag, tag),
            "{} in a table",
            value
        );
    }
}

#[track_caller]
fn keeps(values: &[&str]) {
    let config = config(all());
    for value in values {
        assert_eq!(mask(&config, value), *value);
    }
}

#[test]
fn emails() {
    masks(
        "email",
        &[
            "ada@example.com",
            "ada.lovelace+news@mail.example.co.uk",
            "a@b.io",
            "müller@bücher.example",
            "o'brien@example.ie",
            "ADA_99%x@EXAMPLE.ORG",
            "ada@xn--bcher-kva.xn--p1ai",
            "ada%40example.com",
            "first.last@sub-domain.example.museum",
        ],
    );
    keeps(&[
        "@",
        "a@",
        "@b.com",
        "icon@2x.png",
        "lodash@4.17.21",
        "user@localhost",
        "git@github.com:acme/api.git",
        "@types/node",
        "a@b",
        "ada@example.",
        "ada@example..com",
        "ada@-x.com",
        "x @ y.com",
    ]);
    let c = config("{}");
    assert_eq!(mask(&c, "mailto:ada@example.com?cc=bob@example.com"), "mailto:[email]?cc=[email]");
    assert_eq!(
        mask(&c, "<ada@example.com>; 'bob@example.com' **eve@example.com**"),
        "<[email]>; '[email]' **[email]**"
    );
    assert_eq!(mask(&c, "请联系ada@example.com谢谢"), "请联系[email]谢谢");
    assert_eq!(mask(&c, "https://x.example/?mail=ada%40example.com&b=1"), "https://x.example/?mail=[email]&b=1");
    assert_eq!(mask(&c, "a@x.com@y.com"), "[email]@y.com");
    assert_eq!(
        mask(&c, "a@x.com-4111 a@x.com.123 a@x.com.. a@x.com..y a@x.com/y"),
        "[email]-4111 [email].123 [email].. [email]..y [email]/y"
    );
}

#[test]
fn cards() {
    masks(
        "card",
        &[
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "378282246310005",
            "3782 822463 10005",
            "6011111111111117",
            "30569309025904",
            "3530111333300000",
            "4222222222222",
            "2223003122003222",
            "6759649826438453",
            "4111\u{a0}1111\u{a0}1111\u{a0}1111",
        ],
    );
    keeps(&[
        "4111111111111112", // Luhn
        "1234567812345670", // no brand, but Luhn
        "0000000000000000",
        "4444444444444444", // nobody's
        "94111111111111111",
        "a4111111111111111",
        "4111111111111111b",
        "4111111111111111.50",
        "4111 1111 1111",
        "550e8400-e29b-41d4-a716-446655440000",
        "1700000000000",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ]);
    let c = config("{}");
    assert_eq!(mask(&c, "4111 1111 1111 1111 12/27 123"), "[card] 12/27 123");
    assert_eq!(mask(&c, "card=4111111111111111&x"), "card=[card]&x");
    assert_eq!(mask(&c, "卡号4111111111111111。"), "卡号[card]。");
    assert_eq!(mask(&c, "030 1234567 4111 1111 1111 1111"), "[phone] [card]");
}

#[test]
fn ibans() {
    masks(
        "iban",
        &[
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "GB82 WEST 1234 5698 7654 32",
            "FR14 2004 1010 0505 0001 3M02 606",
            "NO93 8601 1117 947",
            "MT84MALT011000012345MTLCAST001S",
            "nl91abna0417164300",
            "CH93-0076-2011-6238-5295-7",
            "BE68539007547034",
            "PL61109010140000071219812874",
        ],
    );
    keeps(&[
        "DE89370400440532013001",
        "DE8937040044053201300",
        "XX89370400440532013000",
        "DE89370400440532013000X",
        "GB82WEST12345698765433",
    ]);
}

#[test]
fn national_numbers() {
    masks("us_ssn", &["123-45-6789", "899-12-3456"]);
    masks("uk_nino", &["AB123456C", "AB 12 34 56 C", "jg103759a"]);
    masks("de_steuer_id", &["86095742719", "86 095 742 719", "47036892816", "65929970489"]);
    masks("fr_nir", &["185057800608491", "1 85 05 78 006 084 91", "1850578006084 91", "2 84 05 2A 006 084 34"]);
    masks("es_dni", &["12345678Z", "12345678-Z", "12.345.678-Z", "X1234567L", "Y-1234567-X", "z1234567r"]);
    masks("it_codice_fiscale", &["RSSMRA85T10A562S", "RSS MRA 85T10 A562S", "rssmra85t10a562s"]);
    masks("pl_pesel", &["44051401359", "02070803628"]);
    masks("se_personnummer", &["811218-9876", "19811218-9876", "811218+9876", "19811278-9873"]);
    masks("nl_bsn", &["1112.22.333"]);
    keeps(&[
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-6789",
        "123-45-0000",
        "123-45-67890",
        "123456789",
        "DB123456C",
        "AO123456C",
        "GB123456A",
        "AB123456E",
        "Ab123456C",
        "AB1234567",
        "86095742718",
        "11111111111",
        "12345678901",
        "06095742719",
        "185057800608492",
        "985057800608491",
        "12345678A",
        "X1234567A",
        "RSSMRA85T10A562T",
        "RSSMRA85T99A562S",
        "44051401358",
        "44991401359",
        "811218-9875",
        "811318-9876",
        "123456782",
    ]);
}

#[test]
fn words_beside_a_number() {
    let c = config("{}");
    for (text, want) in [
        ("SSN: 123456789", "SSN: [us_ssn]"),
        ("social security number 123 45 6789", "social security number [us_ssn]"),
        ("BSN 123456782", "BSN [nl_bsn]"),
        ("burgerservicenummer: 123.456.782", "burgerservicenummer: [nl_bsn]"),
        ("personnummer 8112189876", "personnummer [se_personnummer]"),
        ("BSN\n123456782", "BSN\n123456782"),
        ("phone 5551234567", "phone [phone]"),
        ("Tel.: 12 34 56 78", "Tel.: [phone]"),
        ("call me at 5551234567 or 5559876543", "call me at [phone] or [phone]"),
        ("order 0171-1234567", "order 0171-1234567"),
        ("Invoice No. 212-555-0123", "Invoice No. 212-555-0123"),
        ("phone of the order 0171-1234567", "phone of the order 0171-1234567"),
        ("order by phone 0171-1234567", "order by phone [phone]"),
        ("[phone] 5551234567", "[phone] 5551234567"),
    ] {
        assert_eq!(mask(&c, text), want, "{}", text);
    }
    let eager = config(r#"{"eager":true}"#);
    assert_eq!(mask(&eager, "123456782 and 8112189876"), "[us_ssn] and [se_personnummer]");
}

#[test]
fn phones() {
    masks(
        "phone",
        &[
            "+4930123456",
            "+49 30 123456",
            "+49 (0)30 123456",
            "+1 212-555-0123",
            "+1 (212) 555-0123",
            "+44 20 7946 0958",
            "+33 1 23 45 67 89",
            "+358 40 1234567",
            "0049 30 123456",
            "(212) 555-0123",
            "212-555-0123",
            "212.555.0123",
            "212 555 0123",
            "1-212-555-0123",
            "030 1234567",
            "030/1234567",
            "0171-1234567",
            "01 23 45 67 89",
            "020 7946 0958",
            "07911 123456",
            "07911123456",
            "0612345678",
            "015112345678",
            "03-1234-5678",
            "(11) 91234-5678",
            "8 (495) 123-45-67",
            "138 0013 8000",
            "612 34 56 78",
            "91 123 45 67",
            "044 668 18 00",
            "0412 345 678",
            "(030) 12345678",
            "0 (30) 1234567",
        ],
    );
    keeps(&[
        "01.02.2024",
        "2024-01-02",
        "2024-01-02 10:11:12",
        "01-02-2024 10",
        "09/11/2001",
        "2024-01-02T10:11:12Z",
        "10:30-11:45",
        "1,234,567.89",
        "$1234567890",
        "1234567890",
        "12345678901",
        "3.14159265358979",
        "0.1234567890",
        "EUR 12.345.678,90",
        "192.168.1.1.1",
        "010.020.030.040",
        "v1.2.3.4.5",
        "#0171-1234567",
        "978-3-16-148410-0",
        "550e8400-e29b-41d4-a716-446655440000",
        "+0123456789",
        "x+4930123456",
        "+49",
        "+999 123456789",
        "1700000000",
        "100 200 300 400 500",
        "2024 2025 2026 2027",
        "112-555-0123",
        "212-155-0123",
        "ABC-0171-1234567X",
    ]);
}

#[test]
fn addresses() {
    masks("ipv4", &["203.0.113.7", "8.8.8.8"]);
    masks(
        "ipv6",
        &["2001:db8::1", "fe80::1ff:fe23:4567:890a", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "::ffff:203.0.113.7"],
    );
    keeps(&[
        "127.0.0.1",
        "0.0.0.0",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "::1",
        "::",
        "12:30:45",
        "00:11:22:33:44:55",
        "std::vec",
        "a::b",
        "dead::beef",
    ]);
    assert_eq!(mask(&config("{}"), "203.0.113.7 2001:db8::1"), "203.0.113.7 2001:db8::1");
}

#[track_caller]
fn result(setting: &str, from: &str, to: &str) {
    let config = config(setting);
    let got = redact(&config, from, Payload::Result).unwrap().map(|(out, _)| String::from_utf8(out).unwrap());
    assert_eq!(got.as_deref().unwrap_or(from), to);
    assert_eq!(got.is_none(), from == to);
}

#[test]
fn the_rest_is_copied_byte_for_byte() {
    result(
        "{}",
        r#"{ "x":1.50e+1, "content" : [ {"type":"text","annotations":{"a":[null]},"text":"\u0041da: ada\u0040example.com\t\u00e9\/"} ],"structuredContent":{"n":12345678901234567890,"e":"ada@example.com"},"ada@example.com":2}"#,
        r#"{ "x":1.50e+1, "content" : [ {"type":"text","annotations":{"a":[null]},"text":"\u0041da: [email]\t\u00e9\/"} ],"structuredContent":{"n":12345678901234567890,"e":"[email]"},"ada@example.com":2}"#,
    );
    for same in [
        r#"{"content":[]}"#,
        r#"{"content":[{"type":"image","data":"ada@example.com"}]}"#,
        r#"{"content":"ada@example.com","_meta":{"text":"ada@example.com"},"structuredContent":null}"#,
        r#"{"content":{"text":"ada@example.com"}}"#,
        r#"{"content":[{"type":"resource_link","uri":"mailto:ada@example.com","name":"x"}]}"#,
    ] {
        result("{}", same, same);
    }
}

#[test]
fn resources_and_links() {
    result(
        "{}",
        r#"{"content":[{"type":"resource","resource":{"uri":"a@b.com","text":"a@b.com","blob":"a@b.com"}},{"type":"resource_link","description":"of a@b.com","title":"a@b.com"}]}"#,
        r#"{"content":[{"type":"resource","resource":{"uri":"a@b.com","text":"[email]","blob":"a@b.com"}},{"type":"resource_link","description":"of [email]","title":"[email]"}]}"#,
    );
}

#[test]
fn json_in_a_text() {
    result(
        "{}",
        r#"{"content":[{"type":"text","text":" {\"phone\":\"5551234567\",\"mail\":\"ada\\u0040example.com\",\"n\":4111111111111111}"}]}"#,
        r#"{"content":[{"type":"text","text":" {\"phone\":\"[phone]\",\"mail\":\"[email]\",\"n\":4111111111111111}"}]}"#,
    );
    result(
        r#"{"numbers":true,"leave":["/content/*/text/keep"]}"#,
        r#"{"content":[{"type":"text","text":"{\"n\":4111111111111111,\"keep\":\"ada@example.com\"}"},{"type":"text","text":"{broken ada@example.com"}]}"#,
        r#"{"content":[{"type":"text","text":"{\"n\":\"[card]\",\"keep\":\"ada@example.com\"}"},{"type":"text","text":"{broken [email]"}]}"#,
    );
}

#[test]
fn structured_content() {
    result(
        r#"{"numbers":true}"#,
        r#"{"structuredContent":[4111111111111111,-4111111111111111,4111111111111112,4111111111111111.0,{"a":[["ada@example.com"]]}]}"#,
        r#"{"structuredContent":["[card]",-4111111111111111,4111111111111112,4111111111111111.0,{"a":[["[email]"]]}]}"#,
    );
    result(
        "{}",
        r#"{"structuredContent":{"phones":["5551234567",{"x":"5551234567"}],"order_id":"0171-1234567","customerPhone":"5551234567"}}"#,
        r#"{"structuredContent":{"phones":["[phone]",{"x":"5551234567"}],"order_id":"0171-1234567","customerPhone":"[phone]"}}"#,
    );
    result(
        r#"{"leave":["/structuredContent/*/id","/structuredContent/0"]}"#,
        r#"{"structuredContent":[{"a":"a@b.com"},{"id":"a@b.com","b":"a@b.com"}]}"#,
        r#"{"structuredContent":[{"a":"a@b.com"},{"id":"a@b.com","b":"[email]"}]}"#,
    );
}

#[test]
fn names_stay_different() {
    result(
        "{}",
        r#"{"structuredContent":{"a@b.com":1,"c@d.com":2,"[email] 2":3,"e\u0040f.com":{"a@b.com":4},"x":5}}"#,
        r#"{"structuredContent":{"[email]":1,"[email] 2":2,"[email] 2 2":3,"[email] 3":{"[email]":4},"x":5}}"#,
    );
    let same = r#"{"structuredContent":{"a@b.com":1}}"#;
    result(r#"{"names":false}"#, same, same);
}

#[test]
fn allow_list_and_styles() {
    let c = config(
        r#"{"allow":["support@example.com","@corp.example","@*.corp.example","+49 30 123456","4111111111111111"]}"#,
    );
    let text = "Support@Example.com a@corp.example a@x.corp.example +49-30-123456 4111-1111-1111-1111";
    assert_eq!(mask(&c, text), text);
    assert_eq!(mask(&c, "a@xcorp.example b@example.com"), "[email] [email]");
    let c = config(r#"{"style":"stars"}"#);
    assert_eq!(mask(&c, "4111 1111 1111 1111"), "**** **** **** 1111");
    assert_eq!(mask(&c, "DE89 3704 0044 0532 0130 00"), "**** **** **** **** **30 00");
    assert_eq!(mask(&c, "ada@example.com, +49 30 123456"), "***@*******.***, +** ** **3456");
    assert_eq!(mask(&c, "4111 1111 1111 1111 2222 3333 4444 5555"), "**** **** **** **** 2222 3333 4444 5555");
}

#[test]
fn wrong_configurations() {
    for (text, want) in [
        (r#"{"kind":{}}"#, "\"kind\" is unknown"),
        (r#"{"kinds":{"mail":true}}"#, "kinds: \"mail\" is unknown"),
        (r#"{"kinds":{"email":1}}"#, "kinds.email must be true or false"),
        (r#"{"style":"x"}"#, "style must be tag or stars"),
        (r#"{"allow":"x"}"#, "allow must be a list of texts"),
        (r#"{"leave":["x"]}"#, "leave: \"x\" must begin with /"),
        (r#"{"names":"x"}"#, "names must be true or false"),
        ("[]", "the configuration must be an object"),
    ] {
        assert_eq!(Config::read(&json::parse(text.as_bytes()).unwrap()).err().as_deref(), Some(want));
    }
}

/// Numbers without end, the same ones each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}

const BITS: &[&str] = &[
    "ada@example.com",
    "4111 1111 1111 1111",
    "4111111111111111",
    "DE89 3704 0044 0532 0130 00",
    "+49 30 123456",
    "030 1234567",
    "123-45-6789",
    "SSN 123456789",
    "phone",
    "order",
    " ",
    "-",
    ".",
    "/",
    "(",
    ")",
    "+",
    "@",
    "[email]",
    "*",
    "**",
    "1",
    "22",
    "333",
    "4444",
    "55555",
    "0171",
    "666666",
    "[",
    "]",
    "\n",
    "é",
    "电",
    ",",
    ":",
    "AB123456C",
    "X1234567L",
    "203.0.113.7",
    "2001:db8::1",
    "%40",
    "x.com",
    "_",
    "'",
    "\"",
    "\\",
    "\u{a0}",
    "44051401359",
    "811218-9876",
    "\u{1F600}",
    "{",
    "}",
    "\u{2011}",
];

fn text(dice: &mut Dice) -> String {
    (0..dice.roll(12)).map(|_| BITS[dice.roll(BITS.len())]).collect()
}

fn value(dice: &mut Dice, depth: usize, out: &mut String) {
    let string = |dice: &mut Dice, out: &mut String| {
        out.push('"');
        scan::escape_into(out, &text(dice));
        out.push('"');
    };
    match dice.roll(if depth == 0 { 3 } else { 6 }) {
        0 => out.push_str(["null", "true", "-1.5e3", "4111111111111111", "12345"][dice.roll(5)]),
        1 | 2 | 3 => string(dice, out),
        4 => {
            out.push('[');
            for i in 0..dice.roll(4) {
                out.push_str(if i > 0 { " ," } else { "" });
                value(dice, depth - 1, out);
            }
            out.push(']');
        }
        _ => {
            out.push('{');
            for i in 0..dice.roll(4) {
                out.push_str(if i > 0 { ", " } else { "" });
                out.push('"');
                scan::escape_into(out, &format!("{} {}", i, text(dice)));
                out.push_str("\" : ");
                value(dice, depth - 1, out);
            }
            out.push('}');
        }
    }
}

#[test]
fn masked_again_nothing_changes() {
    for setting in
        [all(), "{}", r#"{"style":"stars","numbers":true}"#, r#"{"eager":true,"numbers":true,"kinds":{"ipv4":true}}"#]
    {
        let config = config(setting);
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        for round in 0..10_000 {
            let mut payload = String::from(r#"{"content":[{"type":"text","text":""#);
            let said = if dice.roll(4) == 0 {
                let mut json = String::new();
                value(&mut dice, 3, &mut json);
                json
            } else {
                text(&mut dice)
            };
            scan::escape_into(&mut payload, &said);
            payload.push_str(r#""}],"structuredContent":"#);
            value(&mut dice, 3, &mut payload);
            payload.push('}');
            json::parse(payload.as_bytes()).unwrap_or_else(|e| panic!("{}: {}", e, payload));
            if let Some((once, _)) = redact(&config, &payload, Payload::Result).unwrap() {
                json::parse(&once).unwrap_or_else(|e| {
                    panic!("round {}: {}: {} became {}", round, e, payload, String::from_utf8_lossy(&once))
                });
                let once = String::from_utf8(once).unwrap();
                if let Some((twice, _)) = redact(&config, &once, Payload::Result).unwrap() {
                    panic!(
                        "round {} with {}:\n{}\n{}\n{}",
                        round,
                        setting,
                        payload,
                        once,
                        String::from_utf8_lossy(&twice)
                    );
                }
            }
        }
    }
}

#[test]
fn no_text_breaks_it() {
    let config = config(all());
    let mut dice = Dice(88_172_645_463_325_252);
    for _ in 0..20_000 {
        let mut text = text(&mut dice).into_bytes();
        for _ in 0..dice.roll(6) {
            text.push(dice.roll(256) as u8);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        mask(&config, &text);
        let _ = redact(&config, &text, Payload::Result);
        let _ = redact(&config, &format!(r#"{{"content":[{{"text":{}"#, text), Payload::Result);
    }
}

/// What costs a place may not grow with the text. Natively, unoptimised and on a busy
/// machine a megabyte takes well under a second; what is quadratic takes hours.
#[test]
fn hostile_texts_take_linear_time() {
    let config = config(r#"{"kinds":{"ipv4":true,"ipv6":true},"eager":true,"numbers":true,"leave":["/**/x/**/y"]}"#);
    for bit in [
        "@",
        "a@",
        "a@b.",
        "@.",
        "%40",
        "%",
        "1",
        "1 ",
        "11 ",
        "111-",
        "4111 ",
        "4111-1111-1111-1111-",
        "0171 ",
        "(0",
        "+1",
        "+4",
        "DE89",
        "DE89 ",
        "a:",
        ":",
        "::",
        "1.",
        "1.1.1.1.",
        "phone 1 ",
        "é",
        "电",
        "A",
        "_",
        "-",
        "x-",
        "1-",
        "AB12",
        "RSSMRA",
        "[email]",
        "1/",
        "0 ",
        "{",
        "[",
        "[[\"",
        "00 ",
    ] {
        let text = bit.repeat((1 << 20) / bit.len());
        let began = std::time::Instant::now();
        mask(&config, &text);
        assert!(began.elapsed().as_secs() < 20, "{:?} took {:?}", bit, began.elapsed());
    }
}

#[test]
fn kinds_are_in_order() {
    for (i, row) in KINDS.iter().enumerate() {
        assert_eq!(row.0 as usize, i);
        assert_eq!(row.0.tag(), format!("[{}]", row.1));
    }
}
