/** Figures as they change: a stream of the server's that is opened again whenever it ends. */

import { read } from "./figures.js";

const FIRST_PAUSE_S = 2;
const LONGEST_PAUSE_S = 30;

/** Follow a stream. `figures` is called with each event's newest figures, `removed` with the id of one that is no event
 * any more, `state` with `live` or `reconnecting`. Each record is absolute, so nothing has to be made up for after a
 * pause. Returns what ends it. */
export function follow(url, { figures, removed, state }) {
  let source = null;
  let timer = null;
  let failures = 0;

  const open = () => {
    source = new EventSource(url);
    source.addEventListener("open", () => {
      failures = 0;
      state("live");
    });
    source.addEventListener("error", () => {
      state("reconnecting");
      // A browser tries again by itself if the connection broke, and gives up if the server said no.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, pauseMs(failures++));
    });
    source.addEventListener("stats", (event) => {
      const found = read(event.data);
      if (found !== null) figures(found);
    });
    source.addEventListener("removed", (event) => removed(JSON.parse(event.data).event_id));
  };

  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

/** Longer with each failure, and by chance, so that not all visitors come back in the same moment. */
function pauseMs(failures) {
  return Math.min(FIRST_PAUSE_S * 2 ** failures, LONGEST_PAUSE_S) * 1_000 * (0.5 + Math.random());
}
