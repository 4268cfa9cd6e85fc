// Streams of bytes and texts as bytes.

/** Call `use` with each chunk. Not every browser can loop over a stream. */
export async function forEach(stream: ReadableStream<Uint8Array>, use: (chunk: Uint8Array) => void): Promise<void> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    use(value);
  }
}

/** Give chunks as a stream, as often as it is asked for. */
export function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      const chunk = chunks[next++];
      if (chunk) controller.enqueue(chunk);
      else controller.close();
    },
  });
}

const MARKS: readonly (readonly [string, readonly number[]])[] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

/**
 * Return text as UTF-8 without a mark, or null where the bytes are no text. Without a mark it is UTF-8 or, as Windows
 * programs write CSV, windows-1252.
 */
export function toUtf8(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
  for (const [encoding, mark] of MARKS) {
    if (!mark.every((byte, place) => bytes[place] === byte)) continue;
    if (encoding === "utf-8") return bytes.subarray(mark.length);
    return new TextEncoder().encode(new TextDecoder(encoding).decode(bytes));
  }
  if (bytes.subarray(0, 64 * 1024).includes(0)) return null;
  try {
    const fatal = new TextDecoder("utf-8", { fatal: true });
    for (let at = 0; at < bytes.length; at += 1 << 20) {
      fatal.decode(bytes.subarray(at, at + (1 << 20)), { stream: at + (1 << 20) < bytes.length });
    }
    return bytes;
  } catch {
    return new TextEncoder().encode(new TextDecoder("windows-1252").decode(bytes));
  }
}

/** Whether `bytes` has `wanted` at byte `at`. */
export function has(bytes: Uint8Array, wanted: string, at = 0): boolean {
  return [...wanted].every((character, place) => bytes[at + place] === character.charCodeAt(0));
}
