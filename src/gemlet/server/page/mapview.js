/* global drawMap */
// The map of the index: asked for when it is looked at, followed while it is made.
import { $, ask, number } from "./api.js";
import { offer } from "./copy.js";

const STEPS = { waiting: "Waiting its turn", reading: "Reading passages", placing: "Placing them", grouping: "Finding topics", writing: "Almost there" };
let index = null, drawn = null, timer = 0, open = false;

async function look() {
  clearTimeout(timer);
  if (!open || index === null) return;
  const mine = index;
  let answer;
  try {
    answer = await ask("POST", "/gemlet/map", { index });
  } catch (error) {
    say(error.message);
    return;
  }
  if (mine !== index || !open) return;
  const { progress, map } = answer;
  $("map-progress").hidden = progress.state !== "working" || map !== null;
  $("map-step").textContent = STEPS[progress.step] ?? progress.step;
  $("map-share").value = progress.share;
  if (progress.state === "failed") say(`There is no map: ${progress.error}`);
  if (map) draw(map);
  if (progress.state === "working") timer = setTimeout(look, map ? 4000 : 700);
}
function draw(map) {
  const made = `${map.index} ${map.passages} ${map.x}`;
  const all = map.texts.length === map.passages;
  say(all ? `${number(map.passages)} passages` : `${number(map.texts.length)} of ${number(map.passages)} passages, evenly chosen`);
  offer("POST", "/gemlet/map", { index });
  if (made === drawn) return;
  drawn = made;
  $("map-place").replaceChildren($("map-parts").content.cloneNode(true));
  window.gemletMap = drawMap(map); // for whoever looks at the page from outside
}
const say = (text) => { $("map-said").textContent = text; };

export function use(name, told) {
  if (name === index && name !== null) return;
  index = name;
  drawn = null;
  $("map-place").replaceChildren();
  say(name === null && told ? "There is no index yet: the search page says how to make one." : "");
  look();
}
export function enter() {
  open = true;
  offer(...(drawn ? ["POST", "/gemlet/map", { index }] : [null]));
  look();
}
export function leave() {
  open = false;
  clearTimeout(timer);
}
