import { Bytes } from "./bytes";
import { Json, Kind } from "./json";
import { Result } from "./result";
import { Writer, out } from "./writer";

/** What a call is answered with, as ABI.md numbers it in section 6. */
export enum Status { OK, Unchanged, ToolError, InvalidArgs, UnknownTool, Denied, Unavailable, Internal }

/** What a handler returns. */
@final
export class Answer {
  /** For the SDK: use the functions below. */
  constructor(
    readonly status: Status,
    private words: string = "",
    private json: Json | null = null,
    private raw: Bytes | null = null,
    private mime: string = "",
    private twice: bool = false,
    readonly after: i64 = 0,
  ) {}

  /** Done, with nothing to say: authorizers and `configure`. */
  static ok(): Answer {
    return new Answer(Status.OK);
  }

  /** Transformers: what came in stands. */
  static unchanged(): Answer {
    return new Answer(Status.Unchanged);
  }

  /** A tool's answer: one block of text. The host does the quoting. */
  static text(s: string, mime: string = "text/plain"): Answer {
    return new Answer(Status.OK, s, null, null, mime);
  }

  /** The same of UTF-8 that need not become a string first. */
  static plain(utf8: Bytes, mime: string = "text/plain"): Answer {
    return new Answer(Status.OK, "", null, utf8, mime);
  }

  /** A tool's answer: structured content, and the same JSON as text for older clients. What is no object becomes text only. */
  static structured(v: Json): Answer {
    return v.kind == Kind.Object ? new Answer(Status.OK, "", v, null, "", true) : new Answer(Status.OK, "", v, null, "text/plain");
  }

  /** A CallToolResult: of a tool or a response transformer. */
  static result(r: Result): Answer {
    return new Answer(Status.OK, "", r.json);
  }

  /** JSON as it is: the changed arguments of a request transformer, the list of `toolsList`. */
  static json(v: Json): Answer {
    return new Answer(Status.OK, "", v);
  }

  /** A payload that is encoded already. */
  static raw(payload: Bytes): Answer {
    return new Answer(Status.OK, "", null, payload);
  }

  /** Why a tool could not do it: the model reads it. Outside of tools it is INTERNAL and goes to the log. */
  static error(text: string): Answer {
    return new Answer(Status.ToolError, text);
  }

  /** What is wrong with the arguments; the caller reads it. */
  static invalidArgs(text: string): Answer {
    return new Answer(Status.InvalidArgs, text);
  }

  static unknownTool(name: string): Answer {
    return new Answer(Status.UnknownTool, "there is no tool \"" + name + "\"");
  }

  /** Refuses the call. */
  static denied(text: string): Answer {
    return new Answer(Status.Denied, text);
  }

  /** Something is down; try again after so many milliseconds, 0 = not known. */
  static unavailable(text: string, retryAfterMs: i64 = 0): Answer {
    return new Answer(Status.Unavailable, text, null, null, "", false, retryAfterMs);
  }

  /** A fault of the plugin: the text goes to the log and nowhere else. */
  static internal(text: string): Answer {
    return new Answer(Status.Internal, text);
  }

  get isError(): bool {
    return this.status > Status.Unchanged;
  }

  /** For the SDK: writes the frame out. */
  frame(inTool: bool): void {
    let status: u32 = this.status;
    if (status == Status.ToolError && !inTool) status = Status.Internal;
    out.u32(status);
    if (this.mime.length > 0) {
      out.u32(1);
      out.text("mime");
      out.text(this.mime);
    } else if (status == Status.Unavailable && this.after > 0) {
      out.u32(1);
      out.text("retry_after_ms");
      out.text(this.after.toString());
    } else {
      out.u32(0);
    }
    if (status == Status.Unchanged) return;
    const json = this.json, raw = this.raw;
    if (raw) out.bytes(raw.ptr, raw.length);
    else if (!json) out.utf8(this.words);
    else if (this.twice) writeStructured(json);
    else json.write(out);
  }
}

// A CallToolResult that says the same twice.
function writeStructured(v: Json): void {
  const w = new Writer();
  v.write(w);
  out.utf8("{\"content\":[{\"type\":\"text\",\"text\":");
  out.quoteUTF8(w.ptr, w.len);
  out.utf8("}],\"structuredContent\":");
  out.bytes(w.ptr, w.len);
  out.byte(0x7d);
  w.free();
}
