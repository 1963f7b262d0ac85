/** All events as this page knows them: the newest figures of each. */

import { EVENT_ID, areFigures, byNumber, whole } from "./figures.js";

/** A page with more of them is none that people read. */
export const MOST_EVENTS = 2_000;
const MOST_OF_A_PAGE = 100;
const ANSWERED_WITHIN_MS = 10_000;
const CLOCK_SET_MS = 5_000;

export class Events {
  constructor() {
    this.byEvent = new Map();
    /** How far the server's clock is before this one. */
    this.aheadMs = 0;
    this.hasClock = false;
    /** Whether there are more events than are known here. */
    this.isCut = false;
  }

  /** Take figures, unless newer ones are known. Returns those before, if these are news. */
  take(figures) {
    const before = this.byEvent.get(figures.event_id) ?? null;
    const isOneTooMany = before === null && this.byEvent.size >= MOST_EVENTS;
    this.isCut ||= isOneTooMany;
    if (isOneTooMany || before?.seq >= figures.seq) return { isNew: false, before };
    this.byEvent.set(figures.event_id, figures);
    return { isNew: true, before };
  }

  /** All of them, in the order of their ids. */
  all() {
    return [...this.byEvent.values()].sort(byNumber);
  }

  /** The time by the server's clock, as far as it is known. */
  nowMs() {
    return Date.now() + this.aheadMs;
  }

  /** Ask the server for all events, and take them. Those that it has no more are forgotten. */
  async load(taken) {
    const gone = new Set(this.byEvent.keys());
    let cursor = null;
    for (let page = 0; page < MOST_EVENTS / MOST_OF_A_PAGE; page++) {
      const found = await this.loadPage(cursor);
      for (const figures of found.events.filter(areFigures)) {
        gone.delete(figures.event_id);
        taken(whole(figures));
      }
      cursor = found.next_cursor;
      if (cursor === null) break;
    }
    this.isCut = cursor !== null;
    if (!this.isCut) gone.forEach((id) => this.remove(id));
  }

  /** Ask the server for one event, and take it. Returns whether there is such an event. */
  async loadOne(id) {
    if (!EVENT_ID.test(id)) return false;
    const response = await this.ask(`/v1/events/${id}`);
    this.setClock(response.headers.get("date"));
    if (response.status === 404) return false;
    const found = await read(response);
    if (!areFigures(found)) return false;
    this.take(whole(found));
    return true;
  }

  async loadPage(cursor) {
    const query = new URLSearchParams({ limit: MOST_OF_A_PAGE });
    if (cursor !== null) query.set("cursor", cursor);
    const response = await this.ask(`/v1/events?${query}`);
    this.setClock(response.headers.get("date"));
    return await read(response);
  }

  /** What is kept here may be older than the stream: the server is asked whether it has changed. */
  ask(path) {
    return fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(ANSWERED_WITHIN_MS) });
  }

  /** Forget an event that is none any more. */
  remove(id) {
    this.byEvent.delete(id);
  }

  /** The header says the second in which an answer was written, and the answer was some time on its way. So the
   * server's clock shows at least that: a countdown never ends too early, and the best of several answers counts. */
  setClock(date) {
    const serverMs = date === null ? NaN : Date.parse(date);
    if (Number.isNaN(serverMs)) return;
    const aheadMs = serverMs - Date.now();
    // Far from what it was, it was this clock that was set.
    const isNear = Math.abs(aheadMs - this.aheadMs) < CLOCK_SET_MS;
    this.aheadMs = isNear && this.hasClock ? Math.max(aheadMs, this.aheadMs) : aheadMs;
    this.hasClock = true;
  }
}

/** An answer's JSON. Throws where it is none, or the server could not answer. */
async function read(response) {
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return await response.json();
}
