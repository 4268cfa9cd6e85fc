// Builds the page: one HTML file with its style and script in it, and a policy that names the hashes of both.
// The same sources and lock file give the same bytes. Usage: node build.mjs [TARGET]

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const TARGET = process.argv[2] ?? "../src/strongroom/formats/html/page.html";
const PACKAGES = [
  "age-encryption",
  "@zip.js/zip.js",
  "@noble/ciphers",
  "@noble/curves",
  "@noble/hashes",
  "@noble/post-quantum",
  "@scure/base",
];
const LARGEST = 400 * 1024;

async function bundle(entry) {
  const options = {
    bundle: true,
    charset: "utf8",
    format: "iife",
    legalComments: "none", // all licences stand at the front, whole
    loader: { ".css": "css" },
    minify: true,
    target: ["chrome109", "firefox115", "safari16.4"],
    write: false,
  };
  const done = await build({ entryPoints: [entry], ...options });
  return done.outputFiles[0].text.trim();
}

/** The licences of what is inside, as a comment: they ask to go along. */
function licences() {
  const texts = PACKAGES.map((name) => {
    const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    return `${name} ${version} (${license})\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}`;
  });
  const text = `This script contains:\n\n${texts.join("\n\n")}\n`;
  if (text.includes("*/")) throw new Error("a licence would end the comment");
  return `/*!\n${text}*/\n`;
}

function hash(text) {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

const script = `\n${licences()}${await bundle("src/main.ts")}\n`;
const style = `\n${await bundle("src/style.css")}\n`;
for (const text of [script, style]) {
  if (/<\/(?:script|style)|<!--/i.test(text)) throw new Error("a bundle would end its element");
}
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "worker-src blob:",
  "frame-src blob:",
  "connect-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");
const values = { POLICY: policy, STYLE: style, SCRIPT: script };
const page = readFileSync("src/index.html", "utf8").replace(/@([A-Z]+)@/g, (_, name) => values[name]);
if (Buffer.byteLength(page) > LARGEST) throw new Error(`the page has ${Buffer.byteLength(page)} bytes`);
writeFileSync(TARGET, page);
console.log(`${TARGET}: ${Buffer.byteLength(page)} bytes`);
