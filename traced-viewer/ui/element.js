// Elements of the page. Text goes in as text: nothing here, or anywhere else, parses HTML.

/** @typedef {Node | string | number | null | false | undefined} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. A function is a listener for the event of its name, `true` an attribute without a value; `false`,
 * null and undefined leave the attribute out. There is no `style`: the page's policy forbids it; see `place`.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(/** @type {SVGElementTagNameMap[Tag]} */ (document.createElementNS(SVG, tag)), attributes, children);
}

/**
 * Sets the hue that the style sheet colours a service's things with.
 * @template {HTMLElement | SVGElement} T
 * @param {T} element
 * @param {number} hue
 * @returns {T}
 */
export function hued(element, hue) {
  element.style.setProperty("--hue", String(hue));
  element.classList.add("hued");
  return element;
}

/**
 * Puts an element at a part of its container's width.
 * @template {HTMLElement} T
 * @param {T} element
 * @param {number} left from 0 to 1
 * @param {number} width from 0 to 1
 * @returns {T}
 */
export function place(element, left, width) {
  element.style.left = `${(100 * left).toFixed(4)}%`;
  element.style.width = `${(100 * width).toFixed(4)}%`;
  return element;
}

/**
 * Text for screen readers alone.
 * @param {string} text
 */
export function spoken(text) {
  return html("span", { class: "spoken" }, text);
}

/**
 * What went wrong, read out at once.
 * @param {unknown} error
 */
export function errorLine(error) {
  return html("p", { class: "error-text", role: "alert" }, error instanceof Error ? error.message : String(error));
}

/**
 * @template {Element} T
 * @param {T} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {T}
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  for (const child of children) {
    if (child !== null && child !== false && child !== undefined) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}
