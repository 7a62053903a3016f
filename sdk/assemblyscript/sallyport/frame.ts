import { decode, equal } from "./bytes";

/** The largest number of pairs in a frame. */
export const MAX_PAIRS: u32 = 64;

/**
 * The pairs of a frame where they lie. `payload` is behind them; a frame whose lengths
 * run past its end, or with more than 64 pairs, is refused.
 */
@final
export class Frame {
  private pairs: usize = 0;
  payload: usize = 0;
  size: u32 = 0; // of the payload

  /** Proves a frame in. */
  open(ptr: usize, len: u32): bool {
    this.pairs = this.payload = 0;
    this.size = 0;
    if (len < 4) return false;
    const end = ptr + len;
    const n = load<u32>(ptr);
    if (n > MAX_PAIRS) return false;
    let at = ptr + 4;
    for (let i: u32 = 0; i < 2 * n; i++) {
      if (end - at < 4) return false;
      const size = load<u32>(at);
      at += 4;
      if (size > <u32>(end - at)) return false;
      at += size;
    }
    this.pairs = ptr;
    this.payload = at;
    this.size = <u32>(end - at);
    return true;
  }

  /** Forgets the frame. */
  close(): void {
    this.pairs = this.payload = 0;
    this.size = 0;
  }

  /** How many pairs there are. */
  get length(): u32 {
    return this.pairs == 0 ? 0 : load<u32>(this.pairs);
  }

  /** Where the value of the first pair with that key begins, at its length; 0 = there is none. */
  find(key: string): usize {
    const n = this.length;
    let at = this.pairs + 4;
    for (let i: u32 = 0; i < n; i++) {
      const size = load<u32>(at);
      const value = at + 4 + size;
      if (equal(at + 4, size, key)) return value;
      at = value + 4 + load<u32>(value);
    }
    return 0;
  }

  /** The value of the first pair with that key, "" when there is none. */
  get(key: string): string {
    const value = this.find(key);
    return value == 0 ? "" : decode(value + 4, load<u32>(value));
  }

  /** Key and value one after the other, of all pairs. */
  texts(): Array<string> {
    const n = this.length;
    const all = new Array<string>();
    let at = this.pairs + 4;
    for (let i: u32 = 0; i < 2 * n; i++) {
      const size = load<u32>(at);
      all.push(decode(at + 4, size));
      at += 4 + size;
    }
    return all;
  }
}
