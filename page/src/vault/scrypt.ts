// The passphrase of an age file, as typage's own identity reads it, but with progress, and with a bound. age, "scrypt".

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { scrypt } from "@noble/hashes/scrypt.js";
import { base64nopad } from "@scure/base";
import type { Identity, Stanza } from "age-encryption";
import { Failure } from "../messages.ts";

const LABEL = new TextEncoder().encode("age-encryption.org/v1/scrypt");
const HIGHEST_LOG_N = 20; // 1 GiB, and some ten seconds; strongroom and age write 18
const SALT = 16;
const BODY = 32;
const WORK = /^[1-9][0-9]?$/;

/** Opens files that were sealed with a password. Derived keys are wiped. */
export class Passphrase implements Identity {
  readonly #phrase: Uint8Array;
  readonly #progress: (part: number) => void;

  constructor(phrase: string, progress: (part: number) => void) {
    this.#phrase = new TextEncoder().encode(phrase);
    this.#progress = progress;
  }

  unwrapFileKey(stanzas: Stanza[]): Uint8Array | null {
    const stanza = stanzas.find(({ args }) => args[0] === "scrypt");
    if (!stanza) return null;
    const [, salt64, work] = stanza.args;
    if (stanzas.length !== 1 || stanza.args.length !== 3 || !WORK.test(work!) || stanza.body.length !== BODY) {
      throw new Failure("damaged");
    }
    const salt = base64nopad.decode(salt64!);
    if (salt.length !== SALT) throw new Failure("damaged");
    const logN = Number(work);
    if (logN > HIGHEST_LOG_N) throw new Failure("too-much-work");
    const salted = new Uint8Array(LABEL.length + SALT);
    salted.set(LABEL);
    salted.set(salt, LABEL.length);
    const key = scrypt(this.#phrase, salted, { N: 2 ** logN, r: 8, p: 1, dkLen: 32, onProgress: this.#progress });
    try {
      return chacha20poly1305(key, new Uint8Array(12)).decrypt(stanza.body);
    } catch {
      return null;
    } finally {
      key.fill(0);
    }
  }

  wipe(): void {
    this.#phrase.fill(0);
  }
}
