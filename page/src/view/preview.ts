// An entry, shown out of memory.

import type { Preview } from "../messages.ts";
import { cellsOf } from "../vault/table.ts";
import { make } from "./dom.ts";
import { Grid } from "./grid.ts";
import { revoke, urlOf } from "./urls.ts";
import { countOf, sizeOf } from "./words.ts";

const PART = 256 * 1024; // bytes of text at once
const LONGEST_SIDE = 4096; // px of a picture as it is shown
const LONGEST_ROW = 64 * 1024;
const MOST_COLUMNS = 512;
const SAMPLE = 200; // rows that the widths are taken from
const [NARROWEST, WIDEST] = [4, 40]; // characters

export interface Shown {
  words: string;
  close: () => void;
}

/** Show `preview` in `place` and say in words what it is; returns what ends it. */
export async function show(place: HTMLElement, name: string, preview: Preview): Promise<Shown> {
  switch (preview.kind) {
    case "text":
      return showText(place, preview.bytes);
    case "table":
      return showTable(place, name, preview);
    case "image":
      return showImage(place, name, preview);
    case "pdf":
      return showPdf(place, name, preview.bytes);
    case "none":
      return showNothing(place, preview.bytes, "There is no preview for this kind of file. Save it to open it.");
  }
}

/**
 * The browser's own viewer, in a frame. Its type keeps the data from being read as HTML. Firefox shows it in a sandbox
 * that runs scripts, its viewer being one, without this page's origin; Chromium shows PDF in no sandbox at all.
 */
function frameOf(name: string, bytes: Uint8Array<ArrayBuffer>): HTMLIFrameElement {
  const frame = make("iframe", { title: name });
  if (/\bFirefox\//.test(navigator.userAgent)) frame.setAttribute("sandbox", "allow-scripts");
  frame.src = urlOf(bytes, "application/pdf");
  return frame;
}

/** Painted, and not an element with an address: Firefox keeps what an address gave, also once that is revoked. */
async function showImage(place: HTMLElement, name: string, { bytes, type }: Preview & { kind: "image" }): Promise<Shown> {
  const image = await createImageBitmap(new Blob([bytes], { type })).catch(() => null);
  if (!image) return showNothing(place, bytes, "This picture cannot be shown. Save it to open it.");
  const scale = Math.min(1, LONGEST_SIDE / Math.max(image.width, image.height));
  const [width, height] = [Math.ceil(image.width * scale), Math.ceil(image.height * scale)];
  const canvas = make("canvas", { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  canvas.getContext("2d")?.drawImage(image, 0, 0, width, height);
  const words = `Picture, ${image.width} × ${image.height}, ${sizeOf(bytes.length)}`;
  image.close();
  place.replaceChildren(canvas);
  return {
    words,
    close: () => {
      canvas.width = 0; // gives its pixels back
      place.replaceChildren();
    },
  };
}

function showPdf(place: HTMLElement, name: string, bytes: Uint8Array<ArrayBuffer>): Shown {
  const frame = frameOf(name, bytes);
  place.replaceChildren(frame);
  return {
    words: `PDF, ${sizeOf(bytes.length)}`,
    close: () => {
      place.replaceChildren();
      revoke(frame.src);
    },
  };
}

function showNothing(place: HTMLElement, bytes: Uint8Array, why: string): Shown {
  place.replaceChildren(make("p", { className: "note" }, why));
  return { words: sizeOf(bytes.length), close: () => place.replaceChildren() };
}

function showText(place: HTMLElement, bytes: Uint8Array): Shown {
  const starts = partsOf(bytes);
  const text = make("pre", { dir: "auto", tabIndex: 0 });
  text.setAttribute("role", "region");
  text.setAttribute("aria-label", "Text");
  const where = make("span");
  const back = make("button", { type: "button" }, "Previous part");
  const next = make("button", { type: "button" }, "Next part");
  const turn = (number: number): void => {
    text.textContent = new TextDecoder().decode(bytes.subarray(starts[number], starts[number + 1]));
    text.scrollTop = 0;
    where.textContent = `Part ${number + 1} of ${starts.length - 1}`;
    back.disabled = number === 0;
    next.disabled = number === starts.length - 2;
    back.onclick = () => turn(number - 1);
    next.onclick = () => turn(number + 1);
  };
  turn(0);
  const bar = make("div", { className: "parts" }, back, where, next);
  place.replaceChildren(text, ...(starts.length > 2 ? [bar] : []));
  return { words: `Text, ${sizeOf(bytes.length)}`, close: () => place.replaceChildren() };
}

/** Where parts begin, at line ends where there are some, and never inside a character; and the end. */
function partsOf(bytes: Uint8Array): number[] {
  const starts = [0];
  for (let end = PART; end < bytes.length; end += PART) {
    const line = bytes.lastIndexOf(10, end - 1) + 1;
    if (line > end - PART / 2) end = line;
    else while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
    starts.push(end);
  }
  return [...starts, bytes.length];
}

function showTable(place: HTMLElement, name: string, { bytes, starts, delimiter }: Preview & { kind: "table" }): Shown {
  const count = starts.length - 1;
  const decoder = new TextDecoder();
  const rowOf = (number: number): string[] => {
    const start = starts[number]!;
    const end = Math.min(starts[number + 1]!, start + LONGEST_ROW);
    return cellsOf(decoder.decode(bytes.subarray(start, end)), delimiter);
  };
  const widths: number[] = [];
  for (let number = 0; number < Math.min(count, SAMPLE); number++) {
    rowOf(number)
      .slice(0, MOST_COLUMNS)
      .forEach((cell, column) => {
        const length = cell.length + (number ? 0 : 1); // the head is bold
        widths[column] = Math.min(WIDEST, Math.max(widths[column] ?? NARROWEST, length));
      });
  }
  const box = make("div", { className: "grid", tabIndex: 0 });
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", `Table ${name}`);
  place.replaceChildren(box);
  new Grid(box, count, widths, rowOf);
  const words = `Table, ${countOf(count - 1, "row")}, ${countOf(widths.length, "column")}`;
  return { words, close: () => place.replaceChildren() };
}
