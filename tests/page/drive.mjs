// Does in a browser what it is told on standard input, and says what it saw: tests/page/test_browsers.py judges it.
// {"browser", "path", "folder", "scenarios": [{"name", …}]} -> {name: facts}

import { existsSync, readdirSync, renameSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { launch, Page } from "./browser.mjs";

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The one file that was downloaded into `folder`, moved to `target`. */
async function downloaded(folder, target) {
  for (let tries = 0; tries < 300; tries++) {
    const names = readdirSync(folder).filter((name) => !/\.(?:crdownload|part|tmp)$|^\./.test(name));
    const parts = readdirSync(folder).some((name) => /\.(?:crdownload|part)$/.test(name));
    if (names.length === 1 && !parts) {
      await wait(50); // Firefox makes an empty file of the final name first
      if (!readdirSync(folder).some((name) => /\.part$/.test(name))) {
        renameSync(join(folder, names[0]), target);
        return names[0];
      }
    }
    await wait(50);
  }
  throw new Error(`nothing was downloaded: ${readdirSync(folder)}`);
}

const scenarios = {
  /** Wrong password, right password, every preview, saving, locking. */
  async whole(browser, { file, wrong, password, folder, out, needles }) {
    const page = await Page.open(browser, file);
    const facts = { closed: await page.state(), previews: {} };
    facts.wrong = await page.unlock({ password: wrong });
    facts.wrongLeft = await page.page.evaluate(() => document.getElementById("entries").childElementCount);
    facts.opened = await page.unlock({ password });
    facts.password = await page.page.$eval("#password", (field) => field.value);
    for (const name of facts.opened.names) {
      facts.previews[name] = { ...(await page.press(`View ${name}`)), ...(await previewed(page)) };
      facts.focusBack = (await page.press("Back")).focus;
    }
    facts.saved = {};
    for (const [number, name] of facts.opened.names.entries()) {
      await page.press(`Save ${name}`);
      facts.saved[name] = await downloaded(folder, join(out, `saved-${number}`));
    }
    await page.press("Save all");
    facts.all = await downloaded(folder, join(out, "all.zip"));
    await page.press(`View ${facts.opened.names.find((name) => name.endsWith(".png"))}`);
    await page.press("Back");
    await page.press(`View ${facts.opened.names.find((name) => name.endsWith(".pdf"))}`);
    facts.framesBefore = page.page.frames().length;
    facts.locked = await page.press("Lock");
    const html = await page.page.evaluate(() => document.documentElement.outerHTML);
    facts.leftInPage = needles.filter((needle) => html.includes(needle));
    facts.workers = page.page.workers().length;
    await page.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)));
    facts.log = await page.log();
    facts.framesAfter = page.page.frames().length;
    await page.press("Open again");
    await page.page.waitForFunction(() => document.body.dataset.screen === "unlock");
    facts.again = await page.unlock({ password });
    await page.close();
    return facts;
  },

  /** What a browser says of one file and one key: `expect` is a screen. */
  async open(browser, { file, keys }) {
    const page = await Page.open(browser, file);
    const facts = { first: await page.state(), states: [] };
    for (const key of facts.first.screen === "unlock" ? keys : []) {
      if (key.file) {
        await page.choose("#key-file", key.file);
        await page.page.click("#open");
        facts.states.push(await page.settled());
      } else facts.states.push(await page.unlock(key));
    }
    facts.log = await page.log();
    await page.close();
    return facts;
  },

  /** The page without a payload: files are chosen or dropped one after the other. */
  async others(browser, { page: file, files, evil }) {
    const page = await Page.open(browser, file);
    const facts = { first: await page.state(), files: {} };
    for (const [name, { path, drop, ...key }] of Object.entries(files)) {
      if (drop !== undefined) await dropped(page, name, drop);
      else await page.choose("#file", path);
      const chosen = await page.state();
      const opened = chosen.screen === "unlock" ? await page.unlock(key) : chosen;
      const read = {};
      for (const entry of opened.names) {
        await page.press(`View ${entry}`);
        read[entry] = await page.page.$eval("#preview", (place) => place.textContent);
        await page.press("Back");
      }
      facts.files[name] = { ...opened, read };
      if (opened.screen === "contents") await page.press("Lock");
      if (opened.screen !== "choose") await page.press(opened.screen === "contents" ? "Open again" : "Another file");
    }
    facts.log = await page.log();
    await page.close();
    return facts;
  },

  /** The page's own worker, asked with files by the hundred: what it says of each. */
  async worker(browser, { page: file, cases }) {
    const page = await Page.open(browser, file);
    const facts = { answers: await page.page.evaluate(askWorker, cases), log: await page.log() };
    await page.close();
    return facts;
  },

  /** Every byte of the armor in a page changed, once for each of `masks`: how often which answer came. */
  async flips(browser, { page: file, front, armor, end, identity, masks, step }) {
    const page = await Page.open(browser, file);
    const facts = await page.page.evaluate(flipAll, { front, armor, end, identity, masks, step });
    facts.log = await page.log();
    await page.close();
    return facts;
  },

  /** A payload of many megabytes: how long each step takes, in ms. */
  async large(browser, { file, identity, folder, target, entry }) {
    const page = await Page.open(browser);
    const marks = [performance.now()];
    await page.goto(file, 240_000);
    marks.push(performance.now());
    const opened = await page.unlock({ identity }, 240_000);
    marks.push(performance.now());
    await page.press(`Save ${entry}`);
    await downloaded(folder, target);
    marks.push(performance.now());
    const facts = { opened, ms: marks.slice(1).map((mark, place) => Math.round(mark - marks[place])) };
    facts.log = await page.log();
    await page.close();
    return facts;
  },

  /** Pictures of screens, in each of `widths` and both colour schemes. */
  async pictures(browser, { file, password, views, widths, schemes, out }) {
    const made = [];
    for (const width of widths) {
      for (const scheme of schemes) {
        const page = await Page.open(browser);
        await page.page.setViewport({ width, height: width < 500 ? 740 : 720 });
        if (scheme) await page.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await page.goto(file);
        const take = async (screen) => {
          await wait(250);
          const path = join(out, `${screen}-${width}${scheme ? `-${scheme}` : ""}.png`);
          const wide = await page.page.evaluate(() => document.documentElement.scrollWidth);
          await page.page.screenshot({ path });
          made.push({ path, width, wide });
        };
        await take("unlock");
        await page.unlock({ password: `${password}?` });
        await take("wrong");
        await page.unlock({ password });
        await take("contents");
        for (const [screen, name] of Object.entries(views)) {
          await page.press(`View ${name}`);
          await take(screen);
          await page.press("Back");
        }
        await page.press("Lock");
        await take("locked");
        await page.close();
      }
    }
    return { made };
  },

  /** That the log sees a request, and the policy stops one. */
  async control(browser, { page: file, bare }) {
    const asked = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      response.end();
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const base = `http://127.0.0.1:${server.address().port}`;
    const ask = async (place, address) => {
      const page = await Page.open(browser);
      await page.page.goto(`file://${place}`);
      await page.page.evaluate((address) => {
        document.body.append(Object.assign(document.createElement("img"), { src: address }));
        void fetch(address).catch(() => {});
      }, address);
      await wait(500);
      const log = await page.log();
      await page.close();
      return log;
    };
    const facts = { bare: await ask(bare, `${base}/bare`), page: await ask(file, `${base}/page`), asked };
    server.close();
    return facts;
  },
};

/** What the preview shows. */
async function previewed(page) {
  await wait(300);
  const frames = page.page.frames().map((frame) => frame.url().split(":")[0]);
  const facts = await page.page.evaluate(async () => {
    const place = document.getElementById("preview");
    const image = place.querySelector("canvas");
    const grid = place.querySelector(".grid");
    const found = {
      words: document.getElementById("viewer-words").textContent,
      text: place.querySelector("pre")?.textContent.slice(0, 200),
      image: image && [image.width, image.height],
      pixel: image && [...image.getContext("2d").getImageData(image.width - 1, 0, 1, 1).data],
      frame: place.querySelector("iframe")?.src.split(":")[0],
      sandbox: place.querySelector("iframe")?.getAttribute("sandbox"),
      note: place.querySelector(".note")?.textContent,
      markup: place.querySelectorAll("script, object, embed, a").length,
    };
    if (grid) {
      const rows = () => [...grid.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
      found.elements = [grid.querySelectorAll("tr").length];
      found.head = [...grid.querySelectorAll("thead th")].map((cell) => cell.textContent);
      found.first = rows()[0];
      const started = performance.now();
      for (const part of [0.25, 0.5, 1]) {
        grid.scrollTop = part * grid.scrollHeight;
        await new Promise((resolve) => setTimeout(resolve, 100));
        found.elements.push(grid.querySelectorAll("tr").length);
      }
      found.scrolling = Math.round(performance.now() - started);
      found.last = rows().at(-1);
      const box = grid.getBoundingClientRect();
      const lowest = [...grid.querySelectorAll("tbody tr")].at(-1).getBoundingClientRect();
      found.inSight = lowest.bottom <= box.bottom + 1 && lowest.top >= box.top;
    }
    return found;
  });
  return { ...facts, frames };
}

async function dropped(page, name, text) {
  await page.page.evaluate(
    (name, text) => {
      const data = new DataTransfer();
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      data.items.add(new File([bytes], name));
      const target = document.getElementById("choose");
      target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    },
    name,
    text,
  );
  await page.settled();
}

async function askWorker(cases) {
  const script = document.querySelector("script").textContent;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const answers = [];
  const worker = new Worker(url);
  let number = 0;
  for (const { name, data, password, identity, read } of cases) {
    const ask = (verb, ask) =>
      new Promise((resolve) => {
        const id = ++number;
        worker.onmessage = ({ data }) => data.id === id && !("stage" in data) && resolve(data);
        worker.postMessage({ id, verb, ask });
      });
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const chosen = await ask("file", { file: new File([bytes], name) });
    const keys = { password: password ?? "", identities: identity ?? "" };
    const opened = chosen.problem ? chosen : await ask("open", keys);
    const answer = { problem: opened.problem ?? null, names: opened.answer?.items.map((item) => item.name) ?? [] };
    if (read !== undefined && !opened.problem) {
      const found = await ask("read", { index: read });
      answer.problem = found.problem ?? null;
      answer.text = found.answer ? new TextDecoder("latin1").decode(found.answer) : null;
    }
    answers.push(answer);
  }
  worker.terminate();
  URL.revokeObjectURL(url);
  return answers;
}

async function flipAll({ front, armor, end, identity, masks, step }) {
  const script = document.querySelector("script").textContent;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new Worker(url);
  URL.revokeObjectURL(url);
  let number = 0;
  const ask = (verb, ask) =>
    new Promise((resolve) => {
      const id = ++number;
      worker.onmessage = ({ data }) => data.id === id && !("stage" in data) && resolve(data);
      worker.postMessage({ id, verb, ask });
    });
  const answerTo = async (text) => {
    const bytes = Uint8Array.from(front + text + end, (character) => character.charCodeAt(0));
    const chosen = await ask("file", { file: new File([bytes], "case.html") });
    return chosen.problem ? chosen : ask("open", { password: "", identities: identity });
  };
  const whole = await answerTo(armor);
  const counts = {};
  const opened = [];
  let tried = 0;
  for (const mask of masks) {
    for (let place = (mask * 7) % step; place < armor.length; place += step, tried++) {
      const other = String.fromCharCode(armor.charCodeAt(place) ^ mask);
      const answer = await answerTo(armor.slice(0, place) + other + armor.slice(place + 1));
      if (answer.problem) counts[answer.problem] = (counts[answer.problem] ?? 0) + 1;
      else opened.push([place, mask]);
    }
  }
  worker.terminate();
  return { whole: whole.problem ?? "opened", counts, opened, tried };
}

let input = "";
for await (const chunk of process.stdin) input += chunk;
const { browser: name, path, folder, scenarios: asked } = JSON.parse(input);
if (!existsSync(folder)) throw new Error(folder);
const browser = await launch(name, path, folder);
const facts = { version: await browser.version() };
try {
  for (const { name: label, kind, ...given } of asked) facts[label] = await scenarios[kind](browser, given);
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(facts));
