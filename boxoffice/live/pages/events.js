/** All events as this page knows them: the newest figures of each. */

import { areFigures, byNumber } from "./figures.js";

/** A page with more of them is none that people read. */
const MOST_EVENTS = 2_000;
const MOST_OF_A_PAGE = 100;
const ANSWERED_WITHIN_MS = 10_000;

export class Events {
  constructor() {
    this.byEvent = new Map();
    /** How far the server's clock is before this one. */
    this.aheadMs = 0;
  }

  /** Take figures, unless newer ones are known. Returns those before, if these are news. */
  take(figures) {
    const before = this.byEvent.get(figures.event_id) ?? null;
    if (before !== null ? before.seq >= figures.seq : this.byEvent.size >= MOST_EVENTS) return { isNew: false, before };
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
        taken(figures);
      }
      cursor = found.next_cursor;
      if (cursor === null) break;
    }
    if (cursor === null) gone.forEach((id) => this.remove(id));
  }

  async loadPage(cursor) {
    const query = new URLSearchParams({ limit: MOST_OF_A_PAGE });
    if (cursor !== null) query.set("cursor", cursor);
    // What is kept here may be older than the stream: it is asked whether it has changed.
    const how = { cache: "no-cache", signal: AbortSignal.timeout(ANSWERED_WITHIN_MS) };
    const response = await fetch(`/v1/events?${query}`, how);
    if (!response.ok) throw new Error(`The server answered ${response.status}.`);
    this.setClock(response.headers.get("date"));
    return await response.json();
  }

  /** Forget an event that is none any more. */
  remove(id) {
    this.byEvent.delete(id);
  }

  setClock(date) {
    const serverMs = date === null ? NaN : Date.parse(date);
    if (!Number.isNaN(serverMs)) this.aheadMs = serverMs - Date.now();
  }
}
