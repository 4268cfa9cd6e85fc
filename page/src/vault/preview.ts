// How an entry can be shown, by its first bytes and its name. SVG and HTML are text here: they could hold a program.

import type { Preview } from "../messages.ts";
import { has, toUtf8 } from "./bytes.ts";
import { delimiterOf, rowStarts } from "./table.ts";

const TABLE = /\.(?:csv|tsv|tab)$/i;
const TABS = /\.(?:tsv|tab)$/i;

export function previewOf(name: string, bytes: Uint8Array<ArrayBuffer>): Preview {
  if (has(bytes, "%PDF-")) return { kind: "pdf", bytes };
  const type = imageType(bytes);
  if (type) return { kind: "image", bytes, type };
  const text = toUtf8(bytes);
  if (!text) return { kind: "none", bytes };
  if (!TABLE.test(name) || !text.length) return { kind: "text", bytes: text };
  const starts = rowStarts(text);
  const first = new TextDecoder().decode(text.subarray(0, starts[1]));
  return { kind: "table", bytes: text, starts, delimiter: delimiterOf(first, TABS.test(name) ? "\t" : ",") };
}

function imageType(bytes: Uint8Array): string | null {
  if (has(bytes, "\x89PNG\r\n\x1a\n")) return "image/png";
  if (has(bytes, "\xff\xd8\xff")) return "image/jpeg";
  if (has(bytes, "GIF87a") || has(bytes, "GIF89a")) return "image/gif";
  if (has(bytes, "RIFF") && has(bytes, "WEBP", 8)) return "image/webp";
  if (has(bytes, "ftypavif", 4)) return "image/avif";
  if (has(bytes, "BM") && has(bytes, "\0\0\0\0", 6)) return "image/bmp";
  return null;
}
