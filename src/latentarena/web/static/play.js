// The playground: the same addresses as without a script, asked for as soon as a knob is turned.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("play");
  const here = form.dataset.here, said = form.querySelector("[role=status]");
  const byId = (id) => document.getElementById(id);
  const query = () => new URLSearchParams(new FormData(form)).toString();
  let timer = 0;

  // ask until it is drawn: the server answers at once, with a place in its queue, or that too much waits already
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const WAIT = [202, 429, 503];
  const drawn = async (address, how, note, wanted) => {
    for (;;) {
      const answer = await fetch(address, how);
      if (!wanted()) return null;
      if (!WAIT.includes(answer.status)) return answer;
      note.textContent = `Drawing: ${(await answer.json()).detail} …`;
      await pause(Number(answer.headers.get("Retry-After")) || 1);
      if (!wanted()) return null;
    }
  };
  const show = async (image, address) => {
    if (!image) return;
    image.dataset.wanted = address;
    image.setAttribute("aria-busy", "true");
    const once = `${address}&drawn`; // the plain address may have been answered with a placeholder
    const answer = await drawn(once, { headers: { Accept: "application/json" } }, said, () => image.dataset.wanted === address);
    if (!answer) return;
    if (answer.ok) {
      image.loading = "eager";
      image.src = once;
      await image.decode().catch(() => {});
    } else said.textContent = (await answer.json()).detail;
    image.removeAttribute("aria-busy");
  };
  const all = async (shown) => {
    try {
      await Promise.all(shown);
      if (said.textContent.startsWith("Drawing")) said.textContent = "";
    } catch { said.textContent = "The connection broke; press Draw again."; }
    stand();
  };
  const draw = async (names) => {
    said.textContent = "Drawing …";
    history.replaceState(null, "", `${here}?${query()}`);
    await all(names.map((name) => show(byId(name), `${here}/${name}?${query()}`)));
  };
  const soon = (names) => { clearTimeout(timer); timer = setTimeout(() => draw(names), 250); };

  form.addEventListener("submit", (event) => { event.preventDefault(); draw(["samples", "becoming", "walk"]); });
  for (const knob of form.elements) {
    if (!knob.name) continue;
    const only = { seed: ["samples", "becoming"], start: ["walk"], end: ["walk"] }[knob.name] || ["samples", "becoming", "walk"];
    knob.addEventListener("input", () => {
      const output = form.querySelector(`output[for=${knob.id}]`);
      if (output) output.textContent = knob.value;
      if (knob.checkValidity()) soon(only);
    });
  }
  const dice = form.querySelector("[data-dice]");
  dice.hidden = false;
  dice.addEventListener("click", () => { form.elements.seed.value = Math.floor(Math.random() * 100000); draw(["samples", "becoming"]); });

  // the walk: a slider over the strip
  const where = byId("where"), strip = byId("walk"), stop = byId("stop");
  const zoom = 4, gap = 1;
  const stand = () => {
    if (strip.ariaBusy || !strip.complete || !strip.naturalWidth) return;
    const side = stop.width + gap, at = Number(where.value);
    stop.getContext("2d").drawImage(strip, (at * side + gap) * zoom, gap * zoom, stop.width * zoom, stop.height * zoom, 0, 0, stop.width, stop.height);
  };
  where.parentElement.hidden = stop.hidden = false;
  where.addEventListener("input", stand);
  strip.addEventListener("load", stand);
  strip.loading = "eager";
  stand();
  all([...document.querySelectorAll("img[aria-busy]")].map((image) => show(image, image.getAttribute("src"))));

  // drawing: light on dark, as the data is
  const section = byId("draw");
  if (!section) return;
  section.hidden = false;
  const paper = byId("paper"), copy = byId("copy"), note = section.querySelector("[role=status]");
  const box = section.querySelector(".drawing"), ink = paper.getContext("2d", { willReadFrequently: true });
  const wipe = () => { ink.fillStyle = "#000"; ink.fillRect(0, 0, paper.width, paper.height); };
  wipe();
  ink.lineCap = ink.lineJoin = "round";
  ink.lineWidth = paper.width / 13;
  ink.strokeStyle = "#fff";
  const place = (event) => {
    const frame = paper.getBoundingClientRect();
    return [(event.clientX - frame.left) * paper.width / frame.width, (event.clientY - frame.top) * paper.height / frame.height];
  };
  let last = null;
  paper.addEventListener("pointerdown", (event) => { paper.setPointerCapture(event.pointerId); last = place(event); event.preventDefault(); });
  paper.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = place(event);
    ink.beginPath(); ink.moveTo(...last); ink.lineTo(...next); ink.stroke();
    last = next;
  });
  for (const kind of ["pointerup", "pointercancel"]) paper.addEventListener(kind, () => { if (last) { last = null; redraw(); } });
  section.querySelector("[data-wipe]").addEventListener("click", () => { wipe(); redraw(); });
  section.querySelector("[data-take]").addEventListener("click", () => {
    const sheet = byId("samples"), zoomed = 3, cell = Math.floor(Math.random() * 36);
    const x = ((cell % 6) * (paper.width + gap) + gap) * zoomed, y = (Math.floor(cell / 6) * (paper.height + gap) + gap) * zoomed;
    ink.drawImage(sheet, x, y, paper.width * zoomed, paper.height * zoomed, 0, 0, paper.width, paper.height);
    redraw();
  });
  let latest = null;
  const redraw = async () => {
    const channels = Number(box.dataset.channels), raw = ink.getImageData(0, 0, paper.width, paper.height).data;
    const size = paper.width * paper.height, pixels = new Uint8Array(channels * size);
    for (let c = 0; c < channels; c++) for (let i = 0; i < size; i++) pixels[c * size + i] = raw[4 * i + (channels === 1 ? 0 : c)];
    const mine = latest = {};
    const answer = await drawn(`${here}/redraw`, {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json", "X-Form-Token": box.dataset.token },
      body: JSON.stringify({ pixels: btoa(String.fromCharCode(...pixels)) }),
    }, note, () => mine === latest);
    if (!answer) return;
    const found = await answer.json();
    if (!answer.ok) { note.textContent = found.detail; return; }
    const content = Uint8Array.from(atob(found.picture), (letter) => letter.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([content], { type: "image/png" }));
    copy.getContext("2d").drawImage(picture, gap, gap, copy.width, copy.height, 0, 0, copy.width, copy.height);
    note.textContent = `Mean squared error ${found.mse}.`;
    bars(found.latents);
  };
  const bars = (numbers) => {
    const svg = byId("latent"), most = Math.max(3, ...numbers.map(Math.abs)), wide = 100 / numbers.length;
    svg.replaceChildren(...numbers.map((value, i) => {
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect"), high = 15 * Math.abs(value) / most;
      for (const [name, is] of [["x", i * wide + wide / 10], ["width", wide * 0.8], ["y", value > 0 ? 15 - high : 15], ["height", high]]) bar.setAttribute(name, is);
      return bar;
    }));
  };
});
