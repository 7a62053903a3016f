import { Bytes } from "./bytes";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Bytes as base64 with padding (RFC 4648, section 4), as MCP has images and audio. */
export function base64(data: Bytes): string {
  const n = data.length;
  const units = new StaticArray<u16>((n + 2) / 3 * 4);
  let to = 0;
  for (let i = 0; i < n; i += 3) {
    const left = n - i;
    const word = <u32>data[i] << 16 | (left > 1 ? <u32>data[i + 1] << 8 : 0) | (left > 2 ? <u32>data[i + 2] : 0);
    units[to++] = <u16>ALPHABET.charCodeAt(word >> 18);
    units[to++] = <u16>ALPHABET.charCodeAt(word >> 12 & 63);
    units[to++] = left > 1 ? <u16>ALPHABET.charCodeAt(word >> 6 & 63) : 0x3d;
    units[to++] = left > 2 ? <u16>ALPHABET.charCodeAt(word & 63) : 0x3d;
  }
  return String.UTF16.decodeUnsafe(changetype<usize>(units), <usize>units.length << 1);
}
