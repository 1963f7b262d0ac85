/** The live page: what is on sale, what is left of it, and how fast it goes. */

import { Card, speed } from "./card.js";
import { Curve, roundedUp } from "./curve.js";
import { byId, mark, say, show } from "./dom.js";
import { Events, MOST_EVENTS } from "./events.js";
import { STATE_WORDS, WINDOWS, isForSale, lately, stateOf, sum } from "./figures.js";
import { count, rate, timeOfDay } from "./numbers.js";
import { follow } from "./stream.js";

const SHOWN_AT_ONCE = 48;
const TICK_MS = 1_000;
const FIRST_LOAD_MS = 2_000;
const LOAD_MS = 60_000;
const LOAD_UNHEARD_MS = 10_000;
const CUT = `There are more events than this page shows: it knows ${count(MOST_EVENTS)} of them, and adds up these.`;

const events = new Events();
const cards = new Map();
/** What was said of each event last. */
const states = new Map();
const curve = new Curve(byId("rate"));
let span = WINDOWS.minute;
let wanted = "";
let most = SHOWN_AT_ONCE;
let asOf = new Date();
let isDrawing = false;
let isLoaded = false;
let loading = null;
let connection = null;

/** Take an event's figures. */
function take(figures) {
  if (events.take(figures).isNew) drawSoon();
}

/** Say of events whose state is another than it was, by what has changed or by the time. */
function sayStates(all, nowMs) {
  for (const figures of all) {
    const state = stateOf(figures, nowMs);
    const before = states.get(figures.event_id);
    states.set(figures.event_id, state);
    if (before !== undefined && before !== state) say(byId("news"), `${figures.name}: ${STATE_WORDS[state]}`);
  }
}

/** At most once a frame, however many figures come. */
function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    draw();
  });
}

function draw() {
  const all = events.all();
  const nowMs = events.nowMs();
  sayStates(all, nowMs);
  const found = all.filter(isWanted);
  const shown = found.slice(0, most);
  drawCards(shown, nowMs);
  byId("more").hidden = found.length <= shown.length;
  const nothing = all.length === 0 ? "No event is on sale yet." : "No event has a name like this.";
  show(byId("none"), isLoaded && found.length === 0 ? nothing : "");
  show(byId("cut"), events.isCut ? CUT : "");
  sayTotals(all);
}

/** Left is what somebody can buy, now or when its sale has begun. */
function sayTotals(all) {
  const isSold = (figures) => isForSale(states.get(figures.event_id));
  say(byId("total-left"), count(total(all.filter(isSold), "remaining")));
  const held = total(all, "held");
  byId("total-held").parentElement.hidden = held === 0;
  say(byId("total-held"), count(held));
  say(byId("total-sold"), count(total(all, "sold")));
  const open = all.filter((figures) => states.get(figures.event_id) === "open").length;
  say(byId("total-events"), `${count(open)} of ${count(all.length)}`);
}

/** Cards stay where they are in the document, so that nobody loses the place that he reads or has the focus on. */
function drawCards(shown, nowMs) {
  const list = byId("events");
  const ids = new Set(shown.map((figures) => figures.event_id));
  for (const [id, card] of cards) {
    if (!ids.has(id)) {
      card.root.remove();
      cards.delete(id);
    }
  }
  shown.forEach((figures, index) => {
    let card = cards.get(figures.event_id);
    if (card === undefined) {
      card = new Card();
      cards.set(figures.event_id, card);
      card.show(figures, nowMs);
      card.tick(figures, nowMs);
    } else card.show(figures, nowMs);
    if (list.children[index] !== card.root) list.insertBefore(card.root, list.children[index] ?? null);
  });
}

/** What changes by the time alone. */
function tick() {
  const nowMs = events.nowMs();
  const all = [...events.byEvent.values()];
  sayStates(all, nowMs);
  sayTotals(all);
  const series = sum(all.map((figures) => lately(figures, span, nowMs)), span.shown);
  const top = roundedUp(Math.max(...series));
  curve.draw(series, top);
  say(byId("rate-top"), count(top));
  const now = span === WINDOWS.minute ? speed(series) : series.at(-1);
  say(byId("rate-words"), `${rate(now)} a ${span.unit} now, ${count(Math.max(...series))} at most`);
  for (const [id, card] of cards) {
    const figures = events.byEvent.get(id);
    if (figures !== undefined) card.tick(figures, nowMs);
  }
}

function choose(name) {
  span = WINDOWS[name];
  say(byId("rate-unit"), span.unit);
  say(byId("rate-from"), name === "minute" ? "60 s ago" : "60 min ago");
  tick();
}

function setState(state) {
  if (state !== connection) {
    // Until this moment the stream has told all.
    if (connection === "live") asOf = new Date();
    connection = state;
    mark(byId("connection"), "data-state", state);
    mark(document.body, "data-connection", state);
    loadIn(state === "live" || !isLoaded ? 0 : LOAD_UNHEARD_MS);
  }
  sayState();
}

function sayState() {
  if (connection === null) return;
  say(byId("connection"), connection === "live" ? "Live" : `Reconnecting: as of ${timeOfDay(asOf)}`);
}

function loadIn(ms) {
  clearTimeout(loading);
  loading = setTimeout(load, ms);
}

/** The stream says what changes; what has not changed for long is asked for, and now and then all of it: more often
 * where there is no stream, as where more people watch than one server has streams for. */
async function load() {
  let pauseMs = LOAD_UNHEARD_MS;
  try {
    await events.load(take);
    isLoaded = true;
    asOf = new Date();
    if (connection === "live") pauseMs = LOAD_MS;
    sayState();
    drawSoon();
    tick();
  } catch {
    // Whether the server is there, the stream tells.
  }
  // Not all visitors in the same moment.
  loadIn(pauseMs * (0.75 + Math.random() / 2));
}

function remove(id) {
  events.remove(id);
  states.delete(id);
  drawSoon();
}

const isWanted = (figures) => figures.event_id === wanted || figures.name.toLocaleLowerCase().includes(wanted);
const total = (all, member) => all.reduce((sum, figures) => sum + figures[member], 0);

byId("find").addEventListener("input", (event) => {
  wanted = event.target.value.trim().toLocaleLowerCase();
  most = SHOWN_AT_ONCE;
  draw();
});
byId("more").addEventListener("click", () => {
  most += SHOWN_AT_ONCE;
  draw();
});
for (const choice of document.querySelectorAll("input[name=span]")) {
  choice.addEventListener("change", () => choose(choice.value));
  if (choice.checked) choose(choice.value);
}
// Unless the stream tells sooner that it is there, or is not.
loadIn(FIRST_LOAD_MS);
follow("/v1/stream", { figures: take, removed: remove, state: setState });
setInterval(tick, TICK_MS);
