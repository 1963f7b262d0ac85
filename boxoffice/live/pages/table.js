/** A table that is filled again and again, and scrolls sideways where it finds no room. */

import { element, say } from "./dom.js";

/** Columns are `[heading, of a row, kind]`; the first is the row's own heading. A cell is a text, or `{ text, is }`
 * with `good` or `bad`. The kind `amount` sets numbers below each other, `words` lets a text have several lines. */
export class Table {
  constructor(caption, columns) {
    this.columns = columns;
    const headings = columns.map(([heading, , kind]) => element("th", { scope: "col", class: kind ?? null }, heading));
    this.body = element("tbody");
    const head = element("thead", {}, element("tr", {}, ...headings));
    const table = element("table", {}, element("caption", {}, caption), head, this.body);
    // Whoever has no mouse scrolls it with the arrows, for which it has to take the focus.
    this.root = element("div", { class: "table", role: "region", "aria-label": caption, tabindex: "0" }, table);
  }

  /** Show rows, each in the place of the one that was there: what somebody reads stays where it is. Where there are
   * none, `empty` says so. */
  fill(rows, empty) {
    if (rows.length === 0) {
      if (!this.isEmpty) this.body.replaceChildren(this.emptyRow());
      this.isEmpty = true;
      say(this.body.rows[0].cells[0], empty);
      return;
    }
    if (this.isEmpty) this.body.replaceChildren();
    this.isEmpty = false;
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    while (this.body.rows.length < rows.length) this.body.append(this.newRow());
    rows.forEach((row, index) => this.show(this.body.rows[index], row));
  }

  show(line, row) {
    this.columns.forEach(([, of, kind], index) => {
      const found = of(row);
      const { text, is } = typeof found === "string" ? { text: found, is: null } : found;
      const cell = line.cells[index];
      say(cell, text);
      cell.className = [kind, is && `is-${is}`].filter(Boolean).join(" ");
    });
  }

  emptyRow() {
    return element("tr", {}, element("td", { colspan: this.columns.length }));
  }

  newRow() {
    const cells = this.columns.map((_, index) =>
      index === 0 ? element("th", { scope: "row", dir: "auto" }) : element("td", { dir: "auto" }),
    );
    return element("tr", {}, ...cells);
  }
}
