/** The shop: choose an event, say how many and for whom, and see the tickets, or what is reserved until it is paid. */

import { allBought, bought, remember, showTickets } from "./bought.js";
import { byId, mark, say, show } from "./dom.js";
import { Events } from "./events.js";
import { STATE_WORDS, opensAtMs, stateOf } from "./figures.js";
import { Holds, held } from "./held.js";
import { forget, keep, kept } from "./kept.js";
import { dateAndTime, some } from "./numbers.js";
import { Order } from "./order.js";
import { Asking, drop, newPurchase, unanswered } from "./purchase.js";
import { follow } from "./stream.js";

const KEY_NAME = "shop-key";
const AGAIN_S = 3;
const REFRESH_MS = 60_000;
const TICK_MS = 1_000;

const events = new Events();
const order = new Order();
let shop = null;
let ownKey = null;
let purchase = unanswered();
let asking = null;
let unfollow = null;
/** What was said of the chosen event last. */
let told = { id: null, state: null };
/** The event that somebody came for, if any. */
const wanted = purchase?.event ?? (new URLSearchParams(location.search).get("event") || null);

const apiKey = () => ownKey ?? kept(KEY_NAME);
const nameOf = (id) => events.byEvent.get(id)?.name ?? `Event ${id}`;
const chosen = () => events.byEvent.get(order.event.value) ?? null;
const holds = new Holds(byId("held-orders"), {
  shop: () => shop,
  apiKey,
  nowMs: () => events.nowMs(),
  sold: (fact, location, { event }) => {
    remember(bought(fact, location, event));
    showHeld();
    showBought();
    say(byId("news"), `${event}: paid. The tickets are yours.`);
  },
  changed: (words) => {
    showHeld();
    say(byId("news"), words);
  },
  removed: () => {
    showHeld();
    byId(holds.all.length > 0 ? "held-title" : "event").focus();
  },
});

/** Begin with what this tab has bought, and with what it has asked for and got no answer to. */
async function begin() {
  showBought();
  showHeld();
  if (purchase !== null) {
    order.fill(purchase);
    order.lock(true);
  }
  let isThere = true;
  while (shop === null) {
    try {
      if (wanted !== null) isThere = await events.loadOne(wanted);
      await events.load((figures) => events.take(figures));
      await readShop();
      show(byId("trouble"), isThere || purchase !== null ? "" : "This event is not here. Please choose another one.");
    } catch {
      show(byId("trouble"), "The shop cannot be reached. This page asks again by itself.");
      await new Promise((resolve) => setTimeout(resolve, AGAIN_S * 1_000));
    }
  }
  holds.watchAll();
  order.offer(events.all(), wanted, events.nowMs());
  byId("key-field").hidden = apiKey() !== null;
  followChosen();
  setInterval(refresh, REFRESH_MS);
  setInterval(tick, TICK_MS);
  if (purchase !== null) order.fill(purchase);
  if (purchase !== null && apiKey() !== null) await ask();
}

/** Offer what there is by now, while nobody waits for an order. */
async function refresh() {
  try {
    await events.load((figures) => events.take(figures));
  } catch {
    return;
  }
  if (purchase !== null) return;
  const before = order.event.value;
  order.offer(events.all(), wanted, events.nowMs());
  if (order.event.value !== before) followChosen();
}

/** Show what is known of the chosen event, and say when its sale begins or ends while it is looked at. */
function tell() {
  const figures = chosen();
  const nowMs = events.nowMs();
  order.tell(figures, nowMs);
  const now = { id: figures?.event_id ?? null, state: figures === null ? null : stateOf(figures, nowMs) };
  const isNews = now.id !== null && now.id === told.id && now.state !== told.state;
  told = now;
  if (!isNews) return;
  say(byId("news"), `${figures.name}: ${STATE_WORDS[now.state]}`);
  if (purchase !== null) return;
  // What was said of it was true before.
  progress("", "");
  order.offer(events.all(), wanted, nowMs);
}

/** What changes by the time alone. */
function tick() {
  tell();
  holds.tick();
}

/** Ask what the shop is: where purchases go, and by which key. */
async function readShop() {
  const response = await fetch("/shop.json", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  const found = await response.json();
  ownKey = found.key ?? null;
  shop = new URL(found.gateway || "/", location.href);
}

/** See how the chosen event sells. */
function followChosen() {
  tell();
  unfollow?.();
  unfollow = null;
  byId("connection").hidden = true;
  if (order.event.value === "") return;
  unfollow = follow(`/v1/events/${order.event.value}/stream`, {
    figures: (figures) => {
      events.take(figures);
      tell();
    },
    removed: (id) => {
      events.remove(id);
      tell();
    },
    state: (state) => {
      byId("connection").hidden = false;
      mark(byId("connection"), "data-state", state);
      say(byId("connection"), state === "live" ? "Live" : "Reconnecting");
    },
  });
}

/** Take the order, if nothing is wrong with it. */
async function submit() {
  if (asking !== null) return;
  if (shop === null) {
    progress("The shop cannot be reached yet. Please press the button again when it can.", "bad");
    return;
  }
  const figures = chosen();
  if (purchase === null && figures !== null && stateOf(figures, events.nowMs()) === "soon") {
    progress(`These tickets are on sale from ${dateAndTime(opensAtMs(figures))} on: this page counts down.`, "bad");
    return;
  }
  const asksForKey = !byId("key-field").hidden;
  if (order.complain(order.faults(asksForKey))) {
    progress("The order is not complete yet.", "bad");
    return;
  }
  if (asksForKey) {
    ownKey = null;
    keep(KEY_NAME, order.key.value.trim());
    byId("key-field").hidden = true;
  }
  purchase ??= newPurchase(order.event.value, order.buyer.value.trim(), order.wanted());
  await ask();
}

/** Ask for the purchase until it is answered. */
async function ask() {
  order.lock(true);
  mark(byId("buy"), "aria-disabled", "true");
  progress(`Asking for ${some(purchase.quantity, "ticket")}.`, "");
  asking = new Asking(shop, apiKey(), (words, { mayBeBought }) => {
    progress(words, "");
    byId("again").hidden = false;
    byId("change").hidden = mayBeBought;
  });
  const found = await asking.settle(purchase);
  asking = null;
  mark(byId("buy"), "aria-disabled", null);
  // Whoever has the focus on a button that goes keeps his place.
  if ([byId("again"), byId("change")].includes(document.activeElement)) byId("buy").focus();
  byId("again").hidden = byId("change").hidden = true;
  await end(found);
}

/** Show what it has come to. */
async function end(found) {
  switch (found?.end) {
    case "sold":
      remember(bought(found.fact, found.location, nameOf(purchase.event)));
      progress("", "");
      release();
      showBought();
      byId("bought-title").focus();
      return;
    case "held":
      holds.add(held(found.fact, purchase, found.location, nameOf(purchase.event)));
      progress("", "");
      release();
      showHeld();
      byId("held-title").focus();
      return;
    case "key-refused":
      if (await hasNewKey()) await ask();
      else askForKey(found.words);
      return;
    case "refused":
    case "expired":
    case "cancelled":
      release();
      progress(found.words, "bad");
      order.complain(byField(found.errors ?? []));
      return;
  }
  release();
  progress("Nothing was bought.", "");
}

/** The order is answered, and another can be made. */
function release() {
  purchase = null;
  drop();
  order.lock(false);
  order.toFill = null;
}

/** Whether the shop has another key than the one that was refused, as after its keys were changed. */
async function hasNewKey() {
  const refused = apiKey();
  try {
    if (ownKey !== null) await readShop();
  } catch {
    // It is as it was.
  }
  return apiKey() !== refused;
}

/** What may have been bought is asked for again by the same order; what was not can be changed. */
function askForKey(words) {
  forget(KEY_NAME);
  if (!purchase.mayBeBought) release();
  byId("key-field").hidden = false;
  progress(words, "bad");
  order.complain({ key: words });
}

const byField = (errors) => Object.fromEntries(errors.map((error) => [error.pointer.split("/")[1], error.detail]));

function progress(words, kind) {
  say(byId("progress"), words);
  mark(byId("progress"), "data-kind", kind === "" ? null : kind);
}

function showHeld() {
  byId("held").hidden = holds.all.length === 0;
}

function showBought() {
  const all = allBought();
  byId("bought").hidden = all.length === 0;
  if (all.length === 0) return;
  say(byId("bought-title"), all.length === 1 ? "Your tickets" : "Your tickets, the newest first");
  const number = all.reduce((total, one) => total + one.tickets.length, 0);
  const advice = "bought in this tab. Keep the PDFs: the code on each lets one person in.";
  say(byId("bought-words"), `${some(number, "ticket")}, ${advice}`);
  showTickets(byId("bought-tickets"), all);
}

byId("order").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
byId("event").addEventListener("change", () => {
  show(byId("trouble"), "");
  followChosen();
});
byId("order").addEventListener("input", tell);
byId("again").addEventListener("click", () => asking?.askNow());
byId("change").addEventListener("click", () => {
  progress("It can be changed as soon as it is known that nothing was taken.", "");
  asking?.giveUp();
});
window.addEventListener("online", () => asking?.askNow());
begin();
