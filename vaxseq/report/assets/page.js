"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const body = document.querySelector("table.columns tbody");
  const rows = [...body.rows];
  const search = document.getElementById("search");
  const role = document.getElementById("role");
  const count = document.getElementById("count");
  const colour = (part) => `var(--s${part % 6})`;

  const make = (name, attributes = {}, ...children) => {
    const svg = ["svg", "path", "text", "line", "g", "title"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const percent = (share) => (share === 0 ? "0 %" : share < 0.001 ? "< 0.1 %" : `${+(100 * share).toPrecision(3)} %`);

  function legend() {
    return make("div", { class: "legend" }, ...data.parts.map((part, i) =>
      make("span", {}, make("i", { style: `background:${colour(i)}` }), part)));
  }

  // Shares of each part in common bins, as steps: comparable whatever the parts' sizes.
  function histogram(column) {
    const [width, height, left, bottom] = [560, 210, 46, 24];
    const shares = column.counts.map((one) => { const all = one.reduce((a, b) => a + b, 0) || 1; return one.map((n) => n / all); });
    const top = Math.max(...shares.flat(), 1e-9);
    const x = (i) => left + (width - left - 8) * i / (shares[0].length);
    const y = (s) => 8 + (height - bottom - 8) * (1 - s / top);
    const label = `Distribution of ${column.name}` + (data.parts.length > 1 ? " in each part" : "");
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
    for (const s of [0, top / 2, top]) {
      svg.append(make("line", { x1: left, x2: width - 8, y1: y(s), y2: y(s), stroke: "var(--line)" }));
      svg.append(make("text", { x: left - 6, y: y(s) + 4, "text-anchor": "end" }, percent(s)));
    }
    shares.forEach((one, part) => {
      let d = `M${x(0)},${y(0)}`;
      one.forEach((s, i) => { d += `L${x(i).toFixed(1)},${y(s).toFixed(1)}L${x(i + 1).toFixed(1)},${y(s).toFixed(1)}`; });
      d += `L${x(one.length)},${y(0)}`;
      svg.append(make("path", { d, fill: shares.length === 1 ? colour(part) : "none", "fill-opacity": .35, stroke: colour(part), "stroke-width": 1.6 }));
    });
    const ticks = column.ticks, last = ticks.length - 1;
    ticks.forEach((text, i) => svg.append(make("text",
      { x: left + (width - left - 8) * i / last, y: height - 6, "text-anchor": i === 0 ? "start" : i === last ? "end" : "middle" }, text)));
    return svg;
  }

  function table(head, lines, label) {
    const cell = (kind, text, i) => make(kind, i ? { class: "n" } : kind === "td" ? {} : { scope: "col" }, text);
    return make("table", { class: "plain", "aria-label": label },
      make("thead", {}, make("tr", {}, ...head.map((text, i) => cell("th", text, i)))),
      make("tbody", {}, ...lines.map((line) => make("tr", {}, ...line.map((text, i) => cell("td", text, i))))));
  }

  function tops(column) {
    const most = Math.max(...column.tops.map((one) => Math.max(...one.shares)), 1e-9);
    const lines = column.tops.map((one) => [one.value, make("span", {}, ...one.shares.map((share, part) => make("div", {},
      make("span", { class: "track", "aria-hidden": "true" }, make("i", { style: `width:${100 * share / most}%;background:${colour(part)}` })),
      make("span", { class: "share" }, percent(share)))))]);
    return table(["commonest", data.parts.length > 1 ? "share in each part" : "share"], lines, `Commonest values of ${column.name}`);
  }

  function detail(column) {
    const box = make("div");
    for (const text of column.words) box.append(make("p", {}, text));
    if (data.parts.length > 1) box.append(legend());
    const side = make("div", { class: "side" });
    if (column.counts) {
      const plot = make("div", {}, histogram(column));
      if (column.outside) plot.append(make("p", { class: "quiet" }, `${column.outside.toLocaleString("en")} values lie outside of this range.`));
      side.append(plot);
    }
    if (column.tops.length) side.append(tops(column));
    side.append(make("div", { class: "scroll" }, table(["", ...data.parts], column.numbers, `Numbers of ${column.name}`)));
    box.append(side);
    return box;
  }

  function toggle(row, open = !row.classList.contains("open")) {
    const button = row.querySelector("button");
    button.setAttribute("aria-expanded", open);
    row.classList.toggle("open", open);
    const next = row.nextElementSibling;
    const there = next && next.classList.contains("detail") ? next : null;
    if (open && !there) {
      const cell = make("td", { colspan: row.cells.length });
      cell.append(detail(data.columns[row.dataset.i]));
      row.after(make("tr", { class: "detail", id: `detail-${row.dataset.i}` }, cell));
      button.setAttribute("aria-controls", `detail-${row.dataset.i}`);
    } else if (!open && there) there.remove();
  }

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.text.includes(word)) &&
        (!role.value || (role.value === "!" ? row.dataset.look === "1" : row.dataset.role === role.value));
      if (!fits && row.classList.contains("open")) toggle(row, false);
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = shown === rows.length ? `${shown} shown` : `${shown} of ${rows.length} shown`;
  }

  function sort(head) {
    const place = head.cellIndex;
    const up = head.getAttribute("aria-sort") === (place ? "descending" : "ascending") ? -1 : 1;
    const sign = place ? -up : up; // numbers from the greatest, names from A
    for (const one of head.parentNode.cells) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const key = (row) => row.cells[place].dataset.key;
    const numeric = head.classList.contains("n");
    for (const row of rows) if (row.classList.contains("open")) toggle(row, false);
    rows.sort((a, b) => {
      const [one, other] = [key(a), key(b)];
      if (one === "" || other === "") return (one === "") - (other === ""); // what isn't known comes last
      return sign * (numeric ? one - other : one.localeCompare(other, undefined, { numeric: true }));
    });
    body.append(...rows);
  }

  function reveal(name) {
    const row = rows.find((one) => data.columns[one.dataset.i].name === name);
    if (!row) return;
    search.value = role.value = "";
    show();
    toggle(row, true);
    row.querySelector("button").focus({ preventScroll: true });
    row.scrollIntoView({ block: "start" });
  }

  function step(by) {
    const visible = rows.filter((row) => !row.hidden);
    const here = visible.findIndex((row) => row.contains(document.activeElement));
    const next = visible[here < 0 ? (by > 0 ? 0 : visible.length - 1) : Math.min(visible.length - 1, Math.max(0, here + by))];
    if (next) next.querySelector("button").focus();
  }

  body.addEventListener("click", (event) => {
    const button = event.target.closest("tr:not(.detail) > td > button");
    if (button) toggle(button.closest("tr"));
  });
  document.querySelector("table.columns thead").addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (head && head.querySelector("button")) sort(head);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-column]");
    if (link) { event.preventDefault(); reveal(link.dataset.column); }
  });
  search.addEventListener("input", show);
  role.addEventListener("change", show);
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
    if (event.key === "Escape" && event.target === search) { search.value = ""; show(); search.blur(); }
    else if (event.key === "ArrowDown" && (event.target === search || body.contains(event.target))) { step(1); event.preventDefault(); }
    else if (event.key === "ArrowUp" && body.contains(event.target)) { step(-1); event.preventDefault(); }
    else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (event.key === "/") { search.focus(); event.preventDefault(); }
      else if (event.key === "j") step(1);
      else if (event.key === "k") step(-1);
    }
  });
  show();
})();
