// One script for both sides: the page runs it, and starts the worker from a copy of its own text.

import { startPage } from "./view/app.ts";
import { startWorker } from "./vault/worker.ts";

if (typeof document === "undefined") startWorker();
else startPage(document.currentScript?.textContent ?? "");
