"use strict";
// A map: points on a canvas, a grid to find them by, a legend, a search. Draws `data` into the elements of map.html, which
// are in the page, and fetches nothing. Returns what is where, and how to draw it anew.
function drawMap(data) {
  const $ = (id) => document.getElementById(id);
  const count = data.texts.length;
  const numbers = (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    return new Uint16Array(bytes.buffer); // little-endian, as every browser's machine is
  };
  const xs = Float32Array.from(numbers(data.x), (v) => v / data.span);
  const ys = Float32Array.from(numbers(data.y), (v) => v / data.span);
  const groupings = data.groupings.map((g) => ({ ...g, of: numbers(g.of) }));
  const extent = [xs, ys].map((values) => values.reduce((most, v) => Math.max(most, v), 1e-6));

  const canvas = $("map");
  const pen = canvas.getContext("2d", { alpha: false });
  const state = {
    grouping: 0, hidden: new Set(), lit: -1, // of the legend
    matches: null, matched: 0, // Uint8Array while something is searched
    hover: -1, chosen: -1,
    zoom: 1, x: extent[0] / 2, y: extent[1] / 2, // the middle of the view
  };
  let width = 1, height = 1, ratio = 1, queued = false;

  // --- the text of a point, without what would steer a display -----------------------------------------------------
  const clean = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
  const oneLine = (text) => clean(text).replace(/\s+/g, " ").trim();
  const shown = (i) => clean(data.texts[i]) || "(empty)";
  const group = (i) => groupings[state.grouping].of[i];
  const visible = (i) => !state.hidden.has(group(i));

  // --- a grid: which points lie where -------------------------------------------------------------------------------
  const cells = Math.max(1, Math.ceil(Math.sqrt(count / 4)));
  const cell = (x, y) =>
    Math.min(cells - 1, Math.floor(x * cells)) + cells * Math.min(cells - 1, Math.floor(y * cells));
  const begins = new Uint32Array(cells * cells + 1);
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) begins[cell(xs[i], ys[i]) + 1]++;
  for (let c = 0; c < cells * cells; c++) begins[c + 1] += begins[c];
  const next = begins.slice();
  for (let i = 0; i < count; i++) order[next[cell(xs[i], ys[i])]++] = i;

  function nearest(px, py, within) {
    const reach = within / scale();
    const [x, y] = placeOf(px, py);
    const bound = (v) => Math.max(0, Math.min(cells - 1, Math.floor(v * cells)));
    let best = -1, least = reach * reach;
    for (let row = bound(y - reach); row <= bound(y + reach); row++)
      for (let column = bound(x - reach); column <= bound(x + reach); column++) {
        const c = column + cells * row;
        for (let at = begins[c]; at < begins[c + 1]; at++) {
          const i = order[at], d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
          if (d <= least && visible(i)) { least = d; best = i; }
        }
      }
    return best;
  }

  // --- where things are on the screen -------------------------------------------------------------------------------
  const MARGIN = 36;
  const fit = () =>
    Math.max(20, Math.min((width - 2 * MARGIN) / extent[0], (height - 2 * MARGIN) / extent[1]));
  const scale = () => fit() * state.zoom;
  const screenOf = (i) => [(xs[i] - state.x) * scale() + width / 2, (ys[i] - state.y) * scale() + height / 2];
  const placeOf = (px, py) => [(px - width / 2) / scale() + state.x, (py - height / 2) / scale() + state.y];
  const radius = () => (count < 400 ? 5.5 : count < 4000 ? 4 : count < 20000 ? 2.6 : 2) * state.zoom ** 0.22;

  function zoomAt(px, py, factor) {
    const [x, y] = placeOf(px, py);
    state.zoom = Math.max(0.5, Math.min(400, state.zoom * factor));
    const [x2, y2] = placeOf(px, py);
    state.x += x - x2;
    state.y += y - y2;
    draw();
  }
  function wholeMap() {
    Object.assign(state, { zoom: 1, x: extent[0] / 2, y: extent[1] / 2 });
    draw();
  }
  function bringIntoView(i) {
    const [px, py] = screenOf(i);
    if (px < 30 || py < 30 || px > width - 30 || py > height - 30) { state.x = xs[i]; state.y = ys[i]; }
  }

  // --- drawing ------------------------------------------------------------------------------------------------------
  const tint = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // Discs are mixed into the pixels here, not drawn one by one: the time of a frame is that of its pixels.
  let image = null, words = null; // the same pixels, by bytes and by words
  const packed = ([red, green, blue]) => (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  function discOf(r) {
    const edge = r > 2.4 * ratio ? 0.8 * ratio : 0, reach = Math.ceil(r + edge), side = 2 * reach + 1;
    const ink = new Float32Array(side * side), whole = new Float32Array(side * side);
    const within = (value) => Math.max(0, Math.min(1, value));
    for (let at = 0; at < side * side; at++) {
      const d = Math.hypot((at % side) - reach, Math.floor(at / side) - reach);
      ink[at] = within(r - d + 0.5);
      whole[at] = within(r + edge - d + 0.5);
    }
    return { reach, side, ink, whole };
  }
  function mix(px, py, { reach, side, ink, whole }, colour, paper, strength) {
    const { data: pixels, width: across, height: down } = image;
    const solid = packed(colour);
    const left = Math.round(px) - reach, top = Math.round(py) - reach;
    for (let row = Math.max(0, -top); row < side && top + row < down; row++)
      for (let column = Math.max(0, -left); column < side && left + column < across; column++) {
        const at = row * side + column, cover = whole[at] * strength;
        if (!cover) continue;
        const place = (top + row) * across + left + column, to = 4 * place;
        if (cover === 1 && ink[at] === 1) { words[place] = solid; continue; }
        const own = ink[at] / whole[at];
        for (let part = 0; part < 3; part++)
          pixels[to + part] += (own * colour[part] + (1 - own) * paper[part] - pixels[to + part]) * cover;
      }
  }

  function draw() {
    if (!queued) { queued = true; requestAnimationFrame(paint); }
  }
  function paint() {
    queued = false;
    if (!canvas.width || !canvas.height) return; // out of sight
    const paper = tint("--paper"), ink = tint("--ink");
    points(rgb(paper));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    names(paper, ink);
    for (const i of new Set([state.hover, state.chosen])) if (i >= 0) ring(i, ink);
  }
  function points(paper) {
    if (!image || image.width !== canvas.width || image.height !== canvas.height) {
      image = pen.createImageData(canvas.width, canvas.height);
      words = new Uint32Array(image.data.buffer);
    }
    words.fill(packed(paper));
    const colours = groupings[state.grouping].colours.map(rgb), s = scale();
    const dim = (i) => (state.matches ? !state.matches[i] : state.lit >= 0 && group(i) !== state.lit);
    const some = state.matches !== null || state.lit >= 0;
    for (const faint of some ? [true, false] : [false]) {
      const disc = discOf(radius() * ratio * (!faint && state.matches ? 1.25 : 1));
      const strength = faint ? 0.14 : 1;
      for (let i = 0; i < count; i++) {
        if (!visible(i) || (some && dim(i) !== faint)) continue;
        const px = ((xs[i] - state.x) * s + width / 2) * ratio, py = ((ys[i] - state.y) * s + height / 2) * ratio;
        if (px < -disc.reach || py < -disc.reach || px > canvas.width + disc.reach || py > canvas.height + disc.reach)
          continue;
        mix(px, py, disc, colours[group(i)], paper, strength);
      }
    }
    pen.putImageData(image, 0, 0);
  }
  function ring(i, ink) {
    const [px, py] = screenOf(i);
    pen.beginPath();
    pen.arc(px, py, radius() + 3, 0, 7);
    pen.lineWidth = i === state.chosen ? 3 : 1.8;
    pen.strokeStyle = ink;
    pen.stroke();
  }
  function names(paper, ink) {
    pen.font = "600 13px system-ui, -apple-system, 'Segoe UI', sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    const taken = [];
    for (const { group: g, x, y } of middles()) {
      if (state.hidden.has(g) || (state.lit >= 0 && state.lit !== g) || (state.matches && state.lit !== g)) continue;
      const own = (x - state.x) * scale() + width / 2, middle = (y - state.y) * scale() + height / 2;
      const name = short(groupings[state.grouping].names[g]);
      const half = pen.measureText(name).width / 2 + 4;
      if (own < 0 || middle < 0 || own > width || middle > height) continue;
      const px = Math.max(half, Math.min(width - half, own));
      const free = (b) => !taken.some((t) => b[0] < t[2] && t[0] < b[2] && b[1] < t[3] && t[1] < b[3]);
      const boxAt = (shift) => [px - half, middle + shift - 10, px + half, middle + shift + 10];
      const shift = [-20, 20, -42, 42].find((one) => free(boxAt(one)));
      if (shift === undefined) continue;
      taken.push(boxAt(shift));
      const py = middle + shift;
      pen.lineWidth = 4.5;
      pen.strokeStyle = paper;
      pen.strokeText(name, px, py);
      pen.fillStyle = ink;
      pen.fillText(name, px, py);
    }
  }
  function short(name) {
    const line = oneLine(name), most = width < 600 ? 22 : 34;
    return line.length > most ? `${line.slice(0, most - 1)}…` : line;
  }
  // Where a group's name stands: at the median of its points, the largest first.
  const cached = [];
  function middles() {
    if (!cached[state.grouping]) {
      const { names: all, of, unnamed } = groupings[state.grouping];
      const members = all.map(() => []);
      for (let i = 0; i < count; i++) members[of[i]].push(i);
      const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
      cached[state.grouping] = members
        .map((own, g) => ({ group: g, size: own.length, x: median(own.map((i) => xs[i])), y: median(own.map((i) => ys[i])) }))
        .filter(({ group: g, size }) => size && g !== unnamed)
        .sort((a, b) => b.size - a.size)
        .slice(0, 60);
    }
    return cached[state.grouping];
  }

  // --- what is under the pointer, and what is chosen ----------------------------------------------------------------
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const dot = (colour) => {
    const node = make("span", "dot");
    node.style.background = colour;
    return node;
  };
  function groupLine(i) {
    const { names: all, colours } = groupings[state.grouping];
    const line = make("div", "of");
    const name = make("bdi", "", oneLine(all[group(i)]));
    line.append(dot(colours[group(i)]), name);
    return line;
  }
  function hover(i, px, py) {
    const hint = $("hint");
    if (i !== state.hover) {
      state.hover = i;
      canvas.classList.toggle("over", i >= 0);
      hint.hidden = i < 0;
      if (i >= 0) {
        const said = make("div", "said", shown(i));
        said.dir = "auto";
        hint.replaceChildren(said, ...(groupings[state.grouping].plain ? [] : [groupLine(i)]));
      }
      draw();
    }
    if (i >= 0) {
      const left = px + 16 + hint.offsetWidth > width ? px - 16 - hint.offsetWidth : px + 16;
      const top = py + 16 + hint.offsetHeight > height ? py - 16 - hint.offsetHeight : py + 16;
      hint.style.left = `${Math.max(4, left)}px`;
      hint.style.top = `${Math.max(4, top)}px`;
    }
  }
  function choose(i) {
    state.chosen = i;
    $("card").hidden = i < 0;
    if (i >= 0) {
      $("text").textContent = shown(i);
      const facts = groupings.filter((g) => !g.plain).map((g) => [g.name, g.names[g.of[i]]]);
      if (data.places.length) facts.push(["place", data.places[i]]);
      $("facts").replaceChildren(...facts.flatMap(([name, value]) => {
        const dd = make("dd");
        dd.append(make("bdi", "", oneLine(value)));
        return [make("dt", "", oneLine(name)), dd];
      }));
      $("said").textContent = [shown(i), ...facts.map(([name, value]) => `${name}: ${oneLine(value)}`)].join(". ");
      bringIntoView(i);
      hover(-1);
    }
    draw();
  }
  function neighbour(dx, dy) {
    if (state.chosen < 0) return nearest(width / 2, height / 2, 1e9);
    const [x, y] = screenOf(state.chosen);
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      if (i === state.chosen || !visible(i) || (state.matches && !state.matches[i])) continue;
      const [px, py] = screenOf(i);
      const along = (px - x) * dx + (py - y) * dy, across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      const far = along + 2 * across;
      if (along > 0 && across <= 2 * along && far < least) { least = far; best = i; }
    }
    return best < 0 ? state.chosen : best;
  }

  // --- pointer, touch, wheel, keys ----------------------------------------------------------------------------------
  const pointers = new Map();
  let moved = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const reachOf = (event) => (event.pointerType === "touch" ? 22 : 10) + radius();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    if (pointers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = at(event), before = pointers.get(event.pointerId);
    if (!before) return hover(nearest(px, py, reachOf(event)), px, py);
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    pointers.set(event.pointerId, [px, py]);
    moved += Math.abs(px - before[0]) + Math.abs(py - before[1]);
    if (moved > 4) { canvas.classList.add("moving"); hover(-1); }
    const share = 1 / (others.length + 1);
    state.x -= ((px - before[0]) * share) / scale();
    state.y -= ((py - before[1]) * share) / scale();
    if (others.length === 1) {
      const far = (a, b) => Math.max(10, Math.hypot(a[0] - b[0], a[1] - b[1]));
      zoomAt((px + others[0][0]) / 2, (py + others[0][1]) / 2, far([px, py], others[0]) / far(before, others[0]));
    }
    draw();
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (pointers.size) { moved = 99; return; }
    canvas.classList.remove("moving");
    if (event.type === "pointerup" && moved <= 4) choose(nearest(...at(event), reachOf(event)));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("dblclick", (event) => zoomAt(...at(event), 2));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(...at(event), Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : event.ctrlKey ? 0.01 : 0.0016)));
  }, { passive: false });

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow && event.shiftKey) {
      state.x += (arrow[0] * 80) / scale();
      state.y += (arrow[1] * 80) / scale();
      draw();
    } else if (arrow) choose(neighbour(...arrow));
    else if (event.key === "+" || event.key === "=") zoomAt(width / 2, height / 2, 1.4);
    else if (event.key === "-") zoomAt(width / 2, height / 2, 1 / 1.4);
    else if (event.key === "0") wholeMap();
    else if (event.key === "Escape") choose(-1);
    else return;
    event.preventDefault();
  });
  $("close").addEventListener("click", () => { choose(-1); canvas.focus(); });
  $("closer").addEventListener("click", () => zoomAt(width / 2, height / 2, 1.6));
  $("farther").addEventListener("click", () => zoomAt(width / 2, height / 2, 1 / 1.6));
  $("whole").addEventListener("click", wholeMap);

  // --- search -------------------------------------------------------------------------------------------------------
  const RESULTS = 100;
  let folded = null;
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  function search() {
    const asked = fold($("search").value).split(/\s+/).filter(Boolean);
    folded = folded || data.texts.map(fold);
    state.matches = asked.length ? new Uint8Array(count) : null;
    const first = [];
    let matched = 0;
    if (asked.length)
      for (let i = 0; i < count; i++)
        if (asked.every((word) => folded[i].includes(word))) {
          state.matches[i] = 1;
          if (matched++ < RESULTS) first.push(i);
        }
    state.matched = matched;
    const more = matched > RESULTS ? `, the first ${RESULTS}:` : "";
    $("found").textContent = asked.length ? `${matched.toLocaleString("en")} of ${count.toLocaleString("en")} found${more}` : "";
    $("results").replaceChildren(...first.map((i) => {
      const item = make("li"), button = make("button", "");
      button.type = "button";
      const line = make("span", "short", oneLine(shown(i)));
      line.dir = "auto";
      button.append(dot(groupings[state.grouping].colours[group(i)]), line);
      button.addEventListener("click", () => choose(i));
      item.append(button);
      return item;
    }));
    draw();
  }
  let waiting = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, count > 5000 ? 150 : 30);
  });
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") { search(); $("results").querySelector("button")?.click(); }
    if (event.key === "Escape") { $("search").value = ""; search(); }
  });

  // --- legend -------------------------------------------------------------------------------------------------------
  function legend() {
    const { name, names: all, colours, of } = groupings[state.grouping];
    const sizes = new Uint32Array(all.length);
    for (const g of of) sizes[g]++;
    $("legend-name").textContent = oneLine(name);
    $("groups").replaceChildren(...all.map((one, g) => {
      const item = make("li"), button = make("button", "");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!state.hidden.has(g)));
      button.append(dot(colours[g]), make("span", "name", oneLine(one)), make("span", "size", sizes[g].toLocaleString("en")));
      button.addEventListener("click", () => {
        if (!state.hidden.delete(g)) state.hidden.add(g);
        button.setAttribute("aria-pressed", String(!state.hidden.has(g)));
        if (state.chosen >= 0 && !visible(state.chosen)) choose(-1);
        draw();
      });
      const light = (value) => () => { state.lit = value; draw(); };
      button.addEventListener("pointerenter", light(g));
      button.addEventListener("pointerleave", light(-1));
      item.append(button);
      return item;
    }));
  }
  function setAll(hidden) {
    state.hidden = new Set(hidden ? groupings[state.grouping].names.keys() : []);
    if (hidden) choose(-1);
    legend();
    draw();
  }
  $("all").addEventListener("click", () => setAll(false));
  $("none").addEventListener("click", () => setAll(true));
  $("colour").replaceChildren(...groupings.map((g, i) => {
    const option = make("option", "", oneLine(g.name));
    option.value = String(i);
    return option;
  }));
  $("colouring").hidden = groupings.length < 2;
  $("colour").addEventListener("change", () => {
    state.grouping = Number($("colour").value);
    state.hidden.clear();
    legend();
    search();
  });

  // --- light and dark, size -----------------------------------------------------------------------------------------
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => {
    ratio = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    paint();
  }).observe(canvas);

  $("legend").hidden = groupings[0].plain === true;
  if (matchMedia("(max-width: 46rem)").matches) $("legend").open = false;
  legend();
  return { state, screenOf, draw, count };
}
