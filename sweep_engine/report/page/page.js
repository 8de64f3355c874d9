// What happens when.
const apply = () => {
  readControls();
  writeAddress();
  hideOthers();
  drawAll();
};

if (filters) {
  filters.hidden = false;
  document.getElementById("filters-note").hidden = false;
  const makeRoom = () => {  // what is jumped to is not to end below the filter
    document.documentElement.style.scrollPaddingTop = `${filters.offsetHeight + 16}px`;
  };
  new ResizeObserver(makeRoom).observe(filters);
  filters.firstElementChild.open = matchMedia("(min-width: 48rem)").matches;
  filters.addEventListener("change", apply);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(apply));  // once the controls are as they were
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#?")) readAddress();
    apply();  // after a jump to a section, the filter goes back into the address
  });
  if (location.hash.startsWith("#?")) readAddress();
  readControls();
  hideOthers();
}
drawAll();
darkGround.addEventListener("change", drawAll);

const filter = document.getElementById("filter");
filter?.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll("#summary tbody tr")];
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.classList.toggle("unmatched", !words.every((word) => text.includes(word)));
  }
  const shown = rows.filter((row) => !row.classList.contains("unmatched")).length;
  document.getElementById("filter-count").textContent =
    words.length ? `${shown} of ${rows.length} rows` : "";
});
