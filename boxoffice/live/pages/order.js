/** The order's form: what a person chose, what is wrong with it, and whether it may be changed. */

import { byId, element, mark, say, show } from "./dom.js";
import { STATE_WORDS, isForSale, namesCategories, opensAtMs, priceOf, stateOf } from "./figures.js";
import { count, dateAndTime, money, some, span } from "./numbers.js";
import { leftWords, whereWords } from "./words.js";

export const MOST_TICKETS = 100;
const MOST_BUYER = 128;
/** By models/commands.py: no control characters, and something that can be seen. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const SEEN = /[^\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/u;
const KEY = /^bo_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}$/;
const TOO_MANY = `Between 1 and ${MOST_TICKETS} tickets can be bought at once.`;
const FIELDS = ["event", "quantity", "lines", "buyer", "key"];

export class Order {
  constructor() {
    this.event = byId("event");
    this.quantity = byId("quantity");
    this.lines = byId("lines");
    this.buyer = byId("buyer");
    this.key = byId("key");
    /** The fields of the chosen event's categories, by their ids; none of an event without categories. */
    this.byCategory = new Map();
    /** Lines of an order that was made before, until their fields are there. */
    this.toFill = null;
    this.isLocked = false;
  }

  /** Let a person choose among events. What was chosen stays so; nobody finds another event in its place where it is
   * gone, or is not there. */
  offer(all, preferred, nowMs) {
    const states = new Map(all.map((figures) => [figures.event_id, stateOf(figures, nowMs)]));
    const first = ["open", "all-held", "soon"].map((state) => all.find(({ event_id: id }) => states.get(id) === state));
    const wanted = this.event.value || preferred || first.find((figures) => figures !== undefined)?.event_id;
    const isThere = all.some((figures) => figures.event_id === wanted);
    const options = all.map((figures) => optionOf(figures, states.get(figures.event_id)));
    if (!isThere) options.unshift(new Option(options.length > 0 ? "Choose an event" : "None", ""));
    const words = ({ value, text, disabled }) => `${value} ${text} ${disabled}`;
    // A list that somebody has open would close.
    if ([...this.event.options].map(words).join() === options.map(words).join()) return;
    this.event.replaceChildren(...options);
    this.event.value = isThere ? wanted : "";
  }

  /** Show what is known of the chosen event. */
  tell(figures, nowMs) {
    const isEmpty = this.event.value === "" && this.event.options.length <= 1;
    const state = figures === null ? null : stateOf(figures, nowMs);
    const noneWords = isEmpty ? "No event is on sale now." : "";
    say(byId("event-words"), figures === null ? noneWords : eventWords(figures, state));
    show(byId("event-where"), figures === null ? "" : whereWords(figures));
    show(byId("terms"), figures === null ? "" : termsWords(figures));
    this.tellOpening(figures, state, nowMs);
    this.tellLines(figures !== null && namesCategories(figures) ? figures.categories : []);
    this.tellTotal(figures);
  }

  /** Count down to the beginning of the sale. */
  tellOpening(figures, state, nowMs) {
    byId("opening").hidden = state !== "soon";
    if (state !== "soon") return;
    say(byId("opening-words"), `On sale from ${dateAndTime(opensAtMs(figures))} on`);
    say(byId("countdown"), span(Math.ceil((opensAtMs(figures) - nowMs) / 1_000)));
  }

  /** A field for each category; those that are there already keep what was typed. */
  tellLines(categories) {
    byId("one-kind").hidden = categories.length > 0;
    this.lines.hidden = categories.length === 0;
    const ids = categories.map(({ id }) => id);
    if (ids.join() !== [...this.byCategory.keys()].join()) {
      this.byCategory = new Map(ids.map((id) => [id, new Line(id, this.isLocked)]));
      byId("line-fields").replaceChildren(...[...this.byCategory.values()].map(({ root }) => root));
      if (this.toFill !== null) this.fillLines(this.toFill);
    }
    for (const category of categories) this.byCategory.get(category.id).tell(category);
  }

  tellTotal(figures) {
    const total = figures === null ? null : this.total(figures);
    byId("total-line").hidden = total === null;
    if (total !== null) say(byId("total"), money(total.amount, total.currency));
  }

  /** What the chosen tickets cost; null if none are chosen, or it is not known. */
  total(figures) {
    const { quantity, lines } = this.wanted();
    if (!isQuantity(quantity)) return null;
    if (lines === null) {
      const price = priceOf(figures);
      return price === null ? null : { amount: price.amount * quantity, currency: price.currency };
    }
    const prices = new Map(figures.categories.map(({ id, price }) => [id, price.amount]));
    const amount = lines.reduce((sum, { category, quantity: number }) => sum + (prices.get(category) ?? 0) * number, 0);
    return { amount, currency: figures.revenue.currency };
  }

  /** What is asked for: how many tickets, and of which categories if the event names any. */
  wanted() {
    if (this.byCategory.size === 0) return { quantity: this.quantity.valueAsNumber, lines: null };
    const chosen = [...this.byCategory].map(([category, line]) => ({ category, quantity: line.number() }));
    const lines = chosen.filter(({ quantity }) => quantity !== 0);
    return { quantity: lines.reduce((sum, { quantity }) => sum + quantity, 0), lines };
  }

  /** What is wrong, by field. */
  faults(asksForKey) {
    const faults = {};
    const buyer = this.buyer.value.trim();
    const { quantity, lines } = this.wanted();
    if (this.event.value === "") faults.event = "Choose an event.";
    if (lines === null && !isQuantity(quantity)) faults.quantity = TOO_MANY;
    if (lines !== null && lines.length === 0) faults.lines = "Choose at least one ticket.";
    else if (lines !== null && !(isQuantity(quantity) && lines.every((line) => isQuantity(line.quantity)))) {
      faults.lines = TOO_MANY;
    }
    if (!SEEN.test(buyer)) faults.buyer = "Say who buys them.";
    else if ([...buyer].length > MOST_BUYER) faults.buyer = `These are more than ${MOST_BUYER} characters.`;
    else if (CONTROL.test(buyer)) faults.buyer = "There is a character in it that cannot be seen. Please type it anew.";
    if (asksForKey && !KEY.test(this.key.value.trim())) faults.key = "This is no whole key: it reads bo_ID_SECRET.";
    return faults;
  }

  /** Say what is wrong beside each field, and lead to the first of them. Returns whether anything is. */
  complain(faults) {
    for (const field of FIELDS) {
      show(byId(`${field}-wrong`), faults[field] ?? "");
      for (const input of this.inputsOf(field)) mark(input, "aria-invalid", field in faults ? "true" : null);
    }
    const first = FIELDS.find((field) => field in faults && this.inputsOf(field).length > 0);
    if (first !== undefined) this.inputsOf(first)[0].focus();
    return first !== undefined;
  }

  inputsOf(field) {
    return field === "lines" ? [...this.byCategory.values()].map(({ input }) => input) : [this[field]];
  }

  /** Show an order that was made before. */
  fill(purchase) {
    if (![...this.event.options].some((option) => option.value === purchase.event)) {
      this.event.append(new Option(`Event ${purchase.event}`, purchase.event));
    }
    this.event.value = purchase.event;
    if (!purchase.lines) this.quantity.value = purchase.quantity;
    // Its fields are there once the event's figures are.
    this.toFill = purchase.lines ?? null;
    if (purchase.lines) this.fillLines(purchase.lines);
    this.buyer.value = purchase.buyer;
  }

  fillLines(lines) {
    for (const { category, quantity } of lines) this.byCategory.get(category)?.set(quantity);
  }

  /** Whether it may be changed. The focus stays where it is. */
  lock(isLocked) {
    this.isLocked = isLocked;
    this.event.disabled = isLocked;
    for (const field of ["quantity", "lines", "buyer"]) {
      for (const input of this.inputsOf(field)) input.readOnly = isLocked;
    }
  }
}

/** How many tickets of one category. */
class Line {
  constructor(id, isLocked) {
    this.name = element("label", { for: `line-${id}`, dir: "auto" });
    this.words = element("span", { id: `line-words-${id}`, class: "hint" });
    this.input = element("input", {
      ...{ id: `line-${id}`, type: "number", inputmode: "numeric", min: "0", max: String(MOST_TICKETS), step: "1" },
      ...{ value: "0", autocomplete: "off", "aria-describedby": `line-words-${id} lines-wrong` },
    });
    this.input.readOnly = isLocked;
    this.root = element("p", { class: "line" }, element("span", {}, this.name, this.words), this.input);
  }

  tell(category) {
    say(this.name, category.name || category.id);
    say(this.words, `${money(category.price.amount, category.price.currency)} each, ${leftWords(category)}`);
  }

  /** NaN of what is no number; nothing is none. */
  number() {
    return this.input.value === "" && !this.input.validity.badInput ? 0 : this.input.valueAsNumber;
  }

  set(quantity) {
    this.input.value = String(quantity);
  }
}

function optionOf(figures, state) {
  const words = state === "open" ? figures.name : `${figures.name} (${STATE_WORDS[state]})`;
  const option = new Option(words, figures.event_id);
  option.disabled = !isForSale(state);
  option.dir = "auto";
  return option;
}

const isQuantity = (number) => Number.isInteger(number) && number >= 1 && number <= MOST_TICKETS;

function eventWords(figures, state) {
  if (state === "all-held") return "All tickets are reserved for others just now. Some may come back.";
  if (state === "soon") return `${count(figures.issued - figures.removed)} tickets.${priceWords(figures)}`;
  if (state !== "open") return `${STATE_WORDS[state]}.`;
  return `${count(figures.remaining)} left of ${count(figures.issued - figures.removed)}.${priceWords(figures)}`;
}

function priceWords(figures) {
  const price = namesCategories(figures) ? null : priceOf(figures);
  return price === null ? "" : ` ${money(price.amount, price.currency)} each.`;
}

function termsWords({ hold_s: holdS, max_per_order: ofOrder, max_per_buyer: ofBuyer }) {
  return [
    ofOrder === null ? "" : `At most ${some(ofOrder, "ticket")} in one order.`,
    ofBuyer === null ? "" : `At most ${some(ofBuyer, "ticket")} for one buyer.`,
    holdS === null ? "" : `What costs something is reserved for ${span(holdS)}, and is yours once it is paid for.`,
  ].filter((one) => one !== "").join(" ");
}
