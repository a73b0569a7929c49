// Fetches this page again every 2 seconds and morphs the figures in place: what did not change is not touched, and
// scroll position, focus, selected text and opened tables stay. A page in a hidden tab waits. A busy server answers 503,
// with a page that says in how many seconds to ask again, or with none.
"use strict";
(() => {
  const EVERY = 2000, SOON = 400, PATIENCE = 15000;
  const live = document.getElementById("live");
  const gone = document.getElementById("unreachable");
  const words = document.body.dataset;
  let tag = live.dataset.tag, timer = 0;

  const SPANS = [["S", "s", 1, 60], ["M", "min", 60, 3600], ["H", "h", 3600, 86400], ["D", words.day, 86400, Infinity]];

  function age(seconds, bare) {
    const [key, unit, size] = SPANS.find(([, , , limit]) => seconds < limit);
    const count = Math.max(0, Math.floor(seconds / size));
    return bare ? `${count} ${unit}` : words["ago" + key].replace("{}", count);
  }

  function tellAges() {
    const now = Date.now();
    for (const time of document.querySelectorAll("time[data-age]")) {
      time.textContent = age((now - Date.parse(time.dateTime)) / 1000, time.dataset.age === "bare");
    }
  }

  async function update() {
    try {
      const answer = await fetch(location.href, {
        headers: { "If-None-Match": tag, "X-Live": "1" }, cache: "no-store", signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.status === 200 || answer.status === 503) {
        const text = await answer.text();
        const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
        if (!fresh && answer.status === 200) throw new Error("no figures");
        if (fresh) Idiomorph.morph(live, fresh, {
          callbacks: { beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS") },
        });
        tag = live.dataset.tag;
        tellAges();
      } else if (answer.status !== 304) {
        throw new Error(String(answer.status));
      }
      gone.hidden = true;
    } catch {
      gone.hidden = false;
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(update, 1000 * live.dataset.busy || (live.dataset.pending ? SOON : EVERY));
  }

  document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : update());
  for (const field of document.querySelectorAll("#du, #au")) {
    field.addEventListener("change", () => { document.getElementById("periode").value = "dates"; });
  }
  document.getElementById("live-mark").hidden = false;
  setInterval(tellAges, 1000);
  tellAges();
  plan();
})();
