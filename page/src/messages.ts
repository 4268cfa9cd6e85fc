// What the page and its worker say to each other. Plaintext goes from the worker to the page, one entry at a time.

export type Kind = "file" | "directory" | "symlink";

/** An entry as the page shows it. `index` is how the page asks for it. */
export interface Item {
  index: number;
  name: string;
  kind: Kind;
  size: number;
  /** Milliseconds since 1970, or null where the format keeps no time. */
  modified: number | null;
}

/** What opens a file: `password` for those sealed with one, `identity` for those sealed to public keys. */
export type Opener = "password" | "identity";

export interface Opened {
  items: Item[];
  /** False for a ZIP, whose directory is neither encrypted nor authenticated. */
  hidden: boolean;
  /** Whether "save all" gives one ZIP file; a single file is saved as it is. */
  archive: boolean;
}

/** How an entry is shown; `bytes` is UTF-8 where it is text or a table. */
export type Preview =
  | { kind: "text"; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "table"; bytes: Uint8Array<ArrayBuffer>; starts: Uint32Array; delimiter: string }
  | { kind: "image"; bytes: Uint8Array<ArrayBuffer>; type: string }
  | { kind: "pdf"; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "none"; bytes: Uint8Array<ArrayBuffer> };

/** Every way to fail has a sentence in view/words.ts. */
export type Problem =
  | "wrong-password"
  | "wrong-identity"
  | "bad-identity"
  | "needs-password"
  | "needs-identity"
  | "damaged"
  | "truncated"
  | "too-large"
  | "too-much-work"
  | "unsafe-name"
  | "mixed"
  | "weak"
  | "not-encrypted"
  | "unsupported"
  | "unknown-file"
  | "unreadable"
  | "no-worker"
  | "failed";

/** The one error that crosses. Its text is a problem, and no detail of what was read. */
export class Failure extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem);
    this.problem = problem;
  }
}

export interface Calls {
  /** Take a piece of the armored payload that the page carries. */
  text: { ask: { piece: Uint8Array<ArrayBuffer> }; answer: null };
  /** Say that this was all. */
  end: { ask: null; answer: Opener };
  /** Take a file that was dropped. */
  file: { ask: { file: File }; answer: Opener };
  open: { ask: { password: string; identities: string }; answer: Opened };
  preview: { ask: { index: number }; answer: Preview };
  read: { ask: { index: number }; answer: Uint8Array<ArrayBuffer> };
  all: { ask: null; answer: Uint8Array<ArrayBuffer> };
}

export type Verb = keyof Calls;
export type Request = { [V in Verb]: { id: number; verb: V; ask: Calls[V]["ask"] } }[Verb];
export type Stage = "key" | "decrypt" | "read";

export type Response =
  | { id: number; stage: Stage; done: number; total: number }
  | { id: number; answer: Calls[Verb]["answer"] }
  | { id: number; problem: Problem };

/** Told how far something is. */
export type Progress = (stage: Stage, done: number, total: number) => void;
