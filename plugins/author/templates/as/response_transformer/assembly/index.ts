// A plugin that masks e-mail addresses in the results of all tools that it stands behind.
import { Answer, Json, Kind, responseTransform } from "./sallyport";
export { sallyport_abi_v1, sallyport_alloc, sallyport_response_transform } from "./sallyport/exports";

responseTransform((ctx, result) => (maskAll(result.json) ? Answer.result(result) : Answer.unchanged()));

// Masks every text in a value, and says whether there was one to mask.
function maskAll(value: Json): bool {
  let changed = false;
  for (let i = 0; i < value.length; i++) {
    const inner = value.at(i);
    if (inner.kind == Kind.Array || inner.kind == Kind.Object) {
      if (maskAll(inner)) changed = true;
      continue;
    }
    if (inner.kind != Kind.String) continue;
    const masked = mask(inner.text);
    if (masked === null) continue;
    if (value.kind == Kind.Object) value.set(value.name(i), Json.string(masked));
    else value.replace(i, Json.string(masked));
    changed = true;
  }
  return changed;
}

// Replaces what looks like an e-mail address: a@b.c. null when there is nothing.
function mask(text: string): string | null {
  let out = "", done = 0;
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", max(at + 1, done))) {
    let from = at, to = at + 1;
    while (from > done && (alphanumeric(text.charCodeAt(from - 1)) || "._%+-".includes(text.charAt(from - 1)))) from--;
    while (to < text.length && (alphanumeric(text.charCodeAt(to)) || "-.".includes(text.charAt(to)))) to++;
    while (to > at + 1 && "-.".includes(text.charAt(to - 1))) to--;
    let start = at + 1;
    while (start < to && text.charAt(start) == ".") start++;
    const dot = text.indexOf(".", start);
    if (from == at || dot < 0 || dot >= to) continue;
    out += text.substring(done, from) + "[e-mail]";
    done = to;
  }
  return done == 0 ? null : out + text.substring(done);
}

function alphanumeric(c: i32): bool {
  return (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a);
}
