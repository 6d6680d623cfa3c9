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

// ---- State: the section and every choice of the reader stand in the address, as #section?key=value&...
const state = new Map();
let section = "";

const readAddress = () => {
  const [place, query] = location.hash.slice(1).split("?");
  section = place;
  state.clear();
  for (const [key, value] of new URLSearchParams(query || "")) state.set(key, value);
};
const writeAddress = () => {
  const query = new URLSearchParams([...state].sort()).toString();
  const address = "#" + section + (query ? "?" + query : "");
  history.replaceState(null, "", address === "#" ? location.pathname + location.search : address);
};
const setState = (key, value, fallback) => {
  if (value === fallback || value === "" || value === null) state.delete(key);
  else state.set(key, String(value));
  writeAddress();
};
