// The page reads without this: sliders stand in the middle, the table has the fastest first.
for (const input of document.querySelectorAll(".stage input")) {
  const move = () => input.parentElement.style.setProperty("--at", input.value + "%");
  input.addEventListener("input", move);
  move();
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, heads, column));
  });
}
function sortBy(table, heads, column) {
  // The best first: the least of times and sizes, the most of what a head marks; once more turns it round.
  const sorted = heads[column].getAttribute("aria-sort");
  const up = sorted ? sorted !== "ascending" : heads[column].dataset.best !== "most";
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // what was not measured stays below
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return up ? order : -order;
  });
  body.append(...rows);
}
