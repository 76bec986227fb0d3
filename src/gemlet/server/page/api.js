// Requests to this server. The key, where it asks for one, is in this module's memory and nowhere else.
export const $ = (id) => document.getElementById(id);
export const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
export const number = (value, digits = 0) =>
  value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
export const percent = (share) => (share > 0 && share < 0.005 ? "< 1%" : `${Math.round(100 * share)}%`);

let key = "";
let asking = null;
export const hasKey = () => key !== "";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Ask for the key; all requests that wait for it share one dialog.
function askForKey(wrong) {
  asking ??= new Promise((resolve) => {
    $("key-said").textContent = wrong
      ? "That key does not fit. Try another."
      : "It stays in this page’s memory, and is gone when you close or reload it.";
    $("key-dialog").showModal();
    $("key").focus();
    $("key-dialog").addEventListener("close", () => { asking = null; resolve(); }, { once: true });
  });
  return asking;
}
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  $("key").value = "";
  $("key-dialog").close();
});

export async function send(method, path, body, signal) {
  for (;;) {
    const sent = key;
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (sent) headers.Authorization = `Bearer ${sent}`;
    let answer;
    try {
      answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "The server does not answer. Is it still running?");
    }
    if (answer.ok) return answer;
    if (answer.status === 401) {
      if (sent === key) await askForKey(sent !== "");
      if (key === "" || sent === key) throw new Refused(401, "The server asks for a key.");
      continue;
    }
    throw new Refused(answer.status, await reasonOf(answer));
  }
}
export const ask = async (method, path, body, signal) => (await send(method, path, body, signal)).json();

async function reasonOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The server refuses: ${answer.status} ${answer.statusText}`;
  }
}

// Run `work(signal)` some time after the last call; an answer that was overtaken by a later call is dropped.
export function latest(wait, work, show, fail) {
  let timer = 0, current = null;
  const run = async () => {
    const mine = new AbortController();
    current?.abort();
    current = mine;
    try {
      const found = await work(mine.signal);
      if (current === mine) show(found);
    } catch (error) {
      if (current === mine && error.name !== "AbortError") fail(error);
    }
  };
  const stop = () => { clearTimeout(timer); current?.abort(); current = null; };
  return {
    soon() { clearTimeout(timer); timer = setTimeout(run, wait); },
    now() { clearTimeout(timer); return run(); },
    stop,
  };
}

// The server-sent events of an answer: [name, data] each.
export async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      held += value;
      for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
        const lines = held.slice(0, end).split("\n");
        held = held.slice(end + 2);
        const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
        const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (name) yield [name, JSON.parse(data)];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
