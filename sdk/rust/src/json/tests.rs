use super::*;

fn text(json: &str) -> String {
    parse(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}")).to_string()
}

#[test]
fn says_the_same() {
    for json in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.50",
        "1e400",
        "-12.5E-07",
        "123456789012345678901234567890",
        r#""""#,
        r#""ä€😀""#,
        "[]",
        "{}",
        r#"[1,[2,{"b":null,"a":[]}]]"#,
        r#"{"z":1,"a":2,"A":3,"":4}"#,
    ] {
        assert_eq!(text(json), json);
    }
    assert_eq!(text(" \t\r\n[ 1 ,\n{ \"a\" : 2 } ] "), r#"[1,{"a":2}]"#);
    let escapes = r#""\u0041\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t\u0000\u001f""#;
    assert_eq!(text(escapes), "\"Aé😀\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\"");
    assert_eq!(parse(br#""\ud83d""#).unwrap().as_str(), Some("\u{fffd}"));
    assert_eq!(parse(br#""\ud83d\u0041\ude00x""#).unwrap().as_str(), Some("\u{fffd}A\u{fffd}x"));
}

#[test]
fn what_is_no_json() {
    for json in [
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123",
        "\"\\u+123\"",
        "\"\n\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{1:1}",
        "{\"a\":1]",
        "[1}",
        "{} {}",
        "1 1",
        "\u{feff}1",
        "[1]x",
        "\"\\",
    ] {
        let e = parse(json.as_bytes()).expect_err(json);
        assert!(e.at() <= json.len() && e.to_string().starts_with("no JSON at byte"), "{json}: {e}");
        assert!(map_strings(json.as_bytes(), |_| None).is_err(), "{json}");
    }
    for bytes in [&b"\"\xff\""[..], b"\"\xc3\"", b"[1]\x80", b"\"\xed\xa0\x80\""] {
        assert!(parse(bytes).unwrap_err().to_string().contains("UTF-8"));
    }
}

/// No prefix of a document panics or passes.
#[test]
fn every_prefix() {
    let json = r#"{"a":[1.5e-3,"\ud83d\ude00ä",true,null],"b":{"c":"\n"}}"#;
    for n in 0..json.len() {
        assert!(parse(&json.as_bytes()[..n]).is_err(), "{n} bytes");
    }
}

#[test]
fn names_are_there_once() {
    assert!(parse(br#"{"a":1,"b":2,"\u0061":3}"#).unwrap_err().to_string().contains("\"a\" is there twice"));
    assert!(parse(br#"{"a":1,"A":2}"#).is_ok());
    let many: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
    assert_eq!(parse(format!("{{{}}}", many.join(",")).as_bytes()).unwrap().get("k999").unwrap().as_i64(), Some(999));
    let twice = format!("{{{},\"k500\":0}}", many.join(","));
    assert!(parse(twice.as_bytes()).unwrap_err().to_string().contains("k500"));
    assert!(map_strings(twice.as_bytes(), |_| None).is_err());
}

#[test]
fn depth() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
    assert!(parse(deep(MAX_DEPTH + 1).as_bytes()).is_err());
    assert!(map_strings(deep(MAX_DEPTH + 1).as_bytes(), |_| None).is_err());
    assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
    let siblings = format!("[{}]", vec!["[[]]"; 100].join(","));
    assert!(parse(siblings.as_bytes()).is_ok());
}

#[test]
fn numbers() {
    for (json, i, u, f) in [
        ("3", Some(3), Some(3), Some(3.0)),
        ("-3", Some(-3), None, Some(-3.0)),
        ("3.0", Some(3), Some(3), Some(3.0)),
        ("3e2", Some(300), Some(300), Some(300.0)),
        ("3.5", None, None, Some(3.5)),
        ("9223372036854775807", Some(i64::MAX), Some(i64::MAX as u64), Some(9.223372036854776e18)),
        ("18446744073709551615", None, Some(u64::MAX), Some(1.8446744073709552e19)),
        ("1e19", None, Some(10_000_000_000_000_000_000), Some(1e19)),
        ("1e400", None, None, None),
        ("\"3\"", None, None, None),
    ] {
        let v = parse(json.as_bytes()).unwrap();
        assert_eq!((v.as_i64(), v.as_u64(), v.as_f64()), (i, u, f), "{json}");
    }
    for (v, want) in [
        (0.0, "0"),
        (-0.5, "-0.5"),
        (1e21, "1e21"),
        (1e-7, "1e-7"),
        (123456.789, "123456.789"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
    ] {
        let written = Value::from(v).to_string();
        assert_eq!(written, want);
        assert!(parse(written.as_bytes()).is_ok(), "{written}");
    }
}

#[test]
fn objects() {
    let mut v =
        crate::object! { "a": 1, "b": vec!["x"], "c": None::<bool>, "d": crate::array![true, crate::object! {}] };
    assert_eq!(v.to_string(), r#"{"a":1,"b":["x"],"c":null,"d":[true,{}]}"#);
    let o = v.as_object_mut().unwrap();
    assert_eq!(o.insert("a", "one"), Some(Value::from(1)));
    assert_eq!(o.insert("e", 2.5), None);
    assert_eq!(o.remove("b"), Some(Value::from(vec!["x"])));
    assert_eq!(o.remove("b"), None);
    for (name, value) in o.iter_mut() {
        if name == "c" {
            *value = Value::from(name.len() as u64);
        }
    }
    o.retain(|name, _| name != "d");
    assert_eq!(v.to_string(), r#"{"a":"one","c":1,"e":2.5}"#);
    let names: Object = [("x", 1), ("y", 2), ("x", 3)].into_iter().collect();
    assert_eq!(Value::Object(names).to_string(), r#"{"x":3,"y":2}"#);
}

#[test]
fn strings_alias_the_input() {
    let bytes = br#"{"plain":"a","escaped":"\n"}"#.to_vec();
    let owned = {
        let v = parse(&bytes).unwrap();
        assert!(matches!(v.get("plain"), Some(Value::String(std::borrow::Cow::Borrowed(_)))));
        assert!(matches!(v.get("escaped"), Some(Value::String(std::borrow::Cow::Owned(_)))));
        v.into_owned()
    };
    drop(bytes);
    assert_eq!(owned.to_string(), r#"{"plain":"a","escaped":"\n"}"#);
}

#[test]
fn maps_strings() {
    let upper = |json: &str| {
        map_strings(json.as_bytes(), |s| (s != s.to_uppercase()).then(|| s.to_uppercase()))
            .unwrap()
            .map(|b| String::from_utf8(b).unwrap())
    };
    assert_eq!(upper(r#" {"a" : [1.0, "B", "\u0041"], "c":{}} "#), None);
    assert_eq!(
        upper(r#" {"a" : [1.0, "b", "\u0061\""], "c":{"d":"E"}} "#).unwrap(),
        r#" {"a" : [1.0, "B", "A\""], "c":{"d":"E"}} "#
    );
    assert_eq!(upper(r#""a""#).unwrap(), r#""A""#);
}

#[test]
fn arguments() {
    let args = |json: &'static str| match parse(json.as_bytes()).unwrap() {
        Value::Object(o) => Args::from(o),
        _ => panic!("no object"),
    };
    let a = args(r#"{"s":"x","n":3,"f":1.5,"b":true,"l":["a","b"],"o":{"s":1,"o":{}},"z":null,"m":[1,"a"]}"#);
    assert_eq!(a.str("s").unwrap(), "x");
    assert_eq!((a.i64("n").unwrap(), a.u64("n").unwrap(), a.f64("n").unwrap()), (3, 3, 3.0));
    assert_eq!((a.f64("f").unwrap(), a.bool("b").unwrap()), (1.5, true));
    assert_eq!(a.strings("l").unwrap(), ["a", "b"]);
    assert_eq!((a.opt_str("z").unwrap(), a.opt_str("none").unwrap()), (None, None));
    assert_eq!(a.len(), 8);
    let said = |e: crate::Error| match e {
        crate::Error::InvalidArgs(m) => m,
        e => panic!("{e:?}"),
    };
    assert_eq!(said(a.str("none").unwrap_err()), "none is missing");
    assert_eq!(said(a.str("z").unwrap_err()), "z is missing");
    assert_eq!(said(a.str("S").unwrap_err()), "S is missing");
    assert_eq!(said(a.str("n").unwrap_err()), "n must be a string, not 3");
    assert_eq!(said(a.opt_str("o").unwrap_err()), "o must be a string, not an object");
    assert_eq!(said(a.i64("f").unwrap_err()), "f must be a whole number, not 1.5");
    assert_eq!(said(a.strings("m").unwrap_err()), "m[0] must be a string, not 1");
    assert_eq!(said(a.object("o").unwrap().str("s").unwrap_err()), "o.s must be a string, not 1");
    assert_eq!(said(a.object("o").unwrap().object("o").unwrap().str("x").unwrap_err()), "o.o.x is missing");
    assert_eq!(said(args(r#"{"a":1,"c":2}"#).only(&["a", "b"]).unwrap_err()), "c is not known: there are a, b");
}

/// Looking at eight bytes at a time finds what looking at each finds.
#[test]
fn plain_bytes() {
    use super::write::plain;
    let each = |bytes: &[u8]| bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
    for len in 0..20 {
        for around in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
            let mut bytes = vec![around; len];
            assert_eq!(plain(&bytes), len);
            for at in 0..len {
                for b in 0..=255 {
                    bytes[at] = b;
                    assert_eq!(plain(&bytes), each(&bytes), "{:?}", bytes);
                    if at + 1 < len {
                        let next = std::mem::replace(&mut bytes[at + 1], b'"');
                        assert_eq!(plain(&bytes), each(&bytes), "{:?}", bytes);
                        bytes[at + 1] = next;
                    }
                }
                bytes[at] = around;
            }
        }
    }
}
