// Dialogs.

import { html } from "./element.js";

/**
 * A dialog that Esc and its button close, and that gives the focus back.
 * @param {string} title
 * @param {...Node} content
 * @returns {HTMLDialogElement}
 */
export function showDialog(title, ...content) {
  const heading = html("h2", { id: "dialog-title" }, title);
  const close = html("button", { type: "button", class: "plain", click: () => dialog.close() }, "Close");
  const dialog = html(
    "dialog",
    { "aria-labelledby": "dialog-title", close: () => dialog.remove() },
    html("header", {}, heading, close),
    ...content,
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) {
      dialog.close();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
