/** One purchase, asked for until it is answered: always with the same key, so that however often it is asked for, it is
 * bought once. */

import { momentMs } from "./figures.js";
import { forget, keep, kept } from "./kept.js";
import { dateAndTime, some } from "./numbers.js";

const NAME = "purchase";
const KEY_BYTES = 16;
const ANSWERED_WITHIN_MS = 45_000;
const FIRST_PAUSE_S = 1;
const LONGEST_PAUSE_S = 30;
const REQUEST_PATH = /^\/v1\/events\/([0-9]{1,18})\/requests\/([^/]{1,200})$/;

const EXPIRED = "Not paid in time: the tickets are on sale again.";
const GIVEN_BACK = "These tickets were given back before they were paid for.";
const SAME_KEY = "This page asks again by itself, and buys nothing twice.";
const REASONS = {
  unknown_event: "No event has this id.",
  event_archived: "This event is over.",
  event_cancelled: "This event was called off.",
  event_closed: "The sale has ended.",
  not_on_sale_yet: "These tickets are not on sale yet.",
  sale_ended: "The time in which these tickets were sold is over.",
  unknown_category: "This event has no tickets of this kind.",
  over_order_limit: "These are more tickets than one order may have.",
  over_buyer_limit: "This buyer would have more tickets than one buyer may; what is reserved counts too.",
  sold_out: "No ticket is left.",
  all_held: "All tickets that are left are reserved for others. Some may come back: please try again in a few minutes.",
  not_enough_left: "Fewer tickets are left than asked for.",
  request_id_reused: "This page's key belongs to another order. Please buy anew.",
};

/** A purchase that nobody was asked for yet: of `quantity` tickets, or of `lines` of categories. Its key is new, and
 * random: nobody can guess it. */
export function newPurchase(event, buyer, { quantity, lines = null }) {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const key = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { event, buyer, quantity, lines, key, location: null, mayBeBought: false };
}

/** The purchase that this tab has asked for and got no answer to; null if there is none. */
export const unanswered = () => kept(NAME);

/** Remember no more that it has no answer. */
export const drop = () => forget(NAME);

const IN_TAB = { keep: (purchase) => keep(NAME, purchase), drop };

/** What a purchase has come to: `sold`, `held`, `expired`, `cancelled`, `refused`, or `key-refused` if the shop's key
 * is not good. `memory` is where it is kept that it has no answer. */
export class Asking {
  constructor(shop, apiKey, told, memory = IN_TAB) {
    this.shop = shop;
    this.apiKey = apiKey;
    this.told = told;
    this.memory = memory;
    this.wake = null;
    this.isGivenUp = false;
  }

  /** Ask until there is an answer. Null if it was given up before. */
  async settle(purchase) {
    if (purchase.location !== null && new URL(purchase.location).origin !== this.shop.origin) purchase.location = null;
    for (let failures = 0; !this.isOver(purchase); failures++) {
      this.memory.keep(purchase);
      const found = await this.ask(purchase);
      if (found.end !== undefined) {
        if (found.end !== "key-refused") this.memory.drop();
        return found;
      }
      this.memory.keep(purchase);
      if (this.isOver(purchase)) break;
      const pauseS = found.pauseS ?? Math.min(FIRST_PAUSE_S * 2 ** failures, LONGEST_PAUSE_S);
      this.told(found.words, purchase);
      await this.pause(pauseS * (1 + Math.random() / 4));
    }
    this.memory.drop();
    return null;
  }

  /** Whether it was given up, and is known not to be taken: it may be on its way while somebody gives it up. */
  isOver(purchase) {
    return this.isGivenUp && !purchase.mayBeBought;
  }

  /** Wait no longer, and ask. */
  askNow() {
    this.wake?.();
  }

  /** Ask no more, as soon as it is known that nothing was taken. Until then it goes on, as it would have. */
  giveUp() {
    this.isGivenUp = true;
    this.askNow();
  }

  /** Ask once: for the purchase, or what has become of it. */
  async ask(purchase) {
    const isSent = purchase.location === null;
    const couldBeBefore = purchase.mayBeBought;
    if (isSent) {
      purchase.mayBeBought = true;
      this.memory.keep(purchase);
    }
    let response;
    let body;
    try {
      response = isSent ? await this.post(purchase) : await this.look(purchase.location);
      body = await bodyOf(response);
    } catch {
      return { words: `The shop cannot be reached. ${SAME_KEY}` };
    }
    if (isSent) return this.answeredPost(purchase, response, body, couldBeBefore);
    return this.answeredLook(purchase, response, body);
  }

  post(purchase) {
    return fetch(new URL(`/v1/events/${purchase.event}/purchases`, this.shop), {
      ...HOW,
      method: "POST",
      signal: AbortSignal.timeout(ANSWERED_WITHIN_MS),
      headers: {
        authorization: `Bearer ${this.apiKey}`,
        "content-type": "application/json",
        "idempotency-key": purchase.key,
      },
      body: JSON.stringify(bodyFor(purchase)),
    });
  }

  look(location) {
    return fetch(location, { ...HOW, signal: AbortSignal.timeout(ANSWERED_WITHIN_MS), headers: { prefer: "wait=10" } });
  }

  answeredPost(purchase, response, body, couldBeBefore) {
    const location = this.locationOf(response);
    switch (response.status) {
      case 200:
      case 201:
        return ended(body, location);
      case 202:
        purchase.location = location;
        return { words: onItsWay(purchase), pauseS: retryAfterS(response) ?? FIRST_PAUSE_S };
      case 401:
      case 403:
        purchase.mayBeBought = couldBeBefore;
        return { end: "key-refused", words: wordsOf(body) };
    }
    if (isForLater(response.status)) {
      if (body.outcome === "not-taken") purchase.mayBeBought = couldBeBefore;
      return { words: `${wordsOf(body)} ${SAME_KEY}`, pauseS: retryAfterS(response) };
    }
    return { end: "refused", words: refusal(body), errors: errorsOf(body) };
  }

  answeredLook(purchase, response, body) {
    if (response.status === 200) return ended(body, purchase.location);
    if (response.status === 202) {
      return { words: onItsWay(purchase), pauseS: retryAfterS(response) ?? FIRST_PAUSE_S };
    }
    // Whoever does not know it may be asked for it again: it gets the answer that there is.
    if (!isForLater(response.status)) purchase.location = null;
    return { words: `It is not known yet what became of the order. ${SAME_KEY}`, pauseS: retryAfterS(response) };
  }

  /** Where the shop says that the purchase can be looked at. Nothing is sent elsewhere. */
  locationOf(response) {
    const location = response.headers.get("location");
    if (location === null || !URL.canParse(location, this.shop)) return null;
    const url = new URL(location, this.shop);
    return url.origin === this.shop.origin && REQUEST_PATH.test(url.pathname) ? url.href : null;
  }

  pause(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1_000);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Give the tickets of a purchase back. However often it is asked for, they are given back once. */
export function giveBack(shop, apiKey, { event, key }) {
  return fetch(new URL(`/v1/events/${event}/purchases/${key}/cancellation`, shop), {
    ...HOW,
    method: "POST",
    signal: AbortSignal.timeout(ANSWERED_WITHIN_MS),
    headers: { authorization: `Bearer ${apiKey}`, "idempotency-key": `back-${key}` },
  });
}

/** Where a ticket's PDF is, by where its purchase is; null if the shop gave no secret to open it with. */
export function ticketUrl(location, ticket) {
  if (location === null) return null;
  const request = new URL(location);
  const [, event, key] = REQUEST_PATH.exec(request.pathname) ?? [];
  const secret = request.searchParams.get("secret");
  if (event === undefined || secret === null) return null;
  const url = new URL(`/v1/events/${event}/tickets/${encodeURIComponent(ticket)}.pdf`, request);
  url.searchParams.set("request", decodeURIComponent(key));
  url.searchParams.set("secret", secret);
  return url.href;
}

/** How long a response asks to be left alone; null if it does not say. */
export function retryAfterS(response) {
  const text = response.headers.get("retry-after") ?? "";
  return /^[0-9]{1,4}$/.test(text) ? Math.min(Math.max(Number(text), 1), LONGEST_PAUSE_S) : null;
}

/** Nothing of a visitor goes along that the shop does not need, and nothing comes out of a cache. */
export const HOW = {
  cache: "no-store",
  credentials: "omit",
  mode: "cors",
  redirect: "error",
  referrerPolicy: "no-referrer",
};

const isForLater = (status) => [408, 425, 429].includes(status) || status >= 500;

function bodyFor({ buyer, quantity, lines }) {
  return lines ? { buyer, lines } : { buyer, quantity };
}

const onItsWay = (purchase) =>
  `Your order of ${some(purchase.quantity, "ticket")} is taken, and will be decided in its turn.`;

/** The end that a fact tells: of a purchase what has become of it. */
function ended(fact, location) {
  switch (fact.type) {
    case "purchase_confirmed":
      return { end: "sold", fact, location };
    case "purchase_held":
      return { end: "held", fact, location };
    case "hold_expired":
      return { end: "expired", words: EXPIRED };
    case "purchase_cancelled":
      if (fact.remaining?.length > 0) {
        return { end: fact.held ? "held" : "sold", fact: { ...fact, tickets: fact.remaining }, location };
      }
      return { end: "cancelled", words: fact.held ? GIVEN_BACK : "This purchase was made, and cancelled since." };
    case "purchase_rejected":
      return { end: "refused", words: REASONS[fact.reason] ?? "The order was refused." };
  }
  return { words: `The shop's answer is not understood. ${SAME_KEY}` };
}

/** A body's members; none if it is no JSON object. */
async function bodyOf(response) {
  const text = await response.text();
  try {
    const found = JSON.parse(text);
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}

/** What a problem says to a person. */
function wordsOf(problem) {
  const words = [problem.detail, problem.title].find((text) => typeof text === "string" && text !== "");
  return words ?? "The shop has trouble.";
}

/** Why an order was refused: in this page's words, since the shop's are for whoever writes one. */
function refusal(problem) {
  const isTold = problem.reason === "not_on_sale_yet" && typeof problem.on_sale_at === "string";
  if (isTold) return `These tickets are on sale from ${dateAndTime(momentMs(problem.on_sale_at))} on.`;
  return REASONS[problem.reason] ?? wordsOf(problem);
}

/** What is wrong with which field. */
function errorsOf(problem) {
  const errors = Array.isArray(problem.errors) ? problem.errors : [];
  return errors.filter((error) => typeof error?.pointer === "string" && typeof error.detail === "string");
}
