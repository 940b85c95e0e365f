// One WebRTC connection to a session.
const GATHER_MS = 1500; // candidates that take longer are not worth waiting for
const SILENT_MS = 5000; // figures come twice a second: after this long without any, nobody is there
const BEAT_MS = 1000;

class Rtc {
  // on: {up(), picture(stream), event(object), round(figures), gone(trouble)}; `trouble` is why, null for a plain loss.
  constructor(id, camera, voice, ways, on) {
    this.on = on;
    this.path = `sessions/${encodeURIComponent(id)}/offer`;
    this.isClosed = false;
    this.isUp = false;
    this.isSpeaking = false; // the server has begun to send figures
    this.heardMs = 0;
    const pc = (this.pc = new RTCPeerConnection(ways));
    pc.ontrack = (event) => this._take(event);
    pc.onconnectionstatechange = () => this._follow();
    this.control = pc.createDataChannel("control");
    this.control.onmessage = (event) => this._hear(event.data);
    this.control.onclose = () => this._lose(null);
    const track = camera && camera.getVideoTracks()[0];
    if (track) {
      if ("contentHint" in track) track.contentHint = "motion";
      this.sender = pc.addTransceiver(track, { direction: "sendrecv", streams: [camera] }).sender;
    } else {
      pc.addTransceiver("video", { direction: "recvonly" });
    }
    // Both ways from the start, with nothing to send: turning sound on then needs no new negotiation.
    this.voice = pc.addTransceiver("audio", { direction: "sendrecv" }).sender;
    if (voice) this.speak(voice);
    this._open().catch((trouble) => this._lose(trouble));
  }

  async _open() {
    const { pc } = this;
    await pc.setLocalDescription(await pc.createOffer());
    await this._gathered();
    if (this.isClosed) return;
    const { type, sdp } = pc.localDescription;
    const answer = await post(this.path, { type, sdp });
    if (this.isClosed) return;
    await pc.setRemoteDescription(answer);
    this.beat = setInterval(() => this._beat(), BEAT_MS);
  }

  async replace(camera) {
    if (this.sender) await this.sender.replaceTrack(camera.getVideoTracks()[0]);
  }

  // Sends a microphone's track from now on; null sends nothing.
  async speak(track) {
    if (!this.isClosed) await this.voice.replaceTrack(track);
  }

  say(event) {
    if (this.control.readyState === "open") this.control.send(JSON.stringify(event));
  }

  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    clearTimeout(this.doubt);
    clearInterval(this.beat);
    this.pc.close();
  }

  _gathered() {
    const { pc } = this;
    if (pc.iceGatheringState === "complete") return null;
    return new Promise((resolve) => {
      setTimeout(resolve, GATHER_MS);
      pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && resolve());
    });
  }

  _take(event) {
    const { track } = event;
    if (track.kind !== "video") return; // sound is a track of the pictures' stream
    if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0;
    const stream = event.streams[0] || new MediaStream([track]);
    const tell = () => !this.isClosed && this.on.picture(stream);
    if (track.muted) track.addEventListener("unmute", tell, { once: true });
    else tell();
  }

  _follow() {
    const state = this.pc.connectionState;
    clearTimeout(this.doubt);
    if (state === "connected" && !this.isUp) {
      this.isUp = true;
      this.on.up();
    } else if (state === "failed") {
      this._lose(null);
    } else if (state === "disconnected") {
      this.doubt = setTimeout(() => this._lose(null), SILENT_MS);
    }
  }

  _hear(text) {
    if (this.isClosed) return;
    this.heardMs = performance.now();
    const event = JSON.parse(text);
    if (event.type === "stats") this.isSpeaking = true;
    this.on.event(event);
  }

  _lose(trouble) {
    if (this.isClosed) return;
    this.close();
    this.on.gone(trouble);
  }

  async _beat() {
    this.say({ type: "ping", sent_ms: Math.round(performance.now()) });
    if (this.isSpeaking && performance.now() - this.heardMs > SILENT_MS) return this._lose(null);
    const found = await this.pc.getStats();
    if (this.isClosed) return;
    for (const report of found.values())
      if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined)
        this.on.round({ rtt_ms: 1000 * report.currentRoundTripTime });
  }
}
