// Light, dark, or as the system has it.

import { html } from "./element.js";
import { readSetting, writeSetting } from "./setting.js";

const THEME_SETTING = "traced.theme";

/** @type {readonly {value: string, label: string, sign: string}[]} */
const THEMES = [
  { value: "auto", label: "as the system", sign: "◐" },
  { value: "light", label: "light", sign: "○" },
  { value: "dark", label: "dark", sign: "●" },
];

/** Applies what was chosen earlier, and gives the switch. */
export function themeSwitch() {
  let at = Math.max(
    0,
    THEMES.findIndex(({ value }) => value === readSetting(THEME_SETTING)),
  );
  const button = html("button", {
    type: "button",
    class: "plain",
    id: "theme",
    click: () => apply((at + 1) % THEMES.length),
  });
  /** @param {number} index */
  const apply = (index) => {
    at = index;
    const theme = THEMES[at] ?? { value: "auto", label: "", sign: "" };
    document.documentElement.dataset["theme"] = theme.value;
    writeSetting(THEME_SETTING, theme.value === "auto" ? null : theme.value);
    button.textContent = theme.sign;
    button.setAttribute("aria-label", `Colours: ${theme.label}. Change`);
    button.title = `Colours: ${theme.label}`;
  };
  apply(at);
  return button;
}
