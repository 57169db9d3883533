// Which service calls which.

import { fetchDependencies } from "./api.js";
import { errorLine, hued, html, svg } from "./element.js";
import { formatCount, formatPercent, plural } from "./format.js";
import { serviceHue } from "./hue.js";
import { layServices } from "./layers.js";

/** @import {Dependency} from "./api.js" */
/** @import {Page} from "./main.js" */

const BOX = { width: 168, height: 40, gapX: 132, gapY: 32, margin: 28 };

/** @type {readonly {millis: number, label: string}[]} */
const STRETCHES = [
  { millis: 3_600_000, label: "the last hour" },
  { millis: 86_400_000, label: "the last day" },
  { millis: 604_800_000, label: "the last week" },
  { millis: 31_536_000_000, label: "the last year" },
];

/** @returns {Promise<Page>} */
export async function dependencyPage() {
  const stretch = html(
    "select",
    { id: "stretch", change: () => load() },
    ...STRETCHES.map(({ millis, label }) => html("option", { value: millis, selected: millis === 86_400_000 }, label)),
  );
  const body = html("div", { class: "dependency-body" });
  const load = async () => {
    let links;
    try {
      links = await fetchDependencies(Date.now(), Number(stretch.value));
    } catch (error) {
      body.replaceChildren(errorLine(error));
      return;
    }
    body.replaceChildren(
      ...(links.length === 0
        ? [
            html(
              "p",
              { class: "empty" },
              "No service called another in that time. A call shows here when its client and its server report spans of one trace.",
            ),
          ]
        : [graph(links), linkTable(links)]),
    );
  };
  await load();
  const element = html(
    "div",
    { class: "page" },
    html(
      "header",
      { class: "trace-head" },
      html("h1", {}, "Dependencies"),
      html("label", { for: "stretch" }, "in "),
      stretch,
    ),
    body,
  );
  return { title: "Dependencies", element };
}

/** @param {Dependency[]} links */
function graph(links) {
  const layers = layServices(links.map(({ parent, child }) => ({ from: parent, to: child })));
  const tallest = Math.max(...layers.map((layer) => layer.length));
  /** @type {Map<string, {x: number, y: number}>} */
  const places = new Map();
  /** @type {Map<string, {x: number, y: number}[]>} by caller and called */
  const passed = new Map();
  for (const layer of layers) {
    const above = ((tallest - layer.length) * (BOX.height + BOX.gapY)) / 2;
    for (const { name, layer: column, place, passing } of layer) {
      const point = {
        x: BOX.margin + column * (BOX.width + BOX.gapX),
        y: BOX.margin + above + place * (BOX.height + BOX.gapY),
      };
      if (passing === null) {
        places.set(name, point);
      } else {
        const key = JSON.stringify([passing.from, passing.to]);
        passed.set(key, [...(passed.get(key) ?? []), point]);
      }
    }
  }
  const width = 2 * BOX.margin + layers.length * (BOX.width + BOX.gapX) - BOX.gapX;
  const height = 2 * BOX.margin + tallest * (BOX.height + BOX.gapY) - BOX.gapY;
  const about = html("div", { class: "about", "aria-live": "polite" });
  const picture = svg(
    "svg",
    {
      class: "graph",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "group",
      "aria-label": "Graph of services",
    },
    svg(
      "defs",
      {},
      svg(
        "marker",
        {
          id: "arrow",
          viewBox: "0 0 8 8",
          refX: 8,
          refY: 4,
          markerWidth: 8,
          markerHeight: 8,
          markerUnits: "userSpaceOnUse",
          orient: "auto",
        },
        svg("path", { d: "M0 0 8 4 0 8z" }),
      ),
    ),
  );
  // Numbers above all lines.
  const numbers = [];
  for (const link of links) {
    const [from, to] = [places.get(link.parent), places.get(link.child)];
    if (from !== undefined && to !== undefined) {
      const [line, number] = call(link, from, passed.get(JSON.stringify([link.parent, link.child])) ?? [], to);
      picture.append(line);
      numbers.push(number);
    }
  }
  picture.append(...numbers);
  for (const [name, { x, y }] of places) {
    const choose = () => {
      picture.querySelectorAll(".service-box, .call").forEach((other) => {
        const near =
          other instanceof SVGElement &&
          (other.dataset["from"] === name || other.dataset["to"] === name || other.dataset["name"] === name);
        other.classList.toggle("near", near);
      });
      picture.classList.add("chosen");
      about.replaceChildren(...aboutService(name, links));
    };
    const shown = name.length > 22 ? `${name.slice(0, 21)}…` : name;
    picture.append(
      hued(
        svg(
          "g",
          {
            class: "service-box",
            tabindex: 0,
            role: "button",
            "aria-label": `${name}: ${callText(name, links)}`,
            "data-name": name,
            transform: `translate(${x} ${y})`,
            click: choose,
            keydown: (event) => {
              if (event.key === "Enter" || event.key === " ") {
                event.preventDefault();
                choose();
              }
            },
          },
          svg("title", {}, name),
          svg("rect", { width: BOX.width, height: BOX.height, rx: 8 }),
          svg(
            "text",
            { x: BOX.width / 2, y: BOX.height / 2, "text-anchor": "middle", "dominant-baseline": "central" },
            shown,
          ),
        ),
        serviceHue(name),
      ),
    );
  }
  return html(
    "div",
    { class: "graph-area" },
    html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Graph" }, picture),
    about,
  );
}

/**
 * @param {Dependency} link
 * @param {{x: number, y: number}} from
 * @param {{x: number, y: number}[]} passed the free places on its way
 * @param {{x: number, y: number}} to
 * @returns {[SVGElement, SVGElement]} the line and its number
 */
function call(link, from, passed, to) {
  const errors = link.errorCount ?? 0;
  const text = errors > 0 ? `${formatCount(link.callCount)} · ✗ ${formatCount(errors)}` : formatCount(link.callCount);
  const forward = to.x > from.x;
  const start = { x: from.x + (forward ? BOX.width : 0), y: from.y + BOX.height / 2 };
  const end = { x: to.x + (forward ? 0 : BOX.width), y: to.y + BOX.height / 2 };
  let [path, label] = ["", { x: (start.x + end.x) / 2, y: (start.y + end.y) / 2 - 7 }];
  if (link.parent === link.child) {
    const [x, y] = [from.x + BOX.width / 2, from.y];
    path = `M${x - 24} ${y}C${x - 24} ${y - 26} ${x + 24} ${y - 26} ${x + 24} ${y}`;
    label = { x: x + 42, y: y - 10 };
  } else if (forward) {
    path = `M${start.x} ${start.y}`;
    let at = start;
    for (const point of [...passed, null]) {
      const next = point === null ? end : { x: point.x, y: point.y + BOX.height / 2 };
      const bend = (next.x - at.x) / 2;
      path += `C${at.x + bend} ${at.y} ${next.x - bend} ${next.y} ${next.x} ${next.y}`;
      if (point !== null) {
        at = { x: next.x + BOX.width, y: next.y };
        path += `H${at.x}`;
        label = { x: next.x + BOX.width / 2, y: next.y - 7 };
      }
    }
  } else {
    // Back to the left, and below the boxes in between.
    const low = Math.max(from.y, to.y) + BOX.height + 20;
    const [x1, x2] = [from.x + BOX.width / 2, to.x + BOX.width / 2];
    path = `M${x1} ${from.y + BOX.height}C${x1} ${low} ${x2} ${low} ${x2} ${to.y + BOX.height}`;
    label = { x: (x1 + x2) / 2, y: low - 10 };
  }
  const attributes = {
    class: errors > 0 ? "call error" : "call",
    "aria-hidden": "true",
    "data-from": link.parent,
    "data-to": link.child,
  };
  const width = Math.min(6, 1 + Math.log10(Math.max(1, link.callCount)));
  return [
    svg("path", { ...attributes, d: path, fill: "none", "stroke-width": width, "marker-end": "url(#arrow)" }),
    svg("text", { ...attributes, x: label.x, y: label.y, "text-anchor": "middle" }, text),
  ];
}

/**
 * @param {string} name
 * @param {Dependency[]} links
 */
function callText(name, links) {
  const calls = links.filter(({ parent }) => parent === name).map(({ child }) => child);
  const callers = links.filter(({ child }) => child === name).map(({ parent }) => parent);
  return `calls ${calls.join(", ") || "nothing"}; called by ${callers.join(", ") || "nothing"}`;
}

/**
 * @param {string} name
 * @param {Dependency[]} links
 */
function aboutService(name, links) {
  const own = links.filter(({ parent, child }) => parent === name || child === name);
  return [
    html("h2", {}, name),
    html("p", {}, html("a", { href: `/zipkin/?serviceName=${encodeURIComponent(name)}` }, "Its traces")),
    linkTable(own),
  ];
}

/** @param {Dependency[]} links */
function linkTable(links) {
  const sorted = [...links].sort((left, right) => right.callCount - left.callCount);
  return html(
    "div",
    { class: "scroll" },
    html(
      "table",
      { class: "names" },
      html("caption", { class: "spoken" }, `${plural(links.length, "pair")} of services`),
      html(
        "thead",
        {},
        html(
          "tr",
          {},
          ...["Caller", "Called"].map((title) => html("th", { scope: "col" }, title)),
          ...["Calls", "Errors"].map((title) => html("th", { scope: "col", class: "number" }, title)),
        ),
      ),
      html(
        "tbody",
        {},
        ...sorted.map(({ parent, child, callCount, errorCount = 0 }) =>
          html(
            "tr",
            {},
            html("th", { scope: "row" }, parent),
            html("td", {}, child),
            html("td", { class: "number" }, formatCount(callCount)),
            html(
              "td",
              { class: errorCount > 0 ? "number error" : "number" },
              errorCount > 0 ? `✗ ${formatCount(errorCount)} (${formatPercent(errorCount, callCount)})` : "–",
            ),
          ),
        ),
      ),
    ),
  );
}
