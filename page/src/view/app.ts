// The page: which screen is shown, and what leads from one to the next.

import { Failure, type Item, type Opened, type Opener } from "../messages.ts";
import { Client } from "./client.ts";
import { make, part, readable } from "./dom.ts";
import { list } from "./listing.ts";
import { takePayload } from "./payload.ts";
import { show } from "./preview.ts";
import { save } from "./saving.ts";
import { revokeAll } from "./urls.ts";
import { countOf, SENTENCES, sizeOf, STAGES } from "./words.ts";

const SCREENS = ["loading", "choose", "unlock", "contents", "viewer", "locked", "broken"] as const;
type Screen = (typeof SCREENS)[number];

/** One page, from its loading to its locking. */
class App {
  readonly #script: string;
  #client: Client | null = null;
  #carries = false;
  #fileName = "";
  #busy = false;
  #locks = 0;
  #opened: Opened | null = null;
  #shown: { item: Item; close: () => void; from: HTMLElement } | null = null;

  constructor(script: string) {
    this.#script = script;
    part<HTMLFormElement>("form").onsubmit = (event) => {
      event.preventDefault();
      void this.#unlock();
    };
    part<HTMLInputElement>("reveal").onchange = ({ target }) => {
      part<HTMLInputElement>("password").type = (target as HTMLInputElement).checked ? "text" : "password";
    };
    part("chooser").onclick = () => part("file").click();
    part<HTMLInputElement>("file").onchange = ({ target }) => void this.#choose((target as HTMLInputElement).files?.[0]);
    part("key-chooser").onclick = () => part("key-file").click();
    part<HTMLInputElement>("key-file").onchange = ({ target }) =>
      void this.#takeKey((target as HTMLInputElement).files?.[0]);
    part("other").onclick = () => this.#restart();
    part("lock").onclick = () => this.#lock();
    part("again").onclick = () => this.#restart();
    part("save-all").onclick = () => void this.#saveAll();
    part("back").onclick = () => this.#back();
    part("viewer-save").onclick = () => this.#shown && void this.#save(this.#shown.item);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#shown) this.#back();
    });
    this.#takeDrops();
  }

  async start(): Promise<void> {
    await this.#try(async () => {
      this.#show("loading");
      const client = this.#newClient();
      this.#carries = await takePayload(client, (bytes) => this.#say(`Loading the page: ${sizeOf(bytes)}`));
      this.#say("");
      if (this.#carries) this.#askFor(await client.ask("end", null));
      else this.#show("choose");
    }, "broken");
  }

  /** Show a screen, and put the focus where its reader goes on. */
  #show(screen: Screen, focus?: HTMLElement): void {
    for (const one of SCREENS) part(one).hidden = one !== screen;
    part("lock").hidden = screen !== "contents" && screen !== "viewer";
    part("alert").textContent = "";
    (focus ?? part(screen).querySelector<HTMLElement>("[data-focus]"))?.focus();
    document.body.dataset["screen"] = screen;
  }

  #newClient(): Client {
    this.#client?.close();
    this.#client = new Client(this.#script, (stage, done, total) => {
      const bar = part<HTMLProgressElement>("progress");
      bar.hidden = false;
      bar.value = total ? done / total : 0;
      this.#say(STAGES[stage]);
    });
    return this.#client;
  }

  #say(words: string): void {
    if (part("status").textContent !== words) part("status").textContent = words;
  }

  /** Do one thing at a time; an error is said in words, on the `fallback` screen if one is given. */
  async #try(work: () => Promise<void>, fallback?: Screen): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    document.body.dataset["busy"] = ""; // not aria-busy, which would silence the status
    part("alert").textContent = "";
    let problem: Failure["problem"] | null = null;
    const locks = this.#locks;
    try {
      await work();
    } catch (error) {
      problem = error instanceof Failure ? error.problem : error instanceof RangeError ? "too-large" : "failed";
      if (locks !== this.#locks) problem = null; // it was locked meanwhile
    } finally {
      this.#busy = false;
      delete document.body.dataset["busy"];
      part<HTMLProgressElement>("progress").hidden = true;
      this.#say("");
    }
    if (problem) {
      if (fallback) this.#show(fallback);
      part("alert").textContent = SENTENCES[problem];
    }
  }

  #askFor(opener: Opener): void {
    this.#show("unlock");
    part("file-name").textContent = readable(this.#fileName);
    part<HTMLDetailsElement>("keys").open = opener === "identity";
    part("password-part").hidden = opener === "identity";
    part("keys").hidden = opener === "password";
    part("unlock-help").textContent = SENTENCES[`needs-${opener}`];
    part("other").hidden = this.#carries;
    part(opener === "identity" ? "identity" : "password").focus();
  }

  async #choose(file: File | undefined): Promise<void> {
    if (!file) return;
    await this.#try(async () => {
      const client = this.#newClient();
      this.#fileName = file.name;
      this.#say("Reading the file");
      this.#askFor(await client.ask("file", { file }));
    });
    part<HTMLInputElement>("file").value = "";
  }

  async #takeKey(file: File | undefined): Promise<void> {
    if (!file) return;
    part<HTMLTextAreaElement>("identity").value = file.size <= 64 * 1024 ? await file.text() : "";
    part<HTMLInputElement>("key-file").value = "";
    part("identity").focus();
  }

  async #unlock(): Promise<void> {
    const password = part<HTMLInputElement>("password");
    const identity = part<HTMLTextAreaElement>("identity");
    await this.#try(async () => {
      const client = this.#client;
      if (!client) throw new Failure("failed");
      this.#say(STAGES[identity.value.trim() ? "decrypt" : "key"]);
      const ask = { password: password.value, identities: identity.value };
      const opened = await client.ask("open", ask);
      this.#forgetKeys();
      this.#list(opened);
    });
    if (this.#opened) return;
    const field = part("password-part").hidden ? identity : password;
    field.focus();
    if (field === password) password.select();
  }

  #forgetKeys(): void {
    part<HTMLFormElement>("form").reset();
    part<HTMLInputElement>("password").type = "password";
    part<HTMLInputElement>("file").value = "";
    part<HTMLInputElement>("key-file").value = "";
  }

  #list(opened: Opened): void {
    this.#opened = opened;
    const actions = {
      view: (item: Item, button: HTMLButtonElement) => void this.#view(item, button),
      save: (item: Item) => void this.#save(item),
    };
    const left = list(part("entries"), opened.items, actions);
    const files = opened.items.filter(({ kind }) => kind === "file");
    const total = files.reduce((sum, { size }) => sum + size, 0);
    const more = left ? `; ${countOf(left, "more entry")} not listed, "Save all" has them` : "";
    part("summary").textContent = `${countOf(files.length, "file")}, ${sizeOf(total)}${more}`;
    part("unproven").hidden = opened.hidden;
    part("save-all").hidden = !opened.archive || !files.length;
    this.#show("contents");
  }

  async #view(item: Item, from: HTMLElement): Promise<void> {
    await this.#try(async () => {
      const locks = this.#locks;
      const preview = await this.#client!.ask("preview", { index: item.index });
      const name = readable(item.name);
      part("viewer-name").replaceChildren(make("bdi", {}, name));
      this.#show("viewer");
      const { words, close } = await show(part("preview"), name, preview);
      if (locks !== this.#locks) return close(); // it was locked while a picture was decoded
      part("viewer-words").textContent = words;
      this.#shown = { item, close, from };
    });
  }

  #back(): void {
    const shown = this.#shown;
    this.#endPreview();
    this.#show("contents", shown?.from);
  }

  #endPreview(): void {
    this.#shown?.close();
    this.#shown = null;
    part("viewer-name").replaceChildren();
    part("viewer-words").textContent = "";
  }

  async #save(item: Item): Promise<void> {
    await this.#try(async () => {
      save(await this.#client!.ask("read", { index: item.index }), item.name);
    });
  }

  async #saveAll(): Promise<void> {
    await this.#try(async () => {
      save(await this.#client!.ask("all", null), `${this.#stem()}.zip`);
    });
  }

  /** What the archive is called, without what says that it is encrypted. */
  #stem(): string {
    const own = decodeURIComponent(location.pathname.slice(location.pathname.lastIndexOf("/") + 1));
    const name = this.#fileName || own;
    return name.replace(/\.(?:html?|zip\.age|age|zip)$/i, "") || "files";
  }

  /** Forget everything: the worker with its keys and plaintext, what is shown, and all addresses of it. */
  #lock(): void {
    this.#locks++;
    this.#client?.close();
    this.#client = null;
    this.#endPreview();
    this.#opened = null;
    this.#fileName = "";
    part("entries").replaceChildren();
    part("summary").textContent = "";
    part("file-name").textContent = "";
    this.#forgetKeys();
    revokeAll();
    this.#show("locked");
  }

  /** Begin again. The payload left the document, so that the browser reads the page anew. */
  #restart(): void {
    this.#lock();
    if (this.#carries) location.reload();
    else this.#show("choose");
  }

  #takeDrops(): void {
    const zone = document.documentElement;
    zone.addEventListener("dragover", (event) => {
      event.preventDefault(); // else the browser leaves the page for the file
      zone.classList.add("dragging");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("dragging"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("dragging");
      const file = event.dataTransfer?.files[0];
      if (!part("choose").hidden) void this.#choose(file);
      else if (!part("unlock").hidden && !part("keys").hidden) void this.#takeKey(file);
    });
  }
}

export function startPage(script: string): void {
  part("broken").hidden = true;
  void new App(script).start();
}

