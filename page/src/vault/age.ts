// An age file, opened whole: nothing of it leaves this module before its last chunk is authenticated.

import { Decrypter, type Stanza } from "age-encryption";
import { Failure, type Opener, type Progress } from "../messages.ts";
import { forEach } from "./bytes.ts";
import { Passphrase } from "./scrypt.ts";

/** Ciphertext that can be read more than once: a password may be mistyped. */
export interface Sealed {
  size: number;
  stream: () => ReadableStream<Uint8Array>;
}

const LARGEST_HEADER = 2 * 1024 * 1024;
const VERSION = "age-encryption.org/v1\n";
const KEY = /^AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+$/;

/** What opens the file, by the first lines of its header. Nothing vouches for them yet. */
export async function openerOf(sealed: Sealed): Promise<Opener> {
  const head = await start(sealed, 64 * 1024);
  if (!head.startsWith(VERSION)) throw new Failure("damaged");
  return head.startsWith("-> scrypt ", VERSION.length) ? "password" : "identity";
}

async function start(sealed: Sealed, length: number): Promise<string> {
  const reader = sealed.stream().getReader();
  let text = "";
  while (text.length < length) {
    const { done, value } = await reader.read();
    if (done) break;
    text += new TextDecoder("latin1").decode(value.subarray(0, length));
  }
  await reader.cancel();
  return text;
}

/** Identities in text as `age-keygen` and `strongroom keygen` write it: one a line, # begins a comment. */
export function identitiesIn(text: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const keys = lines.filter((line) => line && !line.startsWith("#")).map((line) => line.toUpperCase());
  if (!keys.every((key) => KEY.test(key))) throw new Failure("bad-identity");
  return keys;
}

/**
 * Decrypt `sealed`. Raises `wrong-password` or `wrong-identity` where nothing fits, `needs-…` where the other kind is
 * called for, `damaged`, `too-large`.
 */
export async function decrypt(
  sealed: Sealed,
  password: string,
  identities: string,
  progress: Progress,
): Promise<Uint8Array<ArrayBuffer>> {
  const decrypter = new Decrypter();
  const seen = { kinds: [] as string[], unmatched: false };
  const phrase = new Passphrase(password, (part) => progress("key", part, 1));
  decrypter.addIdentity({ unwrapFileKey: (stanzas: Stanza[]) => note(seen, stanzas) });
  if (password) decrypter.addIdentity(phrase);
  for (const key of identitiesIn(identities)) {
    try {
      decrypter.addIdentity(key);
    } catch {
      throw new Failure("bad-identity");
    }
  }
  decrypter.addIdentity({ unwrapFileKey: () => ((seen.unmatched = true), null) });
  try {
    const plain = await decrypter.decrypt(bounded(sealed));
    return await gather(plain, plain.size(sealed.size), progress);
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (error instanceof RangeError) throw new Failure("too-large"); // memory for an array was refused
    if (!seen.unmatched) throw new Failure("damaged");
    if (seen.kinds.includes("scrypt")) throw new Failure(password ? "wrong-password" : "needs-password");
    throw new Failure(identities.trim() ? "wrong-identity" : "needs-identity");
  } finally {
    phrase.wipe();
  }
}

function note(seen: { kinds: string[] }, stanzas: Stanza[]): null {
  seen.kinds = stanzas.map(({ args }) => args[0]!);
  return null;
}

/** The file, but refuse a header without an end: it is gathered in memory, line by line. */
function bounded(sealed: Sealed): ReadableStream<Uint8Array> {
  let [given, closed, tail] = [0, false, ""];
  return sealed.stream().pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        if (!closed) {
          tail = tail.slice(-4) + new TextDecoder("latin1").decode(chunk);
          closed = tail.includes("\n---");
          given += chunk.length;
          if (!closed && given > LARGEST_HEADER) throw new Failure("damaged");
        }
        controller.enqueue(chunk);
      },
    }),
  );
}

async function gather(
  stream: ReadableStream<Uint8Array>,
  size: number,
  progress: Progress,
): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(size);
  let done = 0;
  try {
    await forEach(stream, (chunk) => {
      all.set(chunk, done);
      done += chunk.length;
      progress("decrypt", done, size);
    });
    if (done !== size) throw new Failure("damaged");
    return all;
  } catch (error) {
    all.fill(0);
    throw error instanceof RangeError ? new Failure("damaged") : error; // of set(): more came than the size allows
  }
}
