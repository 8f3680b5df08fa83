// Sorting, finding and comparing on boards. Without it every page still shows everything.
"use strict";
(() => {
  const key = (row, index) => {
    const cell = row.cells[index], text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const order = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null); // what is missing stays last
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  };
  const sort = (table, index, sign) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, index), row]);
    rows.sort((a, b) => order(a[0], b[0], sign));
    body.append(...rows.map(([, row]) => row));
    [...table.tHead.rows[0].cells].forEach((cell, i) => {
      if (i === index) cell.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const select = table.closest(".board")?.querySelector("[data-sort-by]");
    [...table.tHead.rows[0].cells].forEach((cell, index) => {
      if (!("sort" in cell.dataset)) return;
      const first = cell.dataset.sort === "falling" ? -1 : 1;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const now = cell.getAttribute("aria-sort");
        sort(table, index, now ? (now === "ascending" ? -1 : 1) : first);
      });
      select?.add(new Option(cell.textContent.trim(), `${index} ${first}`));
    });
    select?.addEventListener("change", () => sort(table, ...select.value.split(" ").map(Number)));
    if (select) select.parentElement.hidden = false;
    const find = table.closest(".board")?.querySelector("[data-find]");
    find?.addEventListener("input", () => {
      const wanted = find.value.trim().toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.dataset.find.toLowerCase().includes(wanted);
    });
    if (find) find.parentElement.hidden = false;
  }

  // comparing: a beats b where its whole interval is better
  const beats = (a, b, better) => {
    if (a === null || b === null) return false;
    if (better === "higher") return a.low > b.high;
    if (better === "lower") return a.high < b.low;
    const away = ({ low, high }) => ({ low: low <= 1 && high >= 1 ? 0 : Math.min(Math.abs(low - 1), Math.abs(high - 1)), high: Math.max(Math.abs(low - 1), Math.abs(high - 1)) });
    return away(a).high < away(b).low;
  };
  const bars = (cell) => (cell.dataset.low === "" ? null : { low: Number(cell.dataset.low), high: Number(cell.dataset.high) });
  for (const part of document.querySelectorAll("[data-compare]")) {
    const boxes = [...part.querySelectorAll("input[type=checkbox]")];
    const show = () => {
      const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      for (const cell of part.querySelectorAll("[data-entry]")) cell.hidden = !chosen.has(cell.dataset.entry);
      for (const row of part.querySelectorAll("tr[data-better]")) {
        const shown = [...row.querySelectorAll("td:not([hidden])")];
        for (const cell of shown) {
          const wins = (one, other) => beats(bars(one), bars(other), row.dataset.better);
          const best = shown.some((other) => wins(cell, other)) && !shown.some((other) => wins(other, cell));
          cell.classList.toggle("best", best);
        }
      }
    };
    const named = decodeURIComponent(location.hash.slice(1)).split(",").filter(Boolean);
    boxes.forEach((box, i) => { box.checked = named.length ? named.includes(box.value) : i < 2; });
    const ticked = boxes.filter((box) => box.checked);
    if (ticked.length < 2) boxes.filter((box) => !box.checked).slice(0, 2 - ticked.length).forEach((box) => { box.checked = true; });
    for (const box of boxes) box.addEventListener("change", show);
    show();
  }
})();
