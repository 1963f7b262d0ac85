/** An event as a ticket: what it is above the perforation, how it sells below. */

import { Curve } from "./curve.js";
import { element, mark, say } from "./dom.js";
import { STATE_WORDS, WINDOWS, isForSale, lately, namesCategories, opensAtMs, priceOf, stateOf } from "./figures.js";
import { count, dateAndTime, money, rate, span } from "./numbers.js";
import { leftWords, whereWords } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** Made once for each event, and changed as the figures change. */
export class Card {
  constructor() {
    this.name = element("h3", { dir: "auto" });
    this.state = element("p", { class: "state" });
    this.where = element("p", { class: "where", dir: "auto" });
    this.opening = element("p", { class: "opening" });
    this.opens = element("span");
    this.countdown = element("strong", { role: "timer" });
    this.opening.append(this.opens, element("span", {}, "Begins in ", this.countdown));
    this.categories = element("ul", { class: "categories", role: "list" });
    this.left = element("strong");
    this.of = element("span");
    this.share = element("span", { class: "share-sold" });
    this.shareHeld = element("span", { class: "share-held" });
    this.sold = element("dd");
    this.held = element("dd");
    this.heldPair = pair("Reserved", this.held);
    this.cancelled = element("dd");
    this.rate = element("dd");
    this.buy = element("a", { class: "button" }, "Buy");
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("class", "spark");
    drawing.setAttribute("aria-hidden", "true");
    this.curve = new Curve(drawing);
    this.root = element(
      "li",
      { class: "ticket" },
      element(
        "div",
        { class: "ticket-event" },
        this.state,
        this.name,
        this.where,
        this.opening,
        this.categories,
        element("p", { class: "left" }, this.left, this.of),
        element("span", { class: "share", "aria-hidden": "true" }, this.shareHeld, this.share),
      ),
      element(
        "div",
        { class: "ticket-own" },
        element(
          "dl",
          {},
          ...[pair("Sold", this.sold), this.heldPair, pair("Given back", this.cancelled), pair("A second", this.rate)],
        ),
        drawing,
        this.buy,
      ),
    );
  }

  /** Show an event's figures, and how far its sale is. */
  show(figures, nowMs) {
    const state = stateOf(figures, nowMs);
    mark(this.root, "data-state", state);
    say(this.state, STATE_WORDS[state]);
    say(this.name, figures.name);
    say(this.where, whereWords(figures));
    this.where.hidden = this.where.textContent === "";
    this.showOpening(figures, state, nowMs);
    this.showCategories(figures);
    say(this.left, count(figures.remaining));
    const there = figures.issued - figures.removed;
    say(this.of, ` left of ${count(there)}`);
    this.share.style.setProperty("--sold", there > 0 ? figures.sold / there : 0);
    this.shareHeld.style.setProperty("--held", there > 0 ? (figures.sold + figures.held) / there : 0);
    say(this.sold, count(figures.sold));
    say(this.held, count(figures.held));
    this.heldPair.hidden = figures.hold_s === null && figures.held === 0;
    say(this.cancelled, count(figures.cancelled));
    // Its place stays, so that all perforations are in one line.
    this.buy.style.visibility = isForSale(state) ? "visible" : "hidden";
    mark(this.buy, "href", `/buy?event=${figures.event_id}`);
    mark(this.buy, "aria-label", `Buy tickets for ${figures.name}`);
  }

  showOpening(figures, state, nowMs) {
    this.opening.hidden = state !== "soon";
    if (state !== "soon") return;
    say(this.opens, `On sale from ${dateAndTime(opensAtMs(figures))} on`);
    say(this.countdown, span(Math.ceil((opensAtMs(figures) - nowMs) / 1_000)));
  }

  /** What there is, at which price; of many the first ones. */
  showCategories(figures) {
    const rows = namesCategories(figures) ? figures.categories.slice(0, MOST_CATEGORIES).map(rowOf) : priceRow(figures);
    const more = figures.categories.length - MOST_CATEGORIES;
    if (more > 0) rows.push([`and ${count(more)} more`, "", ""]);
    const { children } = this.categories;
    while (children.length > rows.length) this.categories.lastChild.remove();
    while (children.length < rows.length) this.categories.append(newRow());
    rows.forEach((words, index) => words.forEach((text, part) => say(children[index].children[part], text)));
    this.categories.hidden = rows.length === 0;
  }

  /** Show how fast it sells. */
  tick(figures, nowMs) {
    const state = stateOf(figures, nowMs);
    if (state === "soon" || state !== this.root.dataset.state) this.show(figures, nowMs);
    const series = lately(figures, WINDOWS.minute, nowMs);
    say(this.rate, rate(speed(series)));
    this.curve.draw(series);
  }
}

/** What is sold in one span now: of the newest ones, since a single one jumps. */
export function speed(series) {
  const newest = series.slice(-SMOOTHED);
  return newest.reduce((total, value) => total + value, 0) / newest.length;
}

const SMOOTHED = 5;
const MOST_CATEGORIES = 6;

const rowOf = (category) => [
  category.name || category.id,
  money(category.price.amount, category.price.currency),
  leftWords(category),
];

function priceRow(figures) {
  const price = priceOf(figures);
  return price === null ? [] : [["Price", money(price.amount, price.currency), ""]];
}

const newRow = () =>
  element("li", {}, element("span", { dir: "auto" }), element("span", { class: "price" }), element("span"));

const pair = (term, value) => element("div", {}, element("dt", {}, term), value);
