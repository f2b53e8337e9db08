// The list of faxes: the address follows the search, faxes that come in appear when nobody is reading, several are
// selected at once. The page works without this file.
(() => {
  "use strict";

  const on = (name, act) => document.addEventListener(name, act);
  const list = () => document.getElementById("list");
  const boxes = () => [...document.querySelectorAll("#bundle [name=ids]")];

  // The address of what is shown, so that reload, bookmark and Back find it again.
  const settle = () => {
    if (list()?.dataset.here) window.history.replaceState(null, "", list().dataset.here);
  };

  // The fields of the search stay where they are while the list is brought anew: what is wrong with one is marked here.
  const finder = () => document.getElementById("finder");
  const mark = () => {
    const wrong = document.getElementById("finder-problems")?.dataset.fields.split(" ") ?? [];
    for (const field of finder()?.querySelectorAll(".filter-row [name]") ?? []) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
      if (!wrong.includes(field.name)) continue;
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", "finder-problems");
    }
  };

  // A filter is cleared without leaving the page, and the keyboard goes on in the search.
  on("click", (event) => {
    const clear = event.target.closest("#list [data-clear]");
    if (!clear || !finder() || !window.htmx || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const name of clear.dataset.clear.split(" ")) finder().elements[name].value = "";
    finder().dispatchEvent(new Event("change"));
    document.getElementById("q").focus();
  });

  // Selecting: all, a stretch with the Shift key, and how many.
  const count = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    const place = document.querySelector("#bundle [data-count]");
    if (!place) return;
    place.hidden = chosen === 0;
    place.textContent = String(chosen);
    const all = document.querySelector(".bundle-all");
    all.dataset.all ??= all.textContent;
    all.textContent = chosen === boxes().length ? all.dataset.none : all.dataset.all;
  };
  let last = null;
  on("click", (event) => {
    const all = event.target.closest(".bundle-all");
    if (all) {
      event.preventDefault();
      const every = boxes().every((box) => box.checked);
      for (const box of boxes()) box.checked = !every;
      return count();
    }
    if (!event.target.matches("#bundle [name=ids]")) return;
    const now = boxes();
    if (event.shiftKey && now.includes(last)) {
      const [from, to] = [now.indexOf(last), now.indexOf(event.target)].sort((a, b) => a - b);
      for (const box of now.slice(from, to + 1)) box.checked = event.target.checked;
    }
    last = event.target;
    count();
  });

  // What was selected stays selected when the list is brought anew.
  let chosen = new Set();
  on("htmx:beforeSwap", (event) => {
    if (event.detail.target.id === "list") chosen = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
  });
  on("htmx:afterSettle", (event) => {
    if (event.target.id !== "list") return;
    for (const box of boxes()) box.checked ||= chosen.has(box.value);
    mark();
    settle();
    count();
  });

  // New faxes come into the list by themselves unless somebody is busy there: reading further down, pointing at a row,
  // holding the focus in it, having selected some. Then a line says how many there are.
  const busy = () =>
    window.scrollY > 80 || boxes().some((box) => box.checked) || list()?.matches(":has(tbody:hover, form :focus)");
  const takeIn = () => {
    const news = document.querySelector("#news a");
    if (news && !busy()) news.click();
  };
  on("htmx:afterSettle", takeIn);
  on("pointerout", takeIn);

  // A page that nobody sees asks for nothing, and at once when it is seen again.
  on("htmx:beforeRequest", (event) => {
    if (event.target.id === "live" && document.hidden) event.preventDefault();
  });
  on("visibilitychange", () => {
    const live = document.getElementById("live");
    if (!document.hidden && live) window.htmx?.trigger(live, "now");
  });

  on("DOMContentLoaded", count);
})();
