// Values of charts and maps on hover, tap and focus, and columns that sort. All of it is in the page already: this only
// shows it. The tip stands outside of what the live update changes.
"use strict";
(() => {
  const tip = document.getElementById("tip");
  let shown = null, sorted = new Map();

  function show(mark) {
    if (shown) shown.classList.remove("on");
    shown = mark;
    if (!mark) { tip.hidden = true; return; }
    mark.classList.add("on");
    tip.textContent = mark.dataset.hint;
    tip.hidden = false;
    const box = (mark.querySelector(".bar, circle, use") || mark).getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(4, box.left + box.width / 2 - own.width / 2), document.documentElement.clientWidth - own.width - 4);
    const above = box.top - own.height - 8;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 0 ? above : box.bottom + 8) + scrollY}px`;
  }

  const markAt = (target) => target.closest ? target.closest("[data-hint]") : null;
  document.addEventListener("pointermove", (event) => { const mark = markAt(event.target); if (mark !== shown) show(mark); });
  document.addEventListener("pointerdown", (event) => show(markAt(event.target)));
  document.addEventListener("focusin", (event) => {
    const plot = event.target.closest(".plot");
    if (plot && plot.matches(":focus-visible")) show([...plot.querySelectorAll("[data-hint]")].at(-1) || null);
    else if (event.target.dataset && event.target.dataset.hint) show(event.target);
  });
  document.addEventListener("focusout", () => show(null));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return show(null);
    const plot = document.activeElement && document.activeElement.closest(".plot");
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!plot || step === undefined) return;
    const marks = [...plot.querySelectorAll("[data-hint]")];
    const at = marks.indexOf(shown) + step;
    show(marks[Math.min(Math.max(0, at), marks.length - 1)] || null);
    event.preventDefault();
  });

  // A number is sorted as one: signs, digits and the last separator that two digits follow count, in both languages.
  function value(text) {
    const plain = text.replace(/[^\d.,−-]/g, "").replace("−", "-");
    const number = parseFloat(plain.replace(/[.,](?=\d{3}(\D|$))/g, "").replace(",", "."));
    return /\d/.test(text) && /^[-−€$\d]/.test(text.trim()) && !/^\d{4}-\d\d/.test(text) && !Number.isNaN(number) ? number : text;
  }

  function order(table) {
    const wish = sorted.get(table.closest(".card").id);
    if (!wish) return;
    for (const [index, head] of [...table.tHead.rows[0].cells].entries()) {
      if (index === wish.column) head.setAttribute("aria-sort", wish.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const rows = [...table.tBodies[0].rows];
    const keyed = rows.map((row) => [value(row.cells[wish.column].textContent.trim()), row]);
    keyed.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1) * (wish.down ? -1 : 1));
    if (keyed.some(([, row], index) => row !== rows[index])) table.tBodies[0].append(...keyed.map(([, row]) => row));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("th button");
    if (!button) return;
    const head = button.closest("th"), table = head.closest("table"), card = table.closest(".card").id;
    const before = sorted.get(card);
    const same = before && before.column === head.cellIndex;
    sorted.set(card, { column: head.cellIndex, down: same ? !before.down : head.classList.contains("number") });
    order(table);
  });

  document.addEventListener("live", () => {
    for (const table of document.querySelectorAll(".card table.sortable")) order(table);
    if (shown && !shown.isConnected) show(null);
    else if (shown) { shown.classList.add("on"); tip.textContent = shown.dataset.hint; }
  });
})();
