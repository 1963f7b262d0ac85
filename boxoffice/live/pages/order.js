/** The order's form: what a person chose, what is wrong with it, and whether it may be changed. */

import { byId, mark, say, show } from "./dom.js";
import { STATE_WORDS, priceOf, stateOf } from "./figures.js";
import { count, money } from "./numbers.js";

export const MOST_TICKETS = 100;
const MOST_BUYER = 128;
/** By models/commands.py: no control characters, and something that can be seen. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const SEEN = /[^\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/u;
const KEY = /^bo_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}$/;
const TOO_MANY = `Between 1 and ${MOST_TICKETS} tickets can be bought at once.`;
const FIELDS = ["event", "quantity", "buyer", "key"];

export class Order {
  constructor() {
    this.event = byId("event");
    this.quantity = byId("quantity");
    this.buyer = byId("buyer");
    this.key = byId("key");
  }

  /** Let a person choose among events. What was chosen stays so; nobody finds another event in its place where it is
   * gone, or is not there. */
  offer(all, preferred) {
    const wanted = this.event.value || preferred || all.find((figures) => stateOf(figures) === "open")?.event_id;
    const isThere = all.some((figures) => figures.event_id === wanted);
    const options = all.map(optionOf);
    if (!isThere) options.unshift(new Option(options.length > 0 ? "Choose an event" : "None", ""));
    const words = ({ value, text, disabled }) => `${value} ${text} ${disabled}`;
    // A list that somebody has open would close.
    if ([...this.event.options].map(words).join() === options.map(words).join()) return;
    this.event.replaceChildren(...options);
    this.event.value = isThere ? wanted : "";
  }

  /** Show what is known of the chosen event. */
  tell(figures) {
    const price = figures === null ? null : priceOf(figures);
    const isEmpty = this.event.value === "" && this.event.options.length <= 1;
    say(byId("event-words"), figures === null ? (isEmpty ? "No event is on sale now." : "") : eventWords(figures, price));
    const quantity = this.quantity.valueAsNumber;
    const isKnown = price !== null && isQuantity(quantity);
    byId("total-line").hidden = !isKnown;
    if (isKnown) say(byId("total"), money(price.amount * quantity, price.currency));
  }

  /** What is wrong, by field. */
  faults(asksForKey) {
    const faults = {};
    const buyer = this.buyer.value.trim();
    if (this.event.value === "") faults.event = "Choose an event.";
    if (!isQuantity(this.quantity.valueAsNumber)) faults.quantity = TOO_MANY;
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
      mark(this[field], "aria-invalid", field in faults ? "true" : null);
    }
    const first = FIELDS.find((field) => field in faults);
    if (first !== undefined) this[first].focus();
    return first !== undefined;
  }

  /** Show an order that was made before. */
  fill(purchase) {
    if (![...this.event.options].some((option) => option.value === purchase.event)) {
      this.event.append(new Option(`Event ${purchase.event}`, purchase.event));
    }
    this.event.value = purchase.event;
    this.quantity.value = purchase.quantity;
    this.buyer.value = purchase.buyer;
  }

  /** Whether it may be changed. The focus stays where it is. */
  lock(isLocked) {
    this.event.disabled = isLocked;
    this.quantity.readOnly = isLocked;
    this.buyer.readOnly = isLocked;
  }
}

function optionOf(figures) {
  const state = stateOf(figures);
  const words = state === "open" ? figures.name : `${figures.name} (${STATE_WORDS[state]})`;
  const option = new Option(words, figures.event_id);
  option.disabled = state !== "open";
  option.dir = "auto";
  return option;
}

const isQuantity = (number) => Number.isInteger(number) && number >= 1 && number <= MOST_TICKETS;

function eventWords(figures, price) {
  const each = price === null ? "" : ` ${money(price.amount, price.currency)} each.`;
  const state = stateOf(figures);
  if (state !== "open") return `${STATE_WORDS[state]}.`;
  return `${count(figures.remaining)} left of ${count(figures.issued)}.${each}`;
}
