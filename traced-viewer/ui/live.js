// The stream of traces as they change.

import { liveUrl } from "./api.js";

/** @import {Summary} from "./api.js" */

/**
 * @typedef {Object} LiveListener
 * @property {(summaries: Summary[]) => void} traces what changed
 * @property {() => void} cleared the server forgot everything
 * @property {(connected: boolean) => void} connected
 */

/** One connection for the page. The browser opens it again when it breaks. */
export class Live {
  /** @type {Set<LiveListener>} */
  #listeners = new Set();
  /** @type {EventSource | null} */
  #source = null;
  #connected = false;

  /**
   * @param {LiveListener} listener
   * @returns {() => void} ends the subscription
   */
  listen(listener) {
    this.#listeners.add(listener);
    this.#open();
    listener.connected(this.#connected);
    return () => this.#listeners.delete(listener);
  }

  #open() {
    if (this.#source !== null && this.#source.readyState !== EventSource.CLOSED) {
      return;
    }
    const source = new EventSource(liveUrl());
    this.#source = source;
    source.addEventListener("open", () => this.#tell(true));
    source.addEventListener("error", () => this.#tell(false));
    source.addEventListener("traces", (event) => {
      const summaries = JSON.parse(event.data);
      this.#each((listener) => listener.traces(summaries));
    });
    source.addEventListener("cleared", () => this.#each((listener) => listener.cleared()));
    // A page that is left keeps a connection open otherwise, of the few that a browser allows for a server.
    addEventListener("pagehide", () => source.close(), { once: true });
  }

  /** @param {boolean} connected */
  #tell(connected) {
    this.#connected = connected;
    this.#each((listener) => listener.connected(connected));
  }

  /** @param {(listener: LiveListener) => void} call */
  #each(call) {
    for (const listener of [...this.#listeners]) {
      call(listener);
    }
  }
}
