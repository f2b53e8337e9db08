// The viewer's bar, keys and small pictures. Without this file the pages are a plain column with anchors.
(() => {
  "use strict";

  const SCALES = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3];
  const DOTS = 204; // to the inch
  const MOMENT = 350; // until a page counts as arrived at

  const byId = (id) => document.getElementById(id);
  const viewer = byId("viewer");
  if (!viewer) return;
  const pane = byId("leaves");
  const leaves = [...pane.querySelectorAll(".leaf")];
  const pictures = leaves.map((leaf) => leaf.querySelector("img"));
  const thumbs = [...viewer.querySelectorAll(".rail a")];
  const field = byId("page-number");

  // ---- What is remembered: how the pages are shown in this browser, how they were turned in this session

  const remembered = (storage, key, otherwise) => {
    try {
      return JSON.parse(storage.getItem(key)) ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  const remember = (storage, key, value) => {
    try {
      storage.setItem(key, JSON.stringify(value));
    } catch {
      // a browser that keeps nothing shows the pages all the same
    }
  };
  const TURNS = `faxroom-turns-${viewer.dataset.fax}`;
  const LIKING = "faxroom-viewer";
  const turns = remembered(sessionStorage, TURNS, {});
  const liking = { zoom: "read", scale: 1, inverted: false, keys: true, ...remembered(localStorage, LIKING, {}) };
  const like = (values) => {
    Object.assign(liking, values);
    remember(localStorage, LIKING, liking);
  };

  // ---- Where we are

  let current = 1;
  let held = false; // a page that was asked for stays the current one until somebody scrolls
  let saying = 0;
  const say = (text) => {
    clearTimeout(saying);
    byId("page-said").textContent = text.replace("#", current);
    history.replaceState(history.state, "", `#page-${current}`);
  };

  const arriveAt = (number) => {
    if (number === current) return;
    thumbs[current - 1]?.removeAttribute("aria-current");
    current = number;
    showCurrent();
    clearTimeout(saying);
    saying = setTimeout(() => say(viewer.dataset.page), MOMENT);
  };

  const showCurrent = () => {
    if (document.activeElement !== field) field.value = current;
    byId("previous").disabled = current === 1;
    byId("next").disabled = current === leaves.length;
    const thumb = thumbs[current - 1];
    if (!thumb) return;
    thumb.setAttribute("aria-current", "true");
    const inRail = thumb.parentElement.parentElement.contains(document.activeElement);
    if (!inRail) reachable(thumb);
    const rail = thumb.closest(".rail");
    const [inner, outer] = [thumb.getBoundingClientRect(), rail.getBoundingClientRect()];
    if (inner.top < outer.top) rail.scrollTop -= outer.top - inner.top + 12;
    else if (inner.bottom > outer.bottom) rail.scrollTop += inner.bottom - outer.bottom + 12;
  };

  // The small pictures are one stop of the Tab key; arrows go on from there.
  const reachable = (thumb) => {
    for (const other of thumbs) other.tabIndex = other === thumb ? 0 : -1;
  };

  const goTo = (number) => {
    const wanted = Math.min(Math.max(Math.round(number) || 1, 1), leaves.length);
    held = true;
    leaves[wanted - 1].scrollIntoView({ block: "start", inline: "nearest", behavior: "instant" });
    arriveAt(wanted);
    field.value = wanted;
  };
  const release = () => {
    held = false;
  };

  // A line at a third of the screen: the page that lies across it is the current one.
  const line = new IntersectionObserver(
    (entries) => {
      const across = entries.findLast((entry) => entry.isIntersecting);
      if (across && !held) arriveAt(leaves.indexOf(across.target) + 1);
    },
    { rootMargin: "-33% 0px -66.9% 0px" },
  );

  const scroller = () => (getComputedStyle(pane).overflowY === "auto" ? pane : document.scrollingElement);
  const atTheEnd = () => {
    const box = scroller();
    if (!held && box.scrollTop > 0 && box.scrollTop + box.clientHeight >= box.scrollHeight - 2) arriveAt(leaves.length);
  };

  // ---- Size and turn

  /** Do what changes sizes and leave what is in the middle of the screen there. */
  const inPlace = (change) => {
    const leaf = leaves[current - 1];
    const box = scroller();
    const edge = pane.getBoundingClientRect();
    const top = box === pane ? edge.top : viewer.querySelector(".bar").getBoundingClientRect().bottom;
    const middle = { x: (box === pane ? edge.left : 0) + box.clientWidth / 2, y: top + (window.innerHeight - top) / 2 };
    const before = leaf.getBoundingClientRect();
    const share = { x: (middle.x - before.left) / before.width, y: (middle.y - before.top) / before.height };
    const fromTop = before.top - top;
    change();
    const after = leaf.getBoundingClientRect();
    const seen = fromTop > -1 && fromTop < 40; // a page that began at the top still does
    box.scrollBy({
      left: after.left + share.x * after.width - middle.x,
      top: seen ? after.top - top - fromTop : after.top + share.y * after.height - middle.y,
      behavior: "instant",
    });
  };

  const isAcross = (index) => (turns[index + 1] ?? 0) % 2 === 1;

  const measure = (index) => {
    const picture = pictures[index];
    const sides = [picture.getAttribute("width"), picture.getAttribute("height")];
    if (isAcross(index)) sides.reverse();
    leaves[index].style.setProperty("--across", sides[0]);
    leaves[index].style.setProperty("--down", sides[1]);
  };

  const showTurn = (index) => {
    for (const element of [leaves[index], thumbs[index]?.querySelector("img")]) {
      for (const quarter of [1, 2, 3]) element?.classList.toggle(`turned-${quarter}`, turns[index + 1] === quarter);
    }
    measure(index);
  };

  const turn = (numbers) => {
    held = true;
    inPlace(() => {
      for (const number of numbers) {
        turns[number] = ((turns[number] ?? 0) + 1) % 4;
        showTurn(number - 1);
      }
    });
    showZoom();
    remember(sessionStorage, TURNS, turns);
    say(numbers.length > 1 ? viewer.dataset.allTurned : viewer.dataset.turned);
  };

  /** How large the current page is beside its paper. */
  const scaleNow = () => {
    const across = Number(leaves[current - 1].style.getPropertyValue("--across"));
    return leaves[current - 1].getBoundingClientRect().width / ((across / DOTS) * 96);
  };

  const showZoom = () => {
    viewer.dataset.zoom = liking.zoom;
    viewer.style.setProperty("--scale", liking.scale);
    viewer.style.setProperty("--above", `${pane.getBoundingClientRect().top + (scroller() === pane ? 0 : scroller().scrollTop)}px`);
    byId("fit-width").setAttribute("aria-pressed", String(liking.zoom === "width"));
    byId("fit-page").setAttribute("aria-pressed", String(liking.zoom === "page"));
    const scale = scaleNow();
    byId("percent-text").textContent = `${Math.round(scale * 100)} %`;
    byId("smaller").disabled = scale <= SCALES[0] + 0.01;
    byId("larger").disabled = scale >= SCALES.at(-1) - 0.01;
    for (const [index, picture] of pictures.entries()) sharpen(picture, index);
  };

  /** Tell the browser how wide the picture is, so that it takes the one of the two that is sharp enough. */
  const sharpen = (picture, index) => {
    if (liking.zoom === "read" && !isAcross(index) && !picture.dataset.sized) return;
    picture.dataset.sized = "yes";
    const box = leaves[index].getBoundingClientRect();
    picture.sizes = `${Math.round(isAcross(index) ? box.height : box.width)}px`;
  };

  const zoom = (values) => {
    held = true;
    inPlace(() => {
      like(values);
      viewer.dataset.zoom = liking.zoom;
      viewer.style.setProperty("--scale", liking.scale);
    });
    showZoom();
  };
  const fit = (way) => zoom({ zoom: liking.zoom === way ? "read" : way }); // once more: as it was
  const larger = () => {
    const scale = SCALES.find((one) => one > scaleNow() + 0.01);
    if (scale) zoom({ zoom: "scale", scale });
  };
  const smaller = () => {
    const scale = SCALES.findLast((one) => one < scaleNow() - 0.01);
    if (scale) zoom({ zoom: "scale", scale });
  };

  const showInverted = () => {
    viewer.classList.toggle("inverted", liking.inverted);
    byId("invert").setAttribute("aria-pressed", String(liking.inverted));
  };
  const invert = () => {
    like({ inverted: !liking.inverted });
    showInverted();
  };
  const all = () => leaves.map((_, index) => index + 1);

  // ---- The bar

  const ACTS = {
    previous: () => goTo(current - 1),
    next: () => goTo(current + 1),
    smaller,
    larger,
    percent: () => zoom({ zoom: "scale", scale: 1 }),
    "fit-width": () => fit("width"),
    "fit-page": () => fit("page"),
    turn: () => turn([current]),
    "turn-all": () => turn(all()),
    invert,
    help: () => byId("keys").showModal(),
  };
  for (const [id, act] of Object.entries(ACTS)) byId(id)?.addEventListener("click", act);
  byId("go").addEventListener("submit", (event) => {
    event.preventDefault();
    goTo(Number(field.value));
    field.select();
  });
  field.addEventListener("focus", () => field.select());
  field.addEventListener("blur", () => {
    field.value = current;
  });
  byId("keys-on").addEventListener("change", (event) => like({ keys: event.target.checked }));

  for (const [index, thumb] of thumbs.entries()) {
    thumb.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      reachable(thumb);
      goTo(index + 1);
    });
    thumb.addEventListener("keydown", (event) => {
      const next = thumbs[index + { ArrowDown: 1, ArrowUp: -1 }[event.key]];
      if (!next) return;
      event.preventDefault();
      event.stopPropagation();
      reachable(next);
      next.focus();
    });
  }

  // ---- Keys

  const LETTERS = {
    j: ACTS.next,
    k: ACTS.previous,
    "+": larger,
    "=": larger,
    "-": smaller,
    1: ACTS.percent,
    w: ACTS["fit-width"],
    p: ACTS["fit-page"],
    r: ACTS.turn,
    R: ACTS["turn-all"],
    i: invert,
    "?": ACTS.help,
  };
  const wider = () => pane.scrollWidth > pane.clientWidth + 1 || document.scrollingElement.scrollWidth > window.innerWidth + 1;
  const screens = (share) => () => {
    release();
    scroller().scrollBy({ top: share * scroller().clientHeight, behavior: "instant" });
  };
  const page = (step) => (liking.zoom === "page" ? () => goTo(current + step) : screens(step * 0.9));
  const named = (key) =>
    ({
      Home: () => goTo(1),
      End: () => goTo(leaves.length),
      ArrowRight: wider() ? null : ACTS.next,
      ArrowLeft: wider() ? null : ACTS.previous,
      PageDown: page(1),
      PageUp: page(-1),
      " ": page(1),
      ArrowDown: screens(0.1),
      ArrowUp: screens(-0.1),
    })[key];

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || byId("keys").open) return;
    if (event.target === field) return;
    if (event.key === " " && event.target.closest("a, button")) return;
    const act = (liking.keys && LETTERS[event.key]) || (event.shiftKey ? null : named(event.key));
    if (!act) {
      release();
      return;
    }
    event.preventDefault();
    act();
  });
  for (const kind of ["wheel", "touchmove", "pointerdown"]) pane.addEventListener(kind, release, { passive: true });

  // ---- A page that does not come: once more, then say so

  const missed = (picture) => {
    if (picture.dataset.again === "waits") return; // told twice: by the event, and by who looked
    if (!picture.dataset.again) {
      picture.dataset.again = "waits";
      setTimeout(() => {
        picture.dataset.again = "asked";
        picture.srcset = picture.srcset.toString();
      }, 1500);
      return;
    }
    const leaf = picture.closest(".leaf");
    leaf.classList.add("broken");
    picture.parentElement.dataset.broken = viewer.dataset.broken;
  };
  for (const picture of pictures) {
    picture.addEventListener("error", () => missed(picture));
    if (picture.complete && picture.currentSrc && !picture.naturalWidth) missed(picture);
  }

  // ---- Begin

  for (const element of viewer.querySelectorAll(".scripted")) element.hidden = false;
  for (const element of viewer.querySelectorAll(".plain")) element.hidden = true;
  byId("keys-on").checked = liking.keys;
  leaves.forEach((_, index) => showTurn(index));
  viewer.classList.add("measured");
  showInverted();
  showZoom();
  showCurrent();
  const asked = Number(window.location.hash.replace("#page-", ""));
  if (asked > 1) goTo(asked);
  for (const leaf of leaves) line.observe(leaf);
  document.addEventListener("scroll", atTheEnd, { capture: true, passive: true });

  // The small pictures come after the page that somebody waits for; a browser without scripts would load all at once.
  const showThumbs = () => {
    for (const picture of viewer.querySelectorAll(".rail img:not([src])")) picture.src = picture.dataset.src;
  };
  const awaited = pictures[current - 1];
  if (awaited.complete && awaited.naturalWidth) showThumbs();
  for (const outcome of ["load", "error"]) awaited.addEventListener(outcome, showThumbs, { once: true });

  window.addEventListener("hashchange", () => goTo(Number(window.location.hash.replace("#page-", ""))));
  let box = scroller();
  window.addEventListener("resize", () => {
    showZoom();
    if (box !== scroller() && current > 1) goTo(current); // a tablet was turned: now the other element scrolls
    box = scroller();
  });
  window.addEventListener("beforeprint", () => {
    for (const picture of pictures) picture.loading = "eager";
  });
})();
