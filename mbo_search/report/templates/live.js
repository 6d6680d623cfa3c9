"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const words = read("words");
  const place = Object.fromEntries(
    ["state", "progress", "moment", "coming", "alone", "notice", "pages", "waiting"].map((id) => [id, document.getElementById(id)]),
  );
  const EVERY = 2000; // milliseconds between two questions
  const IDLE = 1500; // the reader is left alone for so long after a key, a click or a turn of the wheel
  const PATIENCE = 15000; // but a page does not wait longer than this for a quiet moment
  const DRAWING = 6000; // figures in view and near it are waited for, within reason
  const NEAR = 600; // pixels within which a page draws its figures
  const SETTLING = 1500; // what is drawn late must not push away what is being read
  const LAST_TRY = 5;
  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  let frame = null; // what the reader sees
  let shown = null; // its version
  let lastHash = location.hash;
  let lastTouch = 0;

  // ---- What the reader has set up in a page, and the same in its successor.
  const rowKey = (button) => {
    const row = button.closest("tr[data-trial]");
    const table = button.closest("[data-table]");
    return row && table ? `[data-table="${table.dataset.table}"] tr[data-trial="${row.dataset.trial}"] [aria-expanded]` : null;
  };
  const openRows = (page) => [...page.querySelectorAll('[aria-expanded="true"]')].map(rowKey).filter(Boolean);
  const landmark = (page) => {
    const passed = [...page.querySelectorAll("main > [id]")].filter((one) => one.getBoundingClientRect().top <= 60);
    const last = passed[passed.length - 1];
    return last ? { id: last.id, top: last.getBoundingClientRect().top } : null;
  };
  const focused = (page) => {
    const element = page.activeElement;
    if (!element || element === page.body) return null;
    const all = [...page.querySelectorAll(element.tagName)];
    return { tag: element.tagName, index: all.indexOf(element), start: element.selectionStart, end: element.selectionEnd };
  };
  const setUpOf = (old) => {
    const page = old.contentDocument;
    return {
      rows: openRows(page),
      details: [...page.querySelectorAll("details")].map((one) => one.open),
      sideways: [...page.querySelectorAll(".rows")].map((one) => one.scrollLeft),
      landmark: landmark(page),
      top: old.contentWindow.scrollY,
      focus: focused(page),
    };
  };
  const restoreBeforeDrawing = (page, was) => {
    for (const key of was.rows) {
      const button = page.querySelector(key);
      if (button && button.getAttribute("aria-expanded") === "false") button.click();
    }
    const details = [...page.querySelectorAll("details")];
    if (details.length === was.details.length) details.forEach((one, index) => { one.open = was.details[index]; });
  };
  const restorePlace = (view, was) => {
    const page = view.contentDocument;
    const scroll = (top) => view.contentWindow.scrollTo({ top, behavior: "instant" });
    const mark = was.landmark && page.getElementById(was.landmark.id);
    scroll(mark ? view.contentWindow.scrollY + mark.getBoundingClientRect().top - was.landmark.top : was.top);
    [...page.querySelectorAll(".rows")].forEach((one, index) => { one.scrollLeft = was.sideways[index] || 0; });
  };
  const restoreFocus = (page, was) => {
    if (!was.focus) return;
    const element = page.querySelectorAll(was.focus.tag)[was.focus.index];
    if (!element) return;
    element.focus({ preventScroll: true });
    if (element.setSelectionRange && typeof was.focus.start === "number") {
      element.setSelectionRange(was.focus.start, was.focus.end);
    }
  };

  // ---- A page comes in behind the one that is seen, and takes its place once it is drawn.
  const loaded = (view) => new Promise((done) => view.addEventListener("load", done, { once: true }));
  const isDrawn = (page, height) =>
    [...page.querySelectorAll("[data-figure]")].every((figure) => {
      const { top, bottom } = figure.getBoundingClientRect();
      return bottom < -NEAR || top > height + NEAR || figure.querySelector(".main-svg");
    });
  const quiet = async () => {
    const began = Date.now();
    while (Date.now() - lastTouch < IDLE && Date.now() - began < PATIENCE) await pause(200);
  };
  const watch = (view) => {
    const touch = () => { lastTouch = Date.now(); };
    for (const kind of ["keydown", "pointerdown", "wheel", "touchmove"]) {
      view.contentWindow.addEventListener(kind, touch, { passive: true });
    }
    view.contentWindow.addEventListener("keydown", printPage);
  };
  const printPage = (event) => {
    if (event.key.toLowerCase() !== "p" || !(event.ctrlKey || event.metaKey) || !frame) return;
    event.preventDefault();
    frame.contentWindow.print(); // the report, and not the frame around it
  };
  const settle = async (view, was, began) => {
    while (Date.now() - began < SETTLING && lastTouch < began && view.isConnected) {
      restorePlace(view, was);
      await pause(100);
    }
  };
  const show = async (version) => {
    await quiet();
    const hash = frame ? frame.contentWindow.location.hash : location.hash;
    const next = document.createElement("iframe");
    next.title = document.title;
    next.className = "coming";
    next.src = "page?version=" + encodeURIComponent(version) + hash;
    place.coming.hidden = false;
    place.pages.append(next);
    await loaded(next);
    if (frame) {
      const began = Date.now();
      restoreBeforeDrawing(next.contentDocument, setUpOf(frame));
      restorePlace(next, setUpOf(frame));
      while (!isDrawn(next.contentDocument, next.clientHeight) && Date.now() - began < DRAWING) await pause(50);
      await quiet();
      const was = setUpOf(frame); // anything that was changed meanwhile
      restoreBeforeDrawing(next.contentDocument, was);
      restorePlace(next, was);
      next.className = "";
      restoreFocus(next.contentDocument, was);
      frame.remove();
      settle(next, was, Date.now());
    } else {
      next.className = "";
      place.waiting.remove();
    }
    watch(next);
    frame = next;
    shown = version;
    document.title = next.contentDocument.title || document.title;
    place.coming.hidden = true;
  };

  // ---- The reader's choices stand in the address of the frame around the page, too.
  const followHash = () => {
    const hash = frame && frame.contentWindow.location.hash;
    if (!frame || hash === lastHash) return;
    lastHash = hash;
    history.replaceState(null, "", hash || location.pathname);
    place.alone.hash = hash;
  };
  setInterval(followHash, 300);
  addEventListener("hashchange", () => {
    lastHash = location.hash;
    if (frame) frame.contentWindow.location.hash = location.hash;
  });
  addEventListener("keydown", printPage);

  // ---- Ask how the run is, and fetch its page when there is a new one.
  const tell = (now) => {
    place.state.className = "state " + now.state;
    place.state.textContent = now.label;
    place.progress.textContent = now.progress;
    place.moment.textContent = now.moment;
  };
  const isThere = (now) => now.state !== "preparing";
  let failures = 0;
  const ask = async () => {
    try {
      const answer = await fetch("state.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const now = await answer.json();
      tell(now);
      failures = 0;
      if (isThere(now) && now.version !== shown) await show(now.version);
      if (now.final && now.version === shown) return true;
    } catch {
      failures += 1;
    }
    place.notice.hidden = failures < 2;
    place.notice.textContent = words.gone;
    return failures >= LAST_TRY;
  };
  const live = async () => {
    for (;;) {
      if (!document.hidden && (await ask())) return;
      await pause(EVERY);
    }
  };
  const first = read("first");
  (isThere(first) ? show(first.version) : Promise.resolve()).finally(live);
})();
