use crate::config::Config;
use crate::map::is_number;
use crate::result::{looks_like_xml, transform};
use crate::scan;
use crate::xml;
use sallyport::json::{self, Value};

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

/// The structured content and the text of one block, and whether it is an error.
fn run(setting: &str, text: &str) -> (Option<String>, String, bool) {
    match transform(&config(setting), &payload(&[text])).unwrap() {
        None => (None, text.to_owned(), false),
        Some(out) => {
            let out = json::parse(&out).unwrap_or_else(|e| panic!("{}: {}", e, String::from_utf8_lossy(&out)));
            let said = out.get("content").unwrap().at(0).unwrap().get("text").unwrap().as_str().unwrap().to_owned();
            let failed = out.get("isError").and_then(Value::as_bool) == Some(true);
            (out.get("structuredContent").map(|v| String::from_utf8(v.to_vec()).unwrap()), said, failed)
        }
    }
}

#[track_caller]
fn maps(setting: &str, from: &str, to: &str) {
    assert_eq!(run(setting, from), (Some(to.to_owned()), to.to_owned(), false), "{}", from);
}

#[test]
fn mapping() {
    for (from, to) in [
        ("<a>x</a>", r#"{"a":"x"}"#),
        ("<a/>", r#"{"a":""}"#),
        ("<a></a>", r#"{"a":""}"#),
        ("<a>\n  x y \t</a>", r#"{"a":"x y"}"#),
        (r#"<a xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>"#, r#"{"a":null}"#),
        (r#"<a xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="false">1</a>"#, r#"{"a":"1"}"#),
        (r#"<a id="1">x</a>"#, r##"{"a":{"@id":"1","#text":"x"}}"##),
        (r#"<a id="1"/>"#, r#"{"a":{"@id":"1"}}"#),
        ("<a><b>1</b><c/><b>2</b></a>", r#"{"a":{"b":["1","2"],"c":""}}"#),
        ("<a>one <b>two</b> three<!-- x --> <c/>four</a>", r##"{"a":{"#text":"one three four","b":"two","c":""}}"##),
        ("<a><![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>", r#"{"a":"<b>&amp;]]>"}"#),
        ("<a>x<![CDATA[ y ]]>z</a>", r#"{"a":"x y z"}"#),
        ("<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x20AC;&#128512;</a>", r#"{"a":"<>&'\"A€😀"}"#),
        ("<a b=\"x&#10;y\n\tz\">1\r\n2\r3</a>", r##"{"a":{"@b":"x\ny  z","#text":"1\n2\n3"}}"##),
        (
            "\u{feff}\n<?xml version='1.0' encoding='utf-8' standalone=\"yes\" ?><?style x?><!-- c --><a/><!-- d -->\n",
            r#"{"a":""}"#,
        ),
        (
            "<s:a xmlns:s='urn:s' xmlns='urn:d'><b s:x='1' x='2'/><s:b/></s:a>",
            r#"{"a":{"b":[{"@x":"1","@x":"2"},""]}}"#,
        ),
        ("<ünï.c-1_x>é</ünï.c-1_x>", r#"{"ünï.c-1_x":"é"}"#),
        ("<a xml:lang='en'>x</a>", r##"{"a":{"@lang":"en","#text":"x"}}"##),
        ("<a>007</a>", r#"{"a":"007"}"#),
    ] {
        // Two attributes of one local name keep the prefix of the second.
        let to = to.replace(r#"{"@x":"1","@x":"2"}"#, r#"{"@x":["1","2"]}"#);
        maps("{}", from, &to);
    }
    maps("{}", "<a x='2' s:x='1' xmlns:s='urn:s'/>", r#"{"a":{"@x":"2","@s:x":"1"}}"#);
}

#[test]
fn settings() {
    maps(
        r#"{"stripNamespaces":false}"#,
        "<s:a xmlns:s='urn:s' s:x='1'/>",
        r#"{"s:a":{"@xmlns:s":"urn:s","@s:x":"1"}}"#,
    );
    maps(r#"{"attributePrefix":""}"#, "<a b='1'><b>2</b></a>", r#"{"a":{"b":["1","2"]}}"#);
    maps(r#"{"attributePrefix":"_"}"#, "<a b='1'/>", r#"{"a":{"_b":"1"}}"#);
    maps(r#"{"trim":false}"#, "<a> x </a>", r#"{"a":" x "}"#);
    maps(
        r#"{"arrays":["/a/b","/a/*/d","/**/e"]}"#,
        "<a><b/><c><d>1</d><e/></c></a>",
        r#"{"a":{"b":[""],"c":{"d":["1"],"e":[""]}}}"#,
    );
    maps(
        r#"{"numbers":"convert","booleans":"convert"}"#,
        "<a n='1'><b>-2.50</b><b>007</b><b>true</b><b>1e5</b><b>12345678901234567890</b></a>",
        r#"{"a":{"@n":1,"b":[-2.50,"007",true,"1e5","12345678901234567890"]}}"#,
    );
    for (text, want) in [
        ("0", true),
        ("-1", true),
        ("1.0", true),
        ("", false),
        ("-", false),
        ("01", false),
        ("1.", false),
        (".5", false),
        ("+1", false),
        ("-0", false),
        ("-0.0", false),
        ("1e1", false),
        ("１", false),
    ] {
        assert_eq!(is_number(text), want, "{}", text);
    }
    for (text, want) in [
        (r#"{"x":1}"#, "\"x\" is unknown"),
        (r#"{"blocks":"x"}"#, "blocks must be first or all"),
        (r#"{"trim":1}"#, "trim must be true or false"),
        (r##"{"attributePrefix":"#"}"##, "attributePrefix must be a text of at most 8 bytes without #"),
        (r#"{"arrays":["a"]}"#, "arrays: \"a\" must begin with /"),
        (r#"{"arrays":1}"#, "arrays must be a list of paths"),
        ("[]", "the configuration must be an object"),
    ] {
        assert_eq!(Config::read(&json::parse(text.as_bytes()).unwrap()).err().as_deref(), Some(want));
    }
}

const SOAP11: &str = "xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'";
const SOAP12: &str = "xmlns:s='http://www.w3.org/2003/05/soap-envelope'";

#[test]
fn soap() {
    for ns in [SOAP11, SOAP12] {
        let wrap = |body: &str| {
            format!("<s:Envelope {}><s:Header><t>1</t></s:Header><s:Body>{}</s:Body></s:Envelope>", ns, body)
        };
        maps("{}", &wrap("<m:Price xmlns:m='urn:m'><m:v>1</m:v></m:Price>"), r#"{"Price":{"v":"1"}}"#);
        maps("{}", &wrap("<a/><b/><a>1</a>"), r#"{"a":["","1"],"b":""}"#);
        maps("{}", &wrap(""), "{}");
        assert!(run(r#"{"soap":"keep"}"#, &wrap("<a/>")).1.starts_with(r#"{"Envelope":{"Header""#));
    }
    maps("{}", "<Envelope><Body><a/></Body></Envelope>", r#"{"Envelope":{"Body":{"a":""}}}"#);
    let fault = format!("<s:Envelope {}><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring> no\nstock </faultstring><faultactor>urn:x</faultactor><detail><e:code xmlns:e='urn:e'>7</e:code></detail></s:Fault></s:Body></s:Envelope>", SOAP11);
    assert_eq!(
        run("{}", &fault),
        (
            Some(r#"{"fault":{"code":"s:Server","reason":"no\nstock","role":"urn:x","detail":{"code":"7"}}}"#.into()),
            "SOAP fault s:Server: no\nstock\nDetail: {\"code\":\"7\"}".into(),
            true,
        )
    );
    let fault = format!("<s:Envelope {}><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>m:Bad</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang='de'>schlecht</s:Text><s:Text xml:lang='en-GB'>bad</s:Text></s:Reason><s:Node>urn:n</s:Node></s:Fault></s:Body></s:Envelope>", SOAP12);
    assert_eq!(
        run("{}", &fault),
        (
            Some(r#"{"fault":{"code":"s:Sender","reason":"bad","subcodes":["m:Bad"],"node":"urn:n"}}"#.into()),
            "SOAP fault s:Sender m:Bad: bad".into(),
            true,
        )
    );
    let empty = format!("<s:Envelope {}/>", SOAP11);
    assert_eq!(run("{}", &empty), (None, "The answer is a SOAP envelope without a body.".into(), true));
}

#[test]
fn refused() {
    for (text, want) in [
        (
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "line 1, column 1: a document type (DOCTYPE) is refused: it can define entities.",
        ),
        ("<a>&x;</a>", "line 1, column 4: &x; is no character, nor lt, gt, amp, apos or quot."),
        ("<a>\n é&#0;</a>", "line 2, column 3: &#0; is no character, nor lt, gt, amp, apos or quot."),
        ("<a>& b</a>", "line 1, column 4: & begins no reference: write &amp;."),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
            "line 1, column 30: encoding \"ISO-8859-1\": only UTF-8 is read: declare it, or leave the encoding out.",
        ),
        ("<?xml version='1.1'?><a/>", "line 1, column 15: version \"1.1\": only version 1.0 is read."),
        ("<?xml version='1.0' x='1'?><a/>", "line 1, column 21: the XML declaration does not end with ?>."),
        ("<a><b></a></b>", "line 1, column 9: </a> stands where </b> must."),
        ("<a>", "line 1, column 4: <a> does not end."),
        ("<a b=1/>", "line 1, column 6: the value of b must stand in quotes."),
        ("<a b='1' b='2'/>", "line 1, column 10: the attribute \"b\" stands twice."),
        ("<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>", "line 1, column 36: the attribute \"b\" stands twice."),
        ("<a b='1'c='2'/>", "line 1, column 9: white space is missing before an attribute."),
        ("<a b='<'/>", "line 1, column 7: < stands in the value of an attribute: write &lt;."),
        ("<x:a/>", "line 1, column 2: the prefix \"x\" is not declared."),
        ("<a><b xmlns:x='u'/><x:c/></a>", "line 1, column 21: the prefix \"x\" is not declared."),
        ("<a:b:c/>", "line 1, column 2: \"a:b:c\" is no name with a prefix."),
        ("<a xmlns:x=''/>", "line 1, column 4: xmlns:x may not be declared so."),
        ("<a xmlns:xml='u'/>", "line 1, column 4: xmlns:xml may not be declared so."),
        ("<a/><b/>", "line 1, column 5: there is a second root element."),
        ("<a/>x", "line 1, column 5: text stands outside of the root element."),
        ("<!-- x -->", "line 1, column 11: there is no element."),
        ("<!-- a -- b --><a/>", "line 1, column 5: -- stands in a comment."),
        ("<a>]]></a>", "line 1, column 4: ]]> stands in a text: write ]]&gt;."),
        ("<a><![CDATA[x</a>", "line 1, column 13: CDATA does not end: ]]> is missing."),
        ("<a>\u{1}</a>", "line 1, column 4: the character U+0001 may not stand in XML."),
        ("<a><?xml x?></a>", "line 1, column 6: an instruction may not be named so."),
    ] {
        let (value, said, failed) = run("{}", text);
        assert_eq!(
            (value, said.as_str(), failed),
            (None, format!("The answer is not XML that can be read: {}", want).as_str(), true)
        );
        assert_eq!(run(r#"{"invalid":"keep"}"#, text), (None, text.to_owned(), false));
    }
    assert!(run("{}", "<!doctype html><p>").1.starts_with("The answer is an HTML page, not XML: line 1, column 1: "));
}

#[test]
fn bounds() {
    let nested = |n: usize| "<a>".repeat(n) + &"</a>".repeat(n);
    assert!(!run("{}", &nested(xml::DEPTH)).2);
    assert!(run("{}", &nested(xml::DEPTH + 1)).1.ends_with("elements are nested deeper than 50."));
    let arrays = "<a><b/>".repeat(30) + &"</a>".repeat(30);
    assert!(!run("{}", &arrays).2);
    assert!(run(r#"{"arrays":["/**/a"]}"#, &arrays).1.ends_with("JSON would be nested deeper than 58."));
    let wide = format!("<a>{}</a>", "<b/>".repeat(xml::ELEMENTS));
    assert!(run("{}", &wide).1.ends_with("there are more than 200000 elements."));
    let attributes: String = (0..=xml::ATTRIBUTES).map(|i| format!(" a{}=''", i)).collect();
    assert!(run("{}", &format!("<a{}/>", attributes)).1.ends_with("an element has more than 100 attributes."));
    let spaces: String = (0..5)
        .map(|i| format!("<a{}>", (0..50).map(|j| format!(" xmlns:p{}='u'", i * 50 + j)).collect::<String>()))
        .collect();
    assert!(run("{}", &spaces).1.ends_with("more than 200 namespaces are declared at once."));
}

#[test]
fn blocks_and_members() {
    let c = config("{}");
    for same in [
        r#"{"content":[{"type":"text","text":"no XML"},{"type":"text","text":"<3 x"},{"type":"text","text":""},{"type":"image","text":"<a/>"}]}"#,
        r#"{"content":[{"type":"resource","resource":{"text":"<a/>"}}],"_meta":{"content":[{"type":"text","text":"<a/>"}]}}"#,
        r#"{"structuredContent":{"content":[{"type":"text","text":"<a/>"}]}}"#,
        r#"{"content":{"x":{"type":"text","text":"<a/>"}}}"#,
        "[]",
        "1",
        r#"{"content":[["type","text"]]}"#,
    ] {
        assert_eq!(transform(&c, same).unwrap(), None, "{}", same);
    }
    let run =
        |setting: &str, from: &str| String::from_utf8(transform(&config(setting), from).unwrap().unwrap()).unwrap();
    assert_eq!(
        run(
            "{}",
            r#"{ "x":1.0,"content":[{"type":"text","text":"hi"},{"text":"<a\/>\n","type":"text","_meta":{"k":[1]}},{"type":"text","text":"<b/>"}] , "isError":false }"#
        ),
        r#"{ "x":1.0,"content":[{"type":"text","text":"hi"},{"text":"{\"a\":\"\"}","type":"text","_meta":{"k":[1]}},{"type":"text","text":"<b/>"}] , "isError":false ,"structuredContent":{"a":""}}"#,
    );
    assert_eq!(
        run(r#"{"blocks":"all"}"#, r#"{"content":[{"type":"text","text":"<a/>"},{"type":"text","text":"<b/>"}]}"#),
        r#"{"content":[{"type":"text","text":"{\"a\":\"\"}"},{"type":"text","text":"{\"b\":\"\"}"}],"structuredContent":{"documents":[{"a":""},{"b":""}]}}"#,
    );
    assert_eq!(
        run("{}", r#"{"structuredContent":{"k":1},"isError":false,"content":[{"type":"text","text":"<a>"}]}"#),
        r#"{"structuredContent":{"k":1},"isError":true,"content":[{"type":"text","text":"The answer is not XML that can be read: line 1, column 4: <a> does not end."}]}"#,
    );
    assert!(
        looks_like_xml("\u{feff}\n<a")
            && looks_like_xml("<é>")
            && !looks_like_xml("<")
            && !looks_like_xml("< a")
            && !looks_like_xml("x<a>")
    );
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

fn element(dice: &mut Dice, depth: usize, out: &mut String) {
    let name = ["a", "b", "s:c", "é", "s:a"][dice.roll(5)];
    out.push('<');
    out.push_str(name);
    out.push_str(" xmlns:s='urn:s'");
    for name in ["x", "s:x", "y"].iter().take(dice.roll(4)) {
        out.push_str(&format!(" {}=\"{}\"", name, ["", "1", "&lt;\n\"".trim_end_matches('"'), "é"][dice.roll(4)]));
    }
    out.push('>');
    for _ in 0..dice.roll(4) {
        match dice.roll(5) {
            0 => out.push_str("text \"&amp;\\"),
            1 => out.push_str("<![CDATA[<&]]>"),
            2 => out.push_str("<!-- - -->"),
            _ if depth > 0 => element(dice, depth - 1, out),
            _ => out.push_str("\n  1"),
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[test]
fn good_xml_is_good_json_and_stays() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for setting in ["{}", r#"{"stripNamespaces":false,"numbers":"convert","attributePrefix":"","arrays":["/**/b"]}"#] {
        for _ in 0..5_000 {
            let mut text = String::new();
            element(&mut dice, 4, &mut text);
            let (value, said, failed) = run(setting, &text);
            assert!(!failed, "{}: {}", text, said);
            assert_eq!(value.as_deref(), Some(said.as_str()));
            json::parse(said.as_bytes()).unwrap_or_else(|e| panic!("{}: {} became {}", e, text, said));
            assert_eq!(transform(&config(setting), &payload(&[&said])).unwrap(), None);
        }
    }
}

#[test]
fn no_text_breaks_it() {
    const BITS: &[&str] = &[
        "<",
        ">",
        "/",
        "a",
        "<a",
        "<a>",
        "</a>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "<?xml version='1.0'",
        "xmlns",
        ":",
        "=",
        "'",
        "\"",
        " ",
        "\n",
        "&",
        ";",
        "&lt;",
        "&#",
        "x",
        "é",
        "\u{1F600}",
        "<!DOCTYPE",
        "\u{feff}",
        "xml",
        "\r",
        "{",
        "\\",
    ];
    let c = config(r#"{"blocks":"all"}"#);
    let mut dice = Dice(88_172_645_463_325_252);
    for _ in 0..50_000 {
        let text: String = (0..dice.roll(20)).map(|_| BITS[dice.roll(BITS.len())]).collect();
        if let Some(out) = transform(&c, &payload(&[&text, "<a/>"])).unwrap() {
            json::parse(&out).unwrap_or_else(|e| panic!("{}: {} became {}", e, text, String::from_utf8_lossy(&out)));
        }
        let _ = transform(&c, &text);
        let _ = transform(&c, &format!(r#"{{"content":[{{"type":"text","text":"{}"#, text));
    }
}

/// Natively a megabyte takes well under a second; what is quadratic takes hours.
#[test]
fn hostile_texts_take_linear_time() {
    let head: String = (0..199)
        .map(|i| format!(" xmlns:p{}='u{}'", i, i))
        .collect::<Vec<_>>()
        .chunks(99)
        .map(|c| format!("<a{}>", c.concat()))
        .collect();
    for (begin, bit) in [
        ("<a>", "<b/>"),
        ("<a>", "x"),
        ("<a>", "&lt;"),
        ("<a>", "<!---->"),
        ("<a>", "<![CDATA[]]>"),
        ("<a>", "<?b?>"),
        ("", "<a>"),
        ("<a ", "b='' "),
        ("<a b='", "x\n"),
        ("<a>", "\r"),
        ("<a>", "x<b/>"),
        ("<", "a"),
        ("<a>&", "a"),
        ("<!--", "-"),
        (&head, "<p0:b/>"),
        ("<a>", "<b x='1' y='2' z='3'/>"),
        ("<a>", "<b xmlns:x='u'/>"),
        ("<a>", "]]"),
    ] {
        let text = begin.to_owned() + &bit.repeat((1 << 20) / bit.len());
        let began = std::time::Instant::now();
        run("{}", &text);
        run("{}", &(text + "</a>"));
        assert!(began.elapsed().as_secs() < 20, "{:?} took {:?}", bit, began.elapsed());
    }
}
