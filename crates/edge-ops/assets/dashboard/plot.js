// A plot of lines over the last minutes. The lines are SVG that stretches; words around them are text that does not.

import { h } from "./dom.js";
import { time } from "./words.js";

const WIDTH = 600;
const HEIGHT = 140;
const pointed = new Map();

/**
 * `lines` are `{name, look, points}`: `look` names a class of the style sheet, points are `{x, y}` with x in seconds
 * before now. `say` writes a value, `least` is the least value at the top. `redraw` is called when the pointer moves over it.
 */
export function plot({ id, title, lines, say, least = 1, redraw }) {
  // A minute at first, so that the beginning can be read.
  const minutes = lines.some((line) => line.points[0]?.x < -55) ? 5 : 1;
  const from = -60 * minutes;
  const shown = lines.map((line) => ({ ...line, points: line.points.filter((point) => point.x >= from) }));
  const most = ceiling(Math.max(least, ...shown.flatMap((line) => line.points.map((point) => point.y))));
  const at = pointed.get(id);
  const x = (value) => (1 - value / from) * WIDTH;
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - 4) - 1;
  const values = shown.map((line) => ({ ...line, value: near(line.points, at) }));
  const summary = values.map((line) => `${line.name} ${say(line.value)}`).join(", ");
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    pointed.set(id, from * (1 - (event.clientX - box.left) / box.width));
    redraw();
  };
  const leave = () => {
    pointed.delete(id);
    redraw();
  };
  const cursor = at === undefined ? null : h("line", { class: "cursor", x1: x(at), x2: x(at), y1: 0, y2: HEIGHT });
  return h("figure", { class: "plot", key: id },
    h("figcaption", null, title,
      h("span", { class: "when" }, at === undefined ? "" : time(Date.now() / 1000 + at))),
    h("div", { class: "field" },
      h("div", { class: "scale", "aria-hidden": "true" }, h("span", null, say(most)), h("span", null, say(most / 2)), h("span", null, "0")),
      h("svg", {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${summary}`,
        onpointermove: move, onpointerleave: leave,
      },
        [0.5, HEIGHT / 2, HEIGHT - 0.5].map((at) => h("line", { class: "grid", x1: 0, x2: WIDTH, y1: at, y2: at })),
        shown.map((line) => h("polyline", {
          class: `line ${line.look}`,
          points: line.points.map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(" "),
        })),
        cursor),
      h("div", { class: "times", "aria-hidden": "true" }, h("span", null, `${minutes} min ago`), h("span", null, "now"))),
    h("ul", { class: "legend" }, values.map((line) => h("li", { key: line.name },
      h("span", { class: `swatch ${line.look}` }), line.name, h("b", null, say(line.value))))));
}

/** The value at that time, or the last one. */
function near(points, at) {
  if (points.length === 0) return null;
  if (at === undefined) return points.at(-1).y;
  const distance = (point) => Math.abs(point.x - at);
  return points.reduce((best, point) => (distance(point) < distance(best) ? point : best)).y;
}

/** The next number that people like at or above this one. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}
