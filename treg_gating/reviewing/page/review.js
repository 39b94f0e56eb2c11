"use strict";
// The review page: lists tubes, shows one with its gates, counts while a gate moves, and sends decisions.

const $ = id => document.getElementById(id);
const S = { run: null, tube: null, gate: null, drafts: {}, undo: {}, numbers: {}, events: "", busy: 0 };
const WORDS = { accepted: "accepted ✓", overridden: "gates set by hand", excluded: "excluded ✕", begun: "begun", "": "" };

// ---- words and numbers ----

function percent(value) {
  if (value === null || value === undefined) return "not estimable";
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return `${value.toFixed(Math.min(digits, 4))} %`;
}
const count = n => (n === null || n === undefined ? "–" : n.toLocaleString("en-GB"));
function say(text, bad = false) { $("say").textContent = text; $("say").classList.toggle("bad", bad); }
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// ---- talking to the program ----

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try { answer = await fetch(`api/${path}`, options); } catch { throw new Error("The review program does not answer. Was it closed? Nothing that was decided is lost."); }
  let found = null;
  try { found = await answer.json(); } catch { throw new Error(`The review program refused (${answer.status}).`); }
  if (!answer.ok) throw new Error(found.error || `refused (${answer.status})`);
  return found;
}

// ---- the list of tubes ----

async function loadRun() {
  S.run = await ask("run");
  $("title").textContent = S.run.title;
  $("blinded").textContent = S.run.blinded ? "Blinded review: pseudonyms only" : "Review, not blinded";
  $("endpoint").textContent = S.run.endpoint.label;
  for (const [id, reasons] of [["reason", S.run.reasons.gate], ["tubereason", S.run.reasons.tube]]) {
    $(id).replaceChildren(make("option", { value: "" }, "choose …"), ...Object.entries(reasons).map(([key, words]) => make("option", { value: key }, words)));
  }
  listTubes();
}

function shownTubes() {
  const wanted = $("filter").value;
  return S.run.tubes.filter(t => wanted === "all" || (wanted === "open" ? !["accepted", "excluded"].includes(t.decided) : !["clean", "note"].includes(t.level)));
}

function unsaved(name) { return Object.keys(S.drafts[name] || {}).length > 0; }

function listTubes() {
  const decided = S.run.tubes.filter(t => ["accepted", "excluded"].includes(t.decided)).length;
  $("done").textContent = `${decided} of ${S.run.tubes.length} tubes decided`;
  $("bar").max = Math.max(S.run.tubes.length, 1); $("bar").value = decided;
  $("tubes").replaceChildren(...shownTubes().map(t => {
    const mark = unsaved(t.name) ? "not saved" : WORDS[t.decided];
    const button = make("button", { type: "button", "data-tube": t.name, "aria-current": String(S.tube !== null && S.tube.name === t.name) },
      make("span", { class: "id" }, t.name), make("span", { class: "val" }, t.value === null ? "–" : percent(t.value)),
      make("span", { class: `light ${t.level}` }, t.word), make("span", { class: `mark ${unsaved(t.name) ? "unsaved" : t.decided}` }, mark));
    if (t.about) button.append(make("span", { class: "sub" }, t.about));
    button.addEventListener("click", () => openTube(t.name));
    return make("li", {}, button);
  }));
}

async function openTube(name) {
  say("");
  try {
    take(await ask(`tube?name=${encodeURIComponent(name)}`));
    S.gate = S.tube.gates.find(g => g.population === S.kept && g.settable) ? S.kept : firstGate();
    location.hash = encodeURIComponent(name);
    S.events = "reading";
    show();
    $("main").focus({ preventScroll: true });
    await look();
  } catch (error) { say(error.message, true); }
}

function take(tube) {
  S.tube = tube; S.numbers = tube.numbers; S.value = { value: tube.value, interval: tube.interval };
  const line = S.run.tubes.find(t => t.name === tube.name);
  Object.assign(line, { decided: tube.decided, stale: tube.stale });
}

function firstGate() {
  // What most often needs a look: a failed or flagged gate, else the endpoint's own.
  const able = S.tube.gates.filter(g => g.settable);
  const flagged = S.tube.flags.filter(f => ["review", "unused"].includes(f.level)).map(f => f.population);
  const found = able.find(g => g.status === "failed") || able.find(g => flagged.includes(g.population)) || able.find(g => g.population === S.run.endpoint.top) || able[0];
  return found ? found.population : null;
}

// ---- gates: fitted, set by a person, and being moved ----

const drafts = () => (S.drafts[S.tube.name] ||= {});
const gateOf = name => S.tube.gates.find(g => g.population === name);
const shapeOf = gate => drafts()[gate.population] || gate.override || gate.fitted;
function inForce() {
  const found = {};
  for (const gate of S.tube.gates) if (gate.override) found[gate.population] = gate.override;
  return { ...found, ...drafts() };
}

// One question at a time; while it is under way the latest wish waits.
async function look() {
  if (S.busy) { S.again = true; return; }
  S.busy = 1;
  const tube = S.tube, draw = S.gate;
  try {
    const found = await ask("look", { tube: tube.name, gates: inForce(), draw: draw || "" });
    if (tube === S.tube) {
      S.numbers = found.numbers; S.value = found; S.events = "there";
      const gate = found.picture ? gateOf(found.picture.population) : null;
      if (gate && gate.picture) {
        const before = JSON.stringify(gate.picture.counts || gate.picture.curve);
        Object.assign(gate.picture, found.picture);
        if (JSON.stringify(gate.picture.counts || gate.picture.curve) !== before && S.gate === gate.population && !plot.hand) showPlot();
      }
    }
  } catch (error) {
    if (tube === S.tube) { S.events = error.message; if (unsaved(tube.name)) say(error.message, true); }
  }
  S.busy = 0;
  if (tube === S.tube) showNumbers();
  if (S.again) { S.again = false; await look(); }
}

const plot = new Plot($("plot"), {
  moved(shape) { drafts()[S.gate] = shape; showButtons(); look(); },
  let_go(before) {
    const gate = gateOf(S.gate);
    (S.undo[`${S.tube.name}/${S.gate}`] ||= []).push(before);
    if (JSON.stringify(shapeOf(gate)) === JSON.stringify(gate.override || gate.fitted)) delete drafts()[S.gate];
    listTubes(); showGates(); showButtons(); look();
  },
});

function setShape(shape) {
  // A change by a button: it can be undone as a drag can.
  const gate = gateOf(S.gate), before = shapeOf(gate);
  (S.undo[`${S.tube.name}/${S.gate}`] ||= []).push(before);
  put(shape);
}

function put(shape) {
  const gate = gateOf(S.gate), at_rest = JSON.stringify(gate.override || gate.fitted);
  if (!shape || JSON.stringify(shape) === at_rest) delete drafts()[S.gate]; else drafts()[S.gate] = shape;
  showPlot(); showGates(); showButtons(); listTubes(); look();
}

function undo() {
  const stack = S.tube && S.gate ? S.undo[`${S.tube.name}/${S.gate}`] : null;
  if (stack && stack.length) put(stack.pop());
}

// ---- showing ----

function show() {
  const tube = S.tube;
  $("tube").hidden = false;
  $("name").textContent = tube.name;
  $("light").className = `light ${tube.level}`; $("light").textContent = tube.word;
  $("state").className = `chip ${tube.decided}`; $("state").textContent = WORDS[tube.decided];
  const whole = tube.decisions[""];
  $("why").textContent = whole ? `${whole.action === "accept" ? "Accepted" : "Excluded"} by ${whole.signed}${whole.why ? `: ${whole.why}` : ""}` : tube.why;
  $("stale").replaceChildren(...tube.stale_decisions.map(text => make("li", {}, `No longer holds: ${text}`)));
  $("flags").replaceChildren(...tube.flags.map(f => make("li", {}, make("span", { class: `light ${f.level}` }, f.word), ` ${f.population ? `${tube.names[f.population] || f.population}: ` : ""}${f.text}`)));
  $("flagbox").hidden = tube.flags.length === 0;
  $("exclude").hidden = true; $("excluding").setAttribute("aria-expanded", "false");
  $("untube").hidden = !whole;
  for (const id of ["tubereason", "tubecomment"]) $(id).value = "";
  showGates(); showGate(); showNumbers(); listTubes();
}

function showGates() {
  $("gates").replaceChildren(...S.tube.gates.filter(g => g.picture || g.status === "failed").map(g => {
    const hand = drafts()[g.population] ? "moved" : g.override ? "by hand" : S.tube.decisions[g.population] ? "accepted" : "";
    const button = make("button", { type: "button", "data-gate": g.population, "aria-current": String(g.population === S.gate), class: g.status === "failed" && !hand ? "bad" : hand ? "hand" : "" }, g.title);
    const mark = hand || (g.status === "failed" ? "failed" : "");
    if (mark) button.append(make("span", { class: "dot" }, `· ${mark}`));
    button.addEventListener("click", () => chooseGate(g.population));
    return button;
  }));
}

function chooseGate(population) { S.gate = S.kept = population; showGates(); showGate(); look(); }

function showGate() {
  const gate = gateOf(S.gate);
  document.querySelector(".work").hidden = !gate;
  if (!gate) return;
  $("gatename").textContent = gate.title;
  const keeps = gate.sign === "+" ? "" : ", keeps the events outside the gate";
  $("gateabout").textContent = `Of ${gate.parent_title}${keeps}. Gate ${gate.status_word}${gate.rule === "none" ? "" : ` by ${gate.rule}`}${gate.reason ? `: ${gate.reason}` : ""}`;
  for (const id of ["reason", "comment"]) $(id).value = "";
  showPlot(); showButtons(); showNumbers();
}

function showPlot() {
  const gate = gateOf(S.gate), shape = shapeOf(gate);
  plot.show(gate, shape, gate.picture, S.events === "there" && gate.settable);
  $("plot").setAttribute("aria-label", `${gate.title} of ${gate.parent_title}: ${gate.picture ? gate.picture.dims.join(" × ") : "no density"}. Arrow keys move the gate.`);
  $("controlkey").hidden = !(gate.picture && gate.picture.control);
}

function showButtons() {
  const gate = gateOf(S.gate);
  if (!gate) return;
  const draft = drafts()[gate.population], shape = shapeOf(gate), live = S.events === "there" && gate.settable;
  const stack = S.undo[`${S.tube.name}/${S.gate}`];
  $("undo").disabled = !(stack && stack.length);
  $("reset").disabled = !live || !gate.fitted || JSON.stringify(shape) === JSON.stringify(gate.fitted);
  $("polygon").hidden = !(shape && ["Ellipse", "Rectangle", "HalfPlane"].includes(shape.gate)); $("polygon").disabled = !live;
  $("begin").hidden = !(!shape && gate.suggested); $("begin").disabled = !live;
  $("override").hidden = !draft;
  $("save").disabled = !live;
  const decision = S.tube.decisions[gate.population];
  $("acceptgate").hidden = Boolean(draft) || Boolean(decision) || !gate.fitted;
  $("withdraw").hidden = !decision || Boolean(draft);
  $("decided").textContent = decision ? `${decision.action === "override" ? "Overridden" : "Accepted"} by ${decision.signed}${decision.why ? `: ${decision.why}` : ""}` : "";
  $("accept").disabled = unsaved(S.tube.name) || S.tube.level === "failed";
  $("accept").title = unsaved(S.tube.name) ? "Save or undo the gates that were moved first" : "";
  $("excluding").disabled = S.tube.level === "failed";
}

function showNumbers() {
  const tube = S.tube, moving = Object.keys(inForce()).length > 0, gate = gateOf(S.gate);
  $("value").textContent = percent(S.value.value);
  $("value").classList.toggle("moved", moving);
  const bounds = S.value.interval, low = bounds ? `95 % ${percent(bounds[0]).replace(" %", "")} to ${percent(bounds[1])}, from counting alone` : "";
  const shift = moving && S.value.value !== null && tube.value !== null ? S.value.value - tube.value : null;
  $("fitted").textContent = moving ? `fitted ${percent(tube.value)}${shift === null ? "" : ` (${shift < 0 ? "−" : "+"}${Math.abs(shift).toFixed(2)} points)`}` : low;
  const text = S.events === "reading" ? "Reading the tube’s events …" : S.events === "there" ? "" : `${S.events} Gates cannot be moved here; the tube can still be accepted or excluded.`;
  $("events").textContent = text; $("events").classList.toggle("bad", S.events !== "reading");
  if (gate) {
    const n = S.numbers[gate.population], of = S.numbers[gate.parent];
    $("share").textContent = n === null || !of ? "not estimable" : percent(100 * n / of);
    $("sharen").textContent = n === null ? "" : `of ${gate.parent_title} · ${count(n)} of ${count(of)} events`;
  }
  plot.movable = S.events === "there" && gate && gate.settable && Boolean(shapeOf(gate));
  plot.svg.classList.toggle("still", !plot.movable);
  showButtons();
  document.querySelector("#counts tbody").replaceChildren(...Object.keys(tube.parents).map(name => {
    const n = S.numbers[name], of = S.numbers[tube.parents[name]], was = tube.numbers[name], changed = n !== was;
    return make("tr", { class: changed ? "changed" : null }, make("th", { scope: "row" }, tube.names[name]), make("td", { class: "num" }, count(n)),
      make("td", { class: "num" }, n === null || n === undefined || !of ? "–" : percent(100 * n / of)), make("td", { class: "num old" }, changed ? count(was) : ""));
  }));
}

// ---- decisions ----

async function decide(population, action, more, words) {
  const name = $("who").value.trim();
  if (!name) { $("who").classList.add("missing"); $("who").focus(); say("Write your name first: it signs the decision.", true); return false; }
  try {
    const found = await ask("decide", { tube: S.tube.name, population, action, name, ...more });
    if (population) { delete drafts()[population]; delete S.undo[`${S.tube.name}/${population}`]; }
    const gate = S.gate;
    take(found.tube); S.gate = gate;
    show();
    say(`${words} It is kept, signed ${found.signed}.`);
    await look();
    return true;
  } catch (error) { say(error.message, true); return false; }
}

async function acceptTube() {
  if (!S.tube || $("accept").disabled) return;
  const name = S.tube.name;
  if (await decide("", "accept", {}, `${name} is accepted.`)) step(1, true);
}

function step(by, open = false) {
  const shown = shownTubes(), at = shown.findIndex(t => S.tube && t.name === S.tube.name);
  const rest = by > 0 ? shown.slice(at + 1) : shown.slice(0, Math.max(at, 0)).reverse();
  const next = open ? rest.find(t => !["accepted", "excluded"].includes(t.decided)) : rest[0];
  if (next) { const said = $("say").textContent; openTube(next.name).then(() => { if (open && !$("say").textContent) say(said); }); }
  else if (open) say(`${$("say").textContent} No further tube waits below.`);
}

function stepGate(by) {
  const able = S.tube ? S.tube.gates.filter(g => g.picture) : [], at = able.findIndex(g => g.population === S.gate);
  if (able[at + by]) chooseGate(able[at + by].population);
}

$("override").addEventListener("submit", event => {
  event.preventDefault();
  if (!$("reason").value) { say("Choose a reason for the override.", true); $("reason").focus(); return; }
  const gate = gateOf(S.gate);
  decide(S.gate, "override", { gate: drafts()[S.gate], reason: $("reason").value, comment: $("comment").value }, `The gate ${gate.title} is overridden.`);
});
$("exclude").addEventListener("submit", async event => {
  event.preventDefault();
  if (!$("tubereason").value) { say("Choose a reason for the exclusion.", true); $("tubereason").focus(); return; }
  const name = S.tube.name;
  await decide("", "exclude", { reason: $("tubereason").value, comment: $("tubecomment").value }, `${name} is excluded.`);
});
$("excluding").addEventListener("click", () => {
  $("exclude").hidden = !$("exclude").hidden;
  $("excluding").setAttribute("aria-expanded", String(!$("exclude").hidden));
  if (!$("exclude").hidden) $("tubereason").focus();
});
$("acceptgate").addEventListener("click", () => decide(S.gate, "accept", {}, `The gate ${gateOf(S.gate).title} is accepted.`));
$("withdraw").addEventListener("click", () => decide(S.gate, "withdraw", {}, `The decision on ${gateOf(S.gate).title} is withdrawn.`));
$("untube").addEventListener("click", () => decide("", "withdraw", {}, "The decision on the tube is withdrawn."));
$("accept").addEventListener("click", acceptTube);
$("undo").addEventListener("click", undo);
$("reset").addEventListener("click", () => setShape(gateOf(S.gate).fitted));
$("polygon").addEventListener("click", () => setShape(asPolygon(shapeOf(gateOf(S.gate)), plot.frame)));
$("begin").addEventListener("click", () => setShape(gateOf(S.gate).suggested));
$("filter").addEventListener("change", listTubes);
$("who").addEventListener("input", () => { $("who").classList.remove("missing"); sessionStorage.setItem("who", $("who").value); });
$("help").addEventListener("click", () => { $("keys").hidden = !$("keys").hidden; $("help").setAttribute("aria-expanded", String(!$("keys").hidden)); });
addEventListener("beforeunload", event => { if (Object.keys(S.drafts).some(unsaved)) event.preventDefault(); });

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const acts = {
    j: () => step(1), k: () => step(-1), l: () => stepGate(1), h: () => stepGate(-1), u: undo, a: acceptTube, "?": () => $("help").click(),
    r: () => { if (!$("reset").disabled) $("reset").click(); },
    o: () => { if (!$("override").hidden) $("reason").focus(); else say("Move the gate first; then say why."); },
  };
  if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
});

(async () => {
  $("who").value = sessionStorage.getItem("who") || "";
  try {
    await loadRun();
    const asked = decodeURIComponent(location.hash.slice(1)), first = S.run.tubes.find(t => t.name === asked) || S.run.tubes.find(t => !t.decided) || S.run.tubes[0];
    if (first) await openTube(first.name); else say("The run holds no tube.");
  } catch (error) { say(error.message, true); }
})();
