// The test itself: order, answers, storage. Which stimulus is what is not known here: ids say nothing.
const test = JSON.parse(document.getElementById("test").textContent);
const byId = (id) => document.getElementById(id);
const FORMAT = "stridor-listening-results";
const KEYS = {
  rating: "<kbd>Space</kbd> play or pause · <kbd>0</kbd> reference · <kbd>1</kbd>–<kbd>9</kbd> choose · <kbd>↑</kbd> <kbd>↓</kbd> score, with <kbd>Shift</kbd> by ten · <kbd>[</kbd> <kbd>]</kbd> loop from and to here · <kbd>\\</kbd> whole · <kbd>N</kbd> next",
  preference: "<kbd>Space</kbd> play or pause · <kbd>0</kbd> reference · <kbd>1</kbd> A · <kbd>2</kbd> B · <kbd>←</kbd> A · <kbd>↓</kbd> no difference · <kbd>→</kbd> B · <kbd>[</kbd> <kbd>]</kbd> loop · <kbd>N</kbd> next",
  abx: "<kbd>Space</kbd> play or pause · <kbd>0</kbd> X · <kbd>1</kbd> A · <kbd>2</kbd> B · <kbd>←</kbd> X is A · <kbd>→</kbd> X is B · <kbd>[</kbd> <kbd>]</kbd> loop · <kbd>N</kbd> next",
};
const LETTERS = ["A", "B"];

let context = null;
let player = null;
let results = null;
let current = 0;
let shownAt = 0;

// ---- order: a function of the test and the listener's code alone, so that a reload finds the same page

function hash32(text) { // FNV-1a
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193) >>> 0;
  return h;
}

function generator(seed) { // splitmix32: uniform in [0, 1)
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 4294967296;
  };
}

function shuffled(items, uniform) {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i -= 1) {
    const j = Math.floor(uniform() * (i + 1));
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}

function freshResults(listener) {
  const seed = hash32(`${test.test}/${listener}`);
  const uniform = generator(seed);
  const kinds = [(t) => t.practice, (t) => !t.practice && t.kind === "rating", (t) => t.kind === "preference", (t) => t.kind === "abx"];
  const order = kinds.flatMap((isKind) => shuffled(test.trials.filter(isKind), uniform));
  const answers = order.map((trial) => {
    const slots = shuffled(trial.stimuli, uniform);
    const answer = { trial: trial.id, kind: trial.kind, practice: Boolean(trial.practice), slots, comment: "", played: {}, seconds: 0 };
    if (trial.kind === "rating") answer.scores = Object.fromEntries(slots.map((id) => [id, null]));
    else answer.choice = null;
    if (trial.kind === "abx") answer.x = slots[uniform() < 0.5 ? 0 : 1];
    return answer;
  });
  return { format: FORMAT, revision: 1, test: test.test, listener, seed, experience: "", equipment: "", started: new Date().toISOString(), finished: null, answers };
}

// ---- storage

const storageKey = (listener) => `stridor-listening:${test.test}:${listener}`;

function keep() {
  if (!results) return;
  try {
    localStorage.setItem(storageKey(results.listener), JSON.stringify(results));
  } catch (fault) {
    byId("missing").textContent = "This browser keeps nothing: save your answers before you close the page.";
  }
}

function kept(listener) {
  try {
    const found = JSON.parse(localStorage.getItem(storageKey(listener)));
    return found && found.format === FORMAT && found.test === test.test ? found : null;
  } catch (fault) {
    return null;
  }
}

function download() {
  const blob = new Blob([JSON.stringify(results, null, 1)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `answers-${test.test}-${results.listener.replace(/[^A-Za-z0-9_-]+/g, "_")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// ---- sound

function bytesOf(id) {
  const text = atob(byId(`audio-${id}`).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

async function decoded(ids) {
  context = context || new AudioContext({ sampleRate: test.sample_rate_hz });
  const pairs = await Promise.all([...new Set(ids)].map(async (id) => [id, await context.decodeAudioData(bytesOf(id))]));
  return new Map(pairs);
}

// ---- one trial

const trialOf = (answer) => test.trials.find((trial) => trial.id === answer.trial);
const referenceOf = (answer) => (answer.kind === "abx" ? answer.x : trialOf(answer).reference);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function slotButton(label, index) {
  const button = element("button", { type: "button", textContent: label, className: "slot" });
  button.dataset.slot = String(index);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => listen(index, true));
  return button;
}

function scoreRow(answer, id, index) {
  const slider = element("input", { type: "range", min: "0", max: "100", step: "1", id: `score-${index}` });
  const shown = element("output", {});
  slider.setAttribute("aria-label", `Score of ${index}`);
  const show = () => {
    const score = answer.scores[id];
    slider.value = String(score === null ? 50 : score);
    slider.classList.toggle("untouched", score === null);
    shown.textContent = score === null ? "–" : String(score);
  };
  const set = () => { answer.scores[id] = Number(slider.value); byId("missing").textContent = ""; show(); keep(); };
  for (const event of ["input", "change", "click"]) slider.addEventListener(event, set);
  slider.addEventListener("score", (event) => { slider.value = String((answer.scores[id] ?? 50) + event.detail); set(); });
  show();
  return element("div", { className: "row" }, slotButton(`${index}`, index), slider, shown);
}

function scale() {
  const words = ["Bad", "Poor", "Fair", "Good", "Excellent"].map((word) => element("span", { textContent: word }));
  return element("div", { className: "row" }, slotButton("Reference", 0), element("div", { className: "scale" }, ...words), element("span", {}));
}

function choices(answer) {
  const preference = answer.kind === "preference";
  const options = LETTERS.map((letter, i) => [answer.slots[i], preference ? `${letter} is closer` : `X is ${letter}`]);
  if (preference) options.splice(1, 0, ["same", "No difference"]);
  const made = options.map(([value, words]) => {
    const radio = element("input", { type: "radio", name: "choice", value, checked: answer.choice === value });
    radio.addEventListener("change", () => { answer.choice = value; keep(); });
    return element("label", {}, radio, ` ${words}`);
  });
  return element("div", { className: "choices", role: "radiogroup" }, ...made);
}

async function show(index) {
  leave();
  current = index;
  if (index >= results.answers.length) {
    results.finished = results.finished || new Date().toISOString();
    keep();
    byId("trial").hidden = true;
    byId("end").hidden = false;
    return;
  }
  const answer = results.answers[index];
  byId("end").hidden = true;
  byId("trial").hidden = false;
  byId("heading").textContent = `${index + 1} of ${results.answers.length}${answer.practice ? " · practice, does not count" : ""}`;
  byId("question").textContent = test.questions[answer.kind];
  byId("keys").innerHTML = KEYS[answer.kind];
  byId("comment").value = answer.comment;
  byId("missing").textContent = "";
  byId("back").disabled = index === 0;
  const box = byId("stimuli");
  if (answer.kind === "rating") {
    box.replaceChildren(scale(), ...answer.slots.map((id, i) => scoreRow(answer, id, i + 1)));
  } else {
    const buttons = [slotButton(answer.kind === "abx" ? "X" : "Reference", 0), ...LETTERS.map((letter, i) => slotButton(letter, i + 1))];
    box.replaceChildren(element("div", { className: "choices" }, ...buttons), choices(answer));
  }
  for (const slot of Object.keys(answer.played)) markHeard(slot);
  byId("heading").focus();
  try {
    const made = new Player(context || (context = new AudioContext({ sampleRate: test.sample_rate_hz })), await decoded([referenceOf(answer), ...answer.slots]));
    if (current !== index) return;
    player = made;
  } catch (fault) {
    byId("fault").hidden = false;
    byId("fault").textContent = `This browser cannot play the sounds (${fault}). Please use a current Firefox, Chrome, Edge or Safari.`;
    return;
  }
  for (const id of ["loop-start", "loop-end"]) byId(id).max = String(player.duration);
  showLoop();
  markPlay();
  listen(0, false);
  shownAt = performance.now();
}

function leave() {
  if (player) player.pause();
  player = null;
  const answer = results && results.answers[current];
  if (answer && shownAt) answer.seconds += (performance.now() - shownAt) / 1000;
  shownAt = 0;
}

function listen(slot, andPlay) {
  if (!player) return;
  const answer = results.answers[current];
  const id = slot === 0 ? referenceOf(answer) : answer.slots[slot - 1];
  if (id === undefined) return;
  player.select(id);
  if (andPlay) player.play().then(markPlay);
  for (const button of document.querySelectorAll("button.slot")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.slot) === slot));
  }
  byId("stimuli").dataset.slot = String(slot);
  if (andPlay || player.playing) countPlay(answer, slot);
}

function countPlay(answer, slot) {
  answer.played[slot] = (answer.played[slot] || 0) + 1;
  markHeard(slot);
  keep();
}

function markHeard(slot) {
  document.querySelector(`button.slot[data-slot="${slot}"]`).classList.add("heard");
}

const selectedSlot = () => Number(byId("stimuli").dataset.slot || 0);

function markPlay() {
  byId("play").textContent = player && player.playing ? "Pause" : "Play";
}

async function togglePlay() {
  if (!player) return;
  if (player.playing) player.pause();
  else { await player.play(); countPlay(results.answers[current], selectedSlot()); }
  markPlay();
}

function showLoop() {
  byId("loop-start").value = String(player.loop[0]);
  byId("loop-end").value = String(player.loop[1]);
}

function setLoop(start, end) {
  if (!player) return;
  player.setLoop(start, end);
  showLoop();
}

function missing(answer) {
  const unheard = answer.slots.filter((_, i) => !answer.played[i + 1]).length;
  if (unheard) return `${unheard} not heard yet.`;
  if (answer.kind !== "rating") return answer.choice === null ? "Choose one." : "";
  const open = Object.values(answer.scores).filter((score) => score === null).length;
  return open ? `${open} without a score.` : "";
}

function next() {
  const lacking = missing(results.answers[current]);
  byId("missing").textContent = lacking;
  if (!lacking) show(current + 1).then(keep);
}

// ---- keys: everything can be done without a mouse

function onKey(event) {
  const typing = event.target.matches("textarea, input:not([type=range]):not([type=radio])");
  if (typing && event.key === "Escape") event.target.blur(); // back from the comment to the keys
  if (byId("trial").hidden || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const answer = results.answers[current];
  const slider = byId(`score-${selectedSlot()}`);
  const by = (step) => () => slider && slider.dispatchEvent(new CustomEvent("score", { detail: event.shiftKey ? 10 * step : step }));
  const choose = (value) => () => {
    const radio = [...document.querySelectorAll("input[name=choice]")].find((one) => one.value === value);
    if (radio) radio.click();
  };
  const pair = answer.kind !== "rating";
  const actions = {
    " ": togglePlay, n: next, N: next,
    "[": () => setLoop(player.position(), player.loop[1]), "]": () => setLoop(player.loop[0], player.position()),
    "\\": () => setLoop(0, player.duration),
    ArrowUp: pair ? null : by(1), ArrowDown: pair ? choose("same") : by(-1),
    ArrowLeft: pair ? choose(answer.slots[0]) : null, ArrowRight: pair ? choose(answer.slots[1]) : null,
  };
  for (let slot = 0; slot <= Math.min(answer.slots.length, 9); slot += 1) actions[String(slot)] = () => listen(slot, true);
  // A focused button keeps its own space bar, but for those that choose what is heard.
  const own = event.key === " " && event.target.matches("button:not(.slot):not(#play), input[type=radio]");
  if (!actions[event.key] || own || (player === null && event.key !== "n")) return;
  event.preventDefault();
  actions[event.key]();
}

function tick() {
  if (player) {
    const at = player.position();
    byId("position").value = at / player.duration;
    byId("clock").textContent = `${at.toFixed(1)} / ${player.duration.toFixed(1)} s`;
  }
  requestAnimationFrame(tick);
}

// ---- beginning

byId("title").textContent = test.title;
document.title = test.title;
byId("introduction").replaceChildren(...test.introduction.map((words) => element("p", { textContent: words })));
byId("listener").addEventListener("input", () => {
  const found = kept(byId("listener").value.trim());
  byId("storage").textContent = found ? "Answers of yours are kept here: you will go on where you stopped." : "";
});
byId("try-level").addEventListener("click", async () => {
  const id = test.trials.find((trial) => trial.reference).reference;
  const level = new Player(context || (context = new AudioContext({ sampleRate: test.sample_rate_hz })), await decoded([id]));
  level.select(id);
  await level.play();
  setTimeout(() => level.pause(), Math.min(3000, level.duration * 1000));
});
byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const listener = byId("listener").value.trim();
  if (!listener) return;
  results = kept(listener) || freshResults(listener);
  for (const name of ["experience", "equipment"]) results[name] = byId(name).value.trim() || results[name];
  keep();
  byId("welcome").hidden = true;
  const open = results.answers.findIndex((answer) => missing(answer));
  show(open < 0 ? results.answers.length : open);
});
byId("play").addEventListener("click", togglePlay);
byId("next").addEventListener("click", next);
byId("back").addEventListener("click", () => show(Math.max(current - 1, 0)).then(keep));
byId("revise").addEventListener("click", () => show(results.answers.length - 1));
byId("comment").addEventListener("input", () => { results.answers[current].comment = byId("comment").value; keep(); });
byId("loop-start").addEventListener("input", () => setLoop(Number(byId("loop-start").value), player.loop[1]));
byId("loop-end").addEventListener("input", () => setLoop(player.loop[0], Number(byId("loop-end").value)));
byId("loop-all").addEventListener("click", () => setLoop(0, player.duration));
for (const button of document.querySelectorAll("button.save")) button.addEventListener("click", download);
document.addEventListener("keydown", onKey);
window.addEventListener("pagehide", () => { leave(); keep(); });
requestAnimationFrame(tick);
