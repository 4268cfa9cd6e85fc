// All that the page says of errors, and numbers as people read them.

import type { Problem, Stage } from "../messages.ts";

const AGAIN = "Ask the sender for the file again.";

/** What went wrong, and what to do about it. */
export const SENTENCES: Record<Problem, string> = {
  "wrong-password":
    "This password does not open the file. Capital letters, spaces and the keyboard layout count. Try again.",
  "wrong-identity": "None of these keys opens the file. Use the secret key whose public key you gave the sender.",
  "bad-identity": "This page takes secret keys that begin with AGE-SECRET-KEY-1 or AGE-SECRET-KEY-PQ-1. With an SSH key or a sealed key file, use strongroom or age.",
  "needs-password": "Type the password that the sender gave you.",
  "needs-identity": "This file was sealed to a public key. Paste the secret key that belongs to it, or choose its file.",
  damaged: `The file is damaged or was changed on its way. Nothing of it is shown. ${AGAIN}`,
  truncated: `The end of the file is missing. Nothing of it is shown. Download it once more. ${AGAIN}`,
  "too-large":
    "The file is too large for the memory of this browser. Close other windows or use a computer with more memory.",
  "too-much-work": `The file asks for more work than this page does for a password. ${AGAIN}`,
  "unsafe-name": `A name in the file could lead out of its folder. Nothing of it is shown. ${AGAIN}`,
  mixed: `Some files in this ZIP are encrypted and others are not, which is a way to slip something in. ${AGAIN}`,
  weak: "This ZIP has the old encryption that can be broken. Ask the sender to use AES.",
  "not-encrypted": "This ZIP is not encrypted. Open it with any program for ZIP files.",
  unsupported: "The file uses a method that this page does not know. Open it with strongroom or 7-Zip.",
  "unknown-file": "This page does not open files of this kind. Choose a .zip, .zip.age, .age or .html file.",
  unreadable: "The file cannot be read. Choose it again.",
  "no-worker": "This browser does not let the page work. Open it in a current Firefox, Chrome, Edge or Safari.",
  failed: "That did not work. Load the page again, and try once more.",
};

export const STAGES: Record<Stage, string> = {
  key: "Checking the password",
  decrypt: "Decrypting and checking",
  read: "Reading and checking",
};

const UNITS = ["bytes", "KB", "MB", "GB"];

/** A size as file managers show it, in powers of 1000. */
export function sizeOf(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  const digits = unit && value < 9.95 ? 1 : 0;
  return `${value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${bytes === 1 ? "byte" : UNITS[unit]}`;
}

/** A time in the reader's own zone, the same in every language: 2026-03-01 14:05. */
export function timeOf(modified: number | null): string {
  if (modified === null) return "";
  const date = new Date(modified);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

export function countOf(count: number, one: string): string {
  return `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;
}
