// What the list is asked for. The fields and the page's address have the names of Zipkin's query.

import { fetchServices, fetchSpanNames } from "./api.js";
import { html } from "./element.js";
import { formatDuration, parseDuration } from "./format.js";

/** @type {readonly [string, string][]} */
const LOOKBACKS = [
  ["", "any time"],
  ["300000", "last 5 minutes"],
  ["900000", "last 15 minutes"],
  ["3600000", "last hour"],
  ["21600000", "last 6 hours"],
  ["86400000", "last day"],
  ["604800000", "last week"],
];
const LIMITS = ["50", "100", "250", "1000"];
const TEXT_FIELDS = ["serviceName", "spanName", "remoteServiceName", "annotationQuery"];
const FIELDS = [...TEXT_FIELDS, "minDuration", "maxDuration", "lookback", "endTs", "limit"];

/**
 * The query for the server: what the address says, with the limits that go without saying.
 * @param {URLSearchParams} address
 * @returns {URLSearchParams}
 */
export function serverQuery(address) {
  const query = new URLSearchParams();
  for (const field of FIELDS) {
    const value = address.get(field);
    if (value !== null && value !== "") {
      query.set(field, value);
    }
  }
  if (!query.has("limit")) {
    query.set("limit", "100");
  }
  // Without it Zipkin looks back a day; here everything that is kept is shown.
  if (!query.has("lookback")) {
    query.set("lookback", String(Number(query.get("endTs") ?? Date.now())));
  }
  return query;
}

/**
 * Whether the query leaves traces out that a list of everything would show.
 * @param {URLSearchParams} address
 */
export function isFiltered(address) {
  return FIELDS.some((field) => field !== "limit" && (address.get(field) ?? "") !== "");
}

/**
 * @param {URLSearchParams} address
 * @param {(address: URLSearchParams) => void} changed
 * @returns {{element: HTMLFormElement, focus: () => void, refresh: () => void}} `refresh` asks for the services again
 */
export function searchForm(address, changed) {
  const service = html(
    "select",
    { id: "serviceName", name: "serviceName" },
    html("option", { value: "" }, "all services"),
  );
  const names = html("datalist", { id: "span-names" });
  const error = html("p", { class: "error-text", role: "alert" });
  const spanName = textField("spanName", address, "any", { list: "span-names" });
  const tags = textField("annotationQuery", address, "error and http.method=GET");
  const minimum = durationField("minDuration", address, "10ms");
  const maximum = durationField("maxDuration", address, "1s");
  const lookback = choice("lookback", LOOKBACKS, address.get("lookback") ?? "");
  const limit = choice(
    "limit",
    LIMITS.map((count) => [count, count]),
    address.get("limit") ?? "100",
  );
  const until = html("input", { type: "datetime-local", id: "endTs", name: "endTs", step: "1" });
  if (address.get("endTs")) {
    until.value = localTime(Number(address.get("endTs")));
  }
  const remote = textField("remoteServiceName", address, "any");
  const submit = () => {
    try {
      error.textContent = "";
      changed(read());
    } catch (problem) {
      error.textContent = problem instanceof Error ? problem.message : String(problem);
    }
  };
  const read = () => {
    const query = new URLSearchParams();
    /** @type {Record<string, string>} */
    const values = {
      serviceName: service.value,
      spanName: spanName.value,
      remoteServiceName: remote.value,
      annotationQuery: tags.value,
      minDuration: String(parseDuration(minimum.value) ?? ""),
      maxDuration: String(parseDuration(maximum.value) ?? ""),
      lookback: lookback.value,
      endTs: until.value === "" ? "" : String(new Date(until.value).getTime()),
      limit: limit.value === "100" ? "" : limit.value,
    };
    for (const [field, value] of Object.entries(values)) {
      if (value.trim() !== "") {
        query.set(field, value.trim());
      }
    }
    return query;
  };
  const refresh = async () => {
    try {
      const chosen = service.value || address.get("serviceName") || "";
      const services = await fetchServices();
      const all = chosen !== "" && !services.includes(chosen) ? [...services, chosen] : services;
      service.replaceChildren(
        html("option", { value: "" }, "all services"),
        ...all.map((name) => html("option", { value: name }, name)),
      );
      service.value = chosen;
      const spans = chosen === "" ? [] : await fetchSpanNames(chosen);
      names.replaceChildren(...spans.map((name) => html("option", { value: name })));
    } catch {
      // The list says that the server does not answer.
    }
  };
  const more = html(
    "details",
    { class: "more", open: ["remoteServiceName", "endTs"].some((field) => address.has(field)) },
    html("summary", {}, "More"),
    html("div", { class: "fields" }, field("Called service", remote), field("Until", until), field("At most", limit)),
  );
  const element = html(
    "form",
    {
      class: "search",
      role: "search",
      "aria-label": "Traces",
      submit: (event) => {
        event.preventDefault();
        submit();
      },
      change: (event) => {
        if (event.target === service) {
          refresh();
        }
        submit();
      },
    },
    html(
      "div",
      { class: "fields" },
      field("Service", service),
      field("Span name", spanName),
      field("Tags", tags, "wide"),
      field("Longer than", minimum, "narrow"),
      field("Shorter than", maximum, "narrow"),
      field("Time", lookback),
      html("button", { type: "submit", class: "spoken" }, "Search"),
      html("button", { type: "button", class: "reset", click: () => changed(new URLSearchParams()) }, "Reset"),
    ),
    more,
    names,
    error,
  );
  refresh();
  return { element, focus: () => service.focus(), refresh };
}

/**
 * @param {string} title
 * @param {HTMLElement} control
 * @param {string} [size]
 */
function field(title, control, size = "") {
  return html("label", { class: `field ${size}`.trim(), for: control.id }, html("span", {}, title), control);
}

/**
 * @param {string} name
 * @param {URLSearchParams} address
 * @param {string} placeholder
 * @param {Record<string, string>} [attributes]
 */
function textField(name, address, placeholder, attributes = {}) {
  const input = html("input", {
    type: "text",
    id: name,
    name,
    placeholder,
    autocomplete: "off",
    spellcheck: "false",
    ...attributes,
  });
  input.value = address.get(name) ?? "";
  return input;
}

/**
 * @param {string} name
 * @param {URLSearchParams} address
 * @param {string} placeholder
 */
function durationField(name, address, placeholder) {
  const input = textField(name, address, placeholder);
  const micros = Number(address.get(name) ?? "");
  input.value = micros > 0 ? formatDuration(micros).replace(" min 00 s", "m") : "";
  return input;
}

/**
 * @param {string} name
 * @param {readonly (readonly [string, string])[]} options
 * @param {string} value
 */
function choice(name, options, value) {
  const select = html(
    "select",
    { id: name, name },
    ...options.map(([key, title]) => html("option", { value: key }, title)),
  );
  if (!options.some(([key]) => key === value)) {
    select.append(
      html("option", { value }, name === "lookback" ? `last ${formatDuration(Number(value) * 1_000)}` : value),
    );
  }
  select.value = value;
  return select;
}

/** @param {number} millis */
function localTime(millis) {
  const date = new Date(millis);
  return new Date(millis - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
