// Pictures that go over a Wire: the newest of a track whenever the pace has room, as H.264 or JPEG.
const JPEG_QUALITY = 0.7;
const RECONFIGURE_MS = 1000;
const RECONFIGURE_SHARE = 0.15; // a smaller change of the bit rate is not worth it
const ENCODER_MS = 150; // an encoder may leave a picture out to keep its bit rate: after this time it has

function encoderConfig(width, height, bitrate) {
  const codec = width * height <= 1280 * 720 ? "avc1.42e01f" : "avc1.42e032";
  return { codec, width, height, bitrate, framerate: 30, latencyMode: "realtime", avc: { format: "annexb" } };
}

// Gives each new picture of a track to `take` as something that can be drawn; who takes it closes it, if it can be.
class Frames {
  constructor(track, take) {
    this.isClosed = false;
    if (window.MediaStreamTrackProcessor) this._read(new MediaStreamTrackProcessor({ track, maxBufferSize: 1 }), take);
    else this._watch(track, take);
  }

  async _read(processor, take) {
    const reader = (this.reader = processor.readable.getReader());
    for (;;) {
      const { value, done } = await reader.read().catch(() => ({ done: true }));
      if (done) return;
      if (this.isClosed) value.close();
      else take(value);
    }
  }

  _watch(track, take) {
    const video = (this.video = document.createElement("video"));
    Object.assign(video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
    video.play().catch(() => {});
    const next = video.requestVideoFrameCallback ? "requestVideoFrameCallback" : null;
    const again = (step) => (next ? video[next](step) : setTimeout(step, 33));
    const step = () => {
      if (this.isClosed) return;
      if (video.videoWidth) take(window.VideoFrame ? new VideoFrame(video, { timestamp: performance.now() * 1000 }) : video);
      again(step);
    };
    again(step);
  }

  close() {
    this.isClosed = true;
    if (this.reader) this.reader.cancel().catch(() => {});
    if (this.video) this.video.srcObject = null;
  }
}

// Sends the newest picture of a track whenever the pace has room. `before`: the one whose numbers it goes on with.
class PictureOut {
  constructor(track, codec, send, before) {
    this.codec = codec;
    this.send = send;
    this.pace = before ? before.pace : new Pace();
    this.seq = before ? before.seq : 0;
    this.wantsKey = true;
    this.waiting = null; // the newest picture, for which there was no room yet
    this.busySince = null; // when the picture in the encoder was put there
    this.config = null;
    this.configured = 0;
    this.frames = new Frames(track, (picture) => this._offer(picture));
  }

  acked(seq) {
    this.pace.acked(seq, performance.now());
    this._go();
  }

  close() {
    this.isClosed = true;
    this.frames.close();
    this._offer(null);
    if (this.encoder && this.encoder.state !== "closed") this.encoder.close();
  }

  _offer(picture) {
    if (this.waiting && this.waiting.close) this.waiting.close();
    this.waiting = picture;
    if (picture) this._go();
  }

  _go() {
    const now = performance.now();
    const isBusy = this.busySince !== null && now - this.busySince < ENCODER_MS;
    if (!this.waiting || isBusy || this.isClosed || !this.pace.hasRoom(now)) return;
    const picture = this.waiting;
    this.waiting = null;
    const width = picture.displayWidth || picture.videoWidth;
    const height = picture.displayHeight || picture.videoHeight;
    this.pace.resize(width * height);
    const size = [width, height].map((side) => Math.max(16, Math.round((side * this.pace.scale) / 2) * 2));
    this.busySince = now;
    if (this.codec === "h264") this._encode(picture, ...size);
    else this._draw(picture, ...size);
  }

  _encode(picture, width, height) {
    try {
      this._configure(width, height);
      this.encoder.encode(picture, { keyFrame: this.wantsKey });
      this.wantsKey = false;
    } catch (error) {
      this._broken(error);
    }
    picture.close();
  }

  _configure(width, height) {
    const now = performance.now();
    const { bitrate } = this.pace;
    const isNew = !this.config || this.config.width !== width || this.config.height !== height;
    const isOff = this.config && Math.abs(bitrate / this.config.bitrate - 1) > RECONFIGURE_SHARE;
    if (!this.encoder || this.encoder.state === "closed") {
      this.wantsKey = true;
      this.encoder = new VideoEncoder({
        output: (chunk) => this._made(chunk),
        error: (error) => this._broken(error),
      });
    } else if (!isNew && !(isOff && now - this.configured > RECONFIGURE_MS)) {
      return;
    }
    this.wantsKey = this.wantsKey || isNew;
    this.config = encoderConfig(width, height, bitrate);
    this.configured = now;
    this.encoder.configure(this.config);
  }

  _broken(error) {
    console.warn("A picture could not be encoded.", error);
    this.encoder = null;
    this.busySince = null;
  }

  _made(chunk) {
    const { width, height } = this.config;
    const isKey = chunk.type === "key";
    const message = packed({ ...this._head("h264", width, height), pts: chunk.timestamp, isKey, size: chunk.byteLength });
    chunk.copyTo(new Uint8Array(message, HEADER_BYTES));
    this._sent(message, isKey);
  }

  async _draw(picture, width, height) {
    const canvas = (this.canvas = this.canvas || document.createElement("canvas"));
    Object.assign(canvas, { width, height });
    canvas.getContext("2d", { alpha: false }).drawImage(picture, 0, 0, width, height);
    if (picture.close) picture.close();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
    const bytes = blob ? new Uint8Array(await blob.arrayBuffer()) : null;
    if (!bytes || this.isClosed) return void (this.busySince = null);
    const size = bytes.byteLength;
    const message = packed({ ...this._head("jpeg", width, height), pts: performance.now() * 1000, isKey: true, size });
    new Uint8Array(message, HEADER_BYTES).set(bytes);
    this._sent(message, false);
  }

  _head(codec, width, height) {
    return { kind: KIND.picture, codec: CODEC[codec], seq: this.seq, width, height };
  }

  _sent(message, isKey) {
    this.busySince = null;
    if (this.isClosed) return;
    this.pace.sent(this.seq, message.byteLength, isKey, performance.now());
    this.seq += 1;
    this.send(message);
    this._go();
  }
}
