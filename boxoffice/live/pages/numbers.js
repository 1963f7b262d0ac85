/** Numbers, money and times as the page's language writes them. It is the page's and not the visitor's, since a screen
 * reader reads a number by the language of the text around it. */

const LANGUAGE = "en-GB";
const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short" });
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const DATE = { weekday: "short", day: "numeric", month: "short", year: "numeric" };
const TO_MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const dated = new Intl.DateTimeFormat(LANGUAGE, { ...DATE, ...TO_MINUTE });
const datedThere = new Intl.DateTimeFormat(LANGUAGE, { ...DATE, ...TO_MINUTE, timeZone: "UTC" });
const clock = new Intl.DateTimeFormat(LANGUAGE, CLOCK);

/** Currencies whose smallest unit is not a hundredth, by its decimals: those of models/money.py. The browser's own
 * table says how many decimals people like to see, and that is another thing. */
const CURRENCIES_BY_DECIMALS = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
  3: "BHD IQD JOD KWD LYD OMR TND",
  4: "CLF UYW",
};
const DECIMALS = new Map(Object.entries(CURRENCIES_BY_DECIMALS).flatMap(([places, codes]) => {
  return codes.split(" ").map((code) => [code, Number(places)]);
}));
const MOST_COMMON_DECIMALS = 2;
const UNITS = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]];

/** What stands in the place of what nobody knows. */
export const NOTHING = "–";

/** `1,234`. */
export const count = (number) => whole.format(number);

/** `12.5`, and `1,234` of what is so large that nobody reads tenths. */
export const rate = (number) => (number < 100 ? tenths : whole).format(number);

/** `1 ticket`, `2 tickets`. */
export const some = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** `45.00 EUR`, of an amount in the currency's smallest unit. No symbol, since countries share them. */
export function money(amount, currency) {
  const places = DECIMALS.get(currency) ?? MOST_COMMON_DECIMALS;
  const format = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: places, maximumFractionDigits: places });
  return `${format.format(shifted(amount, places))} ${currency}`;
}

/** `12:34:56`, by the visitor's own clock. */
export const timeOfDay = (date) => clock.format(date);

/** `30 Nov 12:34:56`, of a time in a message; a dash where there is none. */
export function moment(text) {
  const date = new Date(text ?? NaN);
  return Number.isNaN(date.valueOf()) ? NOTHING : `${day.format(date)} ${clock.format(date)}`;
}

/** `Mon 30 Nov 2026, 20:15`, of a moment, by the visitor's own clock. */
export const dateAndTime = (ms) => dated.format(new Date(ms));

/** The same of a time in a message, by the clock of the place that it names: an event begins there. */
export function dateAndTimeThere(text) {
  const [, date, time] = /^([0-9-]{10})[Tt ]([0-9:]{5})/.exec(text) ?? [];
  const there = new Date(`${date}T${time}Z`);
  return Number.isNaN(there.valueOf()) ? NOTHING : datedThere.format(there);
}

/** `3.5 MB`. */
export function size(bytes) {
  const [unit, least] = UNITS.find(([, least]) => bytes >= least) ?? UNITS.at(-1);
  return `${rate(bytes / least)} ${unit}`;
}

/** `3 d 4 h`, `5 min`, `12 s`: a span of time in the two largest units that it has. */
export function span(seconds) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  let left = Math.floor(seconds);
  const parts = [];
  for (const [unit, size] of units) {
    const part = Math.floor(left / size);
    left -= part * size;
    if (part > 0) parts.push(`${part} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

/** The amount in the currency's whole unit, as decimal text: a fraction of two would not be exact. */
function shifted(amount, places) {
  const digits = BigInt(amount).toString().padStart(places + 1, "0");
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}
