// Search while typing, and an answer when it is asked for.
import { $, ask, eventsOf, latest, make, number, percent, Refused, send } from "./api.js";
import { offer } from "./copy.js";

const form = $("search-form"), query = $("query"), hits = $("hits");
const field = (name) => form.elements[name];
let status = null, index = null, like = null, answering = null;

function request() {
  const body = { index };
  if (like) body.like = like;
  else body.query = query.value;
  if (field("task").value !== "query") body.task = field("task").value;
  if (field("mode").value !== "hybrid" && !like) body.mode = field("mode").value;
  if (Number(field("k").value) !== 10) body.k = Number(field("k").value);
  return Object.assign(body, filters());
}
function filters() {
  const body = {};
  const day = (value) => new Date(`${value}T00:00`).getTime() / 1000;
  if (field("path").value.trim()) body.path = field("path").value.trim();
  if (field("kind").value) body.kinds = [field("kind").value];
  if (field("language").value) body.languages = [field("language").value];
  if (field("after").value) body.after = day(field("after").value);
  if (field("before").value) body.before = day(field("before").value);
  return body;
}

const searching = latest(
  160,
  (signal) => {
    hits.setAttribute("aria-busy", "true");
    return ask("POST", "/gemlet/search", request(), signal);
  },
  show,
  (error) => {
    hits.removeAttribute("aria-busy");
    hits.replaceChildren();
    say(error.message, true);
  },
);

function say(text, failed = false) {
  $("outcome").textContent = text;
  $("outcome").classList.toggle("failed", failed);
}

// --- results --------------------------------------------------------------------------------------------------------
function show(found) {
  const none = !found.hits.length;
  const rows = none ? found.nearest : found.hits;
  hits.removeAttribute("aria-busy");
  hits.replaceChildren(...rows.map((hit, i) => hitOf(hit, i, none)));
  const count = `${number(rows.length)} of ${number(found.passages)} passages, ${number(1000 * found.seconds)} ms`;
  const message = found.message && found.message[0].toUpperCase() + found.message.slice(1);
  say(none ? `${message}.${rows.length ? " The nearest:" : ""}` : count);
  offer("POST", "/gemlet/search", request());
}

function hitOf(hit, i, nearest) {
  const item = make("li", nearest ? "hit nearest" : "hit");
  const where = make("div", "where");
  where.append(make("span", "path", placeOf(hit)));
  if (hit.probability !== null) {
    const chance = make("span", "chance", percent(hit.probability));
    chance.title = "How likely this passage is an answer";
    chance.append(make("span", "unseen", " likely"));
    where.append(chance);
  }
  const heading = make("h2"), button = make("button", "", hit.title || hit.path.split("/").pop());
  const whole = wholeOf(hit, i);
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-controls", whole.id);
  button.addEventListener("click", () => {
    whole.hidden = !whole.hidden;
    button.setAttribute("aria-expanded", String(!whole.hidden));
  });
  heading.append(button);
  item.append(where, heading, snippetOf(hit), whole);
  return item;
}
const placeOf = (hit) => (hit.page === null ? `${hit.path}:${hit.line ?? hit.first_line}` : `${hit.path} page ${hit.page}`);

function snippetOf(hit) {
  const points = Array.from(hit.snippet); // `marked` counts code points
  const [begin, end] = hit.marked;
  const part = (from, to) => points.slice(from, to).join("");
  const line = make("p", hit.kind === "code" ? "snippet code" : "snippet");
  line.dir = "auto";
  line.append(part(0, begin), make("mark", "", part(begin, end)), part(end));
  return line;
}

function wholeOf(hit, i) {
  const whole = make("div", "whole-passage");
  whole.id = `passage-${i}`;
  whole.hidden = true;
  const text = make("p", hit.kind === "code" ? "passage code" : "passage", hit.text);
  text.dir = "auto";
  const foot = make("footer"), more = make("button", "quiet", "More like this file");
  more.type = "button";
  more.addEventListener("click", () => setLike(hit.path));
  const lines = hit.first_line === hit.last_line ? `line ${hit.first_line}` : `lines ${hit.first_line} to ${hit.last_line}`;
  const facts = [lines, hit.kind];
  if (hit.cosine !== null) facts.push(`cosine ${number(hit.cosine, 3)}`);
  if (hit.words.length) facts.push(`holds ${hit.words.join(", ")}`);
  if (hit.also.length) facts.push(`also in ${hit.also.join(", ")}`);
  foot.append(make("span", "soft", facts.join(" · ")), more);
  whole.append(text, foot);
  return whole;
}

function setLike(path) {
  like = path;
  $("like").hidden = !path;
  if (!path) return;
  query.value = "";
  const stop = make("button", "quiet", "Back to searching");
  stop.type = "button";
  stop.addEventListener("click", () => { setLike(null); changed(); query.focus(); });
  $("like").replaceChildren(make("span", "", "Passages like "), make("span", "path", path), stop);
  closeAnswer();
  searching.now();
  query.focus();
}

// --- an answer ------------------------------------------------------------------------------------------------------
async function answer() {
  if (!query.value.trim() || !status) return;
  closeAnswer();
  const mine = (answering = new AbortController());
  const body = { index, question: query.value, ...filters() };
  $("answer").hidden = false;
  $("answer-text").textContent = "Reading …";
  try {
    let text = "", sources = [];
    for await (const [name, data] of eventsOf(await send("POST", "/gemlet/ask", { ...body, stream: true }, mine.signal))) {
      if (answering !== mine) return;
      if (name === "sources") sources = data;
      else if (name === "text") $("answer-text").textContent = text += data;
      else if (name === "done") finish(data, sources);
      else if (name === "error") throw new Refused(503, data.error.message);
    }
    offer("POST", "/gemlet/ask", body);
  } catch (error) {
    if (answering === mine && error.name !== "AbortError") $("answer-text").textContent = error.message;
  }
}
function finish(done, sources) {
  $("answer-text").textContent = done.answer;
  const named = sources.filter((source) => done.cited.includes(source.number));
  const shown = done.refused ? [] : named.length ? named : sources;
  $("answer-sources").replaceChildren(...shown.map((source) => make("li", "path", `[${source.number}] ${placeOf(source)}`)));
  $("answer-by").textContent = done.refused ? "" : done.written_by
    ? `Written by ${done.written_by} from these passages: check what matters.`
    : "Quoted: the server was started without a model that writes.";
}
function closeAnswer() {
  answering?.abort();
  answering = null;
  $("answer").hidden = true;
  for (const id of ["answer-text", "answer-sources", "answer-by"]) $(id).replaceChildren();
}

// --- what the user does ---------------------------------------------------------------------------------------------
function changed() {
  const asked = query.value.trim() !== "";
  if (asked && like) setLike(null);
  const set = [...Object.keys(filters()), ...(field("mode").value === "hybrid" ? [] : ["mode"])].length;
  $("active").textContent = set ? `${set} set` : "";
  $("first").hidden = asked || like !== null || !index;
  $("ask").disabled = !asked || !index;
  closeAnswer();
  if (!index) return;
  if (asked || like) searching.soon();
  else {
    searching.stop();
    hits.removeAttribute("aria-busy");
    hits.replaceChildren();
    say("");
    offer(null);
  }
}
form.addEventListener("input", changed);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!index || (!query.value.trim() && !like)) return;
  const asks = field("task").value === "question answering";
  searching.now().then(() => (asks ? answer() : undefined));
});
$("ask").addEventListener("click", answer);
$("clear").addEventListener("click", () => {
  for (const name of ["path", "kind", "language", "after", "before"]) field(name).value = "";
  field("mode").value = "hybrid";
  field("k").value = "10";
  changed();
});
form.addEventListener("keydown", (event) => {
  if (event.target !== query) return;
  if (event.key === "Enter") { event.preventDefault(); form.requestSubmit(); } // with so many fields it would not
  if (event.key === "ArrowDown") { event.preventDefault(); hits.querySelector("h2 button")?.focus(); }
  if (event.key === "Escape") { event.preventDefault(); query.value = ""; setLike(null); changed(); }
});
hits.addEventListener("keydown", (event) => {
  const every = [...hits.querySelectorAll("h2 button")], at = every.indexOf(document.activeElement);
  if (event.key === "Escape") query.focus();
  else if (event.key === "ArrowDown" && at >= 0) every[Math.min(at + 1, every.length - 1)].focus();
  else if (event.key === "ArrowUp" && at >= 0) (at ? every[at - 1] : query).focus();
  else return;
  event.preventDefault();
});

export function use(name, told) {
  const other = name !== index;
  index = name;
  status = told;
  const one = told?.indexes.find((served) => served.name === name);
  $("no-index").hidden = name !== null;
  query.disabled = name === null;
  for (const [select, values] of [["kind", one?.kinds ?? []], ["language", one?.languages ?? []]]) {
    const kept = field(select).value;
    field(select).replaceChildren(field(select).options[0], ...values.map((value) => new Option(value, value)));
    field(select).value = values.includes(kept) ? kept : "";
  }
  if (other) { setLike(null); changed(); }
  if (one && !one.ready && other) say(one.problem, true);
}
export function enter() {
  if (matchMedia("(pointer: fine)").matches) query.focus();
  if (hits.children.length) offer("POST", "/gemlet/search", request());
  else offer(null);
}
export const focusQuery = () => { query.focus(); query.select(); };
