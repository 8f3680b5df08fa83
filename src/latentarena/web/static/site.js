// What the pages do in the browser. Without it everything still works, by plain links and forms.
"use strict";

// copy a text that is shown once
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

// ask before what cannot be undone
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// drag and drop, with progress; the file is the request's body, so the server writes it as it comes
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("upload");
  if (!form) return;
  const zone = form.querySelector(".drop"), input = form.querySelector("input[type=file]");
  const bar = form.querySelector("progress"), note = form.querySelector("[role=status]");
  const send = (file) => {
    note.classList.remove("bad");
    const limit = Number(form.dataset.limit);
    if (file.size > limit) return refuse(`${file.name} has ${file.size.toLocaleString()} bytes; at most ${limit.toLocaleString()} are taken.`);
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/submissions");
    request.setRequestHeader("Content-Type", "application/zip");
    request.setRequestHeader("X-Form-Token", form.elements.form_token.value);
    request.upload.onprogress = (event) => { bar.value = event.loaded / event.total; };
    request.onerror = () => refuse("The connection broke; send the file again.");
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* an answer of a proxy */ }
      if (request.status >= 400) return refuse(answer.detail || `The server answered ${request.status}.`);
      note.textContent = "Received.";
      location.assign(`/submissions/${answer.id}`);
    };
    bar.hidden = false;
    bar.value = 0;
    note.textContent = `Sending ${file.name} …`;
    request.send(file);
  };
  const refuse = (text) => { bar.hidden = true; note.textContent = text; note.classList.add("bad"); };
  form.addEventListener("submit", (event) => { event.preventDefault(); if (input.files.length) send(input.files[0]); else refuse("Choose a file first."); });
  input.addEventListener("change", () => { if (input.files.length) note.textContent = input.files[0].name; });
  for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]); });
});

// two entries ticked on the board are compared
document.addEventListener("change", (event) => {
  const box = event.target.closest("input[name=entry][type=checkbox]");
  if (!box) return;
  const ticked = [...box.form.querySelectorAll("input[name=entry]:checked")];
  if (ticked.length > 2) ticked.find((one) => one !== box).checked = false;
});
