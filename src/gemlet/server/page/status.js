// How the server does, while it is looked at.
import { $, make, number } from "./api.js";
import { offer } from "./copy.js";

const bytes = (value) => (value >= 1e9 ? `${number(value / 1e9, 2)} GB` : value >= 1e6 ? `${number(value / 1e6)} MB` : `${number(value / 1e3)} kB`);
function span(seconds) {
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes % 60} min` : minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}
const fact = (name, value, more) => {
  const group = make("div"), dd = make("dd", "", value);
  if (more) dd.append(make("small", "", more));
  group.append(make("dt", "", name), dd);
  return group;
};

export function show(told) {
  $("facts-now").replaceChildren(
    fact("Waiting", number(told.queue_texts), `${number(told.queue_tokens)} tokens`),
    fact("Speed", number(told.speed), "tokens a second, of late"),
    fact("Memory", told.memory_bytes === null ? "—" : bytes(told.memory_bytes), "held by the server"),
    fact("Cache", number(told.cache_vectors), `vectors, ${bytes(told.cache_bytes)} of ${bytes(told.cache_limit_bytes)}`),
  );
  $("status-indexes").replaceChildren(...(told.indexes.length ? told.indexes.map(indexOf) : [make("p", "soft", "None: the search page says how to make one.")]));
  const facts = [
    ["Model", told.model], ["Arithmetic", `${told.quantization}, ${told.instruction_set}, ${told.threads} threads`],
    ["Version", told.version], ["Up for", span(told.seconds)],
  ];
  $("facts-server").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
}
function indexOf(one) {
  const box = make("div", "index");
  box.append(make("h3", "", one.name));
  if (!one.ready) {
    box.append(make("p", "failed", one.problem));
    return box;
  }
  const files = `${number(one.files)} files, ${number(one.passages)} passages of ${one.dim} numbers`;
  box.append(make("p", "", one.unreadable ? `${files}; ${number(one.unreadable)} files could not be read` : files));
  const changed = one.changed === null ? "" : `; changed ${new Date(1000 * one.changed).toLocaleString()}`;
  const from = one.roots.length ? `From ${one.roots.join(", ")}` : "Not of folders: rows, or a database";
  box.append(make("p", "soft", `${from}${changed}`));
  box.append(make("p", "soft", one.asks ? "Questions are answered by a model that writes." : "Questions are answered by quoting sentences."));
  return box;
}
export function enter() {
  offer("GET", "/gemlet/status");
}
