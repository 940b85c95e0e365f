// The live view: one state, and what moves it. States: idle, asking, sending, waiting, connecting, preparing, live, trouble.
// `window.vitascope` is what Gradio's events, the browser's tests and a curious person may use.
const SETTLE_MS = 400; // typing that has paused this long is meant
const IDLE = {
  webrtc: [`Your camera, ${DOING} as you move.`, "The picture goes to this server and nowhere else."],
  file: [`A video file, ${DOING} as it plays.`, "Choose one, or drop it here."],
  url: ["A network stream: a camera, HLS or RTMP.", "Write its address. The server reads it, not your browser."],
  pattern: ["A moving test picture, made by the server.", "Needs no camera."],
};

if (window.vitascope) window.vitascope.stop(); // Gradio has built the view anew

let kind = "webrtc";
let link = null;
let camera = null;
let chosen = null; // {name, id}: the video file on the server
let abort = null; // ends an upload
let settled = 0;
let tape = ""; // name of the recording that runs
let isBack = false; // whether the camera that looks away from the person was asked for
const settings = {};

const root = element.querySelector(".vs-live");
const view = new Screen(root, (action) => ACTIONS[action]());
const sound = new Sound(view);
const seen = new Seen(root);
const moving = new Moving(root);
const heard = new Heard(root);
const spoken = new Spoken(root, { talk, undo, follow });
const asked = new Asked(root, ASKS);
const TOLD = { seen, motion: moving, heard, command: spoken, answer: asked, wish: asked, alert: asked };
const gauge = new Gauge(root.querySelector(".vs-gauge"));
const picker = root.querySelector(".vs-file");
const address = root.querySelector(".vs-url");
const page = { state: "idle", session: "", path: "", stats: {}, engine: ENGINE, video: view.painted };
window.vitascope = Object.assign(page, { choose, remember, start, stop, settings });

function enter(state) {
  page.state = root.dataset.state = state;
  const masthead = document.querySelector(".vs-masthead");
  if (!masthead) return;
  masthead.dataset.state = state;
  masthead.querySelector(".vs-tally").textContent = { live: "live", idle: "", trouble: "", waiting: "waiting" }[state] ?? "starting";
}

function rest() {
  enter("idle");
  const [message, hint] = IDLE[kind];
  address.hidden = kind !== "url";
  if (kind !== "file") view.card(message, { hint, actions: ["start"] });
  else if (chosen) view.card(chosen.name, { actions: ["start", "choose"] });
  else view.card(message, { hint, actions: ["choose"] });
}

function letGo() {
  const old = link;
  link = null;
  if (abort) abort();
  abort = null;
  sound.letGo(null);
  if (old) old.close();
  if (camera) camera.getTracks().forEach((track) => track.stop());
  camera = null;
  if (tape) recorded({ on: false, name: "" });
  view.freeze();
  gauge.clear();
  seen.clear();
  moving.clear();
  heard.rest();
  spoken.rest();
  asked.rest();
  page.stats = {};
  page.path = "";
  page.session = props.value = "";
}

function stop() {
  letGo();
  view.notice("");
  rest();
}

function fail(trouble) {
  if (trouble instanceof Gone) return;
  if (!(trouble instanceof Trouble)) console.error(trouble);
  letGo();
  enter("trouble");
  address.hidden = kind !== "url";
  const { message, hint = "", actions = ["retry"] } = trouble;
  const own = actions.filter((action) => action !== kind); // "use the pattern" is no help to the pattern
  view.card(message, { hint, actions: own.length ? own : ["retry"], isAlert: true });
}

async function start() {
  letGo();
  address.hidden = true;
  view.notice("");
  const me = (link = new Link({
    queued,
    session: began,
    picture: (stream) => view.change(stream),
    path: (words) => gauge.path((page.path = words)),
    event: hear,
    away: () => view.notice("The connection was lost; trying again."),
    back: () => view.notice(""),
    round: (figures) => Object.assign(page.stats, figures),
    lost: fail,
  }));
  const isMine = () => link === me;
  try {
    if (kind === "webrtc") {
      enter("asking");
      view.card("Waiting for your camera.", { hint: "The browser may ask you first.", actions: ["cancel"] });
      const opened = await openCamera(isBack ? { facingMode: "environment" } : {});
      if (!isMine()) return opened.getTracks().forEach((track) => track.stop());
      watchCamera(opened);
    }
    enter("connecting");
    view.card("Connecting.", { actions: ["cancel"], seconds: true });
    await me.open(wished(), { ...settings, ...(sound.isLoud && { sound: true }) }, camera);
  } catch (trouble) {
    if (isMine()) fail(trouble);
  }
}

function wished() {
  if (kind === "file" && chosen) return { kind, file: chosen.id };
  const url = address.value.trim();
  return kind === "url" && url ? { kind, url } : { kind };
}

function watchCamera(opened) {
  camera = opened;
  const track = opened.getVideoTracks()[0];
  track.addEventListener("ended", () => {
    if (camera === opened) fail(cameraTrouble({ name: "NotReadableError" }));
  });
  const facing = track.getSettings ? track.getSettings().facingMode : "";
  view.mirror(!WRITES && facing !== "environment");
  view.showInput(opened);
  const devices = navigator.mediaDevices.enumerateDevices ? navigator.mediaDevices.enumerateDevices() : [];
  Promise.resolve(devices).then((found) => {
    const count = found.filter((device) => device.kind === "videoinput").length;
    root.querySelector('[data-do="turn"]').hidden = count < 2;
  });
}

function queued({ place, is_turn }) {
  enter("waiting");
  const message = is_turn ? "It is your turn." : `You are number ${place} in the queue.`;
  view.card(message, { hint: "Keep this page open: it goes on by itself.", actions: ["cancel"], seconds: true });
}

function began(made) {
  enter("connecting");
  page.session = props.value = made.id;
  gauge.engine(made.engine);
  if (kind !== "webrtc") view.mirror(false);
  sound.offer(kind);
  heard.begin(made.id, kind);
  spoken.begin();
  asked.begin(made.id);
  trigger("submit"); // what was turned meanwhile is sent along
}

function hear(event) {
  if (event.engine && event.engine.name) gauge.engine((page.engine = event.engine));
  if (event.type === "progress") {
    if (page.state === "live") return view.notice(event.message);
    enter("preparing");
    view.card(event.message, { fraction: event.fraction, actions: ["cancel"], seconds: true });
  } else if (event.type === "ready" && page.state !== "live") {
    enter("preparing");
    view.card("Waiting for the first picture.", { actions: ["cancel"], seconds: true });
    showIfPlaying();
  } else if (event.type === "stats") {
    gauge.show(Object.assign(page.stats, event));
  } else if (TOLD[event.type]) {
    TOLD[event.type].show((page[event.type] = event));
  } else if (event.type === "result") {
    seen.happened(event);
  } else if (event.type === "recording") {
    recorded(event);
  } else if (event.type === "notice") {
    view.notice(`${event.message} ${event.hint || ""}`.trim());
  } else if (event.type === "error") {
    if (event.permanent) fail(new Trouble(event.message, event.hint));
    else view.notice(`${event.message} ${event.hint || ""}`.trim());
  }
}

function showIfPlaying() {
  if (!link || page.state === "live" || !view.painted.srcObject || view.painted.readyState < 2) return;
  enter("live");
  view.uncover();
}
for (const moment of ["loadeddata", "playing", "resize"]) page.video.addEventListener(moment, showIfPlaying);
