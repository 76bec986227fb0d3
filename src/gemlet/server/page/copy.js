// What is on screen, as a command for a terminal. A key is never in it: its place is a variable of the environment.
import { $, hasKey } from "./api.js";

let shown = null;
let language = "curl";

export function offer(method, path, body) {
  shown = path ? { method, path, body } : null;
  $("copy").hidden = !shown;
  write();
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asCurl({ method, path, body }) {
  const parts = [`curl ${method === "GET" ? "" : `-X ${method} `}${quoted(location.origin + path)}`];
  if (hasKey()) parts.push('-H "Authorization: Bearer $GEMLET_KEY"');
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return parts.join(" \\\n  ");
}

function asPython({ method, path, body }) {
  const lines = ["import json", "import urllib.request", ""];
  if (hasKey()) lines.splice(1, 0, "import os");
  const headers = [];
  if (body !== undefined) headers.push('"Content-Type": "application/json"');
  if (hasKey()) headers.push('"Authorization": "Bearer " + os.environ["GEMLET_KEY"]');
  lines.push("request = urllib.request.Request(", `    ${literal(location.origin + path)},`);
  if (body !== undefined) lines.push(`    data=json.dumps(${literal(body)}).encode(),`);
  if (headers.length) lines.push(`    headers={${headers.join(", ")}},`);
  lines.push(`    method="${method}",`, ")", "with urllib.request.urlopen(request) as answer:", "    print(json.load(answer))");
  return lines.join("\n");
}

// JSON as Python writes it.
function literal(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${literal(k)}: ${literal(v)}`).join(", ")}}`;
  return JSON.stringify(value).replace(/[\u007f-\u00a0\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function write() {
  if (!shown) return;
  $("code").textContent = language === "curl" ? asCurl(shown) : asPython(shown);
  $("copied").textContent = "";
  for (const name of ["curl", "python"]) $(`as-${name}`).setAttribute("aria-pressed", String(name === language));
}
for (const name of ["curl", "python"]) $(`as-${name}`).addEventListener("click", () => { language = name; write(); });
$("copy").addEventListener("toggle", write);
$("copy-code").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("code").textContent);
    $("copied").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("code"));
    $("copied").textContent = "Selected: copy it with the keyboard";
  }
});
