// Numbers of JSON as 64 bit floats, rounded to the nearest. The parseFloat of asc
// 0.28.20 is off in the last digit at times, and by powers of ten from 1e38 on.

// 10^0 to 10^22: all that a float holds exactly.
const TENS: StaticArray<f64> = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

// Digits of a number 0.ddd × 10^point, for what is not exact at once. More than 800 are
// not needed to round right, only whether there was one that is not 0.
const MOST: usize = 800;
const FRONT: usize = 400; // where digits begin at first: multiplying adds some in front of them
const room = memory.data(1216); // FRONT + MOST + 16
let first: usize = 0;
let last: usize = 0; // behind the last digit
let point = 0;
let cut = false; // a digit that is not 0 was left out

/** The value of a number that keeps to the grammar of JSON; Infinity past what 64 bits hold. */
export function floatOf(text: string): f64 {
  let at = 0;
  const negative = text.charCodeAt(0) == 0x2d;
  if (negative) at++;
  let mantissa: u64 = 0;
  let exponent = 0;
  let fraction = false;
  first = last = room + FRONT;
  point = 0;
  cut = false;
  for (; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c == 0x2e) {
      fraction = true;
      continue;
    }
    if (c > 0x39) break; // e or E
    const digit = c - 0x30;
    const some = last > first;
    if (!fraction && (some || digit > 0)) point++;
    if (fraction && !some && digit == 0) point--;
    if (some || digit > 0) append(digit);
  }
  if (at < text.length) {
    const sign = text.charCodeAt(++at);
    if (sign == 0x2b || sign == 0x2d) at++;
    for (; at < text.length; at++) exponent = min(exponent * 10 + text.charCodeAt(at) - 0x30, 100_000_000);
    if (sign == 0x2d) exponent = -exponent;
  }
  point += exponent;
  trim();
  const n = <i32>(last - first);
  let v: f64 = 0;
  if (n > 0) {
    const power = point - n; // of the number as an integer × 10^power
    if (n <= 15 && power >= -22 && power <= 22 && !cut) {
      for (let p = first; p < last; p++) mantissa = mantissa * 10 + load<u8>(p);
      // Both are exact, so this rounds once.
      v = power < 0 ? <f64>mantissa / TENS[-power] : <f64>mantissa * TENS[power];
    } else {
      v = rounded();
    }
  }
  return negative ? -v : v;
}

function append(digit: u32): void {
  if (last - first < MOST) store<u8>(last++, digit);
  else if (digit != 0) cut = true;
}

// Takes zeros off the end.
function trim(): void {
  while (last > first && load<u8>(last - 1) == 0) last--;
  if (last == first) point = 0;
}

// The digits as a float: they are brought into [1/2, 1) by powers of two, and then to
// an integer of 53 bits, which is rounded.
function rounded(): f64 {
  if (point > 310) return Infinity;
  if (point < -330) return 0;
  let exponent = 0; // of two
  while (point > 0) {
    const k = min(3 * point, 56);
    halve(k);
    exponent += k;
  }
  while (point < 0 || load<u8>(first) < 5) {
    const k = point == 0 ? 1 : min(-3 * point, 56);
    double(k);
    exponent -= k;
  }
  exponent--; // [1, 2)
  if (exponent > 1023) return Infinity;
  for (let low = -1022 - exponent; low > 0; low = -1022 - exponent) { // a number with fewer bits
    const k = min(low, 56);
    halve(k);
    exponent += k;
  }
  double(53);
  let mantissa = integer();
  // It was below 1 and has at most 53 bits; one more if it was rounded up to 2^53.
  if (mantissa == <u64>1 << 53) {
    mantissa >>= 1;
    if (++exponent > 1023) return Infinity;
  }
  // With exponent -1022 and the highest bit not there, the number is a subnormal one.
  const biased = mantissa >> 52 == 0 ? <u64>0 : <u64>(exponent + 1023);
  return reinterpret<f64>(biased << 52 | (mantissa & 0x000f_ffff_ffff_ffff));
}

// Divides by 2^k, k at most 56.
function halve(k: i32): void {
  const mask = ((<u64>1) << k) - 1;
  let rest: u64 = 0;
  let to = room + FRONT;
  const start = to;
  let from = first;
  const end = last;
  if (from < to) { // what is in front goes to its place: writing must not overtake reading
    memory.copy(to, from, end - from);
    last = to + (end - from);
    from = to;
  }
  const stop = last;
  first = start;
  for (; from < stop; from++) {
    rest = rest * 10 + load<u8>(from);
    const digit = rest >> k;
    rest &= mask;
    if (to == start && digit == 0) point--;
    else store<u8>(to++, <u32>digit);
  }
  last = to;
  while (rest != 0) {
    rest *= 10;
    const digit = <u32>(rest >> k);
    rest &= mask;
    if (last == first && digit == 0) point--;
    else append(digit);
  }
  trim();
}

// Multiplies by 2^k, k at most 56.
function double(k: i32): void {
  if (first < room + 32) { // room for the digits that come in front
    memory.copy(room + FRONT, first, min(last - first, MOST));
    last = room + FRONT + min(last - first, MOST);
    first = room + FRONT;
  }
  let carry: u64 = 0;
  for (let p = last; p > first; ) {
    p--;
    carry += (<u64>load<u8>(p)) << k;
    store<u8>(p, <u32>(carry % 10));
    carry /= 10;
  }
  for (; carry != 0; carry /= 10) {
    store<u8>(--first, <u32>(carry % 10));
    point++;
  }
  while (last - first > MOST) if (load<u8>(--last) != 0) cut = true;
  trim();
}

// The digits before the point as an integer, rounded to the nearest, to even between two.
function integer(): u64 {
  const n = <i32>(last - first);
  if (point < 0) return 0;
  let v: u64 = 0;
  for (let i = 0; i < point; i++) v = v * 10 + (i < n ? <u64>load<u8>(first + i) : 0);
  if (point >= n) return v;
  const next = load<u8>(first + point);
  const half = next == 5 && point + 1 == n && !cut;
  if (half ? (v & 1) == 1 : next >= 5) v++;
  return v;
}
