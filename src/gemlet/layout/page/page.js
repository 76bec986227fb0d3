// The page of a map alone: its data is in #data.
{
  const $ = (id) => document.getElementById(id);
  const map = drawMap(JSON.parse($("data").textContent));
  $("count").textContent = `${map.count.toLocaleString("en")} texts`;
  const setTheme = (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    $("theme").setAttribute("aria-pressed", String(dark));
    map.draw();
  };
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  prefersDark.addEventListener("change", (event) => setTheme(event.matches));
  $("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      $("search").focus();
    }
  });
  setTheme(prefersDark.matches);
  window.gemletMap = map; // for whoever looks at the page from outside
}
