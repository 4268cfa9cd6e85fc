// The list of entries.

import type { Item } from "../messages.ts";
import { make, readable } from "./dom.ts";
import { sizeOf, timeOf } from "./words.ts";

export interface Actions {
  view: (item: Item, button: HTMLButtonElement) => void;
  save: (item: Item) => void;
}

const MOST = 5_000; // elements; a list of a million would stop the browser
const NO_DATA = { directory: "folder", symlink: "link" } as const;

/** Fill `body` with `items`, and return how many had no place. */
export function list(body: HTMLElement, items: readonly Item[], actions: Actions): number {
  body.replaceChildren(...items.slice(0, MOST).map((item) => rowOf(item, actions)));
  return Math.max(0, items.length - MOST);
}

function rowOf(item: Item, actions: Actions): HTMLTableRowElement {
  const name = readable(item.name);
  const cells = [make("td", { className: "size" }), make("td", { className: "time" }, timeOf(item.modified))];
  const buttons = make("td", { className: "buttons" });
  if (item.kind === "file") {
    cells[0]!.append(sizeOf(item.size));
    const view = make("button", { type: "button" }, "View");
    const save = make("button", { type: "button" }, "Save");
    view.setAttribute("aria-label", `View ${name}`);
    save.setAttribute("aria-label", `Save ${name}`);
    view.onclick = () => actions.view(item, view);
    save.onclick = () => actions.save(item);
    buttons.append(view, save);
  } else cells[0]!.append(NO_DATA[item.kind]);
  const label = make("th", { scope: "row", className: "name" }, make("bdi", {}, name));
  return make("tr", {}, label, ...cells, buttons);
}
