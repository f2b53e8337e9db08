// The pages of the send form's preview, enlarged: by click, keys and swipes. Without this file the fax's page shows them.
(() => {
  "use strict";

  const dialog = document.getElementById("look");
  if (!dialog) return;
  const picture = dialog.querySelector("img");
  const sheet = dialog.querySelector(".look-sheet");
  const header = dialog.querySelector(".look-header");
  const title = document.getElementById("look-number");
  const size = dialog.querySelector("[data-dots-size]");
  const FAR = 60; // pixels that make a swipe
  let current = 0;

  const pages = () => [...document.querySelectorAll("#preview-pages [data-look]")];

  const show = (number) => {
    const all = pages();
    if (!all.length) return dialog.close();
    current = Math.min(Math.max(number, 1), all.length);
    const page = all[current - 1];
    const { header: name, station } = document.getElementById("preview").dataset;
    title.textContent = dialog.dataset.page.replace("#", current).replace("§", all.length);
    picture.alt = title.textContent;
    picture.height = Math.round((picture.width * page.querySelector("img").height) / page.querySelector("img").width);
    picture.srcset = `${page.dataset.src} 960w, ${page.dataset.dots} 1728w`;
    picture.sizes = size.getAttribute("aria-pressed") === "true" ? "1728px" : "min(60rem, 100vw)";
    picture.src = page.dataset.src;
    header.hidden = dialog.querySelector(".look-note").hidden = !name;
    header.textContent = [`[${dialog.dataset.when}]`, name, station, `${current}/${all.length}`].filter(Boolean).join("   ");
    for (const step of dialog.querySelectorAll("[data-step]")) {
      const beyond = current + Number(step.dataset.step);
      step.setAttribute("aria-disabled", String(beyond < 1 || beyond > all.length));
    }
    sheet.scrollTop = 0;
  };

  document.addEventListener("click", (event) => {
    const page = event.target.closest("[data-look]");
    if (page) {
      show(Number(page.dataset.look));
      dialog.showModal();
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) return dialog.close(); // beside the page
    const step = event.target.closest("[data-step]");
    if (step) show(current + Number(step.dataset.step));
  });
  dialog.addEventListener("close", () => pages()[current - 1]?.focus());
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const dots = size.getAttribute("aria-pressed") === "true"; // arrows move the page then
    const to = { ArrowLeft: dots ? 0 : current - 1, ArrowRight: dots ? 0 : current + 1, PageUp: 0, PageDown: 0 }[event.key];
    const end = { Home: 1, End: pages().length }[event.key];
    if (!to && !end) return;
    event.preventDefault();
    show(end ?? to);
  });
  size.addEventListener("click", () => {
    const dots = size.getAttribute("aria-pressed") !== "true";
    size.setAttribute("aria-pressed", String(dots));
    dialog.classList.toggle("dots", dots);
    show(current);
  });

  let from = null;
  sheet.addEventListener("touchstart", (event) => {
    from = event.touches.length === 1 && !dialog.classList.contains("dots") ? event.touches[0] : null;
  }, { passive: true });
  sheet.addEventListener("touchend", (event) => {
    const to = event.changedTouches[0];
    if (!from || window.visualViewport?.scale > 1) return;
    const [across, down] = [to.clientX - from.clientX, to.clientY - from.clientY];
    if (Math.abs(across) > FAR && Math.abs(across) > 2 * Math.abs(down)) show(current - Math.sign(across));
    from = null;
  }, { passive: true });
})();
