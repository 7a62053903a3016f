use crate::config::{Config, MIN_TOKENS};
use crate::left::{Left, WORDS};
use crate::result::transform;
use crate::scan;
use crate::tokens;
use sallyport::json;

fn config(text: &str) -> Config {
    Config::read(&json::parse(text.as_bytes()).unwrap()).unwrap()
}

fn payload(texts: &[&str]) -> String {
    let mut out = String::from(r#"{"content":["#);
    for (i, text) in texts.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        out.push_str(r#"{"type":"text","text":""#);
        scan::escape_into(&mut out, text);
        out.push_str("\"}");
    }
    out + "]}"
}

fn texts(out: &[u8]) -> Vec<String> {
    let out = json::parse(out).unwrap_or_else(|e| panic!("{}: {}", e, String::from_utf8_lossy(out)));
    let blocks = out.get("content").unwrap().as_array().unwrap();
    blocks.iter().filter_map(|b| Some(b.get("text")?.as_str()?.to_owned())).collect()
}

/// The texts of the blocks after the plugin.
fn run(setting: &str, from: &[&str]) -> Vec<String> {
    match transform(&config(setting), &payload(from)).unwrap() {
        None => from.iter().map(|s| s.to_string()).collect(),
        Some(out) => texts(&out),
    }
}

#[track_caller]
fn is(setting: &str, from: &str, to: &str, words: &str) {
    let got = run(setting, &[from]);
    assert_eq!(got[0], to);
    let want = if words.is_empty() {
        None
    } else {
        Some(format!("[token-saver left out: {}. Ask for less or for a part to see it.]", words))
    };
    assert_eq!(got.get(1), want.as_ref());
}

#[test]
fn json_is_compact() {
    is("{}", " { \"a\" : [ 1.50 , \"\\u00e9 x\" ] ,\n \"b\":null} ", r#"{"a":[1.50,"\u00e9 x"],"b":null}"#, "");
    assert_eq!(transform(&config("{}"), &payload(&[r#"{"a":1}"#, "text"])).unwrap(), None);
    assert_eq!(
        transform(
            &config("{}"),
            r#"{"content":[{"type":"image","data":"x"},{"type":"x","text":" [ ] "}],"structuredContent": [ 1 ]}"#
        )
        .unwrap(),
        None
    );
}

#[test]
fn members_that_go() {
    is(r#"{"dropNulls":true}"#, r#"{"a":null,"b":[null],"c":{"d":null}}"#, r#"{"b":[null],"c":{}}"#, "2 nulls");
    is(
        r#"{"dropEmpty":true}"#,
        r#"{"a":"","b":[],"c":{"d":{"e":""}},"f":[{}],"g":0}"#,
        r#"{"f":[{}],"g":0}"#,
        "3 empty members",
    );
    is(r#"{"dropEmpty":true,"dropNulls":true}"#, r#"{"a":{"b":null},"c":1}"#, r#"{"c":1}"#, "1 empty members");
    is(
        r#"{"drop":["/**/_links","/items/*/x","/items/0"]}"#,
        r#"{"_links":{"a":1},"items":[{"x":1},{"x":1,"y":{"_links":2,"z":3}}]}"#,
        r#"{"items":[{"y":{"z":3}}]}"#,
        "1 elements of arrays, 3 members of objects",
    );
    is(r#"{"drop":["/a"],"keep":["/a/b"],"dropNulls":true}"#, r#"{"a":{"b":null}}"#, r#"{"a":{"b":null}}"#, "");
}

#[test]
fn bounds() {
    is(r#"{"maxArray":5}"#, "[1,2,3,4,5]", "[1,2,3,4,5]", "");
    is(r#"{"maxArray":5}"#, "[1,2,3,4,5,6,7]", r#"[1,2,3,"… 3 elements left out",7]"#, "3 elements of arrays");
    is(
        r#"{"maxArray":3,"keep":["/2"]}"#,
        "[1,2,3,4,5,6,7]",
        r#"[1,"… 4 elements left out",3,7]"#,
        "4 elements of arrays",
    );
    is(
        r#"{"maxArray":3,"keep":["/a"]}"#,
        r#"{"a":[1,2,3,4],"b":[1,2,3,4]}"#,
        r#"{"a":[1,2,3,4],"b":[1,"… 2 elements left out",4]}"#,
        "2 elements of arrays",
    );
    let long = "é".repeat(100);
    is(
        r#"{"maxString":60}"#,
        &format!("[\"{}\"]", long),
        &format!("[\"{}… (144 bytes left out)\"]", "é".repeat(28)),
        "1 ends of strings",
    );
    let escapes = r"\ud83d\ude00".repeat(70);
    is(
        r#"{"maxString":60}"#,
        &format!("[\"{}\"]", escapes),
        &format!("[\"{}… (504 bytes left out)\"]", r"\ud83d\ude00".repeat(28)),
        "1 ends of strings",
    );
    is(r#"{"maxString":60,"keep":["/0"]}"#, &format!("[\"{}\"]", long), &format!("[\"{}\"]", long), "");
}

#[test]
fn blobs() {
    let blob = "aB3/".repeat(100);
    is(
        "{}",
        &format!("[\"data:image/png;base64,{}\"]", blob),
        "[\"data:image/png;base64,[400 bytes of base64 left out]\"]",
        "1 blobs",
    );
    is(
        "{}",
        &format!("![x](data:image/png;base64,{}) end", blob),
        "![x](data:image/png;base64,[400 bytes of base64 left out]) end",
        "1 blobs",
    );
    is(
        "{}",
        &format!(r#"["\n{}\\{}"]"#, blob.replace('/', r"\/"), blob),
        r#"["\n[500 bytes of base64 left out]\\[400 bytes of base64 left out]"]"#,
        "2 blobs",
    );
    is(r#"{"blobs":"keep"}"#, &blob, &blob, "");
    for same in ["-".repeat(400), "a".repeat(400), "ab1".repeat(200), "aB3/".repeat(63)] {
        is("{}", &same, &same, "");
    }
}

#[test]
fn white_space() {
    let from = "\n\n\na  \r\n\n\n\n  b   c\t\td \n";
    is("{}", from, "\na\n\n  b   c\t\td\n", "");
    is(r#"{"whitespace":"collapse"}"#, from, "\na\n\n  b c d\n", "");
    is(r#"{"whitespace":"keep"}"#, from, from, "");
}

#[test]
fn a_budget_for_texts() {
    let lines: String = (0..1000).map(|i| format!("line {} with some words\n", i)).collect();
    let got = run(r#"{"maxTokens":300}"#, &[&lines]);
    assert!(
        got[0].starts_with("line 0 with some words\nline 1 ") && got[0].ends_with("line 999 with some words"),
        "{}",
        got[0]
    );
    assert!(got[0].contains("words\n[… 24") && got[0].contains(" bytes left out …]\nline 9"), "{}", got[0]);
    assert!(got.iter().map(|t| tokens::of(t)).sum::<usize>() <= 1200);
    // What a short block does not need, a long one gets.
    let got = run(r#"{"maxTokens":1000}"#, &["short", &lines, &lines]);
    assert_eq!(got[0], "short");
    assert!(tokens::of(&got[1]) > 1500 && tokens::of(&got[2]) > 1500);
    assert!(got.iter().map(|t| tokens::of(t)).sum::<usize>() <= 4000);
    assert_eq!(run(r#"{"maxTokens":0}"#, &[&lines])[0], lines);
}

#[test]
fn a_budget_for_json() {
    let item = r#"{"id":1,"name":"a name","tags":["a","b","c"],"deep":{"deeper":{"deepest":[1,2,3]}}}"#;
    let list = format!("{{\"items\":[{}],\"total\":1000}}", vec![item; 1000].join(","));
    let got = run(r#"{"maxTokens":1000}"#, &[&list]);
    let value = json::parse(got[0].as_bytes()).unwrap();
    assert_eq!(value.get("items").unwrap().as_array().unwrap().len(), 20);
    assert_eq!(value.get("items").unwrap().at(15).unwrap().as_str(), Some("… 981 elements left out"));
    assert_eq!(value.get("total").unwrap().as_f64(), Some(1000.0));
    assert_eq!(got[1], "[token-saver left out: 981 elements of arrays. Ask for less or for a part to see it.]");
    // Down to the last step, and past it.
    let wide = format!(
        "{{{}}}",
        (0..300).map(|i| format!("\"{}{}\":{}", "n".repeat(60), i, item)).collect::<Vec<_>>().join(",")
    );
    let got = run(r#"{"maxTokens":250}"#, &[&wide]);
    assert!(
        got[0].ends_with(r#""…":"295 more members left out"}"#) && got[0].contains("… 4 members left out"),
        "{}",
        got[0]
    );
    let names = format!("{{\"{}\":1}}", "n".repeat(5000));
    assert_eq!(run(r#"{"maxTokens":250}"#, &[&names])[0], "\"[5006 bytes of JSON left out]\"");
    // What is kept is kept over the budget.
    let got = run(r#"{"maxTokens":250,"keep":["/items/*/name","/items/500"]}"#, &[&list]);
    assert!(got[0].contains(item) && got[0].contains("a name"), "{}", got[0]);
}

#[test]
fn structured_content() {
    let from =
        r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":[1, 2,3,4,5],"b":null},"isError":false}"#;
    let get = |setting: &str, from: &str| {
        String::from_utf8(transform(&config(setting), from).unwrap().unwrap_or_default()).unwrap()
    };
    assert_eq!(get(r#"{"maxArray":3,"dropNulls":true}"#, from), "");
    let out = get(r#"{"maxArray":3,"dropNulls":true,"structured":"prune"}"#, from);
    assert!(out.contains(r#""structuredContent":{"a":[1,2,5]},"isError":false,"_meta":{"sallyport/token-saver":{"tokens":{"before":7,"after":"#), "{}", out);
    assert!(out.contains(r#""leftOut":{"elements":2,"nulls":1}}}}"#), "{}", out);
    let out = get(r#"{"structured":"drop"}"#, from);
    assert!(
        !out.contains("structuredContent\":{")
            && out.contains(r#"left out: the structured content. Ask"#)
            && out.contains(r#""structuredContent":true"#),
        "{}",
        out
    );
    assert_eq!(get(r#"{"structured":"drop"}"#, r#"{"content":[],"structuredContent":{"a":1}}"#), "");
    for (from, to) in [
        (r#"{"structuredContent":1,"content":[{"type":"text","text":"x"}]}"#, r#"{"content":[{"#),
        (
            r#"{"content":[{"type":"text","text":"x"}] , "structuredContent":"s" }"#,
            r#"{"content":[{"type":"text","text":"x"},{"#,
        ),
    ] {
        let out = get(r#"{"structured":"drop"}"#, from);
        json::parse(out.as_bytes()).unwrap();
        assert!(out.starts_with(to), "{}", out);
    }
}

#[test]
fn notes_and_meta() {
    let get =
        |setting: &str, from: &str| String::from_utf8(transform(&config(setting), from).unwrap().unwrap()).unwrap();
    let block = r#"{"type":"resource","resource":{"uri":"x:y","text":"[1,2,3,4]"}}"#;
    let out = get(r#"{"maxArray":3,"note":false}"#, &format!(r#"{{"_meta":{{}},"content":[{}]}}"#, block));
    assert_eq!(
        out,
        r#"{"_meta":{"sallyport/token-saver":{"tokens":{"before":3,"after":8},"leftOut":{"elements":2}}},"content":[{"type":"resource","resource":{"uri":"x:y","text":"[1,\"… 2 elements left out\",4]"}}]}"#
    );
    let out = get(
        r#"{"maxArray":3,"note":false}"#,
        &format!(r#"{{"_meta":{{"k":{{"a":1}},"sallyport/token-saver":{{"x":[1]}}}},"content":[{}]}}"#, block),
    );
    assert!(out.starts_with(r#"{"_meta":{"k":{"a":1},"sallyport/token-saver":{"tokens":{"before":3,"#), "{}", out);
    assert_eq!(out.matches("token-saver").count(), 1);
    let most = usize::pow(10, 7);
    let left = Left {
        elements: most,
        members: most,
        nulls: most,
        empties: most,
        strings: most,
        blobs: most,
        deep: most,
        bytes: most,
        structured: true,
    };
    assert!(tokens::of(&left.words()) <= WORDS && WORDS < 4 * MIN_TOKENS);
}

#[test]
fn estimates() {
    for (text, want) in [("", 0), ("abcd", 4), ("é", 2), ("語", 4), ("😀", 8), ("a é語😀", 16)] {
        assert_eq!(tokens::of(text), want);
        assert_eq!(text.chars().map(tokens::of_char).sum::<usize>(), want);
    }
    assert_eq!((tokens::whole(0), tokens::whole(1), tokens::whole(4), tokens::whole(5)), (0, 1, 1, 2));
}

#[test]
fn wrong_configurations() {
    for (text, want) in [
        (r#"{"x":1}"#, "\"x\" is unknown"),
        (r#"{"maxTokens":10}"#, "maxTokens must be 0 or a whole number from 200 to 10000000"),
        (r#"{"maxString":60.5}"#, "maxString must be 0 or a whole number from 60 to 10000000"),
        (r#"{"maxArray":"3"}"#, "maxArray must be 0 or a whole number from 3 to 10000000"),
        (r#"{"blobs":true}"#, "blobs must be note or keep"),
        (r#"{"note":1}"#, "note must be true or false"),
        (r#"{"whitespace":1}"#, "whitespace must be keep, tidy or collapse"),
        (r#"{"structured":1}"#, "structured must be keep, prune or drop"),
        (r#"{"keep":["a"]}"#, "keep: \"a\" must begin with /"),
        (r#"{"drop":1}"#, "drop must be a list of patterns"),
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

const BITS: &[&str] =
    &["a", "word ", " ", "\n", "\\", "\"", "é", "語", "😀", "{", "}", "[", "]", "\u{1}", "/", "…", "\t"];

fn text(dice: &mut Dice) -> String {
    let mut text: String = (0..dice.roll(12)).map(|_| BITS[dice.roll(BITS.len())]).collect();
    if dice.roll(8) == 0 {
        text = text.repeat(dice.roll(60));
    }
    if dice.roll(12) == 0 {
        text.push_str(&"aB3/+".repeat(50 + dice.roll(20)));
    }
    text
}

fn value(dice: &mut Dice, depth: usize, out: &mut String) {
    match dice.roll(if depth == 0 { 3 } else { 6 }) {
        0 => out.push_str(["null", "true", "-1.5e3", "12345", "\"\""][dice.roll(5)]),
        1 | 2 => {
            out.push('"');
            scan::escape_into(out, &text(dice));
            out.push('"');
        }
        3 | 4 => {
            out.push('[');
            let n = if dice.roll(6) == 0 { 150 } else { 5 };
            for i in 0..dice.roll(n) {
                out.push_str(if i > 0 { " ," } else { "" });
                value(dice, depth - 1, out);
            }
            out.push(']');
        }
        _ => {
            out.push('{');
            let n = if dice.roll(6) == 0 { 80 } else { 5 };
            for i in 0..dice.roll(n) {
                out.push_str(if i > 0 { ", " } else { "" });
                out.push_str(&format!("\"{}{}\" : ", ["a", "b", "…", "語"][dice.roll(4)], i));
                value(dice, depth - 1, out);
            }
            out.push('}');
        }
    }
}

#[test]
fn small_enough_and_then_unchanged() {
    for setting in [
        r#"{"maxTokens":200}"#,
        r#"{"maxTokens":300,"maxArray":3,"maxString":60,"dropNulls":true,"dropEmpty":true,"whitespace":"collapse"}"#,
        r#"{"maxTokens":1000,"structured":"prune"}"#,
        r#"{"maxTokens":500,"structured":"drop","drop":["/**/a1"]}"#,
    ] {
        let config = config(setting);
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        for round in 0..600 {
            let said: Vec<String> = (0..dice.roll(4))
                .map(|_| {
                    let mut json = String::new();
                    match dice.roll(3) {
                        0 => json = text(&mut dice).repeat(20),
                        _ => value(&mut dice, 4, &mut json),
                    }
                    json
                })
                .collect();
            let mut from = payload(&said.iter().map(String::as_str).collect::<Vec<_>>());
            from.pop();
            from.push_str(",\"structuredContent\":");
            value(&mut dice, 4, &mut from);
            from.push('}');
            let once = match transform(&config, &from).unwrap() {
                None => continue,
                Some(once) => once,
            };
            let got = texts(&once);
            let spent: usize = got.iter().map(|t| tokens::of(t)).sum();
            assert!(
                spent <= 4 * config.max_tokens,
                "round {} with {}: {} of {}",
                round,
                setting,
                spent,
                4 * config.max_tokens
            );
            for (before, after) in said.iter().zip(&got) {
                if matches!(before.trim_start().as_bytes().first(), Some(b'{' | b'['))
                    && json::parse(before.as_bytes()).is_ok()
                    && !after.is_empty()
                {
                    json::parse(after.as_bytes()).unwrap_or_else(|e| panic!("{}: {} became {}", e, before, after));
                }
            }
            let once = String::from_utf8(once).unwrap();
            if let Some(twice) = transform(&config, &once).unwrap() {
                panic!("round {} with {}:\n{}\n{}\n{}", round, setting, from, once, String::from_utf8_lossy(&twice));
            }
        }
    }
}

#[test]
fn no_text_breaks_it() {
    let all = r#"{"maxTokens":200,"maxArray":3,"maxString":60,"dropNulls":true,"dropEmpty":true,"keep":["/**/b1"],"drop":["/**/a0"],"structured":"prune"}"#;
    let config = config(all);
    let mut dice = Dice(88_172_645_463_325_252);
    for _ in 0..1_000 {
        let mut json = String::new();
        value(&mut dice, 4, &mut json);
        let mut broken = json.clone().into_bytes();
        for _ in 0..dice.roll(4) {
            let at = dice.roll(broken.len());
            broken[at] = dice.roll(256) as u8;
        }
        let broken = String::from_utf8_lossy(&broken).into_owned();
        for text in [&json, &broken] {
            if let Some(out) = transform(&config, &payload(&[text])).unwrap() {
                json::parse(&out).unwrap_or_else(|e| panic!("{}: {}", e, String::from_utf8_lossy(&out)));
            }
            let _ = transform(&config, text);
            let _ = transform(
                &config,
                &format!(
                    r#"{{"content":[{{"type":"text","text":"x"}}],"_meta":{},"structuredContent":{}}}"#,
                    text, text
                ),
            );
        }
    }
}

/// Natively a megabyte takes well under a second; what is quadratic takes hours.
#[test]
fn hostile_texts_take_linear_time() {
    let config = config(r#"{"maxTokens":200,"maxArray":3,"dropEmpty":true,"keep":["/**/x/**/y"],"drop":["/**/z"]}"#);
    for (begin, bit, end) in [
        ("[", "1,", "1]"),
        ("[", "[],", "1]"),
        ("[", "{\"x\":1},", "1]"),
        ("{", "\"x\":1,", "\"y\":1}"),
        ("[\"", "\\u0041", "\"]"),
        ("[\"", "aB3", "\"]"),
        ("", "[", ""),
        ("", "x", ""),
        ("", "\n", ""),
        ("", "aB3/ ", ""),
        ("", "é", ""),
        ("[\"", "\\\\", "\"]"),
        ("", "  \n\n\n", ""),
        ("{", "\"x\":{\"y\":[1,2,3,4]},", "\"y\":1}"),
    ] {
        let text = begin.to_owned() + &bit.repeat((1 << 20) / bit.len()) + end;
        let began = std::time::Instant::now();
        let out = transform(&config, &payload(&[&text])).unwrap();
        assert!(began.elapsed().as_secs() < 20, "{:?} took {:?}", bit, began.elapsed());
        if let Some(out) = out {
            json::parse(&out).unwrap();
        }
    }
}
