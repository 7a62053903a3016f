// A plugin that takes card numbers out of the arguments of all tools that it stands
// before: what does not arrive cannot leak.
import { Answer, Json, Kind, requestTransform } from "./sallyport";
export { sallyport_abi_v1, sallyport_alloc, sallyport_request_transform } from "./sallyport/exports";

requestTransform((ctx, args) => {
  const value = args.json;
  return value && maskAll(value) ? Answer.json(value) : Answer.unchanged();
});

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

// Leaves the last four digits of each card number. null when there is nothing.
function mask(text: string): string | null {
  let out = "", done = 0;
  for (let at = 0; at < text.length; at++) {
    let end = at;
    while (end < text.length && digit(text.charCodeAt(end))) end++;
    if (card(text.substring(at, end))) {
      out += text.substring(done, at) + "****";
      done = end - 4;
    }
    if (end > at) at = end - 1;
  }
  return done == 0 ? null : out + text.substring(done);
}

// Whether digits are a card number: 13 to 19, with the check digit of Luhn.
function card(digits: string): bool {
  if (digits.length < 13 || digits.length > 19) return false;
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    let n = digits.charCodeAt(digits.length - 1 - i) - 0x30;
    if (i % 2 == 1) n = n * 2 > 9 ? n * 2 - 9 : n * 2;
    sum += n;
  }
  return sum % 10 == 0;
}

function digit(c: i32): bool {
  return c >= 0x30 && c <= 0x39;
}
