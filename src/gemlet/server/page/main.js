// The page: which view is open, which index is used, and what the server says of itself.
import { $, ask } from "./api.js";
import * as compare from "./compare.js";
import * as map from "./mapview.js";
import * as search from "./search.js";
import * as status from "./status.js";

const VIEWS = { search, compare, map, status };
const TITLES = { search: "Search", compare: "Compare", map: "Map", status: "Status" };
const EVERY = 2000; // milliseconds between two looks at the status, while it is open
let view = null, timer = 0;

function route() {
  const name = location.hash.replace("#/", "");
  open(name in VIEWS ? name : "search");
}
function open(name) {
  if (name === view) return;
  const first = view === null;
  if (!first) VIEWS[view].leave?.();
  view = name;
  for (const one of Object.keys(VIEWS)) $(`view-${one}`).hidden = one !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.classList.toggle("wide", name === "map");
  document.title = `${TITLES[name]} – gemlet`;
  VIEWS[name].enter();
  if (!first) look();
}

async function look() {
  clearTimeout(timer);
  try {
    const told = await ask("GET", "/gemlet/status");
    status.show(told);
    $("server-gone").hidden = true;
    choices(told);
  } catch (error) {
    $("server-gone").textContent = error.message;
    $("server-gone").hidden = false;
  }
  if (view === "status" || !$("server-gone").hidden) timer = setTimeout(look, EVERY);
}
function choices(told) {
  const names = told.indexes.map((one) => one.name), select = $("index");
  const kept = names.includes(select.value) ? select.value : names[0] ?? null;
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  if (kept !== null) select.value = kept;
  $("which").hidden = names.length < 2;
  for (const one of [search, map]) one.use(kept, told);
}

$("index").addEventListener("change", look);
addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => { if (!document.hidden && view === "status") look(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.activeElement.matches("input:not([type=radio]), select, textarea") || $("key-dialog").open) return;
  event.preventDefault();
  if (view === "map" && $("search")) return $("search").focus();
  location.hash = "#/search";
  open("search");
  search.focusQuery();
});
route();
look();
