import { base64 } from "./base64";
import { Bytes } from "./bytes";
import { Json, Kind, kindName } from "./json";
import { parseJson } from "./parse";

/** MCP's CallToolResult: what a response transformer reads and changes, and what a tool may answer with. Members that it has no word for are kept. */
@final
export class Result {
  private input: Bytes | null = null;
  private value: Json | null = null;

  /** Why what came in is no CallToolResult, "" when it is one. */
  problem: string = "";

  /** An empty result: `new Result().add("three").add("blocks")`. */
  constructor() {}

  /** For the SDK: bytes that are parsed when somebody looks. */
  static lazy(ptr: usize, len: u32): Result {
    const r = new Result();
    r.input = new Bytes(null, ptr, len);
    return r;
  }

  /** A result that is there. */
  static of(object: Json): Result {
    const r = new Result();
    r.value = object;
    return r;
  }

  /** The result as it came, not parsed and not copied: valid until the handler returns. */
  get bytes(): Bytes {
    const b = this.input;
    return b ? b : this.json.toBytes();
  }

  /** The whole object. */
  get json(): Json {
    const known = this.value;
    if (known) return known;
    const input = this.input;
    let v: Json | null = Json.object();
    if (input) v = parseJson(input.ptr, input.length);
    if (!v) {
      this.problem = "the result " + Json.problem;
      v = Json.object();
    } else if (v.kind != Kind.Object) {
      this.problem = "the result must be an object, not " + kindName(v.kind);
      v = Json.object();
    }
    this.value = v;
    return v;
  }

  /** The array of content blocks; it is made when it is missing. */
  get content(): Json {
    const known = this.json.get("content");
    if (known && known.kind == Kind.Array) return known;
    const made = Json.array();
    this.json.set("content", made);
    return made;
  }

  /** How many content blocks there are. */
  get length(): i32 {
    const known = this.json.get("content");
    return known && known.kind == Kind.Array ? known.length : 0;
  }

  /** The text of a block, null when it is none of text. */
  textAt(i: i32): string | null {
    if (i < 0 || i >= this.length) return null;
    const block = this.content.at(i);
    const type = block.get("type"), text = block.get("text");
    if (!type || !text || type.text != "text" || text.kind != Kind.String) return null;
    return text.text;
  }

  /** Replaces the text of a block of text. */
  setText(i: i32, text: string): void {
    if (this.textAt(i) === null) throw new Error("that block is none of text");
    this.content.at(i).set("text", Json.string(text));
  }

  /** Adds a block of text. */
  add(text: string): Result {
    this.content.push(Json.object().set("type", Json.string("text")).set("text", Json.string(text)));
    return this;
  }

  /** Adds an image; data is the file. */
  addImage(mimeType: string, data: Bytes): Result {
    this.content.push(Json.object().set("type", Json.string("image")).set("data", Json.string(base64(data))).set("mimeType", Json.string(mimeType)));
    return this;
  }

  /** All texts, one line each. */
  toString(): string {
    let s = "";
    for (let i = 0; i < this.length; i++) {
      const text = this.textAt(i);
      if (text === null) continue;
      s = s.length == 0 ? text : s + "\n" + text;
    }
    return s;
  }

  /** The structured content, null when there is none. */
  get structured(): Json | null {
    const v = this.json.get("structuredContent");
    return v && v.kind == Kind.Object ? v : null;
  }

  set structured(v: Json | null) {
    if (v) this.json.set("structuredContent", v);
    else this.json.remove("structuredContent");
  }

  get isError(): bool {
    const v = this.json.get("isError");
    return v ? v.isTrue : false;
  }

  set isError(v: bool) {
    if (v || this.json.has("isError")) this.json.set("isError", Json.bool(v));
  }
}
