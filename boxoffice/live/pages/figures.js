/** An event's figures, as the records of event-stats have them, and what follows from them. */

export const EVENT_ID = /^(0|[1-9][0-9]{0,17})$/;
const BUCKETS = 60;

/** How a rate is looked at. The newest spans are left out until their sales have had time to be counted. */
export const WINDOWS = {
  minute: { member: "sold_by_second", spanMs: 1_000, leftOut: 2, shown: 57, unit: "second" },
  hour: { member: "sold_by_minute", spanMs: 60_000, leftOut: 0, shown: 60, unit: "minute" },
};

/** The figures in a record's JSON, with all members; null if they are none. */
export function read(text) {
  try {
    const found = JSON.parse(text);
    return areFigures(found) ? whole(found) : null;
  } catch {
    return null;
  }
}

/** Whether a value has all that the pages use of an event's figures; an earlier release does not tell all of it. */
export function areFigures(value) {
  return (
    isObject(value) &&
    typeof value.event_id === "string" &&
    EVENT_ID.test(value.event_id) &&
    typeof value.name === "string" &&
    ["seq", "issued", "sold", "remaining", "cancelled"].every((member) => isAmount(value[member])) &&
    ["removed", "held", "expired", "released", "late"].every((member) => isAmount(value[member] ?? 0)) &&
    ["venue", "starts_at", "status", "on_sale_at", "off_sale_at"].every((member) => isText(value[member] ?? "")) &&
    ["hold_s", "max_per_order", "max_per_buyer"].every((member) => isAmount(value[member] ?? 0)) &&
    typeof value.closed === "boolean" &&
    isMoney(value.revenue) &&
    isWindow(value.sold_by_second) &&
    isWindow(value.sold_by_minute) &&
    Array.isArray(value.categories ?? []) &&
    (value.categories ?? []).every(isCategory)
  );
}

/** Figures with all members: what an earlier release does not tell was nothing then. */
export const whole = (figures) => ({
  ...{ venue: null, starts_at: null, on_sale_at: null, off_sale_at: null },
  ...{ hold_s: null, max_per_order: null, max_per_buyer: null },
  ...{ removed: 0, held: 0, expired: 0, released: 0, late: 0, categories: [] },
  status: figures.closed ? "closed" : "open",
  ...figures,
});

/** Whether an event is sold, by the facts and by the hours of its sale: `open`, `soon`, `all-held`, `sold-out`,
 * `ended`, `closed`, `called-off` or `archived`. */
export function stateOf(figures, nowMs) {
  if (figures.status !== "open") return ENDED[figures.status] ?? "closed";
  if (nowMs < opensAtMs(figures)) return "soon";
  if (figures.off_sale_at !== null && nowMs >= momentMs(figures.off_sale_at)) return "ended";
  if (figures.remaining > 0) return "open";
  return figures.held > 0 ? "all-held" : "sold-out";
}

const ENDED = { closed: "closed", cancelled: "called-off", archived: "archived" };

/** What a person calls the state. */
export const STATE_WORDS = {
  open: "On sale",
  soon: "Not on sale yet",
  "all-held": "All are reserved",
  "sold-out": "Sold out",
  ended: "Sale ended",
  closed: "Sale ended",
  "called-off": "Called off",
  archived: "Archived",
};

/** Whether somebody may want to buy: now, or when the sale has begun, or when held tickets come back. */
export const isForSale = (state) => ["open", "soon", "all-held"].includes(state);

/** When the sale begins; long ago where it has no time for it. */
export const opensAtMs = (figures) => (figures.on_sale_at === null ? -Infinity : momentMs(figures.on_sale_at));

/** A time of an event: RFC 3339 as messages may write it, which is more than every browser reads. */
export const momentMs = (text) => Date.parse(text.toUpperCase().replace(" ", "T").replace(/(\.[0-9]{3})[0-9]+/, "$1"));

/** Whether the event was put on sale with categories of its own. */
export const namesCategories = ({ categories }) =>
  categories.length > 0 && !(categories.length === 1 && categories[0].id === GENERAL && categories[0].name === "");

const GENERAL = "general";

/** What one ticket of an event without categories costs, in the smallest unit; null if it is not known. By an earlier
 * release it is while somebody holds one: buyers hold tickets of one price. */
export function priceOf(figures) {
  if (figures.categories.length > 0) return figures.categories[0].price;
  const { amount, currency } = figures.revenue;
  return figures.sold > 0 && amount % figures.sold === 0 ? { amount: amount / figures.sold, currency } : null;
}

/** Tickets sold in each span until now, the newest last. What a record says goes on ageing after it was written. */
export function lately(figures, window, nowMs) {
  const { newest_at: newestAt, sold } = figures[window.member];
  const series = new Array(window.shown).fill(0);
  if (newestAt === null) return series;
  const newest = Math.floor(Date.parse(newestAt) / window.spanMs);
  const last = Math.floor(nowMs / window.spanMs) - window.leftOut;
  for (let index = 0; index < window.shown; index++) {
    const bucket = BUCKETS - 1 - (newest - (last - window.shown + 1 + index));
    if (bucket >= 0 && bucket < BUCKETS) series[index] = sold[bucket];
  }
  return series;
}

/** Several series as one. */
export function sum(all, length) {
  const total = new Array(length).fill(0);
  for (const series of all) series.forEach((value, index) => (total[index] += value));
  return total;
}

/** By number, and not by the letters of the number: 9 stands before 10. */
export const byNumber = ({ event_id: one }, { event_id: other }) => one.length - other.length || (one < other ? -1 : 1);

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isAmount = (value) => Number.isInteger(value) && value >= 0;
const isText = (value) => typeof value === "string";
const isMoney = (value) => isObject(value) && isAmount(value.amount) && isText(value.currency);
const isCategory = (value) =>
  isObject(value) &&
  [value.id, value.name].every(isText) &&
  isMoney(value.price) &&
  isMoney(value.revenue) &&
  ["issued", "removed", "remaining", "held", "sold", "expired"].every((member) => isAmount(value[member])) &&
  isAmount(value.cancelled) &&
  isObject(value.rejected);
const isWindow = (value) =>
  isObject(value) &&
  (value.newest_at === null || !Number.isNaN(Date.parse(value.newest_at))) &&
  Array.isArray(value.sold) &&
  value.sold.length === BUCKETS &&
  value.sold.every(isAmount);
