// The page: which part of it is shown, and what all parts share.

import { fetchSpanLimit, fetchTrace } from "./api.js";
import { comparePage } from "./compare.js";
import { dependencyPage } from "./dependency.js";
import { errorLine, html } from "./element.js";
import { formatDuration, plural } from "./format.js";
import { Keyboard } from "./keyboard.js";
import { listPage } from "./list.js";
import { Live } from "./live.js";
import { themeSwitch } from "./theme.js";
import { buildTrace } from "./trace.js";
import { tracePage } from "./tracepage.js";
import { readTraces, uploadButton } from "./upload.js";

/** @import {Binding} from "./keyboard.js" */
/** @import {Span} from "./trace.js" */

/**
 * What is shown below the bar.
 * @typedef {Object} Page
 * @property {string} title
 * @property {HTMLElement} element
 * @property {Binding[]} [bindings]
 * @property {() => void} [entered] called when it is in the document
 * @property {() => void} [leave] called before another takes its place
 */

/**
 * What pages may ask for.
 * @typedef {Object} App
 * @property {Live} live
 * @property {(path: string) => void} go
 * @property {() => void} reload
 * @property {(text: string) => void} say shows a line for a moment, and has it read out
 * @property {(text: string) => void} whisper has it read out only
 */

/** Milliseconds that a line stays. */
const SAID_FOR = 4_000;

/** A page that carries its traces has no server to ask. */
const carried = document.getElementById("traced-data");
const main = html("main", { id: "main", tabindex: "-1" });
const said = html("p", { class: "said", role: "status" });
const whispered = html("p", { class: "spoken", role: "log", "aria-live": "polite" });
let saidTimer = 0;
/** @type {Page | null} */
let current = null;
/** Counts what was asked for, so that an answer that comes late does not replace a later page. */
let asked = 0;
/** @type {Span[][]} */
let fileTraces = carried === null ? [] : readTraces(carried.textContent ?? "");
let fileName = "";

/** @type {App} */
const app = {
  live: new Live(),
  go: (path) => {
    history.pushState(null, "", path);
    route();
  },
  reload: () => route(),
  say: (text) => {
    said.textContent = text;
    clearTimeout(saidTimer);
    saidTimer = setTimeout(() => said.replaceChildren(), SAID_FOR);
  },
  whisper: (text) => {
    whispered.textContent = text;
  },
};

const keyboard = new Keyboard(
  carried !== null
    ? []
    : [
        { keys: ["g"], does: "the list of traces", run: () => app.go("/zipkin/") },
        { keys: ["d"], does: "dependencies", run: () => app.go("/zipkin/dependency") },
      ],
);

/** @returns {Promise<Page>} */
async function pageAt() {
  const file = /^#file(?:\/(\d+))?$/.exec(location.hash);
  if (carried !== null || (file !== null && fileTraces.length > 0)) {
    return filePage(file?.[1]);
  }
  const query = new URLSearchParams(location.search);
  const found = /^\/zipkin\/traces\/([0-9a-f]+)\/?$/i.exec(location.pathname);
  if (found?.[1] !== undefined) {
    const other = query.get("compare");
    if (other !== null) {
      return comparePage(found[1], other);
    }
    const [spans, limit] = await Promise.all([fetchTrace(found[1]), fetchSpanLimit()]);
    return tracePage(app, spans, "server", spans.length >= limit);
  }
  return /^\/zipkin\/dependency\/?$/.test(location.pathname) ? dependencyPage() : listPage(app, query);
}

/**
 * A trace from a file, or the choice among several.
 * @param {string | undefined} number
 * @returns {Page}
 */
function filePage(number) {
  const spans = fileTraces[number === undefined ? 0 : Number(number)];
  if (spans !== undefined && (number !== undefined || fileTraces.length === 1)) {
    return tracePage(app, spans, "file", false);
  }
  const element = html(
    "div",
    { class: "page" },
    html(
      "header",
      { class: "trace-head" },
      html("h1", {}, `${plural(fileTraces.length, "trace")} of ${fileName || "this file"}`),
    ),
    html(
      "ul",
      { class: "file-traces" },
      ...fileTraces.map((one, at) => {
        const trace = buildTrace(one);
        return html(
          "li",
          {},
          html("a", { href: `#file/${at}` }, trace.root?.name || "(no name)"),
          ` ${trace.root?.service ?? ""} · ${formatDuration(trace.end - trace.start)} · ${plural(one.length, "span")}`,
        );
      }),
    ),
  );
  return { title: fileName || "File", element };
}

async function route() {
  asked += 1;
  const mine = asked;
  let page;
  try {
    page = await pageAt();
  } catch (error) {
    page = errorPage(error);
  }
  if (mine !== asked) {
    return;
  }
  current?.leave?.();
  current = page;
  document.title = `${page.title} · traced`;
  main.replaceChildren(page.element);
  main.scrollTop = 0;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link instanceof HTMLAnchorElement && location.hash === "" && link.pathname === location.pathname;
    if (here) {
      link.setAttribute("aria-current", "page");
    } else {
      link.removeAttribute("aria-current");
    }
  }
  keyboard.show(page.bindings ?? []);
  main.focus({ preventScroll: true });
  page.entered?.();
}

/**
 * @param {unknown} error
 * @returns {Page}
 */
function errorPage(error) {
  const element = html(
    "div",
    { class: "page" },
    html("h1", {}, "This cannot be shown"),
    errorLine(error),
    html("p", {}, html("a", { href: "/zipkin/" }, "All traces")),
  );
  return { title: "Not shown", element };
}

/**
 * @param {string} text
 * @param {string} name
 */
function openFile(text, name) {
  try {
    fileTraces = readTraces(text);
    fileName = name;
    app.go("#file");
  } catch (error) {
    app.say(`${name}: ${error instanceof Error ? error.message : error}`);
  }
}

function idField() {
  const input = html("input", {
    type: "search",
    name: "traceId",
    placeholder: "trace id",
    "aria-label": "Go to a trace by its id",
    autocomplete: "off",
    spellcheck: "false",
  });
  return html(
    "form",
    {
      class: "id-field",
      submit: (event) => {
        event.preventDefault();
        const id = input.value.trim().toLowerCase();
        if (/^[0-9a-f]{1,32}$/.test(id)) {
          app.go(`/zipkin/traces/${id}`);
        } else {
          app.say("A trace id has 1 to 32 hexadecimal digits");
        }
      },
    },
    input,
  );
}

/** @param {MouseEvent} event */
function followLink(event) {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (
    link === null ||
    link.getAttribute("href") === null ||
    event.button !== 0 ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey ||
    event.altKey ||
    link.hasAttribute("download") ||
    link.origin !== location.origin ||
    link.pathname.startsWith("/zipkin/api/")
  ) {
    return;
  }
  event.preventDefault();
  app.go(link.href);
}

const bar = html(
  "header",
  { class: "bar" },
  html(
    "a",
    {
      class: "skip",
      href: "#main",
      click: (event) => {
        event.preventDefault();
        event.stopPropagation();
        main.focus();
      },
    },
    "Skip to the content",
  ),
  html("span", { class: "brand" }, "traced"),
  carried === null &&
    html(
      "nav",
      { "aria-label": "Pages" },
      html("a", { href: "/zipkin/" }, "Traces"),
      html("a", { href: "/zipkin/dependency" }, "Dependencies"),
    ),
  carried === null && idField(),
  html(
    "span",
    { class: "last bar-buttons" },
    uploadButton(openFile),
    themeSwitch(),
    html(
      "button",
      { type: "button", class: "plain", "aria-label": "Keys", title: "Keys (?)", click: () => keyboard.help() },
      "?",
    ),
  ),
);
document.body.append(bar, main, said, whispered);
document.addEventListener("click", followLink);
addEventListener("popstate", () => route());
route();
