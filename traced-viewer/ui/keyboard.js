// Keys. Each page says which it takes; the help shows exactly those.

import { showDialog } from "./dialog.js";
import { html } from "./element.js";
import { readSetting, writeSetting } from "./setting.js";

/**
 * @typedef {Object} Binding
 * @property {string[]} keys as `KeyboardEvent.key` names them
 * @property {string} does what the help says
 * @property {(event: KeyboardEvent) => void} run
 */

/** Where the choice is kept that letters do nothing: who speaks to the computer triggers them by accident. */
const LETTERS_SETTING = "traced.letters";

/** @type {Readonly<Record<string, string>>} */
const KEY_NAMES = {
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
  " ": "Space",
};

/** The keys of the page that is shown. */
export class Keyboard {
  /** @type {Binding[]} */
  #bindings = [];
  /** @type {Binding[]} */
  #always;
  #letters = readSetting(LETTERS_SETTING) !== "off";

  /** @param {Binding[]} always keys of every page */
  constructor(always) {
    this.#always = [...always, { keys: ["?"], does: "this help", run: () => this.help() }];
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  /** @param {Binding[]} bindings of the page that is shown now */
  show(bindings) {
    this.#bindings = bindings;
  }

  help() {
    const rows = [...this.#bindings, ...this.#always].map(({ keys, does }) =>
      html(
        "tr",
        {},
        html("th", { scope: "row" }, ...keys.map((key) => html("kbd", {}, KEY_NAMES[key] ?? key))),
        html("td", {}, does),
      ),
    );
    const letters = html("input", { type: "checkbox", change: () => this.#setLetters(letters.checked) });
    letters.checked = this.#letters;
    showDialog(
      "Keys",
      html("table", { class: "keys" }, html("tbody", {}, ...rows)),
      html("label", { class: "choice" }, letters, "Single letters are keys"),
    );
  }

  /** @param {boolean} on */
  #setLetters(on) {
    this.#letters = on;
    writeSetting(LETTERS_SETTING, on ? "on" : "off");
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) {
      return;
    }
    const { target } = event;
    if (document.querySelector("dialog[open]") !== null) {
      return;
    }
    if (target instanceof HTMLElement && target.matches("input:not([type=checkbox]), select, textarea")) {
      if (event.key === "Escape") {
        target.blur();
      }
      return;
    }
    if (event.key.length === 1 && !this.#letters) {
      return;
    }
    const binding = [...this.#bindings, ...this.#always].find(({ keys }) => keys.includes(event.key));
    // Enter on a button or a link is that button's or link's.
    if (binding !== undefined && !(isActivation(event.key) && isOperated(target))) {
      event.preventDefault();
      binding.run(event);
    }
  }
}

/** @param {string} key */
function isActivation(key) {
  return key === "Enter" || key === " ";
}

/** @param {EventTarget | null} target */
function isOperated(target) {
  return target instanceof Element && target.closest("a, button, summary, input, [role=slider]") !== null;
}
