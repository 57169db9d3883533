// The real viewer, a process of its own for each test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const PROGRAM = process.env["TRACED_VIEWER"] ?? new URL("../../target/debug/traced-viewer", import.meta.url).pathname;

export class Viewer {
  /** @param {import("node:child_process").ChildProcess} process @param {string} origin */
  constructor(process, origin) {
    this.process = process;
    this.origin = origin;
  }

  /**
   * Starts it on a free port.
   * @param {...string} options
   */
  static async start(...options) {
    const process = spawn(PROGRAM, ["--listen", "127.0.0.1:0", ...options], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: /** @type {import("node:stream").Readable} */ (process.stdout) });
    for await (const line of lines) {
      const found = /http:\/\/(?:localhost|127\.0\.0\.1):\d+/.exec(line);
      if (found !== null) {
        process.stdout?.resume();
        return new Viewer(process, found[0]);
      }
    }
    throw new Error(`${PROGRAM} ended without saying where it listens`);
  }

  /** @param {readonly object[]} spans */
  async send(spans) {
    const answer = await fetch(`${this.origin}/api/v2/spans`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(spans),
    });
    if (answer.status !== 202) {
      throw new Error(`${answer.status} ${await answer.text()}`);
    }
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await ended;
    }
  }
}
