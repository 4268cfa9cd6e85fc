// The worker, seen from the page.

import { type Calls, Failure, type Progress, type Response, type Verb } from "../messages.ts";

interface Pending {
  resolve: (answer: never) => void;
  reject: (failure: Failure) => void;
}

/** Asks the worker, which runs a copy of the page's own `script`. */
export class Client {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #progress: Progress;
  #last = 0;
  #closed = false;

  /** Raises `no-worker` where the browser has none for a page from a file. */
  constructor(script: string, progress: Progress) {
    this.#progress = progress;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    try {
      this.#worker = new Worker(url);
    } catch {
      throw new Failure("no-worker");
    } finally {
      setTimeout(() => URL.revokeObjectURL(url)); // once the browser has begun to load it
    }
    this.#worker.onmessage = ({ data }: MessageEvent<Response>) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Failure("no-worker"));
    };
  }

  ask<V extends Verb>(verb: V, ask: Calls[V]["ask"], transfer: Transferable[] = []): Promise<Calls[V]["answer"]> {
    if (this.#closed) return Promise.reject(new Failure("failed"));
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ id, verb, ask }, transfer);
    });
  }

  /** End the worker, and with it all that it knows. */
  close(): void {
    this.#closed = true;
    this.#worker.terminate();
    this.#fail(new Failure("failed"));
  }

  #receive(response: Response): void {
    if ("stage" in response) {
      if (this.#pending.has(response.id)) this.#progress(response.stage, response.done, response.total);
      return;
    }
    const pending = this.#pending.get(response.id);
    this.#pending.delete(response.id);
    if ("problem" in response) pending?.reject(new Failure(response.problem));
    else pending?.resolve(response.answer as never);
  }

  #fail(failure: Failure): void {
    for (const { reject } of this.#pending.values()) reject(failure);
    this.#pending.clear();
  }
}
