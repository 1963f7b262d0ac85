/** An event's figures, as the records of event-stats have them, and what follows from them. */

export const EVENT_ID = /^(0|[1-9][0-9]{0,17})$/;
const BUCKETS = 60;

/** How a rate is looked at. The newest spans are left out until their sales have had time to be counted. */
export const WINDOWS = {
  minute: { member: "sold_by_second", spanMs: 1_000, leftOut: 2, shown: 57, unit: "second" },
  hour: { member: "sold_by_minute", spanMs: 60_000, leftOut: 0, shown: 60, unit: "minute" },
};

/** The figures in a record's JSON; null if they are none. */
export function read(text) {
  try {
    const found = JSON.parse(text);
    return areFigures(found) ? found : null;
  } catch {
    return null;
  }
}

/** Whether a value has all that the pages use of an event's figures. */
export function areFigures(value) {
  return (
    isObject(value) &&
    typeof value.event_id === "string" &&
    EVENT_ID.test(value.event_id) &&
    typeof value.name === "string" &&
    ["seq", "issued", "sold", "remaining", "cancelled"].every((member) => isAmount(value[member])) &&
    typeof value.closed === "boolean" &&
    isObject(value.revenue) &&
    isAmount(value.revenue.amount) &&
    typeof value.revenue.currency === "string" &&
    isWindow(value.sold_by_second) &&
    isWindow(value.sold_by_minute)
  );
}

/** `open`, `sold-out` or `closed`. */
export function stateOf(figures) {
  if (figures.closed) return "closed";
  return figures.remaining > 0 ? "open" : "sold-out";
}

/** What a person calls the state. */
export const STATE_WORDS = { open: "On sale", "sold-out": "Sold out", closed: "Sale ended" };

/** What one ticket costs, in the smallest unit: buyers hold tickets of one price. Null while nobody holds any. */
export function priceOf(figures) {
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
const isWindow = (value) =>
  isObject(value) &&
  (value.newest_at === null || !Number.isNaN(Date.parse(value.newest_at))) &&
  Array.isArray(value.sold) &&
  value.sold.length === BUCKETS &&
  value.sold.every(isAmount);
