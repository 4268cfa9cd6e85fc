// The worker: keys and plaintext live here. Ending it is what "lock" does.

import { Failure, type Opener, type Request, type Response, type Stage } from "../messages.ts";
import { decrypt, openerOf } from "./age.ts";
import { type Archive, Single, Zip } from "./archive.ts";
import { ArmorDecoder } from "./armor.ts";
import { type Found, find, sealedOf } from "./files.ts";
import { previewOf } from "./preview.ts";

interface Scope {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(message: Response, transfer: Transferable[]): void;
}

const PAUSE = 100; // ms between two words of progress

class Vault {
  readonly #decoder = new ArmorDecoder();
  #found: Found | null = null;
  #archive: Archive | null = null;

  readonly #tell: (stage: Stage, done: number, total: number) => void;

  constructor(tell: (stage: Stage, done: number, total: number) => void) {
    this.#tell = tell;
  }

  async answer({ verb, ask }: Request): Promise<unknown> {
    switch (verb) {
      case "text":
        this.#decoder.update(ask.piece);
        return null;
      case "end": {
        this.#decoder.finish();
        this.#found = { kind: "age", sealed: sealedOf(this.#decoder), archive: true, name: "" };
        return this.#opener();
      }
      case "file":
        this.#found = await find(ask.file);
        return this.#opener();
      case "open":
        this.#archive = await this.#open(ask.password, ask.identities);
        this.#found = null; // the ciphertext is not needed any more
        this.#decoder.chunks.length = 0;
        return this.#archive.opened;
      case "preview":
        return previewOf(this.#nameOf(ask.index), await this.#opened().read(ask.index, this.#tell));
      case "read":
        return this.#opened().read(ask.index, this.#tell);
      case "all":
        return this.#opened().all(this.#tell);
    }
  }

  async #opener(): Promise<Opener> {
    if (!this.#found) throw new Failure("failed");
    return this.#found.kind === "zip" ? "password" : openerOf(this.#found.sealed);
  }

  async #open(password: string, identities: string): Promise<Archive> {
    const found = this.#found;
    if (!found) throw new Failure("failed");
    if (found.kind === "zip") {
      if (!password) throw new Failure("needs-password");
      return Zip.encrypted(found.file, password);
    }
    const plain = await decrypt(found.sealed, password, identities, this.#tell);
    return found.archive ? Zip.inside(plain) : new Single(found.name, plain);
  }

  #opened(): Archive {
    if (!this.#archive) throw new Failure("failed");
    return this.#archive;
  }

  #nameOf(index: number): string {
    return this.#opened().opened.items[index]?.name ?? "";
  }
}

/** Take questions one after the other. */
export function startWorker(): void {
  const scope = self as unknown as Scope;
  let current = 0;
  let last = 0;
  const vault = new Vault((stage, done, total) => {
    const now = performance.now();
    if (now - last < PAUSE) return;
    last = now;
    scope.postMessage({ id: current, stage, done, total }, []);
  });
  let queue = Promise.resolve();
  scope.onmessage = ({ data }) => {
    queue = queue.then(async () => {
      current = data.id;
      try {
        const answer = (await vault.answer(data)) as never;
        scope.postMessage({ id: data.id, answer }, buffersOf(answer));
      } catch (error) {
        scope.postMessage({ id: data.id, problem: problemOf(error) }, []);
      }
    });
  };
}

function problemOf(error: unknown): Failure["problem"] {
  if (error instanceof Failure) return error.problem;
  return error instanceof RangeError ? "too-large" : "failed";
}

/** Hand plaintext over, so that no copy stays here. */
function buffersOf(answer: unknown): Transferable[] {
  if (answer instanceof Uint8Array) return [answer.buffer];
  const { bytes, starts } = (answer ?? {}) as { bytes?: Uint8Array; starts?: Uint32Array };
  return [bytes, starts].flatMap((array) => (array ? [array.buffer as ArrayBuffer] : []));
}

