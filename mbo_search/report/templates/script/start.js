// ---- Start.
const goTo = (behavior) => {
  const target = section && document.getElementById(section);
  if (!target) return;
  target.scrollIntoView({ behavior });
  target.focus({ preventScroll: true });
};
readAddress();
readSelection();
showTheme();
setUpBench();
for (const element of document.querySelectorAll("[data-table]")) setUpTable(element);
for (const element of document.querySelectorAll("[data-grid]")) setUpGrid(element);
for (const element of document.querySelectorAll("[data-figure]")) setUpFigure(element);

for (const element of document.querySelectorAll("[data-figure]")) near.observe(element);

for (const box of document.querySelectorAll("[data-all-fields]")) {
  const show = () => {
    box.checked = state.get("fields") === "all";
    box.closest("[data-fields]").classList.toggle("all", box.checked);
  };
  box.addEventListener("input", () => { setState("fields", box.checked ? "all" : "", ""); show(); });
  followers.push(show);
  show();
}

const links = [...document.querySelectorAll("nav li a")];
const places = links.map((link) => document.getElementById(link.hash.slice(1)));
const markPlace = () => {
  const passed = places.filter((place) => place.getBoundingClientRect().top < innerHeight * 0.35);
  const current = passed.length ? passed[passed.length - 1].id : places[0].id;
  for (const link of links) {
    if (link.hash.slice(1) !== current) link.removeAttribute("aria-current");
    else if (!link.hasAttribute("aria-current")) {
      link.setAttribute("aria-current", "true");
      const list = link.closest("ol");
      list.scrollTo({ left: link.offsetLeft - list.offsetLeft - 40 });
    }
  }
};
addEventListener("scroll", markPlace, { passive: true });
markPlace();

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  section = link.hash.slice(1);
  const query = new URLSearchParams([...state].sort()).toString();
  history.pushState(null, "", "#" + section + (query ? "?" + query : ""));
  goTo();
});
const follow = () => {
  const before = section;
  readAddress();
  showTheme();
  for (const figure of figures.values()) showControls(figure);
  followSelection();
  if (section !== before) goTo();
};
addEventListener("hashchange", follow);
addEventListener("popstate", follow);

themeButton.addEventListener("click", () => {
  const next = theme() === "dark" ? "light" : "dark";
  setState("theme", next, prefersDark.matches ? "dark" : "light");
  showTheme();
  renderDrawn();
});
prefersDark.addEventListener("change", () => { showTheme(); renderDrawn(); });

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => {
    const code = button.parentElement.querySelector("code");
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy"); // navigator.clipboard does not exist on file://
    button.textContent = words.copied;
    setTimeout(() => { button.textContent = words.copy; }, 1500);
  });
}

let pending;
let lastWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === lastWidth) return;
  lastWidth = innerWidth;
  clearTimeout(pending);
  pending = setTimeout(renderDrawn, 150);
});
addEventListener("beforeprint", () => {
  printing = true;
  showTheme();
  for (const draw of followers) draw();
  for (const key of figures.keys()) render(key);
});
addEventListener("afterprint", () => {
  printing = false;
  showTheme();
  for (const draw of followers) draw();
  renderDrawn();
});
if (section) requestAnimationFrame(() => goTo("instant"));
