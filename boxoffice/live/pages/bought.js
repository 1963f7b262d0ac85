/** The tickets that were bought in this tab, and the PDF of each as soon as it is made. */

import { element, say } from "./dom.js";
import { keep, kept } from "./kept.js";
import { HOW, retryAfterS, ticketUrl } from "./purchase.js";

const NAME = "bought";
const MOST_KEPT = 20;
const ANSWERED_WITHIN_MS = 20_000;
const PAUSE_S = 2;
/** Then somebody may try himself. */
const MOST_ROUNDS = 150;

/** A purchase that was answered: what is shown of it, and where its PDFs are. */
export const bought = (fact, location, event) => ({ event, buyer: fact.buyer, tickets: fact.tickets, location });

/** What was bought in this tab, the newest first. */
export const allBought = () => kept(NAME) ?? [];

/** Remember it, so that a reload takes nobody's tickets away. */
export const remember = (purchase) => keep(NAME, [purchase, ...allBought()].slice(0, MOST_KEPT));

/** Show the tickets of purchases in a list. One PDF after another is asked for, again and again until it is made: nobody
 * asks for all of them at once, and one that cannot be made holds up no other. */
export async function showTickets(list, purchases) {
  const shown = purchases.flatMap((purchase) => purchase.tickets.map((ticket) => new Ticket(purchase, ticket)));
  list.replaceChildren(...shown.map((ticket) => ticket.root));
  let waiting = shown.filter((ticket) => ticket.url !== null);
  for (let round = 0; round < MOST_ROUNDS && waiting.length > 0; round++) {
    const later = [];
    let pauseS = PAUSE_S;
    for (const ticket of waiting) {
      if (!list.contains(ticket.root)) return;
      const found = await ticket.look();
      if (found.isLater) later.push(ticket);
      pauseS = Math.max(pauseS, found.pauseS ?? 0);
    }
    waiting = later;
    if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, pauseS * 1_000));
  }
  waiting.forEach((ticket) => ticket.offer());
}

class Ticket {
  constructor(purchase, ticket) {
    this.url = ticketUrl(purchase.location, ticket);
    this.name = ticket;
    const words = this.url === null ? "Its PDF is had from whoever sold it." : "Its PDF is being made";
    this.pdf = element("p", { class: "pdf" }, words);
    this.root = element(
      "li",
      { class: "ticket" },
      element(
        "div",
        { class: "ticket-event" },
        element("h3", { dir: "auto" }, purchase.event),
        element("dl", {}, element("dt", {}, "Ticket"), element("dd", { class: "number" }, ticket)),
      ),
      element(
        "div",
        { class: "ticket-own" },
        element("dl", {}, element("dt", {}, "Buyer"), element("dd", { dir: "auto" }, purchase.buyer)),
        this.pdf,
      ),
    );
  }

  /** Look whether its PDF is made, and offer it then. Returns whether to look again later, and after how long. */
  async look() {
    const signal = AbortSignal.timeout(ANSWERED_WITHIN_MS);
    let response;
    try {
      // A redirection leads to the store that has it, and is not followed: the browser does that, for who opens it.
      response = await fetch(this.url, { ...HOW, method: "HEAD", redirect: "manual", signal });
    } catch {
      return { isLater: true };
    }
    const pauseS = retryAfterS(response);
    if (response.ok || response.type === "opaqueredirect") this.offer();
    else if (pauseS !== null || response.status >= 500) return { isLater: true, pauseS };
    // As of a ticket that was given back.
    else say(this.pdf, "This ticket is not good any more.");
    return { isLater: false };
  }

  offer() {
    const words = ["Open the PDF", element("span", { class: "unseen" }, ` of ticket ${this.name}`)];
    this.pdf.replaceChildren(
      element("a", { class: "button", href: this.url, target: "_blank", rel: "noopener noreferrer" }, ...words),
    );
  }
}
