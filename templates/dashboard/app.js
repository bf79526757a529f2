// What pages gain with JavaScript: times in the reader's own zone, buttons that copy, a list that
// follows new events, checks while a person types, and a preview that follows the editor.
// Everything works without it.

const forms = {
  clock: { timeStyle: "medium" },
  short: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" },
  exact: { dateStyle: "medium", timeStyle: "medium" },
};
const zones = Object.fromEntries(Object.entries(forms).map(([name, form]) => [name, new Intl.DateTimeFormat(undefined, form)]));

/** Shows the times within `root` in the reader's zone. The exact time in UTC stays as the title. */
function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.textContent = zones[time.dataset.form ?? "exact"].format(at);
  }
}
localize(document);

// A message about what was done goes away by itself, unless a person looks at it.
for (const toast of document.querySelectorAll(".toast")) {
  const hide = () => (toast.matches(":hover, :focus-within") ? setTimeout(hide, 2000) : toast.classList.add("gone"));
  setTimeout(hide, 10000);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 2000);
  });
}

// The list of events follows what happens. It waits while a person uses the keyboard in it.
for (const button of document.querySelectorAll("[data-live]")) {
  const rows = document.getElementById("events");
  let source;
  button.hidden = !rows;
  const stop = () => {
    source?.close();
    source = undefined;
    button.textContent = "Follow live";
    button.setAttribute("aria-pressed", "false");
  };
  button.addEventListener("click", () => {
    if (source) return stop();
    source = new EventSource(button.dataset.live);
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "true");
    source.addEventListener("rows", (event) => {
      if (rows.contains(document.activeElement)) return;
      rows.innerHTML = event.data;
      localize(rows);
    });
    source.addEventListener("end", stop);
  });
}

/** Calls `act` when a person has stopped typing. */
function settled(form, act) {
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(act, 500);
  });
}

// The server checks a form while it is filled in. A field is silent until it was touched.
for (const form of document.querySelectorAll("form[data-check]")) {
  const touched = new Set();
  form.addEventListener("input", (event) => touched.add(event.target.name));
  settled(form, async () => {
    const body = new URLSearchParams(new FormData(form));
    body.set("check", "yes");
    const answer = await fetch(form.action, { method: "POST", body });
    if (!answer.ok) return;
    for (const [name, message] of Object.entries((await answer.json()).fields)) {
      const place = form.querySelector(`[data-error="${CSS.escape(name)}"]`);
      if (!place || !touched.has(name)) continue;
      place.textContent = message ?? "";
      place.hidden = !message;
      place.parentElement.classList.toggle("wrong", Boolean(message));
    }
  });
}

for (const form of document.querySelectorAll("form[data-preview]")) {
  settled(form, () => form.requestSubmit(form.querySelector("[value=preview]")));
}
