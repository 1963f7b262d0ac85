/** The tickets that were bought in this tab, and the PDF of each as soon as it is made. */

import { element, say } from "./dom.js";
import { keep, kept } from "./kept.js";
import { HOW, retryAfterS, ticketUrl } from "./purchase.js";

const NAME = "bought";
const MOST_KEPT = 20;
const ANSWERED_WITHIN_MS = 20_000;
const PAUSE_S = 2;
const MOST_LOOKS = 150;

/** A purchase that was answered: what is shown of it, and where its PDFs are. */
export const bought = (fact, location, event) => ({ event, buyer: fact.buyer, tickets: fact.tickets, location });

/** What was bought in this tab, the newest first. */
export const allBought = () => kept(NAME) ?? [];

/** Remember it, so that a reload takes nobody's tickets away. */
export const remember = (purchase) => keep(NAME, [purchase, ...allBought()].slice(0, MOST_KEPT));

/** Show the tickets of purchases in a list. One PDF after another is waited for, so that nobody asks for all of them
 * at once. */
export async function showTickets(list, purchases) {
  const shown = purchases.flatMap((purchase) => purchase.tickets.map((ticket) => new Ticket(purchase, ticket)));
  list.replaceChildren(...shown.map((ticket) => ticket.root));
  for (const ticket of shown) {
    if (!list.contains(ticket.root)) return;
    await ticket.awaitPdf();
  }
}

class Ticket {
  constructor(purchase, ticket) {
    this.url = ticketUrl(purchase.location, ticket);
    this.name = ticket;
    this.pdf = element("p", { class: "pdf" }, "Its PDF is being made");
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

  async awaitPdf() {
    if (this.url === null) {
      say(this.pdf, "Its PDF is had from whoever sold it.");
      return;
    }
    for (let looks = 0; looks < MOST_LOOKS && this.root.isConnected; looks++) {
      const { isMade, pauseS } = await this.look();
      if (isMade) break;
      if (pauseS === null) {
        say(this.pdf, "This ticket is not good any more.");
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseS * 1_000));
    }
    const words = ["Open the PDF", element("span", { class: "unseen" }, ` of ticket ${this.name}`)];
    this.pdf.replaceChildren(
      element("a", { class: "button", href: this.url, target: "_blank", rel: "noopener noreferrer" }, ...words),
    );
  }

  /** Look whether it is made, or how long to wait before the next look; null if it will not be, as of a ticket that was
   * given back. */
  async look() {
    try {
      const signal = AbortSignal.timeout(ANSWERED_WITHIN_MS);
      // A redirection leads to the store that has it, and is not followed: the browser does that, for who opens it.
      const response = await fetch(this.url, { ...HOW, method: "HEAD", redirect: "manual", signal });
      if (response.ok || response.type === "opaqueredirect") return { isMade: true };
      return { isMade: false, pauseS: retryAfterS(response) ?? (response.status < 500 ? null : PAUSE_S) };
    } catch {
      return { isMade: false, pauseS: PAUSE_S };
    }
  }
}
