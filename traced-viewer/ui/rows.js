// A long list of which only the rows in sight are in the page.

import { html } from "./element.js";

/** Rows beyond the edges, so that scrolling by a little shows no gap. */
const ROWS_BEYOND = 8;

/**
 * A row's height in CSS pixels: it grows with the text, which is larger on large screens.
 * @param {number} rem
 */
export function rowHeight(rem) {
  return Math.round(rem * parseFloat(getComputedStyle(document.documentElement).fontSize));
}

/** Rows of one height in a scrolling element. */
export class Rows {
  /** @type {Map<number, HTMLElement>} */
  #drawn = new Map();
  #count = 0;
  #pending = false;
  #space = html("div", { class: "rows-space", role: "presentation" });
  /** @type {ResizeObserver} */
  #resized;

  /**
   * @param {HTMLElement} scroller what it holds already stays above the rows
   * @param {number} height of a row in CSS pixels
   * @param {(index: number) => HTMLElement} build
   * @param {HTMLElement | null} [head] sticks to the top and covers that much
   */
  constructor(scroller, height, build, head = null) {
    this.scroller = scroller;
    this.head = head;
    this.height = height;
    this.build = build;
    scroller.append(this.#space);
    scroller.addEventListener("scroll", () => this.#later(), { passive: true });
    this.#resized = new ResizeObserver(() => this.#later());
    this.#resized.observe(scroller);
  }

  get count() {
    return this.#count;
  }

  /**
   * Draws all rows in sight anew.
   * @param {number} [count] of all rows
   */
  redraw(count = this.#count) {
    this.#count = count;
    this.#space.style.height = `${count * this.height}px`;
    this.#space.replaceChildren();
    this.#drawn.clear();
    this.#draw();
  }

  /**
   * The row, if it is drawn.
   * @param {number} index
   */
  at(index) {
    return this.#drawn.get(index);
  }

  /**
   * Replaces one row if it is drawn.
   * @param {number} index
   */
  update(index) {
    const old = this.#drawn.get(index);
    if (old !== undefined) {
      const row = this.#built(index);
      old.replaceWith(row);
      this.#drawn.set(index, row);
    }
  }

  /**
   * Scrolls as little as needed to bring a row into sight.
   * @param {number} index
   */
  reveal(index) {
    const { scroller, height } = this;
    const top = index * height;
    if (top < scroller.scrollTop) {
      scroller.scrollTop = top;
    } else if (top + height > scroller.scrollTop + this.#visible) {
      scroller.scrollTop = top + height - this.#visible;
    }
    this.#draw();
  }

  /** Rows to move by for a page. */
  get page() {
    return Math.max(1, Math.floor(this.#visible / this.height) - 1);
  }

  /** Height that rows are seen in. */
  get #visible() {
    return this.scroller.clientHeight - (this.head?.offsetHeight ?? 0);
  }

  #later() {
    if (!this.#pending) {
      this.#pending = true;
      requestAnimationFrame(() => {
        this.#pending = false;
        this.#draw();
      });
    }
  }

  #draw() {
    const { scroller, height } = this;
    const first = Math.max(0, Math.floor(scroller.scrollTop / height) - ROWS_BEYOND);
    const last = Math.min(this.#count, Math.ceil((scroller.scrollTop + scroller.clientHeight) / height) + ROWS_BEYOND);
    for (const [index, row] of this.#drawn) {
      if (index < first || index >= last) {
        row.remove();
        this.#drawn.delete(index);
      }
    }
    for (let index = first; index < last; index++) {
      if (!this.#drawn.has(index)) {
        const row = this.#built(index);
        this.#drawn.set(index, row);
        // In order, because a screen reader reads the page in its order.
        const next = this.#drawn.get(index + 1);
        this.#space.insertBefore(row, next ?? null);
      }
    }
  }

  /** @param {number} index */
  #built(index) {
    const row = this.build(index);
    row.style.transform = `translateY(${index * this.height}px)`;
    row.style.height = `${this.height}px`;
    return row;
  }
}
