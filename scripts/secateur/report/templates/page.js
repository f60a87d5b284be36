"use strict";
// Everything on the page is there without this script; it sorts, filters and counts.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = id => document.getElementById(id);

function valueOf(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text.toLocaleLowerCase();
}

function compare(a, b) {
  return typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
}

function sortable(table) {
  all("thead th button", table).forEach(button => button.addEventListener("click", () => {
    const head = button.closest("th"), column = head.cellIndex, body = table.tBodies[0];
    const descending = head.getAttribute("aria-sort") === "ascending";
    all("thead th", table).forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => compare(valueOf(a.cells[column]), valueOf(b.cells[column])));
    body.append(...(descending ? rows.reverse() : rows));
  }));
}

function sortedMatrix(matrix, order) {
  const head = matrix.tHead.rows[0], rows = new Map(all("tbody tr", matrix).map(row => [Number(row.dataset.class), row]));
  const place = (row, first) => row.append(first, ...order.map(index =>
    all(":scope > [data-class]", row).find(cell => Number(cell.dataset.class) === index)));
  place(head, head.cells[0]);
  rows.forEach(row => place(row, row.cells[0]));
  matrix.tBodies[0].append(...order.map(index => rows.get(index)));
}

all("table.sortable").forEach(sortable);

const matrix = one("matrix");
if (matrix) {
  one("matrix-shares").addEventListener("change", event => matrix.classList.toggle("shares", event.target.value === "shares"));
  one("matrix-order").addEventListener("change", event => {
    const rows = all("tbody tr", matrix), key = event.target.value;
    const known = rows.map(row => [Number(row.dataset.class), key === "name" ? row.dataset.name : Number(row.dataset[key])]);
    sortedMatrix(matrix, known.sort((a, b) => compare(a[1], b[1])).map(([index]) => index));
  });
}

const filter = one("class-filter");
if (filter) {
  filter.addEventListener("change", () => {
    const name = filter.value;
    const mistakes = all(".gallery figure");
    mistakes.forEach(figure => {
      figure.hidden = name !== "" && figure.dataset.true !== name && figure.dataset.predicted !== name;
    });
    one("none-shown").hidden = mistakes.some(figure => !figure.hidden);
  });
}

const threshold = one("threshold");
if (threshold) {
  const { shares, accuracies } = JSON.parse(one("answered").textContent);
  const percent = value => `${(100 * value).toFixed(1)} %`;
  const say = () => {
    const at = Number(threshold.value);
    one("threshold-says").textContent = `With a confidence limit of ${(at / 100).toFixed(2)}, ${percent(shares[at])} of the `
      + `images get an answer; ${percent(accuracies[at])} of these answers are right.`;
  };
  threshold.addEventListener("input", say);
  say();
}

const specs = one("specs");
if (specs) {
  const known = JSON.parse(specs.textContent), body = one("differences").tBodies[0];
  const text = value => value === undefined ? "(absent)" : typeof value === "string" ? value : JSON.stringify(value);
  const compareSpecs = () => {
    const [left, right] = ["left", "right"].map(side => known[one(side).value]);
    const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])].filter(key => text(left[key]) !== text(right[key]));
    body.replaceChildren(...keys.map(key => {
      const row = document.createElement("tr");
      [key, text(left[key]), text(right[key])].forEach(value => row.insertCell().textContent = value);
      return row;
    }));
    one("no-differences").hidden = keys.length > 0;
    one("differences").hidden = keys.length === 0;
  };
  ["left", "right"].forEach(side => one(side).addEventListener("change", compareSpecs));
  compareSpecs();
}
