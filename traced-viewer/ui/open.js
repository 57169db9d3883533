// Spans that began and have not ended: what a program that hangs is doing.

import { fetchOpenSpans } from "./api.js";
import { hued, html } from "./element.js";
import { formatDuration, plural } from "./format.js";
import { serviceHue } from "./hue.js";

/** Milliseconds between two looks; only while the panel can be seen. */
const LOOK_EVERY = 2_000;
/** Spans that are listed; the count says how many there are. */
const OPEN_ROWS = 50;

/** @returns {{element: HTMLElement, start: () => void, stop: () => void}} */
export function openSpans() {
  const summary = html("summary");
  const list = html("ul", { class: "open-list" });
  const element = html("details", { class: "open-spans", hidden: true }, summary, list);
  let timer = 0;
  const look = async () => {
    if (document.hidden) {
      return;
    }
    try {
      const spans = await fetchOpenSpans();
      element.hidden = spans.length === 0;
      summary.textContent = `${plural(spans.length, "span")} open now`;
      spans.sort((left, right) => right.age - left.age);
      list.replaceChildren(
        ...spans
          .slice(0, OPEN_ROWS)
          .map((span) =>
            hued(
              html(
                "li",
                {},
                html("span", { class: "number" }, formatDuration(span.age)),
                html("span", { class: "dot", "aria-hidden": "true" }),
                html("a", { href: `/zipkin/traces/${span.traceId}` }, span.name || "(no name)"),
                " ",
                html("span", { class: "service" }, span.serviceName),
              ),
              serviceHue(span.serviceName),
            ),
          ),
      );
    } catch {
      element.hidden = true;
    }
  };
  return {
    element,
    start: () => {
      look();
      timer = setInterval(look, LOOK_EVERY);
    },
    stop: () => clearInterval(timer),
  };
}
