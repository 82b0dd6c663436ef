// Sorts a table by the column whose name is clicked: numbers fall first, then rise; names the other way round.
// Rows stay within their group, and what has no value comes last.
for (const header of document.querySelectorAll("thead th[aria-sort]")) {
  header.firstElementChild.addEventListener("click", () => {
    const table = header.closest("table");
    const column = header.cellIndex;
    const first = column === 0 ? "ascending" : "descending";
    const second = column === 0 ? "descending" : "ascending";
    const order = header.getAttribute("aria-sort") === first ? second : first;
    for (const other of header.parentNode.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const key = (row) => row.cells[column].dataset.sort;
    const compare = (a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
      return sign * (isNaN(key(a)) ? key(a).localeCompare(key(b), "en") : key(a) - key(b));
    };
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("title"));
      body.append(...rows.sort(compare));
    }
  });
}
