// The payload that the page carries. It is taken out of the document while the browser still reads it: as one text of
// 350 MB it takes a browser a minute, and all of that memory once more.

import type { Client } from "./client.ts";

const PIECE = 1 << 20;
const PERIOD = 20; // ms

/** Give the payload to `client`. Returns false where there is none. */
export async function takePayload(client: Client, taken: (bytes: number) => void): Promise<boolean> {
  const encoder = new TextEncoder();
  const answers: Promise<unknown>[] = [];
  let [found, bytes, failed] = [false, 0, false];
  const take = (): void => {
    const place = document.getElementById("payload"); // it follows this script, and may not be there yet
    for (let node = place?.firstChild; node; node = place?.firstChild) {
      const text = node.textContent ?? "";
      node.remove();
      found ||= /\S/.test(text);
      for (let start = 0; start < text.length && !failed; start += PIECE) {
        const piece = encoder.encode(text.slice(start, start + PIECE));
        bytes += piece.length;
        const answer = client.ask("text", { piece }, [piece.buffer]);
        answer.catch(() => (failed = true)); // the first error is the one that counts, below
        answers.push(answer);
      }
    }
    if (bytes) taken(bytes);
  };
  const timer = setInterval(take, PERIOD);
  if (document.readyState === "loading") {
    await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
  }
  clearInterval(timer);
  take();
  await Promise.all(answers);
  return found;
}
