import { convert, round, unitOf } from "./unit";

// What becomes what. A symbol that begins like another one comes before it.
const METRIC: Array<string> = ["°C", "km/h", "km", "kg", "mm"];
const IMPERIAL: Array<string> = ["°F", "mph", "mi", "lb", "in"];

/** The text with its metric measures in imperial units, to one decimal: "-3.5 °C" becomes "25.7 °F". */
export function toImperial(text: string): string {
  let out = "";
  let done = 0;
  for (let i = 0; i < text.length; i++) {
    if (!digit(text, i)) continue;
    const start = signed(text, i) ? i - 1 : i;
    let end = digits(text, i);
    if (end < text.length && text.charAt(end) == "." && digit(text, end + 1)) end = digits(text, end + 1);
    const space = end < text.length && (text.charAt(end) == " " || text.charAt(end) == "\u00a0") ? 1 : 0;
    const unit = unitAt(text, end + space);
    const within = i > 0 && (word(text, i - 1) || text.charAt(i - 1) == "."); // of v2 or 1.2.3
    i = end - 1;
    if (unit < 0 || within) continue;
    const from = unitOf(METRIC[unit]), to = unitOf(IMPERIAL[unit]);
    if (!from || !to) continue;
    const value = round(convert(F64.parseFloat(text.substring(start, end)), from, to), 10);
    const shown = value == Math.trunc(value) ? (<i64>value).toString() : value.toString();
    out += text.substring(done, start) + shown + text.substring(end, end + space) + to.symbol;
    done = end + space + from.symbol.length;
    i = done - 1;
  }
  return out + text.substring(done);
}

// Which of METRIC stands there, as a whole word; -1 = none.
function unitAt(text: string, at: i32): i32 {
  for (let k = 0; k < METRIC.length; k++) {
    const symbol = METRIC[k];
    if (text.startsWith(symbol, at) && !word(text, at + symbol.length)) return k;
  }
  return -1;
}

// Whether the minus before a digit is a sign, and not that of 3-5.
function signed(text: string, i: i32): bool {
  return i > 0 && text.charAt(i - 1) == "-" && !(i > 1 && word(text, i - 2));
}

function digit(text: string, i: i32): bool {
  const c = i < text.length ? text.charCodeAt(i) : 0;
  return c >= 0x30 && c <= 0x39;
}

function digits(text: string, i: i32): i32 {
  while (digit(text, i)) i++;
  return i;
}

function word(text: string, i: i32): bool {
  if (i >= text.length) return false;
  const c = text.charCodeAt(i) | 0x20;
  return digit(text, i) || (c >= 0x61 && c <= 0x7a);
}
