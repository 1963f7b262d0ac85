/** What the operator's page says of a report of the server's, in words and rows. */

import { STATE_WORDS, byNumber, namesCategories, stateOf, whole as withAll } from "./figures.js";
import { NOTHING, count, moment, money, size, some, span } from "./numbers.js";

/** How it is as a whole: terms, and what they are. */
export function whole({ events_count: events, totals, fallback, dead_letters: letters, lag }) {
  return [
    ["Events", count(events)],
    ["Left", known(totals, ({ remaining }) => count(remaining))],
    ["Held", known(totals, ({ held }) => count(held))],
    ["Sold", known(totals, ({ sold }) => count(sold))],
    ["Expired", known(totals, ({ expired }) => count(expired))],
    ["Revenue less refunds", known(totals, ({ revenue }) => moneyText(revenue))],
    ["Refunds", known(totals, ({ refunded }) => moneyText(refunded))],
    ["Refused", known(totals, ({ rejected }) => count(sumOf(rejected)))],
    ["Payments refused", known(totals, ({ payments_refused: payments }) => count(sumOf(payments)))],
    ["Decided by Redis", known(totals, ({ decided_by: by }) => count(by.redis ?? 0))],
    ["Without it", known(totals, ({ decided_by: by }) => count(by.local ?? 0))],
    ["Redis now", known(fallback, fallbackText)],
    ["Waiting records", known(lag, (groups) => count(behind(groups)))],
    ["Dead letters", known(letters, (found) => count(found.count))],
  ];
}

/** What an operator should hear of at once, as sentences. They stay the same for as long as it is so: a screen reader
 * says each change. */
export function warnings(report) {
  const { fallback, findings, unknown, unreadable_keys: strange, events_left_out: leftOut } = report;
  const found = [];
  if (fallback?.drill_ends_in_s != null) found.push("A drill is on: workers decide without Redis.");
  else if (fallback?.active) found.push("Workers decide without Redis.");
  if (fallback?.to_rebuild.length) found.push(`To be rebuilt in Redis: ${some(fallback.to_rebuild.length, "event")}.`);
  const bad = (findings ?? []).filter(({ state }) => BAD.has(state));
  if (bad.length > 0) found.push(`The doctor finds ${some(bad.length, "problem")}: see below.`);
  if (strange?.length) found.push(`Under keys of processes lies something else: ${strange.join(", ")}.`);
  if (leftOut > 0) found.push("There are more events than are kept here.");
  const parts = Object.keys(unknown).join(", ").replaceAll("_", " ");
  if (parts !== "") found.push(`Not known now: ${parts}.`);
  return found;
}

/** The tables, one below the other. `part` is what of the report they are made from, and may be unknown. */
export const TABLES = [
  {
    caption: "Events",
    part: "events",
    empty: "There is no event yet.",
    // They come with what changed last at the top, which nobody could read.
    rows: ({ events, at }) => events.map((event) => withState(event, Date.parse(at))).toSorted(byNumber),
    columns: [
      ["Name", ({ name }) => name, "words"],
      ["Event", ({ event_id: id }) => id, "amount"],
      ["State", ({ state }) => STATE_WORDS[state]],
      ["Left", ({ remaining }) => count(remaining), "amount"],
      ["Held", ({ held }) => count(held), "amount"],
      ["Sold", ({ sold }) => count(sold), "amount"],
      ["Expired", ({ expired }) => count(expired), "amount"],
      ["Late", ({ late }) => count(late), "amount"],
      ["Given back", ({ cancelled }) => count(cancelled), "amount"],
      ["Refused", ({ rejected }) => count(sumOf(rejected)), "amount"],
      ["Net revenue", ({ revenue }) => money(revenue.amount, revenue.currency), "amount"],
      ["Refunds", ({ revenue }) => money(revenue.refunded ?? 0, revenue.currency), "amount"],
      ["Without Redis", ({ decided_by: by }) => count(by.local ?? 0), "amount"],
      ["Last sale", ({ last_sale_at: at }) => moment(at), "amount"],
      ["Partition", ({ partition }) => count(partition), "amount"],
    ],
  },
  {
    caption: "Categories",
    part: "events",
    empty: "No event names categories.",
    rows: ({ events }) => events.map(withAll).toSorted(byNumber).flatMap(categoriesOf).slice(0, MOST_CATEGORIES),
    columns: [
      ["Category", ({ category }) => category.name || category.id, "words"],
      ["Of", ({ event }) => event.name, "words"],
      ["Event", ({ event }) => event.event_id, "amount"],
      ["Price", ({ category: { price } }) => money(price.amount, price.currency), "amount"],
      ["Left", ({ category }) => count(category.remaining), "amount"],
      ["Held", ({ category }) => count(category.held), "amount"],
      ["Sold", ({ category }) => count(category.sold), "amount"],
      ["Expired", ({ category }) => count(category.expired), "amount"],
      ["Given back", ({ category }) => count(category.cancelled), "amount"],
      ["Refused", ({ category }) => count(sumOf(category.rejected)), "amount"],
      ["Net revenue", ({ category: { revenue } }) => money(revenue.amount, revenue.currency), "amount"],
    ],
  },
  {
    caption: "Processes",
    part: "processes",
    empty: "No process says that it runs.",
    rows: ({ processes }) => processes,
    columns: [
      ["Process", ({ process }) => process],
      ["State", processState],
      ["Host", ({ host }) => host],
      ["Id", ({ pid }) => String(pid), "amount"],
      ["Decides", decides],
      ["Redis has missed", ({ backlog_facts: facts }) => known(facts, (found) => some(found, "fact")), "amount"],
      ["Runs for", ({ uptime_s: seconds }) => span(seconds), "amount"],
      ["Memory", ({ memory_bytes: bytes }) => size(bytes), "amount"],
      ["CPU", ({ cpu_s: seconds }) => span(seconds), "amount"],
      ["Health", ({ health }) => health],
    ],
  },
  {
    caption: "Who is behind",
    part: "diagnosis",
    empty: "No group of consumers reads.",
    rows: ({ lag }) => Object.entries(lag),
    columns: [
      ["Group", ([group]) => group],
      ["Waiting records", ([, { records }]) => count(records), "amount"],
      ["On partitions", ([, { partitions }]) => partitions.map(partitionText).join(", ") || "none", "words"],
      ["State", ([, { partitions }]) => lagState(partitions)],
    ],
  },
  {
    caption: "What the doctor finds",
    part: "diagnosis",
    empty: "Nothing was looked at yet.",
    rows: ({ findings }) => findings,
    columns: [
      ["Of", ({ subject }) => subject],
      ["State", ({ state }) => ({ text: state, is: isOf(state) })],
      ["What", ({ sentence }) => sentence, "words"],
      ["What to do", ({ advice }) => advice || NOTHING, "words"],
    ],
  },
  {
    caption: "Dead letters by reason",
    part: "dead_letters",
    empty: "There is none.",
    rows: ({ dead_letters: { reasons } }) => Object.entries(reasons),
    columns: [
      ["Reason", ([reason]) => reason, "words"],
      ["Letters", ([, number]) => count(number), "amount"],
    ],
  },
  {
    caption: "The newest dead letters",
    part: "dead_letters",
    empty: "There is none.",
    rows: ({ dead_letters: { newest } }) => newest,
    columns: [
      ["Position", ({ position }) => position],
      ["At", ({ at }) => moment(at), "amount"],
      ["Of", ({ of }) => of],
      ["Size", ({ size_bytes: bytes }) => size(bytes), "amount"],
      ["Reason", ({ reason }) => reason, "words"],
    ],
  },
];

/** More of them nobody reads; GET /v1/events has them all. */
const MOST_CATEGORIES = 500;

function withState(event, nowMs) {
  const figures = withAll(event);
  return { ...figures, state: stateOf(figures, nowMs) };
}

const categoriesOf = (event) =>
  namesCategories(event) ? event.categories.map((category) => ({ event, category })) : [];

const BAD = new Set(["problem", "unreachable"]);

const known = (value, words) => (value === null || value === undefined ? NOTHING : words(value));
const sumOf = (counts) => Object.values(counts).reduce((total, one) => total + one, 0);
const behind = (groups) => Object.values(groups).reduce((total, { records }) => total + records, 0);

function moneyText(sums) {
  const amounts = Object.entries(sums).map(([currency, amount]) => money(amount, currency));
  return amounts.join(", ") || NOTHING;
}

function fallbackText({ active, drill_ends_in_s: seconds }) {
  if (seconds !== null) return `drill, ${span(seconds)} left`;
  return active ? "is done without" : "decides";
}

function processState({ live, ready, waits_for: servers }) {
  if (servers.length > 0) return { text: `waits for ${servers.join(", ")}`, is: "bad" };
  if (!live) return { text: "stuck", is: "bad" };
  return ready ? { text: "ready", is: "good" } : { text: "not ready", is: "bad" };
}

function decides({ using_fallback: isWithout, fallback_reason: reason }) {
  if (isWithout === null) return NOTHING;
  return isWithout ? { text: `without Redis (${reason ?? "not said why"})`, is: "bad" } : "with Redis";
}

const partitionText = ({ partition, records }) => `${partition} (${count(records)})`;

function lagState(partitions) {
  if (partitions.some(({ moves }) => !moves)) return { text: "stands still", is: "bad" };
  return partitions.length > 0 ? "gets on" : { text: "up to date", is: "good" };
}

function isOf(state) {
  if (BAD.has(state)) return "bad";
  return state === "ok" ? "good" : null;
}
