/** Figures as they change: a stream of the server's that is opened again whenever it ends. */

import { read } from "./figures.js";

const FIRST_PAUSE_S = 2;
const LONGEST_PAUSE_S = 30;
/** The server says each 15 s that it is there. Whoever hears nothing for longer has lost it, though nobody has ended the
 * connection: as on a phone that has changed its network. */
const SILENT_MS = 40_000;

/** Follow a stream. `figures` is called with each event's newest figures, `removed` with the id of one that is no event
 * any more, `state` with `live` or `reconnecting`. Each record is absolute, so nothing has to be made up for after a
 * pause. Returns what ends it. */
export function follow(url, { figures, removed, state }) {
  let source = null;
  let timer = null;
  let silence = null;
  let failures = 0;

  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(begin, SILENT_MS);
  };

  const begin = () => {
    close();
    state("reconnecting");
    open();
  };

  const open = () => {
    source = new EventSource(url);
    heard();
    source.addEventListener("open", () => {
      failures = 0;
      heard();
      state("live");
    });
    source.addEventListener("error", () => {
      state("reconnecting");
      // A browser tries again by itself if the connection broke, and gives up if the server said no.
      if (source.readyState !== EventSource.CLOSED) return;
      clearTimeout(silence);
      timer = setTimeout(open, pauseMs(failures++));
    });
    source.addEventListener("beat", heard);
    source.addEventListener("stats", (event) => {
      heard();
      const found = read(event.data);
      if (found !== null) figures(found);
    });
    source.addEventListener("removed", (event) => {
      heard();
      removed(JSON.parse(event.data).event_id);
    });
  };

  const close = () => {
    clearTimeout(timer);
    clearTimeout(silence);
    source.close();
  };

  open();
  return close;
}

/** Longer with each failure, and by chance, so that not all visitors come back in the same moment. */
function pauseMs(failures) {
  return Math.min(FIRST_PAUSE_S * 2 ** failures, LONGEST_PAUSE_S) * 1_000 * (0.5 + Math.random());
}
