"use strict";
// One gate over the density of its parent: drawn in SVG, dragged with pointer or keys. Shapes are in gate units.

const SIDE = 460, LEFT = 64, TOP = 12, WIDTH = LEFT + SIDE + 14, HEIGHT = TOP + SIDE + 52;
const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.0025; // of an axis, for a press of an arrow key

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

// ---- geometry of shapes, all in fractions of the axes (0 to 1, y upwards) ----

class Frame {
  constructor(axes) { this.axes = axes; }
  fraction(value, i) { const a = this.axes[i]; return (value - a.low) / (a.high - a.low); }
  value(fraction, i) { const a = this.axes[i]; return a.low + fraction * (a.high - a.low); }
  x(value) { return LEFT + this.fraction(value, 0) * SIDE; }
  y(value) { return TOP + (1 - this.fraction(value, 1)) * SIDE; }
  span(i) { return this.axes[i].high - this.axes[i].low; }
}

function linePoints(shape, frame) {
  // Where a half-plane's line crosses the frame, two points in gate units; null outside of it.
  const [nx, ny] = shape.normal, found = [];
  const [x0, x1] = [frame.axes[0].low, frame.axes[0].high], [y0, y1] = [frame.axes[1].low, frame.axes[1].high];
  if (ny !== 0) for (const x of [x0, x1]) {
    const y = (shape.offset - nx * x) / ny;
    if (y >= y0 && y <= y1) found.push([x, y]);
  }
  if (nx !== 0) for (const y of [y0, y1]) {
    const x = (shape.offset - ny * y) / nx;
    if (x >= x0 && x <= x1) found.push([x, y]);
  }
  if (found.length < 2) return null;
  let best = [found[0], found[1]], far = -1;
  for (const a of found) for (const b of found) {
    const d = Math.hypot((a[0] - b[0]) / frame.span(0), (a[1] - b[1]) / frame.span(1));
    if (d > far) { far = d; best = [a, b]; }
  }
  return far > 1e-6 ? best : null;
}

function halfPlaneThrough(shape, a, b) {
  // The half-plane on the same side, its line through two points.
  const dx = b[0] - a[0], dy = b[1] - a[1], length = Math.hypot(dx, dy);
  if (!(length > 0)) return shape;
  let normal = [-dy / length, dx / length];
  if (normal[0] * shape.normal[0] + normal[1] * shape.normal[1] < 0) normal = [-normal[0], -normal[1]];
  return { ...shape, normal, offset: normal[0] * a[0] + normal[1] * a[1] };
}

function ellipsePoints(shape, n) {
  const [[a, b], [, d]] = shape.covariance, r = Math.sqrt(shape.distance_square);
  // Cholesky factor: covariance = L Lᵀ, so that L of a circle is the ellipse.
  const l11 = Math.sqrt(a), l21 = b / l11, l22 = Math.sqrt(Math.max(d - l21 * l21, 0));
  return Array.from({ length: n }, (_, i) => {
    const t = 2 * Math.PI * i / n, u = r * Math.cos(t), v = r * Math.sin(t);
    return [shape.mean[0] + l11 * u, shape.mean[1] + l21 * u + l22 * v];
  });
}

function corners(shape, frame) {
  // Outline in gate units; closed except for a line.
  if (shape.gate === "Polygon") return shape.vertices;
  if (shape.gate === "Ellipse") return ellipsePoints(shape, 96);
  if (shape.gate === "Rectangle") {
    const clip = (v, i) => Math.min(Math.max(v, frame.axes[i].low), frame.axes[i].high);
    const [x0, x1] = [clip(shape.low[0], 0), clip(shape.high[0], 0)], [y0, y1] = [clip(shape.low[1], 1), clip(shape.high[1], 1)];
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  }
  return [];
}

function keptSide(shape, frame) {
  // The frame's corner polygon cut by a half-plane.
  const a = frame.axes, box = [[a[0].low, a[1].low], [a[0].high, a[1].low], [a[0].high, a[1].high], [a[0].low, a[1].high]];
  const side = p => shape.normal[0] * p[0] + shape.normal[1] * p[1] - shape.offset, out = [];
  box.forEach((p, i) => {
    const q = box[(i + 1) % 4], s = side(p), t = side(q);
    if (s >= 0) out.push(p);
    if ((s >= 0) !== (t >= 0)) { const f = s / (s - t); out.push([p[0] + f * (q[0] - p[0]), p[1] + f * (q[1] - p[1])]); }
  });
  return out;
}

function asPolygon(shape, frame) {
  if (shape.gate === "Ellipse") return { gate: "Polygon", dims: shape.dims, vertices: ellipsePoints(shape, 16) };
  if (shape.gate === "Rectangle") return { gate: "Polygon", dims: shape.dims, vertices: corners(shape, frame) };
  if (shape.gate === "HalfPlane") return { gate: "Polygon", dims: shape.dims, vertices: keptSide(shape, frame) };
  return shape;
}

// ---- moving a shape by a handle: pure functions of the shape at the start of the drag ----

function moved(shape, grip, from, to, frame) {
  const dx = to[0] - from[0], dy = to[1] - from[1];
  const shift = p => [p[0] + dx, p[1] + dy];
  if (shape.gate === "Interval") {
    const value = Math.min(Math.max(shape[grip] + dx, frame.axes[0].low), frame.axes[0].high);
    const out = { ...shape, [grip]: value };
    const ordered = out.low === null || out.high === null || out.low < out.high;
    return ordered ? out : shape;
  }
  if (shape.gate === "HalfPlane") {
    if (grip === "all") return { ...shape, offset: shape.offset + shape.normal[0] * dx + shape.normal[1] * dy };
    const [a, b] = grip.fixed;
    return halfPlaneThrough(shape, a, shift(b));
  }
  if (shape.gate === "Polygon") {
    const vertices = shape.vertices.map((p, i) => (grip === "all" || grip === i ? shift(p) : p));
    return { ...shape, vertices };
  }
  if (shape.gate === "Ellipse") {
    if (grip === "all") return { ...shape, mean: shift(shape.mean) };
    const reach = p => Math.hypot((p[0] - shape.mean[0]) / frame.span(0), (p[1] - shape.mean[1]) / frame.span(1));
    const scale = Math.min(Math.max(reach(to) / Math.max(reach(from), 1e-6), 0.1), 10);
    return { ...shape, distance_square: shape.distance_square * scale * scale };
  }
  if (shape.gate === "Rectangle") {
    const out = { ...shape, low: [...shape.low], high: [...shape.high] };
    if (grip === "all" || grip === "low") { out.low[0] += dx; out.low[1] += dy; }
    if (grip === "all" || grip === "high") { out.high[0] += dx; out.high[1] += dy; }
    return out.low[0] < out.high[0] && out.low[1] < out.high[1] ? out : shape;
  }
  return shape;
}

// ---- the plot itself ----

class Plot {
  constructor(svg, events) {
    this.svg = svg;
    this.events = events; // {moved(shape), let_go(before)}
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.addEventListener("pointerdown", e => this.take(e));
    svg.addEventListener("pointermove", e => this.drag(e));
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, e => this.release(e));
    svg.addEventListener("dblclick", e => this.corner(e));
    svg.addEventListener("keydown", e => this.key(e));
  }

  show(gate, shape, picture, movable) {
    this.gate = gate; this.shape = shape; this.movable = movable && shape !== null;
    this.picture = picture;
    this.frame = picture ? new Frame(picture.axes) : null;
    this.svg.classList.toggle("still", !this.movable);
    this.draw();
  }

  setShape(shape) { this.shape = shape; this.drawGate(); }

  draw() {
    const svg = this.svg;
    svg.replaceChildren();
    svg.append(element("rect", { class: "paper", x: 0, y: 0, width: WIDTH, height: HEIGHT }));
    const clip = element("clipPath", { id: "inframe" });
    clip.append(element("rect", { x: LEFT, y: TOP, width: SIDE, height: SIDE }));
    svg.append(clip);
    if (!this.picture) {
      svg.append(element("text", { class: "nothing", x: LEFT + SIDE / 2, y: TOP + SIDE / 2, "text-anchor": "middle" },
        this.gate && this.gate.expression ? this.gate.expression : "nothing to draw"));
      return;
    }
    svg.append(this.picture.curve ? this.curve() : this.density());
    this.layer = element("g", { "clip-path": "url(#inframe)" });
    this.grips = element("g");
    svg.append(this.layer, this.axes(), this.grips);
    this.drawGate();
  }

  density() {
    const { bins: [nx, ny], counts } = this.picture, canvas = document.createElement("canvas");
    canvas.width = nx; canvas.height = ny;
    const context = canvas.getContext("2d"), image = context.createImageData(nx, ny);
    const top = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 0)) || 1;
    const from = [214, 228, 241], to = [16, 44, 74];
    counts.forEach((n, i) => {
      const x = i % nx, y = ny - 1 - Math.floor(i / nx), at = 4 * (y * nx + x), f = Math.log1p(n) / top;
      for (let c = 0; c < 3; c++) image.data[at + c] = n ? from[c] + f * (to[c] - from[c]) : 255;
      image.data[at + 3] = n ? 255 : 0;
    });
    context.putImageData(image, 0, 0);
    return element("image", { href: canvas.toDataURL(), x: LEFT, y: TOP, width: SIDE, height: SIDE, preserveAspectRatio: "none" });
  }

  curve() {
    const group = element("g"), line = heights => heights.map((h, i) =>
      `${(LEFT + (i + 0.5) * SIDE / heights.length).toFixed(1)} ${(TOP + SIDE * (1 - 0.9 * h)).toFixed(1)}`).join("L");
    group.append(element("path", { class: "curve", d: `M${LEFT} ${TOP + SIDE}L${line(this.picture.curve)}L${LEFT + SIDE} ${TOP + SIDE}` }));
    const control = this.picture.control;
    if (control) group.append(element("path", { class: "control", d: `M${line(control)}` }));
    return group;
  }

  axes() {
    const group = element("g");
    group.append(element("rect", { class: "frame", x: LEFT, y: TOP, width: SIDE, height: SIDE }));
    const label = (x, y, anchor, text, power) => {
      const made = element("text", { class: "ticktext", x, y, "text-anchor": anchor }, text);
      if (power) made.append(element("tspan", { dy: -6, "font-size": 10 }, power));
      return made;
    };
    const [ax, ay] = this.picture.axes;
    for (const [at, text, power, major] of ax.ticks) {
      const x = LEFT + at * SIDE;
      group.append(element("line", { class: "tick", x1: x, x2: x, y1: TOP + SIDE, y2: TOP + SIDE + (major ? 7 : 4) }));
      if (text) group.append(label(x, TOP + SIDE + 22, "middle", text, power));
    }
    for (const [at, text, power, major] of ay ? ay.ticks : []) {
      const y = TOP + (1 - at) * SIDE;
      group.append(element("line", { class: "tick", x1: LEFT, x2: LEFT - (major ? 7 : 4), y1: y, y2: y }));
      if (text) group.append(label(LEFT - 10, y + 4, "end", text, power));
    }
    group.append(element("text", { class: "axistitle", x: LEFT + SIDE / 2, y: HEIGHT - 8, "text-anchor": "middle" }, ax.title));
    const up = `translate(16 ${TOP + SIDE / 2}) rotate(-90)`;
    group.append(element("text", { class: "axistitle", transform: up, "text-anchor": "middle" }, ay ? ay.title : "Events, % of peak"));
    return group;
  }

  path(shape) {
    const f = this.frame, text = points => points.map(p => `${f.x(p[0]).toFixed(2)} ${f.y(p[1]).toFixed(2)}`).join("L");
    if (shape.gate === "Interval") return [shape.low, shape.high].filter(v => v !== null)
      .map(v => `M${f.x(v).toFixed(2)} ${TOP}V${TOP + SIDE}`).join("");
    if (shape.gate === "HalfPlane") { const ends = linePoints(shape, f); return ends ? `M${text(ends)}` : ""; }
    const points = corners(shape, f);
    return points.length ? `M${text(points)}Z` : "";
  }

  drawGate() {
    if (!this.picture) return;
    const { gate, shape, frame, layer, grips } = this;
    layer.replaceChildren(); grips.replaceChildren();
    if (!shape) return;
    const changed = !gate.fitted || JSON.stringify(shape) !== JSON.stringify(gate.fitted), look = changed ? "" : " fitted";
    this.shade(shape);
    if (gate.fitted && changed) layer.append(element("path", { class: "was", d: this.path(gate.fitted) }));
    const d = this.path(shape);
    layer.append(element("path", { class: "halo", d }), element("path", { class: `gate${look}`, d }));
    const grip = (made, name) => { made.dataset.grip = name; grips.append(made); };
    const handle = (p, name, label) => {
      const at = [frame.fraction(p[0], 0), frame.fraction(p[1], 1)];
      if (at.some(v => v < -0.01 || v > 1.01)) return;
      const made = element("circle", { class: `handle${look}`, cx: frame.x(p[0]).toFixed(2), cy: frame.y(p[1]).toFixed(2), r: 8 });
      made.append(element("title", {}, label));
      grip(made, name);
    };
    if (shape.gate === "Interval") {
      for (const end of ["low", "high"]) if (shape[end] !== null) {
        grip(element("path", { class: "grip", d: `M${frame.x(shape[end])} ${TOP}V${TOP + SIDE}` }), end);
        const knob = element("circle", { class: `handle${look}`, cx: frame.x(shape[end]).toFixed(2), cy: TOP + 26, r: 8 });
        knob.append(element("title", {}, "Drag the threshold"));
        grip(knob, end);
      }
    } else if (shape.gate === "HalfPlane") {
      grip(element("path", { class: "grip", d }), "all");
      this.ends = linePoints(shape, frame);
      if (this.ends) {
        const [a, b] = this.ends, at = f => [a[0] + f * (b[0] - a[0]), a[1] + f * (b[1] - a[1])];
        this.knobs = [at(0.12), at(0.88)];
        this.knobs.forEach((p, i) => handle(p, `turn${i}`, "Turn the line about its other handle"));
      }
    } else {
      grip(element("path", { class: "body", d }), "all");
      if (shape.gate === "Polygon") shape.vertices.forEach((p, i) => handle(p, `corner${i}`, "Drag a corner; double click takes it away, on an edge adds one"));
      if (shape.gate === "Ellipse") handle(ellipsePoints(shape, 8)[0], "size", "Drag: larger or smaller");
      if (shape.gate === "Rectangle") { const c = corners(shape, frame); handle(c[0], "low", "Drag the corner"); handle(c[2], "high", "Drag the corner"); }
    }
  }

  shade(shape) {
    const f = this.frame;
    if (shape.gate === "Interval") {
      const left = shape.low === null ? LEFT : f.x(shape.low), right = shape.high === null ? LEFT + SIDE : f.x(shape.high);
      const spans = this.gate.sign === "+" ? [[left, right]] : [[LEFT, left], [right, LEFT + SIDE]];
      for (const [a, b] of spans) if (b > a) this.layer.append(element("rect", { class: "kept", x: a, y: TOP, width: b - a, height: SIDE }));
    } else if (this.gate.sign === "+") {
      const points = shape.gate === "HalfPlane" ? keptSide(shape, f) : corners(shape, f);
      if (points.length) this.layer.append(element("path", { class: "kept", d: `M${points.map(p => `${f.x(p[0])} ${f.y(p[1])}`).join("L")}Z` }));
    }
  }

  place(event) {
    const box = this.svg.getBoundingClientRect(), scale = WIDTH / box.width;
    const fx = ((event.clientX - box.left) * scale - LEFT) / SIDE, fy = 1 - ((event.clientY - box.top) * scale - TOP) / SIDE;
    return [this.frame.value(fx, 0), this.frame.axes[1] ? this.frame.value(fy, 1) : 0];
  }

  gripOf(name) {
    if (name.startsWith("turn")) { const i = Number(name.slice(4)); return { fixed: [this.knobs[1 - i], this.knobs[i]] }; }
    return name.startsWith("corner") ? Number(name.slice(6)) : name;
  }

  take(event) {
    const name = event.target.dataset ? event.target.dataset.grip : undefined;
    if (!this.movable || name === undefined || event.button !== 0) return;
    event.preventDefault();
    this.svg.focus({ preventScroll: true });
    this.svg.setPointerCapture(event.pointerId);
    this.hand = { grip: this.gripOf(name), from: this.place(event), before: this.shape };
  }

  drag(event) {
    if (!this.hand) return;
    this.setShape(moved(this.hand.before, this.hand.grip, this.hand.from, this.place(event), this.frame));
    this.events.moved(this.shape);
  }

  release() {
    if (!this.hand) return;
    const before = this.hand.before;
    this.hand = null;
    if (before !== this.shape) this.events.let_go(before);
  }

  corner(event) {
    const shape = this.shape;
    if (!this.movable || !shape || shape.gate !== "Polygon") return;
    const before = shape, at = this.place(event), f = this.frame, flat = p => [f.fraction(p[0], 0), f.fraction(p[1], 1)], p = flat(at);
    const away = shape.vertices.map(v => Math.hypot(flat(v)[0] - p[0], flat(v)[1] - p[1])), nearest = away.indexOf(Math.min(...away));
    let vertices = null;
    if (away[nearest] < 0.022) {
      if (shape.vertices.length > 3) vertices = shape.vertices.filter((_, i) => i !== nearest);
    } else {
      let best = 0, near = Infinity;
      shape.vertices.forEach((a, i) => {
        const q = flat(a), r = flat(shape.vertices[(i + 1) % shape.vertices.length]), l = (r[0] - q[0]) ** 2 + (r[1] - q[1]) ** 2;
        const t = l ? Math.min(Math.max(((p[0] - q[0]) * (r[0] - q[0]) + (p[1] - q[1]) * (r[1] - q[1])) / l, 0), 1) : 0;
        const d = Math.hypot(p[0] - q[0] - t * (r[0] - q[0]), p[1] - q[1] - t * (r[1] - q[1]));
        if (d < near) { near = d; best = i + 1; }
      });
      if (near < 0.03) vertices = [...shape.vertices.slice(0, best), at, ...shape.vertices.slice(best)];
    }
    if (!vertices) return;
    this.setShape({ ...shape, vertices });
    this.events.moved(this.shape);
    this.events.let_go(before);
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!way || !this.movable || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const size = STEP * (event.shiftKey ? 8 : 1), f = this.frame, before = this.shape;
    const by = [way[0] * size * f.span(0), f.axes[1] ? way[1] * size * f.span(1) : 0];
    const grip = before.gate === "Interval" ? (before.low !== null ? "low" : "high") : "all";
    const next = moved(before, grip, [0, 0], by, f);
    if (next === before) return;
    this.setShape(next);
    this.events.moved(next);
    this.events.let_go(before);
  }
}
