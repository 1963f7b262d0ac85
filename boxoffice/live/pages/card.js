/** An event as a ticket: what it is above the perforation, how it sells below. */

import { Curve } from "./curve.js";
import { element, mark, say } from "./dom.js";
import { STATE_WORDS, WINDOWS, lately, stateOf } from "./figures.js";
import { count, rate } from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg";

/** Made once for each event, and changed as the figures change. */
export class Card {
  constructor() {
    this.name = element("h3", { dir: "auto" });
    this.state = element("p", { class: "state" });
    this.left = element("strong");
    this.of = element("span");
    this.share = element("span", { class: "share-sold" });
    this.sold = element("dd");
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
        element("p", { class: "left" }, this.left, this.of),
        element("span", { class: "share", "aria-hidden": "true" }, this.share),
      ),
      element(
        "div",
        { class: "ticket-own" },
        element("dl", {}, pair("Sold", this.sold), pair("Given back", this.cancelled), pair("A second", this.rate)),
        drawing,
        this.buy,
      ),
    );
  }

  /** Show an event's figures. */
  show(figures) {
    const state = stateOf(figures);
    mark(this.root, "data-state", state);
    say(this.state, STATE_WORDS[state]);
    say(this.name, figures.name);
    say(this.left, count(figures.remaining));
    say(this.of, ` left of ${count(figures.issued)}`);
    this.share.style.setProperty("--sold", figures.issued > 0 ? figures.sold / figures.issued : 0);
    say(this.sold, count(figures.sold));
    say(this.cancelled, count(figures.cancelled));
    // Its place stays, so that all perforations are in one line.
    this.buy.style.visibility = state === "open" ? "visible" : "hidden";
    mark(this.buy, "href", `/buy?event=${figures.event_id}`);
    mark(this.buy, "aria-label", `Buy tickets for ${figures.name}`);
  }

  /** Show how fast it sells. */
  tick(figures, nowMs) {
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

const pair = (term, value) => element("div", {}, element("dt", {}, term), value);
