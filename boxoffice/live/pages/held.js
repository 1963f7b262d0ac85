/** The tickets that are reserved in this tab until they are paid for, and what becomes of them. */

import { element, mark, say } from "./dom.js";
import { momentMs } from "./figures.js";
import { keep, kept } from "./kept.js";
import { dateAndTime, money, span } from "./numbers.js";
import { Asking, giveBack } from "./purchase.js";

const NAME = "held";
const MOST_KEPT = 20;
const LOOK_MS = 5_000;
/** Once its time is over it is decided within moments what becomes of it. */
const LOOK_WHEN_DUE_MS = 2_000;
const NOWHERE = { keep: () => {}, drop: () => {} };

const STATES = { held: "Reserved for you", expired: "Not paid in time", cancelled: "Given back", over: "Over" };
/** What a purchase comes to that is not paid for. It is refused where an archived event is not remembered any more. */
const ENDS = { expired: "expired", cancelled: "cancelled", refused: "over" };
const PAYING = "This page takes no payments. Pay whoever runs this shop until then, and name the order:";
const OVER = "The time to pay is over. The tickets go back on sale now, unless a payment for them is on its way.";

/** A purchase that is held: what is shown of it, and how it is asked for again. `before` is what was known of it: where
 * some of its tickets were given back, that alone says what the others cost. */
export function held(fact, purchase, location, event, before = null) {
  const priced = fact.type === "purchase_held" ? pricesOf(fact) : (before?.prices ?? {});
  const known = fact.tickets.filter((ticket) => ticket in priced);
  const prices = Object.fromEntries(known.map((ticket) => [ticket, priced[ticket]]));
  return {
    asked: { ...purchase, location: location ?? purchase.location, mayBeBought: true },
    event,
    state: "held",
    words: "",
    order: fact.purchase,
    buyer: fact.buyer,
    tickets: fact.tickets,
    prices,
    amount: known.length === fact.tickets.length ? known.reduce((total, ticket) => total + prices[ticket], 0) : null,
    currency: fact.currency,
    due: fact.due ?? before?.due ?? null,
  };
}

const pricesOf = ({ lines }) =>
  Object.fromEntries(lines.flatMap(({ tickets, price }) => tickets.map((ticket) => [ticket, price])));

/** What is held in this tab, the newest first. Each is looked at again and again until something has become of it.
 * `shop`, `apiKey` and `nowMs` tell what they are now; `sold` is called with what was paid for, `changed` with words for
 * everybody, `removed` when one is shown no more. */
export class Holds {
  constructor(list, how) {
    this.list = list;
    this.how = how;
    this.all = kept(NAME) ?? [];
    this.cards = new Map();
    this.wakes = new Map();
    this.show();
  }

  /** One more. */
  add(hold) {
    this.all = [hold, ...this.all].slice(0, MOST_KEPT);
    this.store();
    this.watch(hold.order);
  }

  /** Look at all of them from now on. */
  watchAll() {
    this.all.forEach(({ order }) => this.watch(order));
  }

  /** Show what changes by the time alone. */
  tick() {
    const nowMs = this.how.nowMs();
    for (const hold of this.all) this.cards.get(hold.order)?.tick(hold, nowMs);
  }

  async watch(order) {
    for (;;) {
      const hold = this.all.find((one) => one.order === order);
      if (hold === undefined || hold.state !== "held") return;
      const isDue = hold.due !== null && this.how.nowMs() >= momentMs(hold.due);
      await this.pause(order, (isDue ? LOOK_WHEN_DUE_MS : LOOK_MS) * (1 + Math.random() / 4));
      const asking = new Asking(this.how.shop(), this.how.apiKey(), () => {}, NOWHERE);
      this.take(hold, await asking.ask(hold.asked));
    }
  }

  pause(order, ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakes.set(order, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Give one back. What came of it is seen when it is looked at, which is at once. */
  async giveBack(order) {
    const hold = this.all.find((one) => one.order === order);
    try {
      const response = await giveBack(this.how.shop(), this.how.apiKey(), hold.asked);
      if (response.status >= 400) throw new Error(`The shop answered ${response.status}.`);
    } catch {
      this.how.changed("The shop has not taken them back yet: please try again.");
      return;
    }
    this.how.changed("The tickets are being given back.");
    this.wakes.get(order)?.();
  }

  /** Take what has become of one. Of an answer that says nothing, it stays what it is. */
  take(hold, found) {
    if (found.end === "sold") {
      this.all = this.all.filter((one) => one !== hold);
      this.how.sold(found.fact, found.location ?? hold.asked.location, hold);
    } else if (found.end === "held") {
      const now = held(found.fact, hold.asked, found.location, hold.event, hold);
      this.all = this.all.map((one) => (one === hold ? now : one));
    } else if (ENDS[found.end] !== undefined) {
      Object.assign(hold, { state: ENDS[found.end], words: found.words });
      this.how.changed(`${hold.event}: ${found.words}`);
    } else return;
    this.store();
  }

  /** Show it no more. */
  remove(order) {
    this.all = this.all.filter((one) => one.order !== order);
    this.store();
    this.how.removed();
  }

  store() {
    keep(NAME, this.all);
    this.show();
  }

  show() {
    const orders = new Set(this.all.map(({ order }) => order));
    for (const [order, card] of this.cards) {
      if (!orders.has(order)) {
        card.root.remove();
        this.cards.delete(order);
      }
    }
    this.all.forEach((hold, index) => {
      const { root } = this.card(hold);
      if (this.list.children[index] !== root) this.list.insertBefore(root, this.list.children[index] ?? null);
    });
    this.tick();
  }

  card(hold) {
    const { order } = hold;
    const card = this.cards.get(order) ?? new Card(() => this.giveBack(order), () => this.remove(order));
    this.cards.set(order, card);
    card.show(hold);
    return card;
  }
}

/** A held purchase as a ticket that is not the buyer's yet. */
class Card {
  constructor(onGiveBack, onRemove) {
    this.state = element("p", { class: "state" });
    this.event = element("h3", { dir: "auto" });
    this.tickets = element("dd");
    this.buyer = element("dd", { dir: "auto" });
    this.amount = element("dd");
    this.until = element("p", { class: "until" });
    this.countdown = element("p", { class: "countdown", role: "timer" });
    this.order = element("code");
    this.paying = element("p", { class: "paying" }, `${PAYING} `, this.order);
    this.words = element("p", { class: "paying" });
    this.giveBack = element("button", { type: "button", class: "quiet" }, "Give them back");
    this.giveBack.addEventListener("click", onGiveBack);
    this.remove = element("button", { type: "button", class: "quiet" }, "Show it no more");
    this.remove.addEventListener("click", onRemove);
    this.root = element(
      "li",
      { class: "ticket" },
      element(
        "div",
        { class: "ticket-event" },
        this.state,
        this.event,
        element("dl", {}, pair("Tickets", this.tickets), pair("Buyer", this.buyer), pair("To pay", this.amount)),
      ),
      element(
        "div",
        { class: "ticket-own" },
        ...[this.until, this.countdown, this.paying, this.words, this.giveBack, this.remove],
      ),
    );
  }

  show(hold) {
    const isHeld = hold.state === "held";
    mark(this.root, "data-state", hold.state);
    say(this.state, STATES[hold.state]);
    say(this.event, hold.event);
    say(this.tickets, hold.tickets.join(", "));
    say(this.buyer, hold.buyer);
    say(this.amount, hold.amount === null ? "–" : money(hold.amount, hold.currency));
    say(this.order, hold.order);
    say(this.words, hold.words);
    this.paying.hidden = !isHeld;
    this.words.hidden = this.remove.hidden = isHeld;
    // Whoever has the focus on a button that goes keeps his place.
    if (!isHeld && document.activeElement === this.giveBack) this.remove.focus();
    this.giveBack.hidden = !isHeld;
    this.until.hidden = this.countdown.hidden = !isHeld || hold.due === null;
    if (hold.due !== null) say(this.until, `Reserved for you until ${dateAndTime(momentMs(hold.due))}`);
  }

  tick(hold, nowMs) {
    if (hold.state !== "held" || hold.due === null) return;
    const leftS = Math.ceil((momentMs(hold.due) - nowMs) / 1_000);
    say(this.countdown, leftS > 0 ? `${span(leftS)} left to pay` : OVER);
    mark(this.countdown, "data-kind", leftS > 0 ? null : "over");
  }
}

const pair = (term, value) => element("div", {}, element("dt", {}, term), value);
