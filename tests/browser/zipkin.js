// A real Zipkin server, for its own UI.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

const JAR = new URL("../../target/peers/zipkin-server-3.6.1-exec.jar", import.meta.url).pathname;

export class Zipkin {
  /** @param {import("node:child_process").ChildProcess} process @param {string} origin */
  constructor(process, origin) {
    this.process = process;
    this.origin = origin;
  }

  /** Why it cannot be started here; null if it can. */
  static get missing() {
    return existsSync(JAR) ? null : `${JAR} is not there: scripts/browser-test fetches it`;
  }

  static async start() {
    const port = await freePort();
    const zipkin = spawn("java", ["-Xmx384m", "-jar", JAR], {
      env: { ...process.env, QUERY_PORT: String(port), STORAGE_TYPE: "mem" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const started = new Zipkin(zipkin, `http://127.0.0.1:${port}`);
    const lines = createInterface({ input: /** @type {import("node:stream").Readable} */ (zipkin.stdout) });
    for await (const line of lines) {
      if (line.includes("Serving HTTP at")) {
        zipkin.stdout?.resume();
        return started;
      }
    }
    throw new Error("Zipkin ended before it had started");
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await ended;
    }
  }
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  await once(server, "close");
  return port;
}
