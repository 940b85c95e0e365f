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
  stop,
  snapshot: () => view.snapshot(),
  fullscreen: () => view.fullscreen(),
  mirror: () => view.mirror(!view.frame.classList.contains("is-mirrored")),
  turn,
  microphone,
  speaker: () => sound.turnSpeaker(link),
};

const KEYS = { f: TOOLS.fullscreen, s: TOOLS.snapshot, m: TOOLS.mirror };

// Called by Gradio when another source is chosen.
function choose(wanted) {
  if (wanted === kind || !IDLE[wanted]) return;
  const wasOn = !["idle", "trouble"].includes(page.state);
  kind = wanted;
  stop();
  if (wasOn && (kind !== "file" || chosen)) start();
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
  } catch (trouble) {
    view.notice(`${trouble.message} ${trouble.hint || ""}`.trim());
  }
}

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
  const act = KEYS[event.key.toLowerCase()];
  if (act) act();
});
window.addEventListener("pagehide", () => link && link.close());
window.addEventListener("pageshow", (event) => event.persisted && link && fail(lostTrouble()));

gauge.engine(ENGINE);
rest();
