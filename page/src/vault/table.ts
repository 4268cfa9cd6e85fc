// Where the rows of a CSV file begin: so a table of any length is one array of numbers. RFC 4180, with any delimiter.

const [NEWLINE, RETURN, QUOTE] = [10, 13, 34];
const DELIMITERS = [",", ";", "\t", "|"];

/** The byte at which each row begins, and one more for the end. Line ends in quotes belong to a cell. */
export function rowStarts(bytes: Uint8Array): Uint32Array {
  let starts = new Uint32Array(1024);
  let [count, quoted, begins] = [0, false, true];
  const length = bytes.length;
  for (let at = 0; at < length; at++) {
    if (begins) {
      if (count + 2 > starts.length) starts = grown(starts);
      starts[count++] = at;
      begins = false;
    }
    const byte = bytes[at];
    if (byte === QUOTE) quoted = !quoted;
    else if (!quoted && (byte === NEWLINE || (byte === RETURN && bytes[at + 1] !== NEWLINE))) begins = true;
  }
  starts[count] = length;
  return starts.slice(0, count + 1);
}

function grown(starts: Uint32Array): Uint32Array<ArrayBuffer> {
  const more = new Uint32Array(starts.length * 2);
  more.set(starts);
  return more;
}

/** The delimiter that parts the first row into the most cells; `wanted` where it parts it at all. */
export function delimiterOf(first: string, wanted: string): string {
  const counts = DELIMITERS.map((delimiter) => [cellsOf(first, delimiter).length, delimiter] as const);
  if (counts.some(([count, delimiter]) => delimiter === wanted && count > 1)) return wanted;
  return counts.reduce((best, one) => (one[0] > best[0] ? one : best))[1];
}

/** The cells of one row, which may end in a line end. */
export function cellsOf(row: string, delimiter: string): string[] {
  const line = row.replace(/\r?\n$|\r$/, "");
  if (!line.includes('"')) return line.split(delimiter);
  const cells: string[] = [];
  let [cell, quoted] = ["", false];
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (quoted && character === '"' && line[at + 1] === '"') cell += line[++at];
    else if (character === '"' && (quoted || !cell)) quoted = !quoted;
    else if (character === delimiter && !quoted) {
      cells.push(cell);
      cell = "";
    } else cell += character;
  }
  cells.push(cell);
  return cells;
}
