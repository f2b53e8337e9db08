// What a page cannot do without a script: progress of an upload, one fax for a double click, drag and drop,
// the appearance without a reload. Every page works without this file.
(() => {
  "use strict";

  const on = (name, act) => document.addEventListener(name, act);

  // A form that acts once: its button rests from the first click on, until the page is shown again.
  on("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", "true");
      if (event.submitter && button !== event.submitter) continue; // the other way of a form that has two
      const text = button.querySelector("span");
      if (text && button.dataset.busy) [text.textContent, button.dataset.busy] = [button.dataset.busy, text.textContent];
    }
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });

  // The appearance: the same cookie that the form would set.
  on("submit", (event) => {
    const chosen = event.submitter;
    if (!event.target.matches("[data-themes]") || !chosen) return;
    event.preventDefault();
    const secure = window.location.protocol === "https:" ? ";secure" : "";
    document.cookie = `theme=${chosen.value};path=/;max-age=31536000;samesite=lax${secure}`;
    document.documentElement.dataset.theme = chosen.value;
    for (const button of event.target.querySelectorAll("[name=theme]")) {
      button.setAttribute("aria-pressed", String(button === chosen));
    }
  });

  // The document: refused before it travels if it is too large, and with a bar while it does.
  const say = (field, text) => {
    const place = field.querySelector("#document-judgment");
    place.dataset.state = text ? "bad" : "empty";
    if (text) place.textContent = text;
  };
  on("htmx:beforeRequest", (event) => {
    const input = event.target;
    if (input.id !== "document") return;
    const field = input.closest("#document-field");
    const file = input.files[0];
    if (!file) return event.preventDefault();
    if (file.size > Number(input.dataset.max)) {
      event.preventDefault();
      input.value = "";
      input.setAttribute("aria-invalid", "true");
      return say(field, input.dataset.tooLarge);
    }
    field.querySelector(".uploading").hidden = false;
  });
  on("htmx:xhr:progress", (event) => {
    const field = event.target.closest?.("#document-field");
    if (!field || !event.detail.total) return;
    const percent = Math.round((100 * event.detail.loaded) / event.detail.total);
    field.querySelector("progress").value = percent;
    field.querySelector("[data-percent]").textContent = `${percent} %`;
  });
  on("htmx:afterRequest", (event) => {
    const bar = event.target.closest?.("#document-field")?.querySelector(".uploading");
    if (bar) bar.hidden = true;
  });

  // Anywhere on the form is near enough to drop a file.
  const carriesFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  const drop = () => document.querySelector("[data-drop]");
  on("dragover", (event) => {
    if (!carriesFile(event) || !drop()) return;
    event.preventDefault();
    drop().classList.add("over");
  });
  on("dragleave", (event) => {
    if (!event.relatedTarget) drop()?.classList.remove("over");
  });
  on("drop", (event) => {
    if (!carriesFile(event) || !drop()) return;
    event.preventDefault();
    drop().classList.remove("over");
    const input = document.getElementById("document");
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // The number field says to a screen reader what its judgment shows.
  on("htmx:afterSwap", () => {
    const judgment = document.getElementById("to-judgment");
    if (judgment) document.getElementById("to").setAttribute("aria-invalid", String(judgment.dataset.state === "bad"));
  });

  // The tab's title says how many wait in the inbox, also after a part of the page has brought a title of its own.
  on("htmx:afterSettle", () => {
    const text = document.getElementById("inbox-count")?.dataset.text;
    if (text === undefined) return;
    const plain = document.title.replace(/^\(\d+\+?\) /, "");
    const title = text ? `(${text}) ${plain}` : plain;
    if (title !== document.title) document.title = title;
  });

  // When the inbox is brought anew without the row that has the keyboard, the keyboard goes on to the next row.
  let following = [];
  on("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "inbox-list") return;
    const rows = [...event.detail.target.querySelectorAll("tr[id]")];
    const at = rows.indexOf(document.activeElement.closest("tr[id]"));
    following = at < 0 ? [] : [...rows.slice(at), ...rows.slice(0, at).reverse()].map((row) => row.id);
  });
  on("htmx:afterSettle", (event) => {
    if (event.target.id !== "inbox-list" || event.target.contains(document.activeElement)) return;
    const row = following.map((id) => document.getElementById(id)).find(Boolean);
    row?.querySelector("a").focus({ preventScroll: true });
    following = [];
  });

  // After an act that brings its page anew the keyboard is at the button at which it was, else where the form says.
  const KEPT = "keyboard";
  on("submit", (event) => {
    const place = event.target.dataset.focus;
    if (!place || !document.activeElement.matches(":focus-visible")) return;
    sessionStorage.setItem(KEPT, JSON.stringify({ page: location.pathname, button: event.submitter?.id, place }));
  });
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (kept?.page === location.pathname) {
    ((kept.button && document.getElementById(kept.button)) || document.querySelector(kept.place))?.focus();
  }

  // Who was signed out in the middle of a form, or signed in anew beside it, finds it as it was, in the same tab and as
  // the same person.
  const TYPED = "typed";
  const here = document.body.dataset.person;
  const keepTyped = () => {
    const form = document.querySelector("form[data-keep]");
    if (!form) return;
    const fields = [...form.elements].filter(({ name, type }) => /^(draft|submission)$/.test(name) || (name && !/^(hidden|file)$/.test(type)));
    const values = fields.map(({ name, value, checked }) => ({ name, value, checked }));
    sessionStorage.setItem(TYPED, JSON.stringify({ person: here, page: location.pathname, values }));
  };
  on("submit", (event) => event.target.matches("[data-keep]") && keepTyped());
  on("htmx:beforeOnLoad", (event) => event.detail.xhr.getResponseHeader("HX-Redirect") && keepTyped());
  const fillIn = ({ values }) => {
    const form = document.querySelector("form[data-keep]");
    for (const { name, value, checked } of values) {
      const field = form.elements[name];
      if (field) field.type === "checkbox" ? (field.checked = checked) : (field.value = value);
    }
    const { draft, entity, to, document: file } = form.elements;
    if (to.value) window.htmx?.trigger(to, "change");
    if (!draft.value) return;
    const asked = { draft: draft.value, entity: entity.value };
    window.htmx?.ajax("POST", file.getAttribute("hx-post"), { target: "#document-field", swap: "outerHTML", values: asked });
  };
  on("DOMContentLoaded", () => {
    const typed = JSON.parse(sessionStorage.getItem(TYPED) ?? "null");
    if (!typed) return;
    if (!here || document.querySelector("[data-typed-waits]")) return sessionStorage.setItem(TYPED, JSON.stringify({ ...typed, signedOut: true }));
    sessionStorage.removeItem(TYPED);
    if (typed.signedOut && typed.person === here && typed.page === location.pathname) fillIn(typed);
  });

  // A fax that is followed is over: the button that had the keyboard is gone, its status is there.
  let atFax = false;
  on("htmx:beforeSwap", (event) => {
    atFax = event.detail.target.id === "fax-live" && event.detail.target.contains(document.activeElement);
  });
  on("htmx:afterSettle", () => {
    if (atFax && document.activeElement === document.body) document.getElementById("fax-state")?.focus();
    atFax = false;
  });

  // A page that follows a fax says when it cannot; what it says of something that was done stays to be read.
  const trouble = (there) => {
    const notice = document.getElementById("trouble");
    if (notice && !("stays" in notice.dataset)) notice.hidden = !there;
  };
  on("htmx:beforeSwap", (event) => {
    const answer = event.detail.xhr;
    if (answer.status >= 500 && answer.getResponseHeader("HX-Retarget")) event.detail.shouldSwap = true;
  });
  on("htmx:sendError", () => trouble(true));
  on("htmx:afterOnLoad", (event) => trouble(event.detail.xhr.status >= 500));

  // Text that is to be copied whole; without the clipboard it is marked by hand.
  const offerCopy = () => {
    if (!navigator.clipboard) return;
    document.querySelectorAll("[data-copy][hidden]").forEach((button) => { button.hidden = false; });
  };
  offerCopy();
  on("htmx:afterSettle", offerCopy);
  on("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    const text = button && document.getElementById(button.dataset.copy);
    if (text) navigator.clipboard.writeText(text.value).then(() => text.select());
  });
})();
