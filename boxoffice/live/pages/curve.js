/** A curve of numbers, drawn as SVG: a line, and what lies below it. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 120;
const ROOM_ABOVE = 3;

/** Draws into an `<svg>` that the page has. It is stretched to its place, so no text stands in it. */
export class Curve {
  constructor(svg) {
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    this.area = part("curve-area");
    this.line = part("curve-line");
    svg.append(this.area, this.line);
  }

  /** Show the values, the newest at the right; `top` is what reaches the upper edge. */
  draw(values, top = roundedUp(Math.max(...values))) {
    const step = WIDTH / (values.length - 1);
    const points = values.map((value, index) => `${round(index * step)} ${round(height(value, top))}`);
    this.line.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M0 ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
  }
}

/** The next number with one digit that is not 0, of 1, 2, 3, 4, 5, 6, 8, from a number on. */
export function roundedUp(number) {
  if (number <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= number);
}

const height = (value, top) => HEIGHT - (value / top) * (HEIGHT - ROOM_ABOVE);
const round = (number) => Math.round(number * 10) / 10;

function part(name) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", name);
  return path;
}
