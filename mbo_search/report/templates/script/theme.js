// ---- Theme: the system's, unless the reader chose one.
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const themeButton = document.getElementById("theme");
let printing = false;
const theme = () => (printing ? "light" : state.get("theme") || (prefersDark.matches ? "dark" : "light"));
const showTheme = () => {
  if (printing || state.has("theme")) root.dataset.theme = theme();
  else delete root.dataset.theme;
  themeButton.textContent = theme() === "dark" ? words.light : words.dark;
};

// ---- Figures: drawn when they come near the screen, drawn anew when a choice or the theme changes.
const resolveColors = (value, colors) => {
  if (Array.isArray(value)) return value.map((item) => resolveColors(item, colors));
  if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveColors(item, colors)]));
  }
  if (typeof value !== "string" || !value.includes("var(--")) return value;
  return value.replace(/var\(--([\w-]+)\)/g, (whole, name) => colors[name] || whole);
};
