// What is in a file that was dropped, by its content: age, armor, a page of ours, or a ZIP.

import { Failure } from "../messages.ts";
import type { Sealed } from "./age.ts";
import { ArmorDecoder, BEGIN, END } from "./armor.ts";
import { forEach, has, streamOf } from "./bytes.ts";

const HEAD = 1 << 20; // a page without its payload is smaller
const TAIL = 4096;
const AGE = "age-encryption.org/v1\n";
/** What stands right before and after the payload of a page: strongroom's formats/html/spec.py. */
const MAGIC = '<!DOCTYPE html>\n<html lang="en" data-page="strongroom">\n';
const OPENING = `</script>\n<div id="payload" hidden>\n${BEGIN}\n`;
const CLOSING = `\n${END}\n</div>\n</body>\n</html>\n`;

export type Found = { kind: "age"; sealed: Sealed; archive: boolean; name: string } | { kind: "zip"; file: File };

/** Look at `file`. Raises `unknown-file`, `unreadable`, and for armor `damaged` and `truncated`. */
export async function find(file: File): Promise<Found> {
  const head = await bytesOf(file.slice(0, HEAD));
  const name = file.name.replace(/\.age$/i, "") || "data";
  if (has(head, AGE)) {
    const sealed = { size: file.size, stream: () => file.stream() };
    return { kind: "age", sealed, archive: /\.zip\.age$/i.test(file.name), name };
  }
  if (has(head, "PK\x03\x04") || has(head, "PK\x05\x06")) return { kind: "zip", file };
  const text = new TextDecoder("latin1").decode(head);
  if (text.startsWith(MAGIC)) {
    const start = text.indexOf(OPENING);
    if (start < 0) throw new Failure("unknown-file");
    const tail = new TextDecoder("latin1").decode(await bytesOf(file.slice(-TAIL)));
    if (!tail.endsWith(CLOSING)) throw new Failure("truncated");
    const end = file.size - (CLOSING.length - `\n${END}\n`.length);
    const armored = file.slice(start + OPENING.length - BEGIN.length - 1, end);
    return { kind: "age", sealed: await unarmored(armored), archive: true, name };
  }
  if (text.trimStart().startsWith(BEGIN)) {
    return { kind: "age", sealed: await unarmored(file), archive: /\.zip\.age$/i.test(file.name), name };
  }
  throw new Failure("unknown-file");
}

/** What was decoded, as a file. */
export function sealedOf({ chunks, size }: ArmorDecoder): Sealed {
  return { size, stream: () => streamOf(chunks) };
}

async function unarmored(blob: Blob): Promise<Sealed> {
  const decoder = new ArmorDecoder();
  await forEach(blob.stream(), (chunk) => decoder.update(chunk));
  decoder.finish();
  return sealedOf(decoder);
}

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch {
    throw new Failure("unreadable"); // removed or changed since it was chosen
  }
}
