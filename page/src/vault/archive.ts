// Archives that are open: a ZIP, out of an age file or encrypted by itself, or the single file of an age file.
// An entry is given out once all of it is checked: CRC-32 and, in a ZIP of its own, the authentication code.

import {
  BlobReader,
  configure,
  ERR_INVALID_PASSWORD,
  ERR_UNSAFE_FILENAME,
  ERR_UNSUPPORTED_COMPRESSION,
  ERR_UNSUPPORTED_ENCRYPTION,
  type Entry,
  type FileEntry,
  Uint8ArrayReader,
  Uint8ArrayWriter,
  ZipReader,
  ZipWriter,
} from "@zip.js/zip.js/lib/zip-core-native.js";
import { Failure, type Item, type Kind, type Opened, type Progress } from "../messages.ts";
import { clash, isUnsafe } from "./names.ts";

const FORMAT = 0o170000;
const LINK = 0o120000;

configure({ useWebWorkers: false }); // this is a worker

export interface Archive {
  readonly opened: Opened;
  read(index: number, progress: Progress): Promise<Uint8Array<ArrayBuffer>>;
  /** One file with everything: a ZIP that is not encrypted. */
  all(progress: Progress): Promise<Uint8Array<ArrayBuffer>>;
}

/** The file in an age file, which keeps neither name nor time. */
export class Single implements Archive {
  readonly opened: Opened;
  readonly #data: Uint8Array<ArrayBuffer>;

  constructor(name: string, data: Uint8Array<ArrayBuffer>) {
    this.#data = data;
    const item: Item = { index: 0, name, kind: "file", size: data.length, modified: null };
    this.opened = { items: [item], hidden: true, archive: false };
  }

  read(): Promise<Uint8Array<ArrayBuffer>> {
    return Promise.resolve(this.#data.slice());
  }

  all(): Promise<Uint8Array<ArrayBuffer>> {
    return this.read();
  }
}

/** A ZIP: `plain`, out of an age file, or `file` with `password`. Strict, as strongroom reads it. */
export class Zip implements Archive {
  readonly opened: Opened;
  readonly #entries: Entry[];
  readonly #plain: Uint8Array<ArrayBuffer> | null;
  readonly #password: Uint8Array | undefined;

  private constructor(entries: Entry[], plain: Uint8Array<ArrayBuffer> | null, password: Uint8Array | undefined) {
    this.#entries = entries;
    this.#plain = plain;
    this.#password = password;
    this.opened = { items: entries.map(itemOf), hidden: plain !== null, archive: true };
  }

  static async inside(plain: Uint8Array<ArrayBuffer>): Promise<Zip> {
    const entries = await entriesOf(new Uint8ArrayReader(plain));
    if (entries.some(({ encrypted }) => encrypted)) throw new Failure("unsupported");
    return new Zip(entries, plain, undefined);
  }

  static async encrypted(file: File, password: string): Promise<Zip> {
    const entries = await entriesOf(new BlobReader(file));
    const files = entries.filter((entry) => !entry.directory);
    if (!files.some(({ encrypted }) => encrypted)) throw new Failure("not-encrypted");
    if (!files.every(({ encrypted }) => encrypted)) throw new Failure("mixed");
    if (files.some(({ zipCrypto }) => zipCrypto)) throw new Failure("weak");
    const zip = new Zip(entries, null, new TextEncoder().encode(password));
    await zip.#check(files[0]!);
    return zip;
  }

  async read(index: number, progress: Progress): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.#entries[index];
    if (!entry || entry.directory) throw new Failure("failed");
    return this.#data(entry, progress);
  }

  async all(progress: Progress): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#plain) return this.#plain.slice();
    const writer = new ZipWriter(new Uint8ArrayWriter(), { level: 0, extendedTimestamp: false });
    for (const entry of this.#entries) {
      const options = { lastModDate: entry.lastModDate, directory: entry.directory };
      const data = entry.directory ? undefined : new Uint8ArrayReader(await this.#data(entry, progress));
      await writer.add(entry.filename, data, options);
    }
    return writer.close();
  }

  async #data(entry: FileEntry, progress: Progress): Promise<Uint8Array<ArrayBuffer>> {
    const data = new Uint8Array(entry.uncompressedSize);
    let done = 0;
    const sink = new WritableStream<Uint8Array>({
      write(chunk) {
        if (done + chunk.length > data.length) throw new Failure("damaged"); // more than the directory says
        data.set(chunk, done);
        done += chunk.length;
        progress("read", done, data.length);
      },
    });
    try {
      const password = this.#password ? { rawPassword: this.#password } : {};
      await entry.getData(sink, { ...password, checkCrc32: true, checkAuthenticationCode: true });
      if (done !== data.length) throw new Failure("damaged");
      return data;
    } catch (error) {
      data.fill(0);
      throw translated(error);
    }
  }

  async #check(entry: FileEntry): Promise<void> {
    try {
      await entry.getData(new WritableStream(), { rawPassword: this.#password!, checkPasswordOnly: true });
    } catch (error) {
      throw translated(error);
    }
  }
}

async function entriesOf(reader: Uint8ArrayReader | BlobReader): Promise<Entry[]> {
  let entries: Entry[];
  try {
    entries = await new ZipReader<unknown>(reader, { strictness: "strict" }).getEntries();
  } catch (error) {
    throw translated(error);
  }
  const names = entries.map((entry) => ({ name: nameOf(entry), folder: entry.directory }));
  if (names.some(({ name }) => isUnsafe(name)) || clash(names)) throw new Failure("unsafe-name");
  return entries;
}

/** Errors of zip.js are told apart by their text, which it exports. What is none of these is damage. */
function translated(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof RangeError) return new Failure("too-large");
  switch (error instanceof Error ? error.message : "") {
    case ERR_INVALID_PASSWORD:
      return new Failure("wrong-password");
    case ERR_UNSAFE_FILENAME:
      return new Failure("unsafe-name");
    case ERR_UNSUPPORTED_COMPRESSION:
    case ERR_UNSUPPORTED_ENCRYPTION:
      return new Failure("unsupported");
    default:
      return new Failure("damaged");
  }
}

function itemOf(entry: Entry, index: number): Item {
  return {
    index,
    name: nameOf(entry),
    kind: kindOf(entry),
    size: entry.uncompressedSize,
    modified: entry.lastModDate.getTime(),
  };
}

function nameOf({ filename, directory }: Entry): string {
  return directory ? filename.replace(/\/$/, "") : filename;
}

function kindOf(entry: Entry): Kind {
  if (entry.directory) return "directory";
  return ((entry.unixMode ?? 0) & FORMAT) === LINK ? "symlink" : "file";
}
