// One connection to one session: signalling over HTTP, pictures and events over WebRTC. It draws nothing.
const API = new URL("api/", document.baseURI);
const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const GATHER_MS = 1500; // candidates that take longer are not worth waiting for
const CONNECT_MS = 20000;
const SILENT_MS = 6000; // figures come twice a second: after this long without any, nobody is there
const BEAT_MS = 1000;

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
  if (!answer.ok || !said) throw answerTrouble(answer.status, said, source);
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

class Link {
  // on: {queued(place), session(made), picture(stream), event(object), round(figures), lost(trouble)}
  constructor(on) {
    this.on = on;
    this.id = "";
    this.ticket = ""; // while it waits in the queue
    this.isClosed = false;
    this.heardMs = 0;
    this.isSpeaking = false; // the server has begun to send figures
  }

  async open(source, settings, camera) {
    if (!window.RTCPeerConnection) throw noWebRtcTrouble();
    const made = await takeSession({ source, settings }, source.kind, this);
    this.id = made.id;
    if (this.isClosed) {
      this._tellClosed();
      throw new Gone();
    }
    this.on.session(made);
    const pc = (this.pc = new RTCPeerConnection({ iceServers: made.ice_servers || [] }));
    pc.ontrack = (event) => this._take(event);
    pc.onconnectionstatechange = () => this._follow();
    this.control = pc.createDataChannel("control");
    this.control.onmessage = (event) => this._hear(event.data);
    this.control.onclose = () => this._lose(lostTrouble());
    const track = camera && camera.getVideoTracks()[0];
    if (track) {
      if ("contentHint" in track) track.contentHint = "motion";
      this.sender = pc.addTransceiver(track, { direction: "sendrecv", streams: [camera] }).sender;
    } else {
      pc.addTransceiver("video", { direction: "recvonly" });
    }
    await pc.setLocalDescription(await pc.createOffer());
    await this._gathered();
    if (this.isClosed) throw new Gone();
    const { type, sdp } = pc.localDescription;
    const answer = await post(`sessions/${encodeURIComponent(this.id)}/offer`, { type, sdp }, source.kind);
    if (this.isClosed) throw new Gone();
    this.patience = setTimeout(() => this._lose(notConnectedTrouble()), CONNECT_MS);
    await pc.setRemoteDescription(answer);
    this.beat = setInterval(() => this._beat(), BEAT_MS);
  }

  // Sends another camera's picture from now on, without a new session.
  async replace(camera) {
    if (this.sender) await this.sender.replaceTrack(camera.getVideoTracks()[0]);
  }

  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    clearTimeout(this.patience);
    clearTimeout(this.doubt);
    clearInterval(this.beat);
    this._tellClosed();
    if (this.pc) this.pc.close();
  }

  _tellClosed() {
    if (!this.id && !this.ticket) return;
    const what = this.id ? `sessions/${encodeURIComponent(this.id)}` : `tickets/${encodeURIComponent(this.ticket)}`;
    const path = new URL(`${what}/close`, API);
    if (!navigator.sendBeacon || !navigator.sendBeacon(path))
      fetch(path, { method: "POST", keepalive: true }).catch(() => {});
  }

  _gathered() {
    const pc = this.pc;
    if (pc.iceGatheringState === "complete") return null;
    return new Promise((resolve) => {
      setTimeout(resolve, GATHER_MS);
      pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && resolve());
    });
  }

  _take(event) {
    if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0;
    this.on.picture(event.streams[0] || new MediaStream([event.track]));
  }

  _follow() {
    const state = this.pc.connectionState;
    clearTimeout(this.doubt);
    if (state === "connected") clearTimeout(this.patience);
    else if (state === "failed") this._lose(this.heardMs ? lostTrouble() : notConnectedTrouble());
    else if (state === "disconnected") this.doubt = setTimeout(() => this._lose(lostTrouble()), SILENT_MS);
  }

  _hear(text) {
    this.heardMs = performance.now();
    const event = JSON.parse(text);
    if (event.type === "stats") this.isSpeaking = true;
    this.on.event(event);
  }

  _lose(trouble) {
    if (this.isClosed) return;
    this.close();
    this.on.lost(trouble);
  }

  async _beat() {
    if (this.control.readyState === "open")
      this.control.send(JSON.stringify({ type: "ping", sent_ms: Math.round(performance.now()) }));
    if (this.isSpeaking && performance.now() - this.heardMs > SILENT_MS) {
      this._lose(lostTrouble());
      return;
    }
    const found = await this.pc.getStats();
    if (this.isClosed) return;
    for (const report of found.values())
      if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined)
        this.on.round({ rtt_ms: 1000 * report.currentRoundTripTime });
  }
}
