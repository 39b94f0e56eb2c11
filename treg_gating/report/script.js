"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const list = $("list"), filter = $("filter"), show = $("show"), sort = $("sort");
  const tubes = [...list.querySelectorAll(".tube")], groups = [...list.querySelectorAll(".group")];
  const shown = () => [...list.querySelectorAll(".tube")].filter((tube) => !tube.hidden);
  let current = null;

  const choose = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const tube of tubes) {
      const text = tube.dataset.search;
      tube.hidden = (show.value && tube.dataset.level !== show.value) || !words.every((word) => text.includes(word));
    }
    for (const group of groups) {
      group.hidden = sort.value !== "rank" || !tubes.some((t) => !t.hidden && t.dataset.level === group.dataset.level);
    }
    const n = shown().length;
    $("shown").textContent = n === tubes.length ? `${n} tubes` : `${n} of ${tubes.length} tubes`;
    $("nothing").hidden = n > 0;
    $("toggle").textContent = shown().some((tube) => !tube.open) ? "Open all shown" : "Close all shown";
  };

  // Missing values go last, whatever the order.
  const value = (tube) => (tube.dataset.value === "" ? Infinity : Number(tube.dataset.value));
  const compare = {
    rank: (a, b) => a.dataset.rank - b.dataset.rank || a.dataset.order - b.dataset.order,
    order: (a, b) => a.dataset.order - b.dataset.order,
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
    value: (a, b) => value(a) - value(b) || a.dataset.order - b.dataset.order,
  };
  const arrange = () => {
    const ordered = [...tubes].sort(compare[sort.value]);
    if (sort.value === "rank") {
      for (const group of groups) list.append(group, ...ordered.filter((t) => t.dataset.level === group.dataset.level));
    } else list.append(...groups, ...ordered);
    choose();
  };

  const open = (tube) => {
    if (current && current !== tube) current.open = false;
    current = tube;
    tube.open = true;
    tube.querySelector("summary").focus({ preventScroll: true });
    tube.scrollIntoView({ block: "start" });
  };
  const step = (by) => {
    const all = shown();
    if (!all.length) return;
    const at = all.indexOf(current);
    open(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)]);
  };
  const follow = () => {
    const tube = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!tube || !tube.classList.contains("tube")) return;
    if (tube.hidden) { filter.value = ""; show.value = ""; choose(); }
    open(tube);
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { filter.value = ""; choose(); filter.blur(); return; }
    if (typing) return;
    const by = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 }[event.key];
    // A table that scrolls sideways keeps its arrow keys.
    if (by && !(event.key.startsWith("Arrow") && event.target.closest(".scroll"))) { event.preventDefault(); step(by); }
    else if (event.key === "/") { event.preventDefault(); filter.focus(); filter.select(); }
    else if (event.key === "o" && current) { event.preventDefault(); current.open = !current.open; }
  });
  list.addEventListener("click", (event) => {
    const tube = event.target.closest(".tube > summary")?.parentElement;
    if (tube) current = tube;
  });
  list.addEventListener("toggle", (event) => { if (event.target.matches(".tube")) choose(); }, true);
  filter.addEventListener("input", choose);
  show.addEventListener("change", choose);
  sort.addEventListener("change", arrange);
  filter.form.addEventListener("submit", (event) => event.preventDefault());
  $("toggle").addEventListener("click", () => {
    const to = shown().some((tube) => !tube.open);
    for (const tube of shown()) tube.open = to;
  });
  let before = [];
  addEventListener("beforeprint", () => { before = shown().filter((t) => !t.open); for (const t of before) t.open = true; });
  addEventListener("afterprint", () => { for (const t of before) t.open = false; });
  $("print").addEventListener("click", () => print());
  addEventListener("hashchange", follow);
  choose();
  follow();
})();
