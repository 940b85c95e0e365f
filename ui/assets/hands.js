// What a person does with the live view: source, settings, buttons, keys, a dropped file, leaving the page.
const ACTIONS = {
  start,
  retry: () => (kind === "file" && !chosen ? rest() : start()),
  reconnect: start,
  restart: start,
  cancel: stop,
  choose: () => picker.click(),
  pattern: () => use("pattern"),
  file: () => use("file"),
};

const TOOLS = {
  stop: async () => {
    if (tape) await record();
    stop();
  },
  record,
  snapshot: () => view.snapshot(),
  fullscreen: () => view.fullscreen(),
  mirror: () => view.mirror(!view.frame.classList.contains("is-mirrored")),
  turn,
  microphone,
  speaker: () => sound.turnSpeaker(link),
};

const KEYS = { f: TOOLS.fullscreen, s: TOOLS.snapshot, r: TOOLS.record, m: TOOLS.mirror };

// Called by Gradio when another source is chosen.
function choose(wanted) {
  if (wanted === kind || !IDLE[wanted]) return;
  const wasOn = !["idle", "trouble"].includes(page.state);
  kind = wanted;
  stop();
  const isChosen = { file: chosen, url: address.value.trim() }[kind] ?? kind !== "file";
  if (wasOn && isChosen) start();
}

function use(wanted) {
  const radio = document.querySelector(`#vs-source input[value="${wanted}"]`);
  if (radio && !radio.checked) radio.click();
  choose(wanted);
  if (wanted === "file" && !chosen) picker.click();
  else start();
}

// Called by Gradio at each change of a control: kept for the next session, since one may not run now.
function remember(name, value, isLive) {
  if (settings[name] === value) return;
  settings[name] = value;
  if (name === "prompt") {
    clearTimeout(settled);
    settled = setTimeout(() => trigger("settled"), SETTLE_MS);
  } else if (!isLive && link) {
    view.notice("This setting applies after a restart.", "restart");
  }
}

async function take(file) {
  if (!file) return;
  letGo();
  chosen = null;
  enter("sending");
  const say = (fraction) => view.card(`Sending ${file.name}.`, { fraction, actions: ["cancel"] });
  say(0);
  try {
    const id = await upload(file, say, (cancel) => (abort = cancel));
    chosen = { name: file.name, id };
    abort = null;
    start();
  } catch (trouble) {
    abort = null;
    fail(trouble);
  }
}

// Begins a recording of what is painted, or ends it and downloads it.
async function record() {
  const here = `sessions/${encodeURIComponent(page.session)}/recordings`;
  const button = root.querySelector('[data-do="record"]');
  if (button.disabled) return;
  button.disabled = true;
  const name = tape;
  try {
    if (!name) await post(here, {});
    else if ((await fetch(new URL(`${here}/${name}`, API), { method: "DELETE" })).ok) recorded({ on: false, name });
  } catch (trouble) {
    view.notice(`${trouble.message} ${trouble.hint || ""}`.trim());
  } finally {
    button.disabled = false;
  }
}

// Hears that a recording runs or has ended.
function recorded({ on, name }) {
  const before = tape;
  tape = on ? name : "";
  root.classList.toggle("is-recorded", on);
  const button = root.querySelector('[data-do="record"]');
  button.setAttribute("aria-pressed", String(on));
  button.title = on ? "End the recording (R)" : "Record (R)";
  if (on || before !== name) return;
  const anchor = document.createElement("a");
  anchor.href = new URL(`sessions/${encodeURIComponent(page.session)}/recordings/${name}`, API);
  anchor.download = name;
  anchor.click();
}

async function turn() {
  if (!camera) return;
  isBack = !isBack;
  try {
    camera.getTracks().forEach((track) => track.stop()); // phones open one camera at a time
    const opened = await openCamera({ facingMode: { ideal: isBack ? "environment" : "user" } });
    watchCamera(opened);
    await link.replace(opened);
  } catch (trouble) {
    fail(trouble);
  }
}

async function microphone() {
  const me = link;
  try {
    await sound.turnMicrophone(me, () => link === me && me !== null);
    heard.listens(Boolean(sound.microphone));
  } catch (trouble) {
    view.notice(`${trouble.message} ${trouble.hint || ""}`.trim());
  }
}

// Tells the server that a command is being said, or that it is over; without a microphone it could hear none.
async function talk(isHeld) {
  if (isHeld && kind === "webrtc" && !sound.microphone) await microphone();
  if (link && isHeld === spoken.isHeld) link.say({ type: "settings", settings: { [`${VOICE}.talk`]: isHeld } });
}

function undo() {
  if (link) link.say({ type: "undo" });
}

// Lets the controls show what was changed by voice.
function follow(changes) {
  trigger("steered", { changes });
}

address.addEventListener("keydown", (event) => event.key === "Enter" && start());
picker.addEventListener("change", () => {
  take(picker.files[0]);
  picker.value = "";
});
root.querySelector(".vs-tools").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) TOOLS[button.dataset.do]();
});
view.frame.addEventListener("dblclick", (event) => {
  if (event.target === view.painted) view.fullscreen();
});
for (const moment of ["dragover", "drop"]) view.frame.addEventListener(moment, (event) => event.preventDefault());
view.frame.addEventListener("drop", (event) => {
  const file = event.dataTransfer && event.dataTransfer.files[0];
  if (!file) return;
  kind = "file";
  const radio = document.querySelector('#vs-source input[value="file"]');
  if (radio && !radio.checked) radio.click();
  take(file);
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest && event.target.closest("input, textarea, select, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || page.state !== "live") return;
  if (event.key.toLowerCase() === "v" && !event.repeat) spoken.hold(true);
  const act = KEYS[event.key.toLowerCase()];
  if (act) act();
});
document.addEventListener("keyup", (event) => event.key.toLowerCase() === "v" && spoken.hold(false));
window.addEventListener("pagehide", () => link && link.close());
window.addEventListener("pageshow", (event) => event.persisted && link && fail(lostTrouble()));

gauge.engine(ENGINE);
rest();
