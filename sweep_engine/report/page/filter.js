// The filter by swept axes. It stands in the address after "#?", so that a view can be sent.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const settings = read("settings");  // id -> [source, { path: value }]
const filters = document.getElementById("filters");
const fieldsets = [...(filters?.querySelectorAll("fieldset") ?? [])];
const chosen = new Map();  // path -> set of values; an axis that is not here lets all pass

const isFiltered = (path) => chosen.has(path);
const passes = (at) =>
  Object.entries(at).every(([path, value]) => chosen.get(path)?.has(value) ?? true);
const settingPasses = (id) => passes(settings[id][1]);

const readControls = () => {
  chosen.clear();
  for (const fieldset of fieldsets) {
    const all = JSON.parse(fieldset.dataset.values);
    const ends = [...fieldset.querySelectorAll("select")].map((select) => select.selectedIndex);
    const values = ends.length
      ? all.slice(Math.min(...ends), Math.max(...ends) + 1)
      : [...fieldset.querySelectorAll("input:checked")].map((input) => input.value);
    if (values.length && values.length < all.length) chosen.set(fieldset.dataset.path, new Set(values));
  }
};

const readAddress = () => {
  const asked = new URLSearchParams(location.hash.slice(2));
  for (const fieldset of fieldsets) {
    const all = JSON.parse(fieldset.dataset.values);
    const places = asked.getAll(fieldset.dataset.path).map((value) => all.indexOf(value));
    const known = places.filter((place) => place >= 0);
    const [from, to] = fieldset.querySelectorAll("select");
    if (from) {
      from.selectedIndex = known.length ? Math.min(...known) : 0;
      to.selectedIndex = known.length ? Math.max(...known) : all.length - 1;
    } else {
      fieldset.querySelectorAll("input").forEach((input, i) => { input.checked = known.includes(i); });
    }
  }
};

const writeAddress = () => {
  const pairs = [...chosen].flatMap(([path, values]) => [...values].map((value) => [path, value]));
  if (pairs.length || location.hash.startsWith("#?")) {
    history.replaceState(null, "", pairs.length ? `#?${new URLSearchParams(pairs)}` : "#");
  }
};

// Hide what is of other values, and show the remarks on what pools several.
const hideOthers = () => {
  for (const part of document.querySelectorAll("[data-at]")) {
    part.hidden = !passes(JSON.parse(part.dataset.at));
  }
  for (const remark of document.querySelectorAll("[data-over]")) {
    remark.hidden = !JSON.parse(remark.dataset.over).some(isFiltered);
  }
  for (const figure of document.querySelectorAll("figure")) {
    figure.hidden = [...figure.querySelectorAll(".panel")].every((panel) => panel.hidden);
  }
  const swept = Object.keys(settings).filter((id) => Object.keys(settings[id][1]).length);
  const left = swept.filter(settingPasses).length;
  document.getElementById("filters-count").textContent =
    chosen.size ? `${left} of ${swept.length} settings` : `all ${swept.length} settings`;
};
