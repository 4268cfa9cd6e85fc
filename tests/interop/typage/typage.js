// Does what standard input says, as JSON: seals and opens files with typage, and makes keys. See test_typage.py.

import { readFileSync, writeFileSync } from "node:fs";
import * as age from "age-encryption";

const WORK_FACTOR = 10;

async function seal({ source, target, recipient, passphrase, armored }) {
  const encrypter = new age.Encrypter();
  if (passphrase) {
    encrypter.setPassphrase(passphrase);
    encrypter.setScryptWorkFactor(WORK_FACTOR);
  } else {
    encrypter.addRecipient(recipient);
  }
  const sealed = await encrypter.encrypt(new Uint8Array(readFileSync(source)));
  writeFileSync(target, armored ? age.armor.encode(sealed) : sealed);
}

async function open({ source, target, identity, passphrase, armored }) {
  const decrypter = new age.Decrypter();
  if (passphrase) {
    decrypter.addPassphrase(passphrase);
  } else {
    decrypter.addIdentity(identity);
  }
  const file = readFileSync(source);
  writeFileSync(target, await decrypter.decrypt(armored ? age.armor.decode(file.toString()) : new Uint8Array(file)));
}

async function generate({ hybrid }) {
  const identity = await (hybrid ? age.generateHybridIdentity() : age.generateX25519Identity());
  return { identity, recipient: await age.identityToRecipient(identity) };
}

const verbs = { seal, open, generate };
const results = [];
for (const job of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    results.push((await verbs[job.verb](job)) ?? {});
  } catch (error) {
    results.push({ error: String(error) });
  }
}
process.stdout.write(JSON.stringify(results));
