"use strict";
(() => {
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function enableTheme() {
    const select = document.getElementById("theme");
    select.parentElement.hidden = false;
    select.addEventListener("change", () => {
      document.documentElement.dataset.theme = select.value;
    });
  }

  // Rows are sorted by text, or by the number in data-value; those without one come last either way.
  function sortRows(table, column, byNumber, direction) {
    const keyed = Array.from(table.tBodies[0].rows, (row) => {
      const cell = row.cells[column];
      const number = cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
      return { row, key: byNumber ? number : cell.textContent };
    });
    keyed.sort((one, other) => {
      if (!byNumber) return direction * collator.compare(one.key, other.key);
      if (Number.isNaN(one.key) || Number.isNaN(other.key)) return Number.isNaN(one.key) - Number.isNaN(other.key);
      return direction * (one.key - other.key);
    });
    table.tBodies[0].append(...keyed.map((each) => each.row));
  }

  function enableSorting(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        sortRows(table, column, head.dataset.order === "number", order === "ascending" ? 1 : -1);
      });
    });
  }

  function enableFilters(form) {
    const rows = Array.from(document.getElementById(form.dataset.table).tBodies[0].rows, (row) => ({
      row,
      text: row.textContent.toLowerCase(),
    }));
    const selects = Array.from(form.querySelectorAll("select"));
    const search = form.querySelector("input");
    const output = form.querySelector("output");
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach(({ row, text }) => {
        const chosen = selects.every((each) => !each.value || row.cells[each.dataset.column].textContent === each.value);
        row.hidden = !(chosen && words.every((word) => text.includes(word)));
        shown += row.hidden ? 0 : 1;
      });
      output.textContent = `${shown} of ${rows.length} ${output.dataset.noun}`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => queueMicrotask(apply)); // the fields are empty only after the event
    apply();
    return (column, value) => {
      form.reset();
      selects.find((each) => Number(each.dataset.column) === column).value = value;
      apply();
    };
  }

  // A link with data-choose filters the table that it leads to.
  function enableChoices(choosers) {
    document.querySelectorAll("a[data-choose]").forEach((link) => {
      link.addEventListener("click", () => choosers.get(link.dataset.table)(Number(link.dataset.column), link.dataset.choose));
    });
  }

  function enableZoom() {
    const dialog = document.createElement("dialog");
    const image = document.createElement("img");
    const close = document.createElement("button");
    close.textContent = "Close";
    close.type = "button";
    dialog.append(close, image);
    document.body.append(dialog);
    close.addEventListener("click", () => dialog.close());
    document.querySelectorAll("button.zoom").forEach((button) => {
      button.addEventListener("click", () => {
        const small = button.querySelector("img");
        image.src = small.src;
        image.alt = small.alt;
        dialog.setAttribute("aria-label", small.alt);
        dialog.showModal();
      });
    });
  }

  enableTheme();
  document.querySelectorAll("main table").forEach(enableSorting);
  const choosers = new Map();
  document.querySelectorAll("form.filters").forEach((form) => choosers.set(form.dataset.table, enableFilters(form)));
  enableChoices(choosers);
  if (document.querySelector("button.zoom")) enableZoom();
})();
