// A row of the list of traces.

import { hued, html, spoken } from "./element.js";
import { formatAge, formatCount, formatDuration, formatTime } from "./format.js";
import { serviceHue } from "./hue.js";

/** @import {Summary} from "./api.js" */

/** Services that a row names. */
const NAMED_SERVICES = 4;

/** One trace in the list. It is changed in place, so that the focus stays. */
export class ListRow {
  #sign = html("span", { class: "sign", role: "cell" });
  #name = html("span", { class: "name" });
  #service = html("span", { class: "service" });
  #bar = html("span", { class: "share", "aria-hidden": "true" });
  #duration = html("span");
  #spans = html("span", { class: "number spans", role: "cell" });
  #services = html("span", { class: "services", role: "cell" });
  #time = html("span", { class: "time" });
  #age = html("span", { class: "age" });
  #shown = "";
  #timestamp = 0;
  #mark;
  #link;

  /**
   * @param {string} traceId
   * @param {(on: boolean) => void} marked
   */
  constructor(traceId, marked) {
    this.#mark = html("input", {
      type: "checkbox",
      "aria-label": "Mark for comparing",
      change: () => marked(this.#mark.checked),
    });
    this.#link = html("a", { class: "trace-link", href: `/zipkin/traces/${traceId}` }, this.#name, " ", this.#service);
    this.element = html(
      "div",
      { class: "trace-row", role: "row" },
      html("span", { role: "cell", class: "mark-cell" }, this.#mark),
      this.#sign,
      html("span", { role: "cell", class: "root" }, html("span", { class: "dot", "aria-hidden": "true" }), this.#link),
      html("span", { role: "cell", class: "number lasting" }, this.#bar, this.#duration),
      this.#spans,
      this.#services,
      html("span", { role: "cell", class: "when" }, this.#age, " ", this.#time),
    );
  }

  unmark() {
    this.#mark.checked = false;
  }

  /**
   * @param {Summary} summary
   * @param {number} longest
   */
  show(summary, longest) {
    const { root, duration, spanCount, errorCount, services, timestamp, truncated } = summary;
    this.#bar.style.width = `${(100 * duration) / longest}%`;
    const text = JSON.stringify(summary);
    if (text === this.#shown) {
      return;
    }
    this.#shown = text;
    this.#timestamp = timestamp;
    this.element.classList.toggle("error", errorCount > 0);
    this.#sign.replaceChildren(
      ...(errorCount > 0 ? [`✗ ${formatCount(errorCount)}`, spoken(errorCount === 1 ? " error" : " errors")] : []),
    );
    this.#name.textContent = root?.name || (root === null ? "(root not here yet)" : "(no name)");
    this.#service.textContent = root?.serviceName ?? "";
    hued(this.element, serviceHue(root?.serviceName ?? ""));
    this.#duration.textContent = formatDuration(duration);
    this.#spans.replaceChildren(
      formatCount(spanCount),
      spoken(spanCount === 1 ? " span" : " spans"),
      truncated
        ? html("span", { class: "chip", title: "The trace has more spans than the viewer keeps" }, "truncated")
        : "",
    );
    this.#services.replaceChildren(...serviceChips(services));
    this.#time.textContent = timestamp > 0 ? formatTime(timestamp) : "no time";
    this.showAge();
  }

  showAge() {
    this.#age.textContent = this.#timestamp > 0 ? formatAge(this.#timestamp) : "";
  }
}

/** @param {Summary["services"]} services */
function serviceChips(services) {
  const chips = services
    .slice(0, NAMED_SERVICES)
    .map(({ serviceName, spanCount }) =>
      hued(
        html("span", { class: "chip hue" }, `${serviceName || "no service"} ${formatCount(spanCount)}`),
        serviceHue(serviceName),
      ),
    );
  if (services.length > NAMED_SERVICES) {
    chips.push(html("span", { class: "chip" }, `+${services.length - NAMED_SERVICES}`));
  }
  return chips;
}

export function listHead() {
  const titles = [
    ["", "Mark"],
    ["", "Errors"],
    ["Trace", ""],
    ["Duration", ""],
    ["Spans", ""],
    ["Services", ""],
    ["Started", ""],
  ];
  return html(
    "div",
    { role: "rowgroup" },
    html(
      "div",
      { class: "trace-row head", role: "row" },
      ...titles.map(([title, hidden]) => html("span", { role: "columnheader" }, title, hidden ? spoken(hidden) : null)),
    ),
  );
}
