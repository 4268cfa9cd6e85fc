// Saving: plaintext goes to the disk, because the reader asked for it, and by the browser's own means.

import { make } from "./dom.ts";
import { revoke, urlOf } from "./urls.ts";

const KEPT = 30_000; // ms; the browser takes the data at once, or asks the reader first where to put it

export function save(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const url = urlOf(bytes, "application/octet-stream");
  const link = make("a", { href: url, download: name.slice(name.lastIndexOf("/") + 1) });
  link.click();
  setTimeout(() => revoke(url), KEPT);
}
