// Two texts, by every task.
import { $, ask, latest, make, number, percent } from "./api.js";
import { offer } from "./copy.js";

const request = () => ({ a: $("text-a").value, b: $("text-b").value });
const whole = () => $("text-a").value.trim() !== "" && $("text-b").value.trim() !== "";
const NAMES = {
  "search result": "Search", "question answering": "Question answering", "fact checking": "Fact checking",
  "code retrieval": "Code retrieval", "sentence similarity": "Sentence similarity", classification: "Classification",
  clustering: "Clustering", summarization: "Summarization",
};

const comparing = latest(250, (signal) => ask("POST", "/gemlet/compare", request(), signal), show, (error) => {
  $("tasks").hidden = true;
  $("compared").textContent = error.message;
});

function show(found) {
  $("tasks").hidden = false;
  $("tasks").tBodies[0].replaceChildren(...found.tasks.map((one) => {
    const row = make("tr"), name = make("th", "", NAMES[one.task] ?? one.task);
    name.scope = "row";
    const cell = make("td", "cosine"), bar = make("div", "bar"), meter = make("meter");
    meter.max = 1;
    meter.value = Math.max(0, one.cosine);
    meter.setAttribute("aria-hidden", "true");
    bar.append(make("span", "", number(one.cosine, 3)), meter);
    cell.append(bar);
    row.append(name, cell, make("td", "soft", meaning(one)));
    return row;
  }));
  const [a, b] = found.tokens;
  $("compared").textContent = `${number(a)} and ${number(b)} tokens`;
  offer("POST", "/gemlet/compare", request());
}
function meaning(one) {
  if (one.probability !== null) return `${percent(one.probability)} likely an answer`;
  if (one.level !== null) return one.level === "different" ? "not the same meaning" : one.level;
  return "";
}
$("compare-form").addEventListener("submit", (event) => event.preventDefault());
$("compare-form").addEventListener("input", () => {
  if (whole()) return comparing.soon();
  comparing.stop();
  $("tasks").hidden = true;
  $("compared").textContent = "";
  offer(null);
});
export function enter() {
  offer(...(whole() && !$("tasks").hidden ? ["POST", "/gemlet/compare", request()] : [null]));
}
