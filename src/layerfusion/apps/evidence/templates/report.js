(() => {
  const rows = () => [...document.querySelectorAll("#index tbody tr")];
  const filters = document.querySelectorAll("#filters button");
  document.querySelector("#filters").hidden = false;

  // Sections follow the filter, so that what is printed is what is shown.
  filters.forEach((button) => button.addEventListener("click", () => {
    filters.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    const level = button.dataset.level;
    rows().forEach((row) => {
      row.hidden = level !== "" && row.dataset.level !== level;
      document.getElementById(row.dataset.section).hidden = row.hidden;
    });
    const shown = rows().filter((row) => !row.hidden).length;
    document.querySelector("#counted").textContent = `${shown} of ${rows().length} shown`;
  }));

  const numbers = (a, b, key) => {
    if ((a.dataset[key] === "") !== (b.dataset[key] === "")) return a.dataset[key] === "" ? 1 : -1;
    return b.dataset[key] - a.dataset[key];
  };
  const names = new Intl.Collator("en", { numeric: true });
  document.querySelectorAll("#index th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const key = head.dataset.sort;
      const first = key === "name" ? "ascending" : "descending";
      const second = key === "name" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      document.querySelectorAll("#index th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const compare = (a, b) => key === "name"
        ? names.compare(a.dataset.name, b.dataset.name) : numbers(a, b, key);
      rows().sort((a, b) => order === first ? compare(a, b) : compare(b, a))
        .forEach((row) => row.parentNode.append(row));
    });
  });
})();
