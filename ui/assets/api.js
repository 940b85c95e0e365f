// What the page asks of the browser and of the server over HTTP: a camera, a session, to take a file.
const API = new URL("api/", document.baseURI);
const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };

async function openCamera(which = {}) {
  if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) throw insecureTrouble();
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...CAMERA, ...which } });
  } catch (error) {
    throw cameraTrouble(error);
  }
}

async function post(path, body, source) {
  let answer;
  try {
    answer = await fetch(new URL(path, API), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw unreachable();
  }
  const said = await answer.json().catch(() => null);
  if (!answer.ok || !said) throw Object.assign(answerTrouble(answer.status, said, source), { status: answer.status });
  return said;
}

// Resolves to the file's id. XMLHttpRequest, since fetch tells no progress of an upload.
function upload(file, progress, cancel) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () =>
      request.status < 300 && request.response
        ? resolve(request.response.id)
        : reject(answerTrouble(request.status, request.response, "file"));
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new Gone());
    cancel(() => request.abort());
    request.open("POST", new URL("files", API));
    request.send(form);
  });
}

function iceWays(told) {
  return { iceServers: told.ice_servers || [], iceTransportPolicy: told.ice_transport_policy || "all" };
}

// Resolves to ICE servers with a fresh login, or null when the server cannot be reached.
async function freshWays(id) {
  const path = new URL(`sessions/${encodeURIComponent(id)}/ice`, API);
  const answer = await fetch(path).then((one) => (one.ok ? one.json() : null)).catch(() => null);
  return answer && iceWays(answer);
}

// Tells the server that a session or a ticket is done with, also while the page goes away.
function sayClosed(what) {
  const path = new URL(`${what}/close`, API);
  if (!navigator.sendBeacon || !navigator.sendBeacon(path))
    fetch(path, { method: "POST", keepalive: true }).catch(() => {});
}

// With workers the front tells at once when one is lost; the paths to it notice by silence, after seconds.
function newsOf(path, hear) {
  const news = new EventSource(new URL(path, API));
  news.onmessage = ({ data }) => hear(JSON.parse(data));
  return news;
}
