// Which entry names are safe to save, and to be put into a ZIP for other programs: as in strongroom's names.py.

const CONTROL = /\p{Cc}/u;
const DRIVE = /^[A-Za-z]:/;

/** Whether `name` could lead out of its folder, on any system. */
export function isUnsafe(name: string): boolean {
  return (
    !name ||
    name.includes("\\") ||
    name.startsWith("/") ||
    DRIVE.test(name) ||
    !name.isWellFormed() ||
    CONTROL.test(name) ||
    name.split("/").some((part) => !part || part === "." || part === ".." || (/ /.test(part) && !/[^. ]/.test(part)))
  );
}

/** Whether two of these are one name, or one of them a file where another one takes it for a folder. */
export function clash(names: readonly { name: string; folder: boolean }[]): boolean {
  const files = new Set<string>();
  const folders = new Set<string>();
  const all = names.map(({ name, folder }) => ({ name: name.normalize("NFC"), folder }));
  for (const { name, folder } of all) {
    const seen = folder ? folders : files;
    if (seen.has(name)) return true;
    seen.add(name);
  }
  for (const { name } of all) {
    for (let end = name.lastIndexOf("/"); end > 0; end = name.lastIndexOf("/", end - 1)) folders.add(name.slice(0, end));
  }
  return [...files].some((name) => folders.has(name));
}
