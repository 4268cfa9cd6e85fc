// ASCII armor, decoded as it comes. age, "ASCII armor": lines of 64 columns, the last one shorter and padded.
// Strict: one text for each file, so that no changed character passes. atob() would take many.

import { Failure } from "../messages.ts";

export const BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----";
export const END = "-----END AGE ENCRYPTED FILE-----";

const COLUMNS = 64;
const LINE = 48; // bytes
const NEWLINE = 10;
const RETURN = 13;
const PAD = 61;
const BAD = 64; // no value of a character

const VALUES = new Uint8Array(256).fill(BAD);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((character, value) => {
  VALUES[character.charCodeAt(0)] = value;
});

/** Decodes armor that comes in pieces of any size. Raises `damaged`, `truncated`. */
export class ArmorDecoder {
  readonly chunks: Uint8Array<ArrayBuffer>[] = [];
  size = 0;
  #rest: Uint8Array = new Uint8Array(0);
  #begun = false;
  #last = false; // a shorter line has come
  #ended = false;

  update(piece: Uint8Array): void {
    let data = piece;
    if (this.#rest.length) {
      data = new Uint8Array(this.#rest.length + piece.length);
      data.set(this.#rest);
      data.set(piece, this.#rest.length);
    }
    const out = new Uint8Array(Math.ceil(data.length / (COLUMNS + 1)) * LINE + LINE);
    let [start, used] = [0, 0];
    for (;;) {
      const end = data.indexOf(NEWLINE, start);
      if (end < 0) break;
      const stop = end > start && data[end - 1] === RETURN ? end - 1 : end;
      used = this.#line(data, start, stop, out, used);
      start = end + 1;
    }
    this.#rest = data.slice(start);
    if (this.#rest.length > COLUMNS + 2) throw new Failure("damaged");
    if (used) this.chunks.push(out.slice(0, used));
    this.size += used;
  }

  /** Say that nothing follows. */
  finish(): void {
    this.update(Uint8Array.of(NEWLINE)); // after the last line there may be none
    if (!this.#begun || !this.#ended) throw new Failure("truncated");
  }

  #line(data: Uint8Array, start: number, stop: number, out: Uint8Array, used: number): number {
    const length = stop - start;
    if (!this.#begun || this.#ended || data[start] === BEGIN.charCodeAt(0)) {
      const text = new TextDecoder().decode(data.subarray(start, stop));
      if (!this.#begun && text === BEGIN) this.#begun = true;
      else if (this.#begun && !this.#ended && text === END) this.#ended = true;
      else if (text.trim() || (this.#begun && !this.#ended)) throw new Failure("damaged");
      return used;
    }
    if (this.#last || !length || length > COLUMNS || length % 4) throw new Failure("damaged");
    const padded = data[stop - 1] === PAD ? (data[stop - 2] === PAD ? 2 : 1) : 0;
    this.#last = length < COLUMNS || padded > 0;
    let wrong = 0;
    for (let at = start; at < stop - 4; at += 4, used += 3) wrong |= decode(data, at, out, used);
    if (!padded) wrong |= decode(data, stop - 4, out, used);
    else wrong |= decodePadded(data, stop - 4, padded, out, used);
    if (wrong) throw new Failure("damaged");
    return used + 3 - padded;
  }
}

function decode(data: Uint8Array, at: number, out: Uint8Array, used: number): number {
  const a = VALUES[data[at]!]!;
  const b = VALUES[data[at + 1]!]!;
  const c = VALUES[data[at + 2]!]!;
  const d = VALUES[data[at + 3]!]!;
  out[used] = (a << 2) | (b >> 4);
  out[used + 1] = (b << 4) | (c >> 2);
  out[used + 2] = (c << 6) | d;
  return (a | b | c | d) & BAD;
}

/** The last four characters, of which one or two are padding. Bits that mean nothing have to be zero. */
function decodePadded(data: Uint8Array, at: number, padded: number, out: Uint8Array, used: number): number {
  const a = VALUES[data[at]!]!;
  const b = VALUES[data[at + 1]!]!;
  const c = padded === 1 ? VALUES[data[at + 2]!]! : 0;
  out[used] = (a << 2) | (b >> 4);
  out[used + 1] = (b << 4) | (c >> 2);
  const loose = padded === 1 ? c & 3 : b & 15;
  return ((a | b | c) & BAD) | loose;
}
