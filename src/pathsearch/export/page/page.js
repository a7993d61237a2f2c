"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const grid = $("grid");
  if (!grid) return;
  const cards = Array.from(grid.children);
  const filters = ["slide", "case", "label", "verdict"];
  const by = {
    number: (a, b) => a.dataset.number - b.dataset.number,
    best: (a, b) => b.dataset.score - a.dataset.score,
    worst: (a, b) => a.dataset.score - b.dataset.score,
    slide: (a, b) => a.dataset.slide.localeCompare(b.dataset.slide),
    case: (a, b) => a.dataset.case.localeCompare(b.dataset.case),
    verdict: (a, b) => order(a) - order(b),
  };
  const order = (card) => ["accept", "unsure", "reject", ""].indexOf(card.dataset.verdict);
  const shown = () => Array.from(grid.children).filter((card) => !card.hidden);

  const say = () => {
    const n = shown().length;
    $("count").value = n === cards.length ? `${n} shown` : `${n} of ${cards.length} shown`;
    $("none").hidden = n > 0;
  };
  const filter = () => {
    for (const card of cards) {
      card.hidden = filters.some((name) => {
        const wanted = $("by-" + name);
        return wanted && wanted.value !== "*" && wanted.value !== "=" + card.dataset[name];
      });
    }
    say();
  };
  const sort = () => {
    const choice = $("sort");
    const compare = (choice && by[choice.value]) || by.number;
    cards.sort((a, b) => compare(a, b) || by.number(a, b));
    grid.append(...cards);
  };
  if ($("sort")) $("sort").addEventListener("change", sort);
  $("view").addEventListener("change", (event) => {
    grid.classList.toggle("around", event.target.value === "far");
  });
  for (const name of filters) {
    const choice = $("by-" + name);
    if (choice) choice.addEventListener("change", filter);
  }
  $("size").addEventListener("input", (event) => {
    document.documentElement.style.setProperty("--size", event.target.value + "px");
  });
  $("reset").addEventListener("click", () => {
    for (const name of filters) {
      const choice = $("by-" + name);
      if (choice) choice.value = "*";
    }
    if ($("sort")) $("sort").value = "number";
    $("view").value = "near";
    grid.classList.remove("around");
    sort();
    filter();
  });
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const box = $("large");
  let now = null;
  const show = (card) => {
    now = card;
    for (const place of ["near", "far"]) {
      const picture = card.querySelector(".frame." + place) || (place === "near" && card.querySelector(".gone"));
      $(place).hidden = !picture;
      if (picture) $(place).firstElementChild.replaceChildren(picture.cloneNode(true));
    }
    const text = card.querySelector(".text").cloneNode(true);
    text.id = "large-text";
    $("large-text").replaceWith(text);
    const all = shown();
    $("place").textContent = `${all.indexOf(card) + 1} of ${all.length}`;
    $("before").disabled = all[0] === card;
    $("after").disabled = all[all.length - 1] === card;
    if (!box.open) box.showModal();
    box.scrollTop = 0;
  };
  const step = (by) => {
    const all = shown();
    const next = all[all.indexOf(now) + by];
    if (next) show(next);
  };
  grid.addEventListener("click", (event) => {
    const button = event.target.closest(".pic");
    if (button) show(button.closest(".card"));
  });
  $("before").addEventListener("click", () => step(-1));
  $("after").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close();
  });
  box.addEventListener("close", () => {
    if (now && !now.hidden) now.querySelector(".pic").focus();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "a") {
      const answer = box.querySelector("details.answer");
      if (answer) answer.open = !answer.open;
    } else return;
    event.preventDefault();
  });
  grid.addEventListener("keydown", (event) => {
    const card = event.target.closest(".card");
    if (!card || !event.target.classList.contains("pic")) return;
    const all = shown();
    const at = all.indexOf(card);
    const top = all[0].offsetTop;
    const across = Math.max(1, all.findIndex((c) => c.offsetTop > top) || all.length);
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
    let next = null;
    if (event.key in moves) next = all[at + moves[event.key]];
    else if (event.key === "Home") next = all[0];
    else if (event.key === "End") next = all[all.length - 1];
    else return;
    event.preventDefault();
    if (next) next.querySelector(".pic").focus();
  });
  const answers = $("answers");
  if (answers) {
    answers.addEventListener("click", () => {
      const all = Array.from(grid.querySelectorAll("details.answer"));
      const open = all.some((answer) => !answer.open);
      for (const answer of all) answer.open = open;
      answers.textContent = open ? "Hide all answers" : "Show all answers";
    });
  }
  say();
})();
