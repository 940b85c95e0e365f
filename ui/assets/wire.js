// One WebSocket to a session, for where WebRTC does not get through: pictures as H.264 by WebCodecs, or as JPEG where
// the browser has none, sound as Opus. The layout of a message is described in realtime/websocket/wire.py.
const KIND = { picture: 1, sound: 2, ack: 3, wantKey: 4 };
const CODEC = { none: 0, h264: 1, jpeg: 2, opus: 3 };
const CODEC_NAMES = ["", "H.264", "JPEG", "Opus"];
const HEADER_BYTES = 24;
const WIRE_BEAT_MS = 1000;
const WIRE_SILENT_MS = 5000;
const WIRE_VERSION = 1;

function packed({ kind, codec = 0, seq = 0, pts = 0, isKey = false, width = 0, height = 0, size = 0 }) {
  const message = new ArrayBuffer(HEADER_BYTES + size);
  const view = new DataView(message);
  [WIRE_VERSION, kind, codec, isKey ? 1 : 0].forEach((byte, i) => view.setUint8(i, byte));
  view.setUint32(4, seq);
  view.setBigUint64(8, BigInt(Math.max(0, Math.round(pts))));
  view.setUint16(16, width);
  view.setUint16(18, height);
  view.setUint32(20, size);
  return message;
}

function unpacked(message) {
  const view = new DataView(message);
  if (message.byteLength < HEADER_BYTES || view.getUint8(0) !== WIRE_VERSION) return null;
  return {
    kind: view.getUint8(1),
    codec: view.getUint8(2),
    isKey: Boolean(view.getUint8(3) & 1),
    seq: view.getUint32(4),
    pts: Number(view.getBigUint64(8)),
    width: view.getUint16(16),
    height: view.getUint16(18),
    payload: new Uint8Array(message, HEADER_BYTES),
  };
}

class Wire {
  // on: {picture(stream, codec), event(object), round(figures), gone(isOver)}; isOver: the session has ended.
  constructor(id, camera, microphone, on) {
    this.on = on;
    this.microphone = microphone;
    this.isClosed = false;
    this.isUp = false;
    this.heard = performance.now();
    const url = new URL(`sessions/${encodeURIComponent(id)}/ws`, API);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this._opened(camera);
    this.socket.onmessage = (message) => this._hear(message.data);
    this.socket.onclose = (event) => this._lose(event.code === 1000);
    this.beat = setInterval(() => this._beat(), WIRE_BEAT_MS);
  }

  async _opened(camera) {
    this.isUp = true;
    this.codecs = await pictureCodecs();
    if (this.isClosed) return;
    this.show = new PictureIn({
      picture: (stream) => this.on.picture(stream, CODEC_NAMES[this.show.codec]),
      ack: (seq) => this.send(packed({ kind: KIND.ack, seq })),
      wantKey: () => this.send(packed({ kind: KIND.wantKey })),
    });
    this.say({ type: "hello", takes: this.codecs });
    this.replace(camera);
    this.speak(this.microphone);
  }

  // Sends this camera's picture from now on.
  replace(camera) {
    if (!this.isUp || this.isClosed) return;
    if (this.out) this.out.close();
    const [track] = camera ? camera.getVideoTracks() : [];
    this.out = track ? new PictureOut(track, this.codecs[0], (message) => this.send(message), this.out) : null;
  }

  // Sends a microphone's track from now on; null sends nothing.
  speak(track) {
    this.microphone = track;
    if (!this.isUp || this.isClosed) return;
    if (this.voice) this.voice.close();
    const isAble = window.AudioEncoder && window.MediaStreamTrackProcessor;
    this.voice = track && isAble ? new SoundOut(track, (message) => this.send(message)) : null;
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(message);
  }

  say(event) {
    this.send(JSON.stringify(event));
  }

  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.beat);
    for (const part of [this.out, this.voice, this.show, this.ear]) if (part) part.close();
    this.socket.close(1000);
  }

  _hear(message) {
    this.heard = performance.now();
    if (this.isClosed) return;
    if (typeof message === "string") return this._event(JSON.parse(message));
    const packet = unpacked(message);
    if (!packet) return;
    if (packet.kind === KIND.picture && this.show) this.show.take(packet);
    else if (packet.kind === KIND.ack && this.out) this.out.acked(packet.seq);
    else if (packet.kind === KIND.wantKey && this.out) this.out.wantsKey = true;
    else if (packet.kind === KIND.sound && this.show && window.AudioDecoder) {
      this.ear = this.ear || new SoundIn(this.show.stream);
      this.ear.take(packet);
    }
  }

  _event(event) {
    if (event.type === "ping") this.say({ type: "pong", sent_ms: event.sent_ms });
    else if (event.type === "pong") this.on.round({ rtt_ms: performance.now() - event.sent_ms });
    else if (event.type !== "path") this.on.event(event);
  }

  _beat() {
    if (performance.now() - this.heard > WIRE_SILENT_MS) return this._lose(false);
    this.say({ type: "ping", sent_ms: Math.round(performance.now()) });
  }

  _lose(isOver) {
    if (this.isClosed) return;
    this.close();
    this.on.gone(isOver);
  }
}

// The codecs for pictures that this browser can both make and show, the best first.
async function pictureCodecs() {
  if (new URLSearchParams(location.search).get("codec") === "jpeg") return ["jpeg"];
  if (!window.VideoEncoder || !window.VideoDecoder) return ["jpeg"];
  const able = await Promise.all([
    VideoEncoder.isConfigSupported(encoderConfig(640, 480, PACE.startBps)),
    VideoDecoder.isConfigSupported(DECODER_CONFIG),
  ]).catch(() => []);
  return able.length && able.every((one) => one.supported) ? ["h264", "jpeg"] : ["jpeg"];
}
