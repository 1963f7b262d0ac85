/** The operator's page: all events, the processes, who is behind, and what nobody could read. */

import { byId, element, mark, say, show } from "./dom.js";
import { forget, keep, kept } from "./kept.js";
import { timeOfDay } from "./numbers.js";
import { TABLES, warnings, whole } from "./report.js";
import { Table } from "./table.js";

const NAME = "admin-key";
const EVERY_MS = 2_000;
const ANSWERED_WITHIN_MS = 30_000;

const tables = TABLES.map((one) => ({ ...one, table: new Table(one.caption, one.columns) }));
let timer = null;
let turn = 0;
let lastReport = null;

byId("tables").append(...tables.map(({ table }) => table.root));

/** Ask, show what comes, and ask again a little later. Nobody is asked for what nobody sees. */
async function look() {
  clearTimeout(timer);
  const key = kept(NAME);
  if (key === null || document.hidden) return;
  const own = ++turn;
  const { wrong, report } = await ask(key);
  // Meanwhile the key was forgotten, or it was begun anew.
  if (own !== turn || kept(NAME) !== key) return;
  if (wrong !== null) {
    leave(wrong);
    return;
  }
  timer = setTimeout(look, EVERY_MS);
  if (report === null) setState("reconnecting");
  else showReport(report);
}

/** Ask once: for the report, or why the key is not good; neither, if nobody answers. */
async function ask(key) {
  try {
    const response = await fetch("/v1/operator", {
      cache: "no-store",
      headers: { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(ANSWERED_WITHIN_MS),
    });
    const found = await response.json();
    if (response.ok) return { wrong: null, report: found };
    const isRefused = response.status === 401 || response.status === 403;
    return { wrong: isRefused ? (found.detail ?? "This key is not good here.") : null, report: null };
  } catch {
    return { wrong: null, report: null };
  }
}

function showReport(report) {
  lastReport = new Date();
  setState("live");
  byId("door").hidden = true;
  byId("report").hidden = false;
  show(byId("news"), warnings(report).join(" "));
  showWhole(whole(report));
  for (const { table, part, rows, empty } of tables) {
    const why = report.unknown[part];
    table.fill(why === undefined ? rows(report) : [], why ?? empty);
  }
}

function showWhole(pairs) {
  const list = byId("whole");
  if (list.children.length !== pairs.length) {
    list.replaceChildren(...pairs.map(() => element("div", {}, element("dt"), element("dd"))));
  }
  pairs.forEach(([term, value], index) => {
    const [dt, dd] = list.children[index].children;
    say(dt, term);
    say(dd, value);
  });
}

function setState(state) {
  byId("connection").hidden = false;
  mark(byId("connection"), "data-state", state);
  const since = lastReport === null ? "" : `: as of ${timeOfDay(lastReport)}`;
  say(byId("connection"), state === "live" ? "Live" : `Reconnecting${since}`);
}

/** Forget the key, and show nothing more of what it opened. */
function leave(why) {
  clearTimeout(timer);
  forget(NAME);
  lastReport = null;
  byId("connection").hidden = true;
  byId("report").hidden = true;
  byId("whole").replaceChildren();
  for (const { table, empty } of tables) table.fill([], empty);
  byId("door").hidden = false;
  show(byId("key-wrong"), why);
  mark(byId("key"), "aria-invalid", why === "" ? null : "true");
  byId("key").focus();
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  if (key === "") {
    leave("Please enter a key.");
    return;
  }
  byId("key").value = "";
  show(byId("key-wrong"), "");
  keep(NAME, key);
  look();
});
byId("leave").addEventListener("click", () => leave(""));
document.addEventListener("visibilitychange", look);
look();
