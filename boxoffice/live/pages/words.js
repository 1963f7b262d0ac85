/** What is said of an event in more than one place. */

import { count, dateAndTimeThere } from "./numbers.js";

/** What is left of an event, or of a category, in words. */
export function leftWords({ remaining, held }) {
  if (remaining > 0) return `${count(remaining)} left`;
  return held > 0 ? "all are reserved, some may come back" : "none is left";
}

/** Where and when it is, by the clock of that place. */
export function whereWords({ venue, starts_at: startsAt }) {
  return [venue, startsAt === null ? null : dateAndTimeThere(startsAt)].filter((one) => one !== null).join(", ");
}
