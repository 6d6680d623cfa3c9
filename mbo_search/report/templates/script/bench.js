// ---- The bar of schedules: colors, groups, and whatever is picked, pinned and hidden. It follows the reader down the page.
const setUpBench = () => {
  if (!study || !lines.length) return;
  const bench = make("aside", "bench");
  bench.setAttribute("aria-label", words.bench);
  const choices = make("div", "choices");
  const chips = make("div", "chips");
  chips.setAttribute("aria-live", "polite");
  bench.append(choices, chips);
  document.querySelector("main > footer").before(bench);

  const select = (key, label, first) => {
    const box = make("select");
    box.dataset.choice = key;
    box.append(new Option(first, ""));
    const add = (value, text) => box.append(new Option(text, value));
    add("rung", words.kind);
    add("optimizer", words.last_optimizer);
    const fillIn = () => {
      if (box.options.length > 3) return;
      for (const { key: value, label: text } of settingsOf()) add(value, text);
      box.value = state.get(key) || "";
    };
    // The settings are read from the recipes only when somebody looks for them.
    for (const event of ["pointerdown", "focus"]) box.addEventListener(event, fillIn);
    box.addEventListener("input", () => { setState(key, box.value, ""); followSelection(); });
    const title = make("label", "", label);
    title.append(box);
    choices.append(title);
    return () => {
      if (state.has(key)) fillIn();
      box.value = state.get(key) || "";
    };
  };
  const shows = [select("color", words.color_by, words.by_schedule), select("group", words.group_by, words.no_group)];

  const chip = (name, trial) => {
    const button = make("button", "chip", "#" + trial);
    button.type = "button";
    button.style.setProperty("--own", colorOf(trial));
    button.setAttribute("aria-label", fill(words["un" + SETS[name] + "_one"], { trial }));
    button.title = button.getAttribute("aria-label");
    button.dataset.trial = trial;
    button.addEventListener("click", () => toggle(name, trial));
    for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => mark(trial));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => mark(null));
    return button;
  };
  const act = (text, key, answer) => {
    const button = make("button", "act", text);
    button.type = "button";
    button.dataset.act = key;
    button.addEventListener("click", answer);
    return button;
  };
  const MOST_CHIPS = 12;
  const bundle = (name) => {
    const numbers = [...selection[name]];
    const part = make("span", "bundle");
    part.dataset.set = name;
    part.append(make("b", "", words[name]), ...numbers.slice(0, MOST_CHIPS).map((trial) => chip(name, trial)));
    if (numbers.length > MOST_CHIPS) part.append(make("span", "", `+${numbers.length - MOST_CHIPS}`));
    return part;
  };
  const draw = () => {
    for (const show of shows) show();
    const parts = Object.keys(SETS).filter((name) => selection[name].size).map(bundle);
    if (selection.picked.size) parts[0].append(act(words.pin, "pin", () => movePicked("pinned")), act(words.hide, "hide", () => movePicked("hidden")));
    if (selection.picked.size || selection.pinned.size) {
      const only = act(words.only, "only", () => { setState("only", selection.only ? "" : "1", ""); followSelection(); });
      only.setAttribute("aria-pressed", String(selection.only));
      parts.push(only);
    }
    const isChosen = parts.length || state.has("color") || state.has("group") || selection.only;
    chips.replaceChildren(...(parts.length ? parts : [make("span", "hint", words.bench_hint)]), ...(isChosen ? [act(words.reset, "reset", clearSelection)] : []));
  };
  followers.push(draw);
  draw();

  // It leaves the first screen alone.
  const header = document.getElementById("verdict");
  const watch = new IntersectionObserver(([entry]) => bench.classList.toggle("away", entry.isIntersecting));
  if (header) watch.observe(header);
};
