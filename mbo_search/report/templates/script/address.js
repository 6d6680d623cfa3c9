const read = (id) => {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent) : null;
};
const palettes = read("palettes");
const words = read("words");
const root = document.documentElement;
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

// What stands in the page as JSON is parsed when it is first needed, once.
const parsed = new Map();
const readOnce = (id) => {
  if (!parsed.has(id)) parsed.set(id, read(id));
  return parsed.get(id);
};

// ---- State: the section and every choice of the reader stand in the address, as #section?key=value&...
// A choice is a step that "back" takes back; what is dragged or typed replaces the address of its last step.
const state = new Map();
let section = "";

const readAddress = () => {
  const [place, query] = location.hash.slice(1).split("?");
  section = place;
  state.clear();
  for (const [key, value] of new URLSearchParams(query || "")) state.set(key, value);
};
const address = () => {
  const query = new URLSearchParams([...state].sort()).toString();
  const hash = "#" + section + (query ? "?" + query : "");
  return hash === "#" ? location.pathname + location.search : hash;
};
const noted = (key, value, fallback) => {
  const before = address();
  if (value === fallback || value === "" || value === null) state.delete(key);
  else state.set(key, String(value));
  return address() !== before;
};
const setState = (key, value, fallback) => {
  if (noted(key, value, fallback)) history.pushState(null, "", address());
};
const dragState = (key, value, fallback) => {
  if (noted(key, value, fallback)) history.replaceState(null, "", address());
};

// Sets of trial numbers and of rows stand in it as numbers between dots.
const numbersOf = (key) => new Set((state.get(key) || "").split(".").filter(Boolean).map(Number));
const writeNumbers = (key, numbers) => setState(key, [...numbers].sort((a, b) => a - b).join("."), "");
