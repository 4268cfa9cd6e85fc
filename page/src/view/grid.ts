// A table of any length: only the rows in sight exist as elements. Browsers end elements at some 17 million pixels, so
// above that the scroll bar moves more than a pixel for a pixel.

import { make } from "./dom.ts";

const ROW = 30; // px, as in style.css
const TALLEST = 8_000_000; // px
const SPARE = 6; // rows beyond the edges

/** Shows `count` rows, row 0 being the head, in `box`, which scrolls. */
export class Grid {
  readonly #box: HTMLElement;
  readonly #count: number;
  readonly #rowOf: (number: number) => string[];
  readonly #columns: number;
  readonly #body = make("tbody");
  readonly #table = make("table");
  readonly #space = make("div", { className: "grid-space" });
  readonly #scaled: boolean;
  readonly #height: number;
  #first = -1;

  constructor(box: HTMLElement, count: number, widths: number[], rowOf: (number: number) => string[]) {
    this.#box = box;
    this.#count = count;
    this.#rowOf = rowOf;
    this.#columns = widths.length;
    this.#scaled = (count - 1) * ROW > TALLEST;
    this.#height = Math.min((count - 1) * ROW, TALLEST);
    this.#table.setAttribute("aria-rowcount", String(count));
    this.#table.setAttribute("aria-colcount", String(this.#columns));
    const columns = make("colgroup");
    const numbers = make("col");
    numbers.style.width = `${String(count).length + 2}ch`;
    columns.append(numbers);
    for (const width of widths) {
      const column = make("col");
      column.style.width = `calc(${width}ch + 1.5rem)`;
      columns.append(column);
    }
    const total = widths.reduce((sum, width) => sum + width, String(count).length + 2);
    this.#table.style.width = `calc(${total}ch + ${widths.length * 1.5}rem)`;
    this.#table.append(columns, make("thead", {}, this.#row(0)), this.#body);
    this.#space.style.height = `${this.#height + ROW}px`;
    this.#space.append(this.#table);
    box.replaceChildren(this.#space);
    box.addEventListener("scroll", () => this.#draw(), { passive: true });
    box.addEventListener("keydown", (event) => this.#step(event));
    new ResizeObserver(() => this.#draw(true)).observe(box);
    this.#draw();
  }

  /** The rows that fit. */
  get #visible(): number {
    return Math.max(1, Math.floor(this.#box.clientHeight / ROW) - 1);
  }

  /** How many rows can be above the first one in sight. */
  get #range(): number {
    return Math.max(0, this.#count - 1 - this.#visible);
  }

  #draw(always = false): void {
    const scroll = Math.max(0, this.#box.scrollTop);
    const room = Math.max(1, this.#height + ROW - this.#box.clientHeight);
    const top = this.#scaled ? Math.round(Math.min(1, scroll / room) * this.#range) : Math.floor(scroll / ROW);
    const first = Math.max(0, top - SPARE);
    if (first === this.#first && !always && !this.#scaled) return;
    this.#first = first;
    const last = Math.min(this.#count - 1, top + this.#visible + 1 + SPARE);
    this.#body.replaceChildren(...Array.from({ length: last - first }, (_, place) => this.#row(first + place + 1)));
    const shift = this.#scaled ? Math.max(0, scroll - (top - first) * ROW) : first * ROW;
    this.#table.style.setProperty("--shift", `${shift}px`);
  }

  /** Arrow keys move by rows, also where a pixel is many. */
  #step(event: KeyboardEvent): void {
    const steps: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: this.#visible,
      PageUp: -this.#visible,
      Home: -this.#count,
      End: this.#count,
    };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const room = Math.max(0, this.#height + ROW - this.#box.clientHeight);
    this.#box.scrollTop += step * (this.#scaled ? room / this.#range : ROW);
  }

  #row(number: number): HTMLTableRowElement {
    const cells = this.#rowOf(number);
    const row = make("tr");
    row.setAttribute("aria-rowindex", String(number + 1));
    const label = make("th", { scope: "row", className: "number" }, number ? number.toLocaleString("en") : "");
    row.append(label);
    for (let column = 0; column < this.#columns; column++) {
      const text = cells[column] ?? "";
      const cell = make(number ? "td" : "th", { dir: "auto", title: text }, text);
      if (!number) (cell as HTMLTableCellElement).scope = "col";
      row.append(cell);
    }
    return row;
  }
}
