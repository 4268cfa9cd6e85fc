// A browser, its page, and all that either of them says. The same driver for Chromium (CDP) and Firefox (BiDi).

import puppeteer from "puppeteer-core";

const SWITCHES = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
  "--no-sandbox", // tests may run as root
];

function preferences(folder) {
  return {
    "app.normandy.enabled": false,
    "browser.download.dir": folder,
    "browser.download.folderList": 2,
    "browser.download.useDownloadDir": true,
    "browser.download.alwaysOpenPanel": false,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
  };
}

/** Start `name`, "chromium" or "firefox", at `path`; what it downloads goes to `folder`. */
export async function launch(name, path, folder) {
  if (name === "firefox") {
    const options = { browser: "firefox", executablePath: path, headless: true };
    return puppeteer.launch({ ...options, extraPrefsFirefox: preferences(folder) });
  }
  const browser = await puppeteer.launch({ executablePath: path, headless: true, args: SWITCHES });
  const session = await browser.target().createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
  return browser;
}

// Runs before the page's own script. Addresses of memory are counted, and what the policy forbids is kept.
function watch() {
  const seen = { made: [], revoked: [], violations: [] };
  Object.defineProperty(globalThis, "seen", { value: seen });
  const [make, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
  URL.createObjectURL = (what) => {
    const url = make.call(URL, what);
    seen.made.push(url);
    return url;
  };
  URL.revokeObjectURL = (url) => {
    seen.revoked.push(url);
    revoke.call(URL, url);
  };
  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    seen.violations.push(`${violatedDirective} ${blockedURI}`),
  );
}

const OURS = /^(?:file|blob|data|about|chrome|chrome-extension|resource):/; // no server is behind these
const VIEWER = /^(?:Warning: Invalid absolute docBaseUrl|PDF [0-9a-f]{32})/; // said by Firefox's viewer of PDF

/** One page, with what was logged: requests that leave the machine, errors, dialogs. */
export class Page {
  constructor(page) {
    this.page = page;
    this.requests = [];
    this.errors = [];
    page.on("request", (request) => {
      if (!OURS.test(request.url())) this.requests.push(request.url());
    });
    page.on("console", (message) => {
      if (!VIEWER.test(message.text())) this.errors.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.errors.push(`pageerror: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.errors.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  static async open(browser, file) {
    const page = new Page(await browser.newPage());
    await page.page.evaluateOnNewDocument(watch);
    await page.page.setViewport({ width: 1024, height: 768 });
    if (file) await page.goto(file);
    return page;
  }

  async goto(file, timeout = 60_000) {
    await this.page.goto(`file://${encodeURI(file)}`, { timeout });
    await this.page.waitForFunction(() => !["loading", undefined].includes(document.body.dataset.screen), { timeout });
  }

  /** What is on the screen, in words. */
  state() {
    return this.page.evaluate(() => ({
      screen: document.body.dataset.screen,
      alert: document.getElementById("alert").textContent,
      names: [...document.querySelectorAll("#entries .name")].map((cell) => cell.textContent),
      focus: document.activeElement?.id ?? "",
    }));
  }

  /** Wait until nothing is under way, and say what came of it. */
  async settled(timeout = 60_000) {
    await this.page.waitForFunction(() => document.body.dataset.busy === undefined, { timeout, polling: 20 });
    return this.state();
  }

  async unlock({ password, identity }, timeout) {
    const field = password === undefined ? "#identity" : "#password";
    await this.page.$eval(field, (element) => (element.value = ""));
    await this.page.type(field, password ?? identity);
    if (password === undefined) await this.page.click("#open");
    else await this.page.keyboard.press("Enter");
    return this.settled(timeout);
  }

  async press(label) {
    await this.page.evaluate((label) => {
      const buttons = [...document.querySelectorAll("button")];
      buttons.find((one) => (one.getAttribute("aria-label") ?? one.textContent) === label).click();
    }, label);
    return this.settled();
  }

  async choose(selector, ...files) {
    const input = await this.page.$(selector);
    await input.uploadFile(...files);
    return this.settled();
  }

  async log() {
    const { made, revoked, violations } = await this.page.evaluate(() => globalThis.seen);
    const left = made.filter((url) => !revoked.includes(url)).length;
    return { requests: [...this.requests], errors: [...this.errors], violations, made: made.length, left };
  }

  close() {
    return this.page.close();
  }
}
